"""Every rule about a runtime fires on a small file made for it, and is quiet on a clean one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_files import array, onnx_file, product, single, tflite

from tinyml.core.diagnosis import Finding
from tinyml.core.errors import InputError
from tinyml.core.target import find_target
from tinyml.modelfile import lint as of_graph
from tinyml.runtimes import lint as package
from tinyml.runtimes.lint import RULES, lint

F32 = "float32"
IMAGE = ((1, 8, 8, 3), F32)


def of_rule(rule: str, path: Path) -> list[Finding]:
    """The findings of one rule, on a Raspberry Pi 4."""
    return [finding for finding in lint(path, find_target("rpi")) if finding.rule == rule]


def test_every_rule_has_its_file_and_every_file_its_rule() -> None:
    files = {path.stem for path in Path(package.__file__).parent.glob("*.py")}
    assert set(RULES) - set(of_graph.RULES) == files - {"__init__"}


def test_an_operator_outside_of_xnnpack_is_found(tmp_path: Path) -> None:
    (finding,) = of_rule("not_delegated", single(tmp_path / "m.tflite", "SIGN"))
    assert finding.node == "y"
    assert finding.cost.startswith("1 operator SIGN outside of XNNPACK, 768 bytes written")


def test_an_operator_on_integers_is_outside_of_xnnpack(tmp_path: Path) -> None:
    (finding,) = of_rule("not_delegated", single(tmp_path / "m.tflite", "ABS", "int32"))
    assert "ABS of int32" in finding.cost


def test_the_average_pool_of_integers_is_outside_of_xnnpack(tmp_path: Path) -> None:
    (finding,) = of_rule("not_delegated", single(tmp_path / "m.tflite", "AVERAGE_POOL_2D", "int8"))
    assert "AVERAGE_POOL_2D of int8" in finding.cost
    assert "mean over both axes" in finding.fix


def test_a_split_into_more_than_four_is_outside_of_xnnpack(tmp_path: Path) -> None:
    pieces = [f"p{i}" for i in range(5)]
    tensors = {"axis": np.array(1, np.int32), "x": ((1, 5), F32), "y": ((1, 1), F32)}
    tensors |= dict.fromkeys(pieces, ((1, 1), F32))
    operators = [("SPLIT", ["axis", "x"], pieces), ("RELU", ["p0"], ["y"])]
    (finding,) = of_rule("not_delegated", tflite(tmp_path / "m.tflite", tensors, operators))
    assert "at most 4" in finding.fix


@pytest.mark.parametrize("op", ["LOG", "EXP", "LOGISTIC", "RELU"])
def test_what_xnnpack_takes_is_no_finding(op: str, tmp_path: Path) -> None:
    assert lint(single(tmp_path / "m.tflite", op)) == ()


def test_xnnpack_is_not_asked_about_onnx(tmp_path: Path) -> None:
    text = "m (float[4] x) => (float[4] y) { y = Sign(x) }"
    assert lint(onnx_file(tmp_path / "m.onnx", text)) == ()


def test_funnelnets_files_have_their_epsilon_and_nothing_else(small_bundle: Path) -> None:
    for fmt in ("onnx", "tflite"):
        found = lint(small_bundle / f"funnelnet-fp32.{fmt}", find_target("rpi"))
        assert [finding.rule for finding in found] == ["small_epsilons"]
        assert found[0].cost.startswith("1e-10")


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("x")
    with pytest.raises(InputError, match="ends in none of"):
        lint(tmp_path / "m.txt")


def test_pruned_weights_are_said_to_run_dense_with_the_runtimes_name(tmp_path: Path) -> None:
    weight = array(64, 64)
    weight[np.random.default_rng(0).random(weight.shape) < 0.9] = 0
    (finding,) = of_rule("pruned_but_dense", product(tmp_path / "m.onnx", weight))
    assert finding.node == "1 of 1 weights"
    assert finding.cost.startswith("91% of their values are zero")
    assert "onnxruntime runs them as if they were not" in finding.cost


def test_a_third_of_zeros_is_no_pruned_weight(tmp_path: Path) -> None:
    weight = array(64, 64)
    weight[:21] = 0
    assert of_rule("pruned_but_dense", product(tmp_path / "m.onnx", weight)) == []


def test_a_stored_matrix_on_the_left_of_a_product_counts_too(tmp_path: Path) -> None:
    weight = array(64, 64)
    weight[np.random.default_rng(0).random(weight.shape) < 0.9] = 0
    tensors = {"w": weight, "x": ((64, 8), F32), "y": ((64, 8), F32)}
    path = tflite(tmp_path / "m.tflite", tensors, [("BATCH_MATMUL", ["w", "x"], ["y"])])
    (finding,) = of_rule("pruned_but_dense", path)
    assert finding.node == "1 of 1 weights"
