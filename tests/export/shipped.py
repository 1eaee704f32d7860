"""Write a captured network in one format and read its stages back from the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tinyml.core.bundle import StageParity, in_order
from tinyml.core.spec import Array, Arrays
from tinyml.export.capture.program import Captured
from tinyml.export.facts import Facts
from tinyml.export.formats.onnx import write as write_onnx
from tinyml.export.formats.tflite import write as write_tflite
from tinyml.export.parity import compare
from tinyml.runtimes.litert import LITERT
from tinyml.runtimes.ort import ONNXRUNTIME

WRITERS: dict[str, ModuleType] = {"onnx": write_onnx, "tflite": write_tflite}
RUNTIMES = {"onnx": ONNXRUNTIME, "tflite": LITERT}
FORMATS = ("onnx", "tflite")


@dataclass(frozen=True, slots=True)
class Shipped:
    """A written file and what its writer says of it."""

    path: Path
    facts: Facts

    def stages(self, inputs: Arrays) -> dict[str, Array | None]:
        """Stage -> value in the file, in PyTorch's layout."""
        names = [name for name in self.facts.stages.values() if name is not None]
        read = RUNTIMES[self.facts.format].read_tensors(self.path, names, inputs)
        values: dict[str, Array | None] = {}
        for stage, name in self.facts.stages.items():
            value = None if name is None else read[name]
            order = self.facts.layouts.get(stage)
            values[stage] = value if value is None or order is None else in_order(value, order)
        return values

    def outputs(self, inputs: Arrays) -> dict[str, Array]:
        """Output -> value, as a user gets it."""
        answered: dict[str, Array] = RUNTIMES[self.facts.format].open(self.path).run(inputs)
        return answered


def ship(captured: Captured, fmt: str, folder: Path) -> Shipped:
    """Write ``captured`` as ``fmt`` into ``folder``."""
    path = folder / f"network.{fmt}"
    return Shipped(path, WRITERS[fmt].write(captured, path))


def first_divergence(
    shipped: Shipped, inputs: dict[str, dict[str, Array]], want: dict[str, Arrays]
) -> StageParity | None:
    """The first row that fails, cases in order, stages in the order of ``want``."""
    for case, given in inputs.items():
        rows = compare(
            shipped.facts.format, case, want[case], shipped.stages(given), list(want[case])
        )
        for row in rows:
            if row.verdict == "fail":
                return row
    return None
