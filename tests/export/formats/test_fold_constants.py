"""What a network computes from constants alone is computed once, when it is written."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir
import pytest
import torch
import torch.nn.functional as F
from fires_in import named
from onnx import save
from torch import Tensor, nn

from tinyml.core.spec import Array, Arrays, Signature, TensorSpec
from tinyml.export.capture.program import Captured, capture
from tinyml.export.formats.onnx.rewrites import rewrite as rewrite_onnx
from tinyml.export.formats.onnx.write import to_onnx
from tinyml.export.formats.tflite import rewrites
from tinyml.export.formats.tflite.rewrites.fold_constants import fold_constants
from tinyml.export.formats.tflite.write import to_tflite
from tinyml.export.parity import compare
from tinyml.export.rewrites import rewrite
from tinyml.modelfile import tflite_file
from tinyml.modelfile.graph import Graph
from tinyml.modelfile.onnx_graph import read_onnx_graph
from tinyml.modelfile.tflite_edit import add_computed, add_constant, name_of, operator_code
from tinyml.modelfile.tflite_graph import graph_of_tflite


class Kinds(nn.Module):
    """``kinds`` of functions of x [1, 3, 8, 8] that compute from constants too."""

    theta: Tensor

    def __init__(self, *kinds: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kinds = kinds
        self.register_buffer("theta", torch.tensor([[[0.9, 0.1, 0.0], [-0.1, 0.9, 0.0]]]))
        self.table = nn.Embedding(16, 8)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {kind: FUNCTIONS[kind](self, x) for kind in self.kinds}


def stft(_: Kinds, x: Tensor) -> Tensor:
    signal = x.reshape(1, -1)
    window = torch.hann_window(16)
    frames = torch.stft(signal, 16, 8, window=window, center=True, return_complex=True)
    return frames.abs()


def grid_sample(own: Kinds, x: Tensor) -> Tensor:
    grid = F.affine_grid(own.theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def buckets(own: Kinds, x: Tensor) -> Tensor:
    """A bias by distance in logarithmic buckets, as T5 has it, written in place."""
    places = torch.arange(x.shape[-1])
    distance = places[None, :] - places[:, None]
    bucket = (distance > 0).long() * 8
    far = 2 + (torch.log(distance.abs().float().clamp(min=1) / 2) / 2 * 6).long()
    bucket += torch.where(distance.abs() < 2, distance.abs(), far.clamp(max=7))
    moved: Tensor = x + own.table(bucket).mean(-1)
    return moved


def positions(own: Kinds, x: Tensor) -> Tensor:
    places = torch.arange(x.shape[-1])
    angles = places[:, None] * torch.exp(torch.arange(0, 8, 2) * -0.5)
    moved: Tensor = x + own.table(places) + torch.cat([angles.sin(), angles.cos()], -1)
    return moved


def unfold(_: Kinds, x: Tensor) -> Tensor:
    return F.unfold(x, 3)


FUNCTIONS: dict[str, Callable[[Kinds, Tensor], Tensor]] = {
    "stft": stft,
    "grid_sample": grid_sample,
    "buckets": buckets,
    "positions": positions,
    "unfold": unfold,
}


def taken(*kinds: str) -> tuple[Captured, Array, Arrays]:
    """The program, an input and its outputs."""
    module = Kinds(*kinds).eval()
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32))
    with torch.no_grad():
        want = {name: value.numpy() for name, value in module(x).items()}
    specs = tuple(TensorSpec(name, value.shape) for name, value in want.items())
    signature = Signature((TensorSpec("x", (1, 3, 8, 8)),), specs)
    return rewrite(capture(module, signature))[0], x.numpy(), want


def computed_alike(graph: Graph) -> list[str]:
    """Operators that compute the same at each call."""
    known = {name for name, tensor in graph.tensors.items() if tensor.constant is not None} | {""}
    found = []
    for operator in graph.operators:
        if known.issuperset(operator.inputs):
            known.update(operator.outputs)
            found.append(operator.op)
    return found


def answers(data: bytes, **inputs: Array) -> dict[str, Array]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    engine = Interpreter(model_content=data, experimental_op_resolver_type=resolver)
    found: dict[str, Array] = engine.get_signature_runner()(**inputs)
    return found


def assert_folds(kinds: tuple[str, ...], fewest: int) -> None:
    assert named(rewrites.REWRITES, "computed constant") == ["fold_constants"]
    captured, x, want = taken(*kinds)
    model = tflite_file.unpack(to_tflite(captured))
    before = len(model.subgraphs[0].operators)
    count = fold_constants(model).count
    assert count >= fewest
    assert len(model.subgraphs[0].operators) == before - count
    assert fold_constants(model).count == 0
    rewrites.rewrite(model)
    assert computed_alike(graph_of_tflite(model)) == []
    got = answers(tflite_file.pack(model), x=x)
    rows = compare("litert", "random", want, got, list(want))
    assert [row.verdict for row in rows] == ["pass"] * len(want)


def test_what_the_converter_leaves_of_any_kind_is_folded() -> None:
    assert_folds(("stft", "buckets", "unfold"), 8 + 10 + 5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "fewest"), [("stft", 8), ("grid_sample", 90), ("buckets", 10), ("unfold", 5)]
)
def test_each_kind_is_folded(kind: str, fewest: int) -> None:
    assert_folds((kind,), fewest)


def test_an_onnx_file_computes_nothing_from_constants(tmp_path: Path) -> None:
    model = to_onnx(taken("stft", "buckets", "positions")[0])
    rewrite_onnx(model)
    save(onnx_ir.to_proto(model), tmp_path / "m.onnx")
    graph = read_onnx_graph(tmp_path / "m.onnx", infer_shapes=False)
    assert computed_alike(graph) == []


class Small:
    """A model of x [4] made by hand: what it computes is added operator by operator."""

    def __init__(self) -> None:
        schema = tflite_file.import_schema()
        self.schema, self.model, self.graph = schema, schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self.model.operatorCodes, self.model.buffers = [], [schema.BufferT()]
        self.graph.tensors, self.graph.operators = [], []
        self.c = self.constant("c", [1.0, -2.0, 3.0, -4.0])
        self.x = add_computed(self.model, self.c, "x", (4,))
        self.graph.inputs, self.graph.outputs = [self.x], []

    def constant(self, name: str, values: list[float]) -> int:
        return add_constant(self.model, name, np.array(values, np.float32))

    def call(self, op: str, *operands: int, shape: tuple[int, ...] = (4,)) -> int:
        made = add_computed(self.model, self.c, f"t{len(self.graph.tensors)}", shape)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = operator_code(self.model, op)
        operator.inputs = np.array(operands, np.int32)
        operator.outputs = np.array([made], np.int32)
        self.graph.operators.append(operator)
        return made

    def finish(self, *outputs: int) -> Any:
        self.graph.outputs = list(outputs)
        for kind, ends in (("inputs", self.graph.inputs), ("outputs", outputs)):
            entries = [self.schema.TensorMapT() for _ in ends]
            for entry, index in zip(entries, ends, strict=True):
                entry.name, entry.tensorIndex = self.graph.tensors[index].name, index
            self.signature(kind, entries)
        return self.model

    def signature(self, kind: str, entries: list[Any]) -> None:
        if not self.model.signatureDefs:
            self.model.signatureDefs = [self.schema.SignatureDefT()]
            self.model.signatureDefs[0].signatureKey = "serving_default"
        setattr(self.model.signatureDefs[0], kind, entries)


def ops(model: Any) -> list[str]:
    return [name_of(model, own) for own in model.subgraphs[0].operators]


def chain() -> tuple[Small, int]:
    """``x + abs(neg(c))``."""
    small = Small()
    return small, small.call("ADD", small.x, small.call("ABS", small.call("NEG", small.c)))


def test_a_chain_becomes_one_constant_and_the_numbers_stay() -> None:
    small, end = chain()
    model = small.finish(end)
    before = answers(tflite_file.pack(copy.deepcopy(model)), x=np.ones(4, np.float32))
    assert fold_constants(model).count == 2
    assert ops(model) == ["ADD"]
    after = answers(tflite_file.pack(model), x=np.ones(4, np.float32))
    assert {n: v.tolist() for n, v in after.items()} == {n: v.tolist() for n, v in before.items()}


def test_an_output_stays_computed() -> None:
    small, end = chain()
    model = small.finish(end, small.call("ABS", small.call("NEG", small.c)))
    assert fold_constants(model).count == 3
    assert ops(model) == ["ADD", "ABS"]


@pytest.mark.parametrize("op", ["RANDOM_UNIFORM", "DENSIFY", "DEQUANTIZE", "READ_VARIABLE"])
def test_random_numbers_stored_weights_and_variables_stay(op: str) -> None:
    small = Small()
    model = small.finish(small.call("ADD", small.x, small.call("ABS", small.call(op, small.c))))
    assert fold_constants(model).count == 0


def test_what_has_no_fixed_size_stays() -> None:
    small, end = chain()
    small.graph.tensors[small.graph.operators[0].outputs[0]].shapeSignature = np.array([-1])
    assert fold_constants(small.finish(end)).count == 0


def test_of_what_would_blow_up_the_file_the_largest_result_stays() -> None:
    small = Small()
    wide = small.call("TILE", small.call("NEG", small.c), small.c, shape=(400,))
    mean = small.call("ABS", wide, shape=(400,))  # reads what stays, so that it stays too
    end = small.call("ADD", small.x, small.call("ABS", small.call("NEG", small.c)))
    model = small.finish(small.call("ADD", end, wide, shape=(400,)), small.call("ADD", end, mean))
    done = fold_constants(model, 64)
    assert done.refused == {"t3": "the file would grow by more than 64 bytes"}
    assert ops(model) == ["TILE", "ABS", "ADD", "ADD", "ADD"]


def test_a_result_no_larger_than_what_goes_with_it_is_folded() -> None:
    small, end = chain()
    assert fold_constants(small.finish(end), 0).count == 2
