"""``reference.safetensors``: inputs, and PyTorch's answers to them, per case and stage.

With it a stranger's bundle can be verified on any machine without torch. Keys are
``input/<case>/<input>``, ``stage/<case>/<stage>`` and ``output/<case>/<output>``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyml.checkpoint import read_safetensors
from tinyml.errors import BundleError
from tinyml.files import write_bytes
from tinyml.spec import Array

Cases = Mapping[str, Mapping[str, Array]]


@dataclass(frozen=True, slots=True)
class Reference:
    """Three mappings, case -> name -> array."""

    inputs: Cases
    stages: Cases
    outputs: Cases

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
        write_bytes(path, save(arrays))


def load(path: Path) -> Reference:
    """Read a reference, or inputs alone; `BundleError` when a key is of another kind."""
    _, arrays = read_safetensors(path)
    parts: dict[str, dict[str, dict[str, Array]]] = {"input": {}, "stage": {}, "output": {}}
    for key, array in arrays.items():
        kind, _, rest = key.partition("/")
        case, _, name = rest.partition("/")
        if kind not in parts or not name:
            raise BundleError(f"{path} holds '{key}', which is no input, stage or output")
        parts[kind].setdefault(case, {})[name] = array
    cases = sorted(parts["input"])
    return Reference(
        inputs={case: parts["input"][case] for case in cases},
        stages={case: parts["stage"].get(case, {}) for case in cases},
        outputs={case: parts["output"].get(case, {}) for case in cases},
    )
