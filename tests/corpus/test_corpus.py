"""Every network of the corpus in both formats, block by block."""

from __future__ import annotations

import functools
import platform
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from corpus_line import FORMATS, prepare, run
from corpus_table import BY_NAME, ENTRIES, QUICK
from fires_in import fires_in
from warm_worker import warm

from tinyml.export.rewrites import REWRITES

TABLE = Path(__file__).parents[2] / "docs" / "corpus.md"
LEAST_BLOCKS = 4


def assert_parity(name: str, folder: Path) -> None:
    """As docs/corpus.md says: parity, or the reason that is written there."""
    if platform.machine() != "x86_64":
        pytest.skip("LiteRT's converter has wheels for x86-64 alone")
    refused = dict(_documented())
    for result in run(BY_NAME[name], folder, worker=warm()):
        wanted = refused.get((name, result.format), "yes")
        assert (result.reason == "") == (wanted == "yes"), (result.format, result.reason)
        assert result.blocks + result.instrumented >= LEAST_BLOCKS


def _documented() -> list[tuple[tuple[str, str], str]]:
    """(network, format) -> what the column parity says."""
    rows = re.findall(r"^\| `(\S+)` \| (\w+) \| ([^|]+) \|", TABLE.read_text("utf-8"), re.M)
    return [((name, fmt), parity.strip()) for name, fmt, parity in rows]


@pytest.mark.parametrize("name", QUICK)
def test_a_quick_network_has_parity_in_both_formats(name: str, tmp_path: Path) -> None:
    assert_parity(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [entry.name for entry in ENTRIES if entry.name not in QUICK])
def test_a_network_has_parity_in_both_formats(name: str, tmp_path: Path) -> None:
    assert_parity(name, tmp_path)


def test_the_table_has_every_network_in_every_format() -> None:
    documented = [key for key, _ in _documented()]
    assert documented == [(entry.name, fmt) for entry in ENTRIES for fmt in FORMATS]


@pytest.fixture(scope="module")
def counts_in(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Mapping[str, int]]:
    """How often each rewrite fires in a network, which is captured once."""

    @functools.cache
    def counts(network: str) -> Mapping[str, int]:
        return prepare(BY_NAME[network], tmp_path_factory.mktemp("network")).passes

    return counts


@pytest.mark.parametrize("name", REWRITES)
def test_a_rewrite_fires_in_the_network_that_it_names(
    name: str, counts_in: Callable[[str], Mapping[str, int]]
) -> None:
    assert counts_in(fires_in(REWRITES[name]))[name] > 0
