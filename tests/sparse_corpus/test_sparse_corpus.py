from __future__ import annotations

import math
from pathlib import Path

import pytest
from emulated_board.board import count, open_board
from emulated_board.software import with_litert
from recorded import agrees, recorded, verdict
from sparse_cases import CASES

from tinyml.core.target import all_targets
from tinyml.modelfile.read import read_graph
from tinyml.modelfile.summary import summarize
from tinyml.runtimes.lint.pruned_but_dense import pruned_but_dense
from tinyml.runtimes.sparse_support import SparseUse, sparse_use
from tinyml.runtimes.sparse_support.kernels import macs
from tinyml.runtimes.sparse_support.nodes import nodes

# What the lint names where a network just misses a condition: an open end comes with its cause.
CASE_VERSION = "litert-2.3.0"


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("corpus")
    return {name: case.write(folder, name)[0] for name, case in CASES.items()}


def test_each_condition_is_just_missed_by_a_network() -> None:
    missed = {case.condition for case in CASES.values() if not case.met}
    assert {case.condition for case in CASES.values() if case.met} <= missed | {"block_kernels"}
    assert len(CASES) >= 24


@pytest.mark.parametrize("version", recorded())
def test_the_lint_says_what_the_runtime_did(version: str, corpus: dict[str, Path]) -> None:
    seen = recorded()[version]
    assert set(seen) == set(CASES)
    differ = {
        name: (own["does"], verdict(corpus[name], version).reasons)
        for name, own in seen.items()
        if not agrees(verdict(corpus[name], version), own["does"])
    }
    assert not differ


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.met])
def test_the_condition_that_is_missed_is_named_with_its_node_and_cure(
    name: str, corpus: dict[str, Path]
) -> None:
    own = verdict(corpus[name], CASE_VERSION)
    assert not own.uses_sparse_kernels
    named = {reason.condition for reason in own.reasons}
    assert CASES[name].condition in named
    assert all(reason.fix and reason.needed and reason.value for reason in own.reasons)


def test_on_x86_with_avx_nothing_runs_sparse(corpus: dict[str, Path]) -> None:
    own = sparse_use(corpus["plain"], "litert", "2.3.0", "x86_64", avx=True)
    assert not own.uses_sparse_kernels
    assert [reason.condition for reason in own.reasons] == ["arch"]
    assert sparse_use(corpus["plain"], "litert", "2.3.0", "x86_64", avx=False).uses_sparse_kernels


def test_nodes_multiply_as_often_as_the_files_operators(corpus: dict[str, Path]) -> None:
    """Also a convolution that a padding was fused into."""
    for name in ("plain", "counted_head"):
        count = sum(macs(node) for node in nodes(read_graph(corpus[name])))
        assert count == summarize(corpus[name]).macs


def test_blocks_without_vector_kernels_are_a_trap(corpus: dict[str, Path]) -> None:
    own = verdict(corpus["block_4"], "litert-web-2.5.3")
    assert own.uses_sparse_kernels
    assert [reason.condition for reason in own.reasons] == ["block_kernels"]
    kernels = {layer.kernel for layer in own.layers if layer.sparsity > 0.5}
    assert kernels == {"spmm 8x4 scalar"}
    assert not verdict(corpus["block_4"], CASE_VERSION).reasons


def test_a_dense_head_counts_in_versions_that_count_it(corpus: dict[str, Path]) -> None:
    assert not verdict(corpus["counted_head"], "litert-2.3.0").uses_sparse_kernels
    assert verdict(corpus["uncounted_head"], "litert-1.4.0").uses_sparse_kernels
    assert not verdict(corpus["uncounted_head"], "litert-1.3.0").uses_sparse_kernels
    older = verdict(corpus["counted_head"], "litert-1.0.1")
    assert older.uses_sparse_kernels
    assert older.unchecked


@pytest.mark.parametrize("name", CASES)
def test_the_predicted_speedup_is_near_the_ratio_of_instructions(
    name: str, corpus: dict[str, Path]
) -> None:
    own: SparseUse = verdict(corpus[name], CASE_VERSION)
    if own.predicted_speedup is None:
        assert not own.uses_sparse_kernels
        return
    seen = recorded()[CASE_VERSION][name]
    assert math.isclose(own.predicted_speedup, seen["dense"] / seen["sparse"], rel_tol=0.25)


def test_on_few_pixels_sparse_kernels_are_the_slower_ones_and_it_is_said(
    corpus: dict[str, Path],
) -> None:
    """A pass through the weights costs as much for one pixel as for 32, and more for nine."""
    counted = recorded()[CASE_VERSION]
    told = {}
    for name in ("pixels_64", "pixels_16", "pixels_9", "pixels_4", "pixels_1"):
        own: SparseUse = verdict(corpus[name], CASE_VERSION)
        assert own.uses_sparse_kernels
        assert own.predicted_speedup is not None
        slower = counted[name]["sparse"] > counted[name]["dense"]
        assert slower == (own.predicted_speedup < 1)
        told[name] = own.speedup_text
    assert told["pixels_64"].endswith("times faster than dense")
    assert told["pixels_4"] == "about 1.1 times slower than dense: its images have few pixels"
    (found,) = pruned_but_dense(read_graph(corpus["pixels_4"]), all_targets()["rpi4"])
    assert "`sparse=off`" in found.fix


@pytest.mark.slow
def test_a_call_takes_the_same_instructions_in_another_process(tmp_path: Path) -> None:
    sparse, dense = CASES["plain"].write(tmp_path, "plain")
    with open_board("cortex-a72", with_litert("2.3.0")) as link:
        first, again, plain = count(link, sparse), count(link, sparse), count(link, dense)
    assert first.label == "emulated"
    assert first == again
    assert plain.per_call > 2 * first.per_call
