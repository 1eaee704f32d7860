"""``nn.Module`` -> `Captured`: the graph that every format is written from, made once.

A *stage* is a submodule by its qualified name; the second call of one is ``name#2``. Its
node is the last one inside the submodule whose value is used outside of it; there is none
where the submodule writes into that value afterwards (``y[:, 2:4] = 0``). Nodes keep their
names on the way to ONNX and TFLite (see `tag`), so one map serves both.
"""

from __future__ import annotations

import io
import json
import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node

from tinyml.core.errors import ExportError
from tinyml.core.files import write_bytes, write_json
from tinyml.core.spec import Signature, zeros
from tinyml.core.typed_json import from_json, to_json
from tinyml.export.capture.failure_location import CAPTURE
from tinyml.export.capture.fixed_masks import choose_fixed_places
from tinyml.export.capture.functional import functional, is_written_later
from tinyml.export.capture.known_errors import CUSTOM, RESIZE, SIZE, KnownError
from tinyml.export.capture.module_stack import MODULE, stages_of
from tinyml.export.capture.refuse_known import places_of, refuse_known

PROGRAM = "program.pt2"
NAMES = "capture.json"
ADVICE = "build front ends from real convolutions, without complex, FFT or custom operators"


@dataclass(frozen=True, slots=True)
class Captured:
    """A captured module.

    program    takes the signature's inputs as keywords, returns a dict of its outputs
    stages     stage -> name of its node in ``program.graph``; ``None``: no node has its value
    signature  names, shapes and types of inputs and outputs
    """

    program: ExportedProgram
    stages: Mapping[str, str | None]
    signature: Signature

    def save(self, folder: Path) -> None:
        """Write ``program.pt2`` and ``capture.json`` into ``folder``."""
        stream = io.BytesIO()
        with warnings.catch_warnings():
            # of a buffer that is a part of a larger one, as hann_window is; all is on the CPU
            warnings.filterwarnings("ignore", "No complete tensor found in the group", UserWarning)
            torch.export.save(self.program, stream)
        write_bytes(folder / PROGRAM, stream.getvalue())
        names = {"stages": dict(self.stages), "signature": to_json(self.signature)}
        write_json(folder / NAMES, names)

    @property
    def outputs(self) -> dict[str, str]:
        """Output -> the node (or input) that holds its value."""
        held = self.program.graph_signature.user_outputs
        specs = self.signature.outputs
        return {spec.name: str(node) for spec, node in zip(specs, held, strict=True)}

    @property
    def shapes(self) -> dict[str, tuple[int, ...] | None]:
        """Node -> shape of its value, ``None`` if that is not a tensor."""
        values = {node.name: node.meta.get("val") for node in self.program.graph.nodes}
        return {
            name: tuple(value.shape) if isinstance(value, Tensor) else None
            for name, value in values.items()
        }


def load(program: Path, names: Path) -> Captured:
    """Read what `Captured.save` wrote."""
    data = json.loads(names.read_text(encoding="utf-8"))
    return Captured(
        program=torch.export.load(program),
        stages=data["stages"],
        signature=from_json(Signature, data["signature"]),
    )


def capture(module: nn.Module, signature: Signature, stages: Sequence[str] = ()) -> Captured:
    """Capture ``module`` in eval mode for the one shape that ``signature`` fixes.

    ``module``'s forward takes the inputs by name and returns a dict of the outputs, or a
    tensor or tuple in the signature's order. Raises `ExportError` in one line when torch
    cannot capture it, when it is in training mode, or when a stage is never called.
    """
    _refuse_training(module)
    program = _export(_Named(module, signature), sample_inputs(signature))
    _refuse(program, CUSTOM)
    refuse_state(program)
    program = choose_fixed_places(program)
    found = {stage: _stage_node(program, stage) for stage in stages}
    return Captured(program, found, signature)


def with_stages(captured: Captured, stages: Sequence[str]) -> Captured:
    """``captured`` with those of ``stages`` that compute something in its graph."""
    found = {}
    for stage in stages:
        inside = _inside(captured.program, stage)
        if inside:
            found[stage] = _last_leaving(inside)
    return Captured(captured.program, found, captured.signature)


def sample_inputs(signature: Signature) -> dict[str, Tensor]:
    """Zeros for every input: the values do not matter, shapes and types do."""
    return {name: torch.from_numpy(array) for name, array in zeros(signature).items()}


def tag(program: ExportedProgram, *, position: int) -> None:
    """Let both exporters carry each node's name into their graphs.

    They write a node's module path (ONNX, ``position`` 0) or class (LiteRT, 1) next to
    every operation that they make of it: the name is put where either one looks.
    """
    for node in program.graph.nodes:
        if node.op == "call_function":
            entry = (node.name, "") if position == 0 else ("", node.name)
            node.meta["nn_module_stack"] = OrderedDict([(node.name, entry)])


class _Named(nn.Module):
    """Whatever the module returns, as a dict in the signature's order."""

    def __init__(self, module: nn.Module, signature: Signature) -> None:
        super().__init__()
        self.add_module(MODULE, module)
        self.eval()
        self._signature = signature

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        named = name_outputs(self.get_submodule(MODULE)(**inputs), self._signature)
        for spec in self._signature.outputs:
            _check_output(spec.name, spec.shape, spec.dtype, named[spec.name])
        return named


def name_outputs(returned: Any, signature: Signature) -> dict[str, Tensor]:
    """A module's return value as a dict of outputs; `ExportError` when the names differ."""
    names = [spec.name for spec in signature.outputs]
    if isinstance(returned, Mapping):
        if set(returned) != set(names):
            raise ExportError(f"the module returns {sorted(returned)}, its signature {names}")
        return {name: returned[name] for name in names}
    several = returned if isinstance(returned, tuple | list) else (returned,)
    if len(several) != len(names):
        raise ExportError(f"the module returns {len(several)} values, its signature has {names}")
    return dict(zip(names, several, strict=True))


def _check_output(name: str, shape: tuple[int, ...], dtype: str, value: Tensor) -> None:
    if any(isinstance(size, torch.SymInt) for size in value.shape):
        raise ExportError(
            f"the shape of output '{name}', {[*value.shape]}, depends on the input's values",
            hint=SIZE.fix,
        )
    got = (str(value.dtype).removeprefix("torch."), tuple(value.shape))
    if got != (dtype, shape):
        raise ExportError(
            f"output '{name}' is {got[0]}{list(got[1])}, "
            f"its signature declares {dtype}{list(shape)}"
        )


def _export(module: nn.Module, inputs: dict[str, Tensor]) -> ExportedProgram:
    try:
        with torch.no_grad():
            return torch.export.export(module, (), inputs)
    except ExportError:
        raise
    except Exception as error:  # the user's forward may raise anything
        raise ExportError(
            f"torch.export cannot capture the module: {one_line(error)}",
            hint="the graph must not depend on the values of its inputs",
        ) from error


def one_line(error: BaseException) -> str:
    """The first line that is not empty, with the exception's name.

    A line that ends with a colon is taken with the next.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[: 2 if lines and lines[0].endswith(":") else 1]) or "no message"
    return f"{type(error).__name__}: {text[:300]}"


def _refuse_training(module: nn.Module) -> None:
    training = [name or "the module" for name, part in module.named_modules() if part.training]
    if training:
        raise ExportError(f"{training[0]} is in training mode", hint="call module.eval() first")


def refuse_state(program: ExportedProgram) -> None:
    """Raise `ExportError` for a program that changes a buffer.

    Only its functional form shows what it writes to, views included.
    """
    changed = sorted(_functional(program).graph_signature.buffers_to_mutate.values())
    if changed:
        raise ExportError(
            f"the module changes its buffer '{changed[0].removeprefix(f'{MODULE}.')}' when called",
            hint="make the state an input and an output, and name the pair: `states=IN=OUT`",
        )


def _functional(program: ExportedProgram) -> ExportedProgram:
    try:
        return functional(program)
    except Exception as error:  # torch has operations in place that it cannot write otherwise
        _refuse(program, RESIZE)
        raise ExportError(
            f"torch.export cannot write its operations as a graph: {one_line(error)}",
            hint="write it without operations in place",
        ) from error


def _refuse(program: ExportedProgram, known: KnownError) -> None:
    nodes = program.graph.nodes
    refuse_known(nodes, (known,), CAPTURE, places_of(nodes))


def _stage_node(program: ExportedProgram, stage: str) -> str | None:
    inside = _inside(program, stage)
    if not inside:
        raise ExportError(
            f"stage '{stage}' computes nothing in the captured graph",
            hint="a stage is a submodule that is called and is more than an identity",
        )
    return _last_leaving(inside)


def _inside(program: ExportedProgram, stage: str) -> list[Node]:
    return [node for node in program.graph.nodes if stage in stages_of(node)]


def _last_leaving(inside: list[Node]) -> str | None:
    members = set(inside)
    leaving = [node for node in inside if any(user not in members for user in node.users)]
    if not leaving or is_written_later(leaving[-1], inside):
        return None
    return leaving[-1].name
