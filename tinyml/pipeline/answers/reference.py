"""``reference.safetensors``: inputs, and PyTorch's answers to them, per case and stage.

With it a third-party bundle can be verified on any machine without torch. Keys are
``input/<case>/<input>``, ``stage/<case>/<stage>``, ``output/<case>/<output>``, and
``joined/<axis>/<stage or output>`` for what joins several tensors: the part that each place
along the axis belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tinyml.checkpoint import read_safetensors
from tinyml.errors import BundleError
from tinyml.export.parity import GENERATED
from tinyml.files import write_bytes
from tinyml.parts import Joined, Part, parts_of
from tinyml.spec import Array

Cases = Mapping[str, Mapping[str, Array]]


@dataclass(frozen=True, slots=True)
class Reference:
    """Three mappings, case -> name -> array, and which stages and outputs join several parts."""

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


def load(path: Path) -> Reference:
    """Read a reference, or inputs alone; `BundleError` when a key is of another kind."""
    _, arrays = read_safetensors(path)
    kinds = ("input", "stage", "output", "joined")
    parts: dict[str, dict[str, dict[str, Array]]] = {kind: {} for kind in kinds}
    for key, array in arrays.items():
        kind, _, rest = key.partition("/")
        case, _, name = rest.partition("/")
        if kind not in parts or not name:
            raise BundleError(f"{path} holds '{key}', which is not an input, stage or output")
        parts[kind].setdefault(case, {})[name] = array
    cases = sorted(parts["input"])
    return Reference(
        inputs={case: parts["input"][case] for case in cases},
        stages={case: parts["stage"].get(case, {}) for case in cases},
        outputs={case: parts["output"].get(case, {}) for case in cases},
        joined={
            name: Joined(int(axis), tuple(labels.tolist()))
            for axis, named in parts["joined"].items()
            for name, labels in named.items()
        },
    )
