"""What every stage computes, in eager PyTorch and in the captured program."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.export.graph_signature import InputKind

from tinyml.core.errors import ExportError
from tinyml.core.spec import Array, Arrays, Signature
from tinyml.core.tolerance import POLICIES
from tinyml.export.capture.program import Captured, name_outputs

Values = tuple[dict[str, Array], dict[str, Array]]


def eager_values(
    module: nn.Module, inputs: Arrays, signature: Signature, stages: Sequence[str]
) -> Values:
    """(stage -> array, output -> array) of ``module`` as it is; ``name#2``: its second call.

    Raises `ExportError` for a stage that is not called or returns more than one tensor.
    """
    seen: dict[str, Any] = {}
    calls: Counter[str] = Counter()
    wanted = {name for stage in stages for name in (stage, stage.rpartition("#")[0])}
    hooks = [
        part.register_forward_hook(_recorder(name, calls, seen))
        for name, part in module.named_modules()
        if name in wanted
    ]
    try:
        with torch.no_grad():
            returned = module(**_tensors(inputs))
    finally:
        for hook in hooks:
            hook.remove()
    outputs = {name: _array(out) for name, out in name_outputs(returned, signature).items()}
    return {stage: _one(stage, seen) for stage in stages}, outputs


def reference_values(
    module: nn.Module, inputs: Arrays, signature: Signature, stages: Sequence[str]
) -> Values:
    """`eager_values`, by the kernels that a captured program calls where these agree with others.

    In evaluation PyTorch computes attention with a fused kernel of its own, which rounds
    otherwise: next to the program's it is another engine.
    """
    found = eager_values(module, inputs, signature, stages)
    if not any(isinstance(part, nn.MultiheadAttention) for part in module.modules()):
        return found
    with _plain_attention():
        plain = eager_values(module, inputs, signature, stages)
    accepts = POLICIES["engine"].accepts
    pairs = [
        (own[name], other[name]) for own, other in zip(plain, found, strict=True) for name in own
    ]
    return plain if all(accepts(*pair) for pair in pairs) else found


@contextlib.contextmanager
def _plain_attention() -> Iterator[None]:
    """Without the fused kernels of `nn.MultiheadAttention` and the layers made of it."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def captured_values(
    captured: Captured, inputs: Arrays, how: Callable[..., Recorder] | None = None
) -> tuple[dict[str, Array | None], dict[str, Array]]:
    """(stage -> array or ``None``, output -> array) of the captured program, run as ``how``."""
    wanted = {node for node in captured.stages.values() if node is not None}
    recorder = (how or Recorder)(captured.program.graph_module, wanted)
    with torch.no_grad():
        flat = recorder.run(*arguments(captured, _tensors(inputs)))
    names = [spec.name for spec in captured.signature.outputs]
    outputs = {name: _array(out) for name, out in zip(names, flat, strict=True)}
    inside = {s: None if n is None else recorder.seen[n] for s, n in captured.stages.items()}
    return inside, outputs


class Recorder(torch.fx.Interpreter):
    """Runs a graph and copies the wanted values: a later operation may write in place."""

    def __init__(self, graph: torch.fx.GraphModule, wanted: set[str]) -> None:
        super().__init__(graph)
        self.wanted = wanted
        self.seen: dict[str, Array] = {}

    def run_node(self, n: torch.fx.Node) -> Any:
        value = super().run_node(n)
        if n.name in self.wanted:
            self.seen[n.name] = _array(value)
        return value


def _recorder(name: str, calls: Counter[str], seen: dict[str, Any]) -> Any:
    def record(_module: nn.Module, _inputs: Any, value: Any) -> None:
        calls[name] += 1
        key = name if calls[name] == 1 else f"{name}#{calls[name]}"
        seen[key] = _array(value) if isinstance(value, Tensor) else type(value).__name__

    return record


def _one(stage: str, seen: dict[str, Any]) -> Array:
    if stage not in seen:
        raise ExportError(f"stage '{stage}' is not a submodule that is called")
    value = seen[stage]
    if isinstance(value, str):
        raise ExportError(
            f"stage '{stage}' returns a {value}", hint="name a submodule that returns one tensor"
        )
    found: Array = value
    return found


def arguments(captured: Captured, inputs: dict[str, Tensor]) -> list[Tensor]:
    """One argument per placeholder: weights and buffers first, then the inputs."""
    program = captured.program
    stored = {**program.state_dict, **program.constants}
    names = iter(spec.name for spec in captured.signature.inputs)
    return [
        inputs[next(names)] if spec.kind is InputKind.USER_INPUT else stored[str(spec.target)]
        for spec in program.graph_signature.input_specs
    ]


def _tensors(inputs: Arrays) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array.copy()) for name, array in inputs.items()}


def _array(value: Tensor) -> Array:
    copied: Array = value.detach().cpu().numpy().copy()
    return copied
