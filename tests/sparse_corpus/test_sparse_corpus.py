from __future__ import annotations

from pathlib import Path

import pytest
from sparse_cases import CASES

from tinyml.device.emulated import count, emulated_link

pytest.importorskip("ai_edge_litert")


def test_each_condition_is_just_missed_by_a_network() -> None:
    missed = {case.condition for case in CASES.values() if not case.met}
    assert {case.condition for case in CASES.values() if case.met} <= missed | {"block_kernels"}
    assert len(CASES) >= 24


@pytest.mark.slow
def test_a_call_takes_the_same_instructions_in_another_process(tmp_path: Path) -> None:
    sparse, dense = CASES["plain"].write(tmp_path, "plain")
    with emulated_link("cortex-a72", "2.3.0") as link:
        first, again, twin = count(link, sparse), count(link, sparse), count(link, dense)
    assert first.label == "emulated"
    assert first == again
    assert twin.per_call > 2 * first.per_call
