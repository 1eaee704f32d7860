"""What XNNPACK takes, seen in LiteRT itself on files of a few operators."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_files import array, tflite

from tinyml.core.errors import InputError
from tinyml.modelfile.summary import LayerSummary
from tinyml.runtimes.delegation import (
    FIX_16_BITS,
    FIX_HYBRID,
    Delegation,
    Undelegated,
    fix_of,
    measure,
)
from tinyml.runtimes.delegation import measured as in_child_measured
from tinyml.runtimes.lint.not_delegated import FIX, FLOAT_ONLY

ROW = ((1, 4), "float32")
PRODUCTS = dict.fromkeys(("x", "a", "b", "c", "y"), ROW)


def measured(path: Path, *operators: tuple[str, list[str], list[str]]) -> Delegation:
    """Of a file of ``operators`` over rows of four; ``w`` is a 4 x 4 constant."""
    named = {name for _, inputs, outputs in operators for name in (*inputs, *outputs)}
    tensors = {name: row for name, row in PRODUCTS.items() if name in named}
    return measure(tflite(path, {**tensors, "w": array(4, 4)}, operators))


def test_a_file_of_matrix_products_is_all_taken(tmp_path: Path) -> None:
    found = measured(
        tmp_path / "m.tflite",
        ("FULLY_CONNECTED", ["x", "w"], ["a"]),
        ("FULLY_CONNECTED", ["a", "w"], ["y"]),
    )
    assert (found.nodes, found.delegated, found.parts) == (2, 2, 1)
    assert (found.macs, found.mac_share, found.node_share) == (32, 1.0, 1.0)
    assert found.whole
    assert found.undelegated == ()


def test_an_operator_that_xnnpack_lacks_is_named_and_cuts_the_graph(tmp_path: Path) -> None:
    found = measured(
        tmp_path / "m.tflite",
        ("FULLY_CONNECTED", ["x", "w"], ["a"]),
        ("SIGN", ["a"], ["b"]),
        ("FULLY_CONNECTED", ["b", "w"], ["y"]),
    )
    assert (found.nodes, found.delegated, found.parts) == (3, 2, 2)
    assert found.undelegated == (Undelegated("SIGN", "b", 0, FIX),)
    assert (found.node_share, found.mac_share) == (0.6667, 1.0)
    assert not found.whole


def test_a_part_that_begins_beside_what_is_left_ends_where_it_reads(tmp_path: Path) -> None:
    """The sum reads the product and what SIGN makes of it: going back must stop at both."""
    found = measured(
        tmp_path / "m.tflite",
        ("FULLY_CONNECTED", ["x", "w"], ["a"]),
        ("SIGN", ["a"], ["b"]),
        ("SIGN", ["b"], ["c"]),
        ("ADD", ["a", "c"], ["y"]),
    )
    assert [own.name for own in found.undelegated] == ["b", "c"]
    assert (found.delegated, found.parts) == (2, 2)


def test_a_file_of_which_nothing_is_taken_has_no_part(tmp_path: Path) -> None:
    found = measured(tmp_path / "m.tflite", ("SIGN", ["x"], ["y"]))
    assert (found.delegated, found.parts, found.mac_share) == (0, 0, None)
    assert not found.whole


def test_an_operator_that_nobody_reads_is_not_counted(tmp_path: Path) -> None:
    found = measured(
        tmp_path / "m.tflite", ("TANH", ["x"], ["a"]), ("FULLY_CONNECTED", ["x", "w"], ["y"])
    )
    assert (found.nodes, found.delegated) == (1, 1)


def test_the_average_pool_of_integers_is_left_as_the_lint_says() -> None:
    pool = LayerSummary("p", "AVERAGE_POOL_2D", "", "int8", 0, 0)
    assert fix_of(pool) == FLOAT_ONLY["AVERAGE_POOL_2D"]


@pytest.mark.parametrize(
    ("layer", "fix"),
    [
        (LayerSummary("q", "QUANTIZE", "", "float32", 0, 0), FIX_16_BITS),
        (LayerSummary("c", "CONV_2D", "int8", "int16", 9, 9), FIX_16_BITS),
        (LayerSummary("d", "DEPTHWISE_CONV_2D", "int8", "float32", 9, 9), FIX_HYBRID),
        (LayerSummary("s", "SIGN", "", "float32", 0, 0), FIX),
    ],
)
def test_what_is_left_has_the_fix_of_its_cause(layer: LayerSummary, fix: str) -> None:
    assert fix_of(layer) == fix


def test_the_child_tells_what_was_measured(tmp_path: Path) -> None:
    file = tflite(tmp_path / "m.tflite", {"x": ROW, "y": ROW}, [("SIGN", ["x"], ["y"])])
    assert in_child_measured(file) == measure(file)


def test_a_file_that_litert_refuses_is_refused_with_its_words(tmp_path: Path) -> None:
    wrong = {"x": ROW, "w": array(3, 3), "y": ROW, "axis": np.array(1, np.int32)}
    file = tflite(tmp_path / "m.tflite", wrong, [("FULLY_CONNECTED", ["x", "w"], ["y"])])
    with pytest.raises(InputError, match="litert refuses it"):
        measure(file)
