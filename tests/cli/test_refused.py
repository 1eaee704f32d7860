"""Six networks that cannot be exported: the command line says what docs/refusals.md says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "refusals.py"))
PAGE = (ROOT / "docs" / "refusals.md").read_text(encoding="utf-8")
CURES = {
    "gate": "choose with torch.where",
    "counter": "make the state an input and an output",
    "scale": "keep the value a tensor",
    "phase": "as real convolutions",
    "loud": "fix every shape",
    "spectrum": "write it with other operators",
}
QUICK = ("gate", "counter")  # those that are refused before any conversion


def assert_refused(factory: str, folder: Path) -> None:
    code, said = SCRIPT["refusal"](factory, folder)
    assert code == 3, said
    assert f"\n{said}\n" in PAGE, "make refusals"
    error, hint = said.splitlines()
    place = rf"'body\.1\.1' \({factory.capitalize()}, net\.py:\d+\): "
    assert re.match(rf"error: .*{place}", error)
    assert CURES[factory] in hint
    assert "Traceback" not in said
    assert not (folder / "mine").exists()


@pytest.mark.parametrize("factory", QUICK)
def test_a_network_that_cannot_be_captured_is_refused(factory: str, tmp_path: Path) -> None:
    assert_refused(factory, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("factory", sorted(set(CURES) - set(QUICK)))
def test_a_network_that_cannot_be_converted_is_refused(factory: str, tmp_path: Path) -> None:
    assert_refused(factory, tmp_path)


def test_the_page_shows_all_six() -> None:
    assert set(SCRIPT["FACTORIES"]) == set(CURES)
    assert PAGE.count("\nerror: ") == PAGE.count("\nhint: ") == len(CURES)
