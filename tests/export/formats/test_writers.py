"""Both files: names, numbers, bytes, and what must not be in them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from shipped import FORMATS, Shipped, ship
from small_networks import SIGNATURE, STAGES, network, randomised
from torch import Tensor, nn

from tinyml.core.errors import ExportError, InternalError
from tinyml.core.spec import Signature, TensorSpec
from tinyml.core.subprocesses import run_child
from tinyml.export import facts
from tinyml.export.capture.program import NAMES, PROGRAM, Captured, capture
from tinyml.export.capture.stage_values import eager_values
from tinyml.export.formats.instrumented import add_outputs
from tinyml.export.formats.tflite import write as write_tflite
from tinyml.export.parity import cases, compare
from tinyml.export.rewrites import rewrite
from tinyml.modelfile import tflite_file

IMAGE = Signature((TensorSpec("x", (1, 4, 8, 8)),), (TensorSpec("y", (1, 4, 8, 8)),))


class Fourier(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.stft(x, 8, 4, window=torch.hann_window(8), return_complex=True)
        return spectrum.abs()


class SingularValues(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.svdvals(x)


class Stack(nn.Module):
    """Convolutions in a row: between them no tensor has PyTorch's layout."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = nn.Sequential(
            nn.Conv2d(4, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.b = nn.Conv2d(channels, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x) * 1.5)


def rewritten() -> Captured:
    return rewrite(capture(network(), SIGNATURE, STAGES))[0]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shipped]:
    return {fmt: ship(rewritten(), fmt, tmp_path_factory.mktemp(fmt)) for fmt in FORMATS}


@pytest.fixture(params=FORMATS)
def shipped(request: pytest.FixtureRequest, files: dict[str, Shipped]) -> Shipped:
    return files[request.param]


def test_every_case_agrees_at_every_stage_and_output(shipped: Shipped) -> None:
    module = network()
    for case, inputs in cases(SIGNATURE, seed=1).items():
        want, outputs = eager_values(module, inputs, SIGNATURE, STAGES)
        rows = compare(shipped.facts.format, case, want, shipped.stages(inputs), STAGES)
        rows += compare("optimised", case, outputs, shipped.outputs(inputs), list(outputs))
        assert {row.stage: row.verdict for row in rows} == dict.fromkeys(
            [*STAGES, *outputs], "pass"
        )


def test_no_stage_is_fused_away(shipped: Shipped) -> None:
    assert None not in shipped.facts.stages.values()


def test_inputs_and_outputs_have_the_signatures_names_order_and_types(shipped: Shipped) -> None:
    if shipped.facts.format == "onnx":
        graph = onnx.load(shipped.path).graph
        found = [[v.name for v in graph.input], [v.name for v in graph.output]]
    else:
        model = tflite_file.unpack(shipped.path.read_bytes())
        signature, graph = model.signatureDefs[0], model.subgraphs[0]
        found = [
            [tflite_file.text(entry.name) for entry in ends]
            for ends in (signature.inputs, signature.outputs)
        ]
        indices = [*graph.inputs, *graph.outputs]
        assert [tflite_file.text(graph.tensors[i].name) for i in indices] == [*found[0], *found[1]]
    specs = (SIGNATURE.inputs, SIGNATURE.outputs)
    assert found == [[spec.name for spec in part] for part in specs]


def test_a_file_holds_no_path_no_source_and_no_class(shipped: Shipped) -> None:
    text = shipped.path.read_bytes().decode("latin-1")
    found = re.findall(r"/\w+/|\.py\b|torch|small_networks|self\.|F\.pad|Block|MLIR|jax", text)
    assert found == []


def test_the_onnx_file_is_valid_and_needs_no_new_runtime(files: dict[str, Shipped]) -> None:
    path = files["onnx"].path
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, [o.version for o in model.opset_import]) == (8, [18])
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_constants_of_the_tflite_file_lie_on_16_bytes(files: dict[str, Shipped]) -> None:
    from ai_edge_litert import schema_py_generated as schema

    data = files["tflite"].path.read_bytes()
    model = schema.Model.GetRootAs(data, 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    starts = [b._tab.Vector(b._tab.Offset(4)) for b in buffers if b.DataLength()]
    assert len(starts) > 5
    assert {start % tflite_file.ALIGNMENT for start in starts} == {0}


@pytest.mark.slow  # of whole exports: tests/pipeline/test_export_pipeline.py
def test_two_folders_and_two_processes_give_the_same_bytes(tmp_path: Path) -> None:
    files = []
    for folder in (tmp_path / "here", tmp_path / "a longer way" / "there"):
        folder.mkdir(parents=True)
        rewritten().save(folder)
        for fmt in FORMATS:
            out, noted = folder / f"network.{fmt}", folder / f"{fmt}.json"
            arguments = [str(path) for path in (folder / PROGRAM, folder / NAMES, out, noted)]
            module = f"tinyml.export.formats.{fmt}.write"
            run_child(module, arguments, log=folder / "log", timeout_s=120)
            files.append(out.read_bytes())
            assert facts.load(noted).format == fmt
    assert files[:2] == files[2:]


@pytest.mark.parametrize("channels", [8, 6])
def test_a_channels_last_stage_is_read_in_pytorchs_layout(channels: int, tmp_path: Path) -> None:
    """Square images with as many channels (8): the shape alone does not tell the layout."""
    torch.manual_seed(0)
    module = randomised(Stack(channels))
    shipped = ship(rewrite(capture(module, IMAGE, ("a", "b")))[0], "tflite", tmp_path)
    inputs = cases(IMAGE, seed=0)["random"]
    want, _ = eager_values(module, inputs, IMAGE, ("a", "b"))
    rows = compare("litert", "random", want, shipped.stages(inputs), ("a", "b"))
    assert shipped.facts.stages == {"a": "a", "b": "y"}
    assert "a" in shipped.facts.layouts
    assert {row.verdict for row in rows} == {"pass"}


@pytest.mark.parametrize(
    ("module", "shapes", "fmt", "says"),
    [
        (Fourier(), ((1, 16), (1, 5, 5)), "tflite", "LiteRT cannot convert the model"),
        (SingularValues(), ((1, 4, 2), (1, 2)), "tflite", "LiteRT cannot convert the model"),
        (SingularValues(), ((1, 4, 2), (1, 2)), "onnx", "PyTorch cannot write the model as ONNX"),
    ],
)
def test_what_a_format_cannot_say_is_refused_with_advice(
    module: nn.Module,
    shapes: tuple[tuple[int, ...], ...],
    fmt: str,
    says: str,
    tmp_path: Path,
) -> None:
    signature = Signature((TensorSpec("x", shapes[0]),), (TensorSpec("y", shapes[1]),))
    captured = capture(module.eval(), signature)
    with pytest.raises(ExportError, match=says) as caught:
        ship(captured, fmt, tmp_path)
    assert "\n" not in caught.value.message
    assert "real convolutions" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_custom_operator_is_refused_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_tflite.to_tflite(rewritten())
    model = tflite_file.unpack(data)
    model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = 32
    model.operatorCodes[0].customCode = "FlexSomething"
    monkeypatch.setattr(write_tflite, "to_tflite", lambda *_: tflite_file.pack(model))
    with pytest.raises(ExportError, match="own set: FlexSomething") as caught:
        ship(rewritten(), "tflite", tmp_path)
    assert "real convolutions" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fmt", FORMATS)
def test_an_instrumented_model_shows_a_stage_that_was_fused_away(fmt: str, tmp_path: Path) -> None:
    stages = ("a", "a.1")
    module = randomised(Stack(6))
    captured = rewrite(capture(module, IMAGE, stages))[0]
    if fmt == "tflite":
        assert ship(captured, fmt, tmp_path).facts.stages["a.1"] is None
    instrumented = ship(add_outputs(captured, ["a.1"]), fmt, tmp_path)
    inputs = cases(IMAGE, seed=0)["random"]
    want, _ = eager_values(module, inputs, IMAGE, stages)
    rows = compare(fmt, "random", want, instrumented.stages(inputs), stages)
    assert [row.verdict for row in rows] == ["pass", "pass"]


def test_a_stage_that_a_rewrite_took_has_no_instrumented_model() -> None:
    captured = rewrite(capture(randomised(Stack(6)), IMAGE, ("a.0",)))[0]
    with pytest.raises(ExportError, match=r"'a\.0' is not computed any more"):
        add_outputs(captured, ["a.0"])


def test_a_writer_that_fails_names_itself_and_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "empty.pt2").write_bytes(b"")
    (tmp_path / NAMES).write_text('{"stages": {}, "signature": {}}', encoding="utf-8")
    arguments = [str(tmp_path / name) for name in ("empty.pt2", NAMES, "out.onnx", "facts.json")]
    with pytest.raises(InternalError, match=r"tinyml\.export\.formats\.onnx\.write failed"):
        run_child("tinyml.export.formats.onnx.write", arguments, log=tmp_path / "log", timeout_s=60)
    assert not (tmp_path / "out.onnx").exists()


def test_small_constants_survive(shipped: Shipped) -> None:
    """The exporter's own optimizer would take ``p + 1e-10`` for ``p``: -inf on silence."""
    silent = shipped.stages(cases(SIGNATURE, seed=0)["silence"])["scalogram"]
    np.testing.assert_allclose(silent, -10.0, rtol=1e-6)
