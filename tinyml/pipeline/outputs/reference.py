"""``reference.safetensors``: inputs, and PyTorch's outputs for them, per case and stage.

With it a third-party bundle can be verified on any machine without torch. Keys are
``input/<case>/<input>``, ``stage/<case>/<stage>``, ``output/<case>/<output>``, and
``joined/<axis>/stage/<stage>`` or ``joined/<axis>/output/<output>`` for what joins several tensors:
the part that each place along the axis belongs to. ``ties-numbers/<case>/<output>`` and three
more of this kind are the fields of `tinyml.core.ties.Ties`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np

from tinyml.core.bundle import REFERENCE
from tinyml.core.checkpoint import read_safetensors
from tinyml.core.errors import BundleError, ValidationError
from tinyml.core.files import write_bytes
from tinyml.core.parts import OUTPUT, STAGE, Joined, Key, Part, parts_of
from tinyml.core.spec import Array, Arrays, Signature, TensorSpec
from tinyml.core.ties import Ties
from tinyml.export.parity import GENERATED

Cases = Mapping[str, Mapping[str, Array]]
MOST_SHOWN = 3
TIES = "ties-"


@dataclass(frozen=True, slots=True)
class Reference:
    """Three mappings, case -> name -> array; `check` says what they must have in common.

    ``joined``: stage or output -> its parts, for those that join several tensors. ``ties``: case
    -> output -> what else it may be, for those that hang on a choice.
    """

    inputs: Cases
    stages: Cases
    outputs: Cases
    joined: Mapping[Key, tuple[Joined, ...]] = field(default_factory=dict)
    ties: Mapping[str, Mapping[str, Ties]] = field(default_factory=dict)

    def parts(self, kind: str) -> dict[str, tuple[Part, ...]]:
        """Stage or output, by ``kind`` -> the parts that are judged apart.

        The operands of what was concatenated; of outputs also channels of another order of
        magnitude. Their sizes are those of the real cases, where there are any.
        """
        real = [case for case in self.inputs if case not in GENERATED] or list(self.inputs)
        generated = [case for case in self.inputs if case not in real]
        cases = self.stages if kind == STAGE else self.outputs
        found = {}
        for name in dict.fromkeys(name for case in real for name in cases[case]):
            values, others = (
                [cases[case][name] for case in own if name in cases[case]]
                for own in (real, generated)
            )
            joined = self.joined.get((kind, name), ())
            found[name] = parts_of(values, joined, split=kind == OUTPUT, others=others)
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
            f"joined/{own.axis}/{kind}/{name}": np.array(own.labels, np.int32)
            for (kind, name), several in self.joined.items()
            for own in several
        }
        arrays |= {
            f"{TIES}{part.name}/{case}/{name}": np.asarray(getattr(own, part.name), order="C")
            for case, named in self.ties.items()
            for name, own in named.items()
            for part in fields(Ties)
        }
        write_bytes(path, save(arrays))

    def check(
        self, signature: Signature, stages: Sequence[str], not_judged: Collection[str] = ()
    ) -> None:
        """Raise `ValidationError` unless something can be judged, and in every case all of it.

        There is a case; each has exactly the inputs and outputs of ``signature``, in its shapes
        and types, but those in ``not_judged``, and no stage but ``stages``.
        """
        if not self.inputs:
            raise ValidationError(f"{REFERENCE} holds no case: nothing can be compared")
        cases = sorted({*self.inputs, *self.stages, *self.outputs})
        wrong = [
            line for case in cases for line in self._wrong(case, signature, stages, not_judged)
        ]
        wrong += [*self._wrong_parts(), *self._wrong_ties()]
        if wrong:
            more = f"; and {len(wrong) - MOST_SHOWN} more" if len(wrong) > MOST_SHOWN else ""
            raise ValidationError(
                f"{REFERENCE} does not fit the model: {'; '.join(wrong[:MOST_SHOWN])}{more}",
                hint="export the model again",
            )

    def _wrong(
        self, case: str, signature: Signature, stages: Sequence[str], not_judged: Collection[str]
    ) -> Iterator[str]:
        kinds = (("inputs", self.inputs), ("outputs", self.outputs))
        for kind, arrays in kinds:
            specs = [
                spec
                for spec in getattr(signature, kind)
                if kind == "inputs" or left_out(case, spec.name) not in not_judged
            ]
            yield from _differing(f"{kind} of case '{case}'", arrays.get(case, {}), specs)
        for stage in self.stages.get(case, {}):
            if stage not in stages:
                yield f"case '{case}' has '{stage}', which is not a stage"

    def _wrong_parts(self) -> Iterator[str]:
        """One line for each name whose parts are not along an axis of its value."""
        for (kind, name), several in self.joined.items():
            cases = self.stages if kind == STAGE else self.outputs
            shapes = {named[name].shape for named in cases.values() if name in named}
            for own in several:
                if any(not _along(own, shape) for shape in shapes):
                    yield f"'{name}' has {len(own.labels)} places in parts along axis {own.axis}"

    def _wrong_ties(self) -> Iterator[str]:
        """One line for each output that cannot have the choices that are there for it."""
        for case, named in self.ties.items():
            for name, own in named.items():
                value = self.outputs.get(case, {}).get(name)
                if value is None or not own.fits(value.shape):
                    yield f"the ties of '{name}' on '{case}' do not fit it"


def left_out(case: str, output: str) -> str:
    """What is not judged of ``case`` where its ``output`` is not."""
    return f"{case}, output '{output}'"


def _along(joined: Joined, shape: tuple[int, ...]) -> bool:
    return 0 <= joined.axis < len(shape) and len(joined.labels) == shape[joined.axis]


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
    kinds = ("input", "stage", "output", "joined", *(TIES + own.name for own in fields(Ties)))
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
        joined=_joined(parts["joined"]),
        ties=_ties(path, {own.name: parts[TIES + own.name] for own in fields(Ties)}),
    )


def _ties(path: Path, found: Mapping[str, Cases]) -> dict[str, dict[str, Ties]]:
    """From field -> case -> output -> array."""
    keys = {
        name: {(c, o) for c, named in own.items() for o in named} for name, own in found.items()
    }
    whole = keys["axis"]
    if any(own != whole for own in keys.values()) or any(
        found["axis"][case][name].shape != () for case, name in whole
    ):
        raise BundleError(f"{path} holds ties that are not whole", hint="export the model again")
    ties: dict[str, dict[str, Ties]] = {}
    for case, name in sorted(whole):
        arrays = {part: own[case][name] for part, own in found.items()}
        axis = int(arrays.pop("axis"))
        ties.setdefault(case, {})[name] = Ties(**arrays, axis=axis)
    return ties


def _joined(found: Mapping[str, Arrays]) -> dict[Key, tuple[Joined, ...]]:
    """From axis -> ``stage/NAME`` or ``output/NAME`` -> labels."""
    joined: dict[Key, tuple[Joined, ...]] = {}
    for axis, named in sorted(found.items()):
        for text, labels in named.items():
            kind, _, name = text.partition("/")
            own = Joined(int(axis), tuple(labels.ravel().tolist()))
            joined[kind, name] = (*joined.get((kind, name), ()), own)
    return joined
