"""``reference.safetensors``: inputs, and PyTorch's answers to them, per case and stage.

With it a third-party bundle can be verified on any machine without torch. Keys are
``input/<case>/<input>``, ``stage/<case>/<stage>``, ``output/<case>/<output>``, and
``joined/<axis>/<stage or output>`` for what joins several tensors: the part that each place
along the axis belongs to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tinyml.core.bundle import REFERENCE
from tinyml.core.checkpoint import read_safetensors
from tinyml.core.errors import BundleError, ValidationError
from tinyml.core.files import write_bytes
from tinyml.core.parts import Joined, Part, parts_of
from tinyml.core.spec import Array, Arrays, Signature, TensorSpec
from tinyml.export.parity import GENERATED

Cases = Mapping[str, Mapping[str, Array]]
MOST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Reference:
    """Three mappings, case -> name -> array; `check` says what they must have in common.

    ``joined``: stage or output -> its parts, for those that join several tensors.
    """

    inputs: Cases
    stages: Cases
    outputs: Cases
    joined: Mapping[str, Joined] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, tuple[Part, ...]]:
        """Stage or output -> the parts that are judged apart.

        The operands of what was concatenated; of outputs also channels of another order of
        magnitude. Their sizes are those of the real cases, where there are any.
        """
        real = [case for case in self.inputs if case not in GENERATED] or list(self.inputs)
        found = {}
        for cases, split in ((self.stages, False), (self.outputs, True)):
            for name in dict.fromkeys(name for case in real for name in cases[case]):
                values = [cases[case][name] for case in real if name in cases[case]]
                found[name] = parts_of(values, self.joined.get(name), split=split)
        return {name: parts for name, parts in found.items() if parts}

    def with_case(self, case: str, inputs: Arrays, stages: Arrays, outputs: Arrays) -> Reference:
        """This reference and one case more."""
        return replace(
            self,
            inputs={**self.inputs, case: inputs},
            stages={**self.stages, case: stages},
            outputs={**self.outputs, case: outputs},
        )

    def save(self, path: Path) -> None:
        """Write to ``path`` atomically; the same arrays give the same bytes."""
        from safetensors.numpy import save

        parts = (("input", self.inputs), ("stage", self.stages), ("output", self.outputs))
        arrays = {
            f"{kind}/{case}/{name}": np.asarray(array, order="C")
            for kind, cases in parts
            for case, named in cases.items()
            for name, array in named.items()
        }
        arrays |= {
            f"joined/{own.axis}/{name}": np.array(own.labels, np.int32)
            for name, own in self.joined.items()
        }
        write_bytes(path, save(arrays))

    def check(self, signature: Signature, stages: Sequence[str]) -> None:
        """Raise `ValidationError` unless something can be judged, and in every case all of it.

        There is a case; each has exactly the inputs and outputs of ``signature``, in its shapes
        and types, and no stage but ``stages``.
        """
        if not self.inputs:
            raise ValidationError(f"{REFERENCE} holds no case: nothing can be compared")
        cases = sorted({*self.inputs, *self.stages, *self.outputs})
        wrong = [line for case in cases for line in self._wrong(case, signature, stages)]
        wrong += self._wrong_parts()
        if wrong:
            more = f"; and {len(wrong) - MOST_SHOWN} more" if len(wrong) > MOST_SHOWN else ""
            raise ValidationError(
                f"{REFERENCE} does not fit the model: {'; '.join(wrong[:MOST_SHOWN])}{more}",
                hint="export the model again",
            )

    def _wrong(self, case: str, signature: Signature, stages: Sequence[str]) -> Iterator[str]:
        kinds = (("inputs", self.inputs), ("outputs", self.outputs))
        for kind, arrays in kinds:
            specs = getattr(signature, kind)
            yield from _differing(f"{kind} of case '{case}'", arrays.get(case, {}), specs)
        for stage in self.stages.get(case, {}):
            if stage not in stages:
                yield f"case '{case}' has '{stage}', which is not a stage"

    def _wrong_parts(self) -> Iterator[str]:
        """One line for each name whose parts are not along an axis of its value."""
        shapes = {
            name: value.shape
            for cases in (self.stages, self.outputs)
            for named in cases.values()
            for name, value in named.items()
        }
        for name, own in self.joined.items():
            shape = shapes.get(name, ())
            if not 0 <= own.axis < len(shape) or len(own.labels) != shape[own.axis]:
                yield f"'{name}' has {len(own.labels)} places in parts along axis {own.axis}"


def _differing(what: str, arrays: Arrays, specs: Sequence[TensorSpec]) -> Iterator[str]:
    """One line where ``arrays`` are not exactly ``specs``."""
    found = {name: (str(array.dtype), array.shape) for name, array in arrays.items()}
    wanted = {spec.name: (spec.dtype, spec.shape) for spec in specs}
    if found != wanted:
        yield f"the {what} are {_shown(found)}, not {_shown(wanted)}"


def _shown(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> str:
    listed = (f"{name} {dtype}{list(shape)}" for name, (dtype, shape) in sorted(tensors.items()))
    return ", ".join(listed) or "none"


def load(path: Path) -> Reference:
    """Read a reference, or inputs alone; `BundleError` when a key is of another kind.

    Every case has stages and outputs, though these may be empty; it has inputs only where the
    file holds some: what has none is for `Reference.check` to refuse.
    """
    _, arrays = read_safetensors(path)
    kinds = ("input", "stage", "output", "joined")
    parts: dict[str, dict[str, dict[str, Array]]] = {kind: {} for kind in kinds}
    for key, array in arrays.items():
        kind, _, rest = key.partition("/")
        case, _, name = rest.partition("/")
        if kind not in parts or not name or (kind == "joined" and not case.isdecimal()):
            raise BundleError(f"{path} holds '{key}', which is not an input, stage or output")
        parts[kind].setdefault(case, {})[name] = array
    cases = sorted({*parts["input"], *parts["stage"], *parts["output"]})
    return Reference(
        inputs={case: parts["input"][case] for case in cases if case in parts["input"]},
        stages={case: parts["stage"].get(case, {}) for case in cases},
        outputs={case: parts["output"].get(case, {}) for case in cases},
        joined={
            name: Joined(int(axis), tuple(labels.ravel().tolist()))
            for axis, named in parts["joined"].items()
            for name, labels in named.items()
        },
    )
