"""Outputs whose channels differ by orders of magnitude, as calibration shows them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinyml.core.parts import LEAST_VALUES, magnitudes
from tinyml.pipeline.formats import runtime_for
from tinyml.pipeline.model_sources.calibration import Calibration, spread

SAMPLES = 2 * LEAST_VALUES


def uneven_outputs(
    path: Path, outputs: Sequence[str], calibration: Calibration | None
) -> tuple[str, ...]:
    """Which of the tensors ``outputs`` of the float32 file at ``path``; none without calibration.

    Looks at `SAMPLES` samples at most.
    """
    if calibration is None:
        return ()
    runtime = runtime_for(path)
    read = runtime.reader(path, list(outputs))
    chosen = set(spread(len(calibration), SAMPLES).tolist())
    seen = [read(sample) for place, sample in enumerate(calibration) if place in chosen]
    return tuple(name for name in outputs if magnitudes([values[name] for values in seen]))
