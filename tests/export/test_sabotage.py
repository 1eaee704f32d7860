"""An exporter that is wrong in one place is caught, and that place is named.

Each sabotage is done to the captured program between capture and writing, to a pass, or
to the file after the writer; stage values are read from the file that would be shipped.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from shipped import FORMATS, Shipped, first_divergence, ship
from small_networks import CHANNELS, SIGNATURE, STAGES, network

from tinyml.core.bundle import Parity, StageParity
from tinyml.core.errors import ValidationError
from tinyml.export import rewrites
from tinyml.export.capture.program import Captured, capture
from tinyml.export.capture.stage_values import eager_values
from tinyml.export.outcome import Outcome
from tinyml.export.parity import cases, gate
from tinyml.modelfile import tflite_file

CASES = cases(SIGNATURE, seed=0)
# One weight between channels that are not silenced by their ReLU.
OUT, IN, TAP = 0, 2, 1


def reference() -> dict[str, dict[str, Any]]:
    module = network()
    return {case: eager_values(module, x, SIGNATURE, STAGES)[0] for case, x in CASES.items()}


def node(captured: Captured, target: str, which: int = 0) -> torch.fx.Node:
    """The ``which``-th node of that operation."""
    nodes = captured.program.graph.nodes
    return [n for n in nodes if str(n.target).startswith(f"aten.{target}.")][which]


def wrong_padding(captured: Captured) -> None:
    """(5, 2) to the left and right becomes (2, 5)."""
    node(captured, "pad").update_arg(1, [2, 5])


def transposed_weight(captured: Captured) -> None:
    """Input and output channels of the second block swapped: the shape does not tell."""
    state = captured.program.state_dict
    name = next(n for n in state if n == "batch_norm_1_weight")
    state[name] = torch.nn.Parameter(state[name].detach().transpose(0, 1).contiguous(), False)


def dropped_epsilon(captured: Captured) -> None:
    """``log10(p + 1e-10)`` becomes ``log10(p)``, as some optimizers have it."""
    add = next(n for n in captured.program.graph.nodes if 1e-10 in n.args)
    add.replace_all_uses_with(add.args[0])
    captured.program.graph.erase_node(add)


def drop_normalisation(program: torch.export.ExportedProgram, stages: dict[str, Any]) -> Outcome:
    """A pass that removes a normalisation instead of folding it."""
    norms = [n for n in program.graph.nodes if "batch_norm" in str(n.target)]
    for norm in norms:
        norm.replace_all_uses_with(norm.args[0])
        program.graph.erase_node(norm)
    return Outcome(len(norms))


def test_an_honest_export_has_no_divergence(tmp_path: Path) -> None:
    captured, _ = rewrites.rewrite(capture(network(), SIGNATURE, STAGES))
    for fmt in FORMATS:
        assert first_divergence(ship(captured, fmt, tmp_path), CASES, reference()) is None


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize(
    ("sabotage", "stage", "case"),
    [
        (wrong_padding, "bank", "random"),
        (transposed_weight, "second", "random"),
        (dropped_epsilon, "scalogram", "silence"),
    ],
)
def test_a_wrong_program_is_caught_at_its_stage(
    sabotage: Callable[[Captured], None], stage: str, case: str, fmt: str, tmp_path: Path
) -> None:
    captured, _ = rewrites.rewrite(capture(network(), SIGNATURE, STAGES))
    sabotage(captured)
    captured.program.graph_module.recompile()
    assert_caught(ship(captured, fmt, tmp_path), stage, case)


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_pass_that_drops_the_normalisation_is_caught_at_its_stage(
    fmt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(rewrites.REWRITES, "fold_batchnorm", drop_normalisation)
    captured, counts = rewrites.rewrite(capture(network(), SIGNATURE, STAGES))
    assert counts["fold_batchnorm"] == 3
    assert_caught(ship(captured, fmt, tmp_path), "first", "random")


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_weight_changed_after_the_writer_is_caught_at_its_stage(fmt: str, tmp_path: Path) -> None:
    captured, _ = rewrites.rewrite(capture(network(), SIGNATURE, STAGES))
    weight = captured.program.state_dict["batch_norm_1_weight"].detach().numpy()
    shipped = ship(captured, fmt, tmp_path)
    {"onnx": nudge_onnx, "tflite": nudge_tflite}[fmt](shipped.path, weight)
    assert_caught(shipped, "second", "random")


def nudge_onnx(path: Path, weight: np.ndarray[Any, Any]) -> None:
    """Add 0.01 to one value of the initializer that equals ``weight``."""
    model = onnx.load(path)
    for held in model.graph.initializer:
        values = numpy_helper.to_array(held).copy()
        if values.shape == weight.shape and np.array_equal(values, weight):
            values[OUT, IN, 0, TAP] += 0.01
            held.CopyFrom(numpy_helper.from_array(values, held.name))
            onnx.save(model, path)
            return
    raise AssertionError("no such weight")


def nudge_tflite(path: Path, weight: np.ndarray[Any, Any]) -> None:
    """Add 0.01 to one value of the buffer that holds ``weight``, channels last."""
    model = tflite_file.unpack(path.read_bytes())
    wanted = weight.transpose(0, 2, 3, 1).tobytes()
    for buffer in model.buffers:
        if buffer.data is not None and bytes(buffer.data) == wanted:
            values = np.frombuffer(wanted, np.float32).copy().reshape(CHANNELS, 1, 3, CHANNELS)
            values[OUT, 0, TAP, IN] += 0.01
            buffer.data = values.reshape(-1).view(np.uint8)
            path.write_bytes(tflite_file.pack(model))
            return
    raise AssertionError("no such weight")


def assert_caught(shipped: Shipped, stage: str, case: str) -> None:
    """The first divergence is at ``stage`` on ``case``, and the gate says so."""
    row = first_divergence(shipped, CASES, reference())
    assert isinstance(row, StageParity)
    assert (row.stage, row.case) == (stage, case)
    with pytest.raises(ValidationError, match=f"'{stage}' on '{case}'"):
        gate(Parity((row,)))
