"""Every rule about the graph fires on a small file made for it, and is quiet on a clean one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_files import array, chain, onnx_file, product, single, tflite

from tinyml.core.diagnosis import Finding
from tinyml.core.target import Target, find_target
from tinyml.core.typed_json import to_json
from tinyml.modelfile import lint as package
from tinyml.modelfile.lint import RULES
from tinyml.modelfile.lint.large_activations import peak_bytes
from tinyml.modelfile.lint.wording import in_bytes, many
from tinyml.modelfile.read import read_graph

F32 = "float32"


def lint(path: Path, target: Target | None = None) -> tuple[Finding, ...]:
    """The findings of these rules."""
    graph = read_graph(path)
    return tuple(finding for rule in RULES.values() for finding in rule(graph, target))


def of_rule(rule: str, path: Path) -> list[Finding]:
    """The findings of one rule, on a Raspberry Pi 4."""
    return [finding for finding in lint(path, find_target("rpi")) if finding.rule == rule]


def test_every_rule_has_its_file_and_every_file_its_rule() -> None:
    files = {path.stem for path in Path(package.__file__).parent.glob("*.py")}
    assert set(RULES) == files - {"__init__", "wording"}


def test_every_finding_names_its_rule_node_cost_and_cure(tmp_path: Path) -> None:
    tensors, operators = chain(8)
    (finding,) = lint(tflite(tmp_path / "m.tflite", tensors, operators))
    assert finding.rule in RULES
    assert all(to_json(finding).values())
    assert set(to_json(finding)) == {"rule", "node", "cost", "fix"}


def test_a_recurrence_that_is_written_out_is_found_with_its_steps(tmp_path: Path) -> None:
    tensors, operators = chain(8)
    (finding,) = of_rule("unrolled_recurrences", tflite(tmp_path / "m.tflite", tensors, operators))
    assert finding.node == "p0"
    assert finding.cost.startswith("8 steps of 'w' in 15 of 16 operators")
    assert "`states=" in finding.fix


def test_a_recurrence_in_onnx_is_found_too(tmp_path: Path) -> None:
    steps = " ".join(f"p{i} = MatMul(h{i}, w) h{i + 1} = Tanh(p{i})" for i in range(8))
    text = f"m (float[1, 4] x) => (float[1, 4] y) {{ h0 = Relu(x) {steps} y = Relu(h8) }}"
    (finding,) = of_rule(
        "unrolled_recurrences", onnx_file(tmp_path / "m.onnx", text, w=array(4, 4))
    )
    assert finding.cost.startswith("8 steps of 'w'")


def test_a_block_called_twice_is_no_recurrence(tmp_path: Path) -> None:
    tensors, operators = chain(2)
    path = tflite(tmp_path / "m.tflite", tensors, operators)
    assert of_rule("unrolled_recurrences", path) == []


def test_one_weight_used_side_by_side_is_no_recurrence(tmp_path: Path) -> None:
    tensors: dict[str, Any] = {"x": ((1, 4), F32), "w": array(4, 4), "y": ((1, 32), F32)}
    tensors |= {f"p{i}": ((1, 4), F32) for i in range(8)}
    operators = [("FULLY_CONNECTED", ["x", "w"], [f"p{i}"]) for i in range(8)]
    operators.append(("CONCATENATION", [f"p{i}" for i in range(8)], ["y"]))
    path = tflite(tmp_path / "m.tflite", tensors, operators)
    assert of_rule("unrolled_recurrences", path) == []


def transposed(path: Path, shape: tuple[int, ...], order: tuple[int, ...]) -> Path:
    """A transposition between two rectifiers."""
    moved = tuple(shape[axis] for axis in order)
    tensors = {
        "x": (shape, F32),
        "order": np.array(order, np.int32),
        "r": (shape, F32),
        "t": (moved, F32),
        "y": (moved, F32),
    }
    operators = [("RELU", ["x"], ["r"]), ("TRANSPOSE", ["r", "order"], ["t"])]
    return tflite(path, tensors, [*operators, ("RELU", ["t"], ["y"])])


def test_a_layout_transpose_is_counted_with_its_bytes(tmp_path: Path) -> None:
    path = transposed(tmp_path / "m.tflite", (1, 3, 8, 8), (0, 2, 3, 1))
    (finding,) = of_rule("layout_transposes", path)
    assert (finding.node, finding.cost) == ("t", "1 layout transpose, 768 bytes moved a call")
    assert "`input_layout=nhwc`" in finding.fix


def test_a_layout_transpose_in_onnx_is_found(tmp_path: Path) -> None:
    text = """m (float[1, 8, 8, 3] x) => (float[1, 3, 8, 8] y)
    { t = Transpose<perm = [0, 3, 1, 2]>(x) y = Relu(t) }"""
    (finding,) = of_rule("layout_transposes", onnx_file(tmp_path / "m.onnx", text))
    assert finding.node == "t"


@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((1, 16, 4, 8), (0, 2, 1, 3)),  # heads of attention
        ((1, 3, 1, 1), (0, 2, 3, 1)),  # one pixel: nothing moves
        ((1, 16, 8), (0, 2, 1)),  # keys of attention: no convolution near
    ],
)
def test_a_transpose_that_is_no_layout_is_none_of_its_business(
    shape: tuple[int, ...], order: tuple[int, ...], tmp_path: Path
) -> None:
    assert of_rule("layout_transposes", transposed(tmp_path / "m.tflite", shape, order)) == []


def test_a_transpose_of_three_axes_counts_before_a_convolution(tmp_path: Path) -> None:
    text = """m (float[1, 20, 8] x) => (float[1, 4, 20] y)
    { t = Transpose<perm = [0, 2, 1]>(x) y = Conv(t, w) }"""
    path = onnx_file(tmp_path / "m.onnx", text, w=array(4, 8, 1))
    assert len(of_rule("layout_transposes", path)) == 1


def forest(path: Path, slices: int) -> Path:
    """One tensor cut into ``slices`` pieces."""
    cuts = " ".join(f"p{i} = Slice(x, s{i}, e{i}, axes)" for i in range(slices))
    names = ", ".join(f"p{i}" for i in range(slices))
    text = (
        f"m (float[1, 64] x) => (float[1, {slices}] y) {{ {cuts} y = Concat<axis = 1>({names}) }}"
    )
    given = {f"s{i}": np.array([i]) for i in range(slices)}
    given |= {f"e{i}": np.array([i + 1]) for i in range(slices)}
    return onnx_file(path, text, axes=np.array([1]), **given)


def test_many_slices_of_one_tensor_are_a_forest(tmp_path: Path) -> None:
    (finding,) = of_rule("repeated_slices", forest(tmp_path / "m.onnx", 8))
    assert (finding.node, finding.cost) == ("x", "8 slices of one tensor, 32 bytes copied a call")


def test_a_few_slices_are_no_forest(tmp_path: Path) -> None:
    assert of_rule("repeated_slices", forest(tmp_path / "m.onnx", 7)) == []


def test_slices_in_tflite_are_a_forest_too(tmp_path: Path) -> None:
    tensors: dict[str, Any] = {"x": ((1, 64), F32), "size": np.array([1, 1], np.int32)}
    tensors |= {f"b{i}": np.array([0, i], np.int32) for i in range(9)}
    tensors |= {f"p{i}": ((1, 1), F32) for i in range(9)} | {"y": ((1, 9), F32)}
    operators = [("SLICE", ["x", f"b{i}", "size"], [f"p{i}"]) for i in range(9)]
    operators.append(("CONCATENATION", [f"p{i}" for i in range(9)], ["y"]))
    (finding,) = of_rule("repeated_slices", tflite(tmp_path / "m.tflite", tensors, operators))
    assert finding.cost.startswith("9 slices")


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_doubles_are_found(fmt: str, tmp_path: Path) -> None:
    if fmt == "onnx":
        text = """m (float[4] x) => (double[4] y) { c = Cast<to = 11>(x) y = Relu(c) }"""
        path = onnx_file(tmp_path / "m.onnx", text)
    else:
        path = single(tmp_path / "m.tflite", "NEG", "float64")
    (finding,) = of_rule("float64_tensors", path)
    assert finding.cost.startswith("2 tensors in float64")


def test_a_weight_that_repeats_is_found(tmp_path: Path) -> None:
    weight = np.repeat(array(1, 64), 64, axis=0)
    (finding,) = of_rule("large_constants", product(tmp_path / "m.onnx", weight))
    assert "the same along axis 0 (64 times)" in finding.cost
    assert finding.fix == "store one slice and expand it when it is used"


def test_a_weight_that_is_mostly_zero_is_found(tmp_path: Path) -> None:
    weight = array(64, 64) * np.eye(64, dtype=np.float32)
    (finding,) = of_rule("large_constants", product(tmp_path / "m.onnx", weight))
    assert "98% of it zero" in finding.cost


def test_a_table_is_found_by_its_size(tmp_path: Path) -> None:
    (finding,) = of_rule("large_constants", product(tmp_path / "m.onnx", array(1, 2048), "Add"))
    assert "no weight of any layer" in finding.cost


def test_a_weight_as_weights_are_is_no_finding(tmp_path: Path) -> None:
    assert lint(product(tmp_path / "m.onnx", array(64, 64)), find_target("rpi")) == ()


def guarded(path: Path, epsilon: float, after: str = "Log") -> Path:
    """x + epsilon, then what it guards."""
    text = f"m (float[4] x) => (float[4] y) {{ a = Add(x, e) y = {after}(a) }}"
    return onnx_file(path, text, e=np.array(epsilon, np.float32))


def test_a_small_epsilon_before_a_logarithm_is_found(tmp_path: Path) -> None:
    (finding,) = of_rule("small_epsilons", guarded(tmp_path / "m.onnx", 1e-10))
    assert finding.node == "a"
    assert finding.cost.startswith("1e-10 is lost next to values near 1")


def test_a_small_epsilon_in_tflite_is_found(tmp_path: Path) -> None:
    tensors = {"x": ((1, 4), F32), "e": np.array(1e-9, F32), "a": ((1, 4), F32)}
    tensors |= {"y": ((1, 4), F32)}
    operators = [("ADD", ["x", "e"], ["a"]), ("RSQRT", ["a"], ["y"])]
    path = tflite(tmp_path / "m.tflite", tensors, operators)
    assert len(of_rule("small_epsilons", path)) == 1


def test_a_small_epsilon_of_a_normalisation_is_found(tmp_path: Path) -> None:
    text = """m (float[1, 4] x) => (float[1, 4] y)
    { y = LayerNormalization<axis = -1, epsilon = 1e-9>(x, w) }"""
    path = onnx_file(tmp_path / "m.onnx", text, w=array(4))
    assert len(of_rule("small_epsilons", path)) == 1


@pytest.mark.parametrize(
    ("epsilon", "after"),
    [(1e-6, "Log"), (1e-10, "Relu"), (0.0, "Log")],
)
def test_a_larger_epsilon_or_a_sum_that_guards_nothing_is_no_finding(
    epsilon: float, after: str, tmp_path: Path
) -> None:
    assert of_rule("small_epsilons", guarded(tmp_path / "m.onnx", epsilon, after)) == []


def test_activations_above_the_targets_memory_are_found(tmp_path: Path) -> None:
    text = """m (float[1, 20000000] x) => (float[1, 20000000] y)
    { a = Relu(x) b = Abs(x) y = Add(a, b) }"""
    path = onnx_file(tmp_path / "m.onnx", text)
    small = replace(find_target("rpi"), memory_mb=200)
    (finding,) = [f for f in lint(path, small) if f.rule == "large_activations"]
    assert (finding.node, finding.cost) == ("b", "240.0 MB alive at once, rpi4 has 200 MiB")
    assert of_rule("large_activations", path) == []
    assert lint(path) == ()


def test_a_value_is_alive_until_its_last_use(tmp_path: Path) -> None:
    text = "m (float[4] x) => (float[4] y) { a = Relu(x) b = Abs(a) y = Neg(b) }"
    assert peak_bytes(read_graph(onnx_file(tmp_path / "m.onnx", text))) == (32, "a")


def test_sizes_and_counts_are_words() -> None:
    assert [in_bytes(size) for size in (1, 9999, 10_000, 12_345_678)] == [
        "1 byte",
        "9,999 bytes",
        "10 KB",
        "12.3 MB",
    ]
    assert many(1234, "step") == "1,234 steps"
