"""PyTorch in eval mode: the oracle that every other engine is judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinyml.errors import InputError
from tinyml.spec import Array, Arrays, Signature

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class EagerSession:
    """A module whose forward takes the inputs of ``signature`` by name.

    It may return a dict of the outputs, one tensor, or a tuple in the signature's order.
    """

    module: torch.nn.Module
    signature: Signature

    def __post_init__(self) -> None:
        self.module.eval()

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Every output by name."""
        return self.read_stages((), inputs)[0]

    def read_stages(
        self, stages: Sequence[str], inputs: Arrays
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Outputs, and what each submodule in ``stages`` returned.

        Of a tuple the first tensor counts, and of a submodule that is called several
        times the last call. `InputError` for a stage that the module does not have or
        does not call.
        """
        import torch

        self.signature.check_inputs(inputs)
        seen: dict[str, Array] = {}
        handles = [self._watch(stage, seen) for stage in stages]
        try:
            with torch.no_grad():
                answer = self.module(**{k: torch.from_numpy(v.copy()) for k, v in inputs.items()})
        finally:
            for handle in handles:
                handle.remove()
        silent = [stage for stage in stages if stage not in seen]
        if silent:
            raise InputError(f"the module never calls its stages {silent}")
        return self._named(answer), {stage: seen[stage] for stage in stages}

    def _watch(self, stage: str, seen: dict[str, Array]) -> Any:
        submodules = dict(self.module.named_modules())
        if stage not in submodules:
            raise InputError(f"the module has no stage '{stage}'; it has {sorted(submodules)[1:]}")

        def keep(_module: object, _inputs: object, output: Any) -> None:
            seen[stage] = _array(output if hasattr(output, "numpy") else _first(output))

        return submodules[stage].register_forward_hook(keep)

    def _named(self, answer: Any) -> dict[str, Array]:
        names = [spec.name for spec in self.signature.outputs]
        if isinstance(answer, Mapping):
            if set(answer) != set(names):
                raise InputError(f"the module returns {sorted(answer)}, not {sorted(names)}")
            return {name: _array(answer[name]) for name in names}
        values = answer if isinstance(answer, tuple | list) else (answer,)
        if len(values) != len(names):
            raise InputError(f"the module returns {len(values)} outputs, not the {names} it names")
        return {name: _array(value) for name, value in zip(names, values, strict=True)}


def _first(output: Any) -> Any:
    return next(iter(output.values() if isinstance(output, Mapping) else output))


def _array(value: Any) -> Array:
    array: Array = value.detach().cpu().numpy().copy()
    return array
