"""A model whose activations the target's memory cannot hold is refused before it is converted."""

from __future__ import annotations

import numpy as np

from tinyml.core.errors import ExportError
from tinyml.modelfile.lint.large_activations import FIX
from tinyml.modelfile.lint.wording import in_bytes
from tinyml.pipeline.formats import named
from tinyml.pipeline.model_sources.workspace import Workspace
from tinyml.pipeline.steps.export_plan import ExportPlan

# Bytes of a value, for the peak of a captured program is counted in float32.
FLOAT32 = np.dtype("float32").itemsize


def check_memory(plan: ExportPlan, work: Workspace) -> None:
    """`ExportError` where the least that the files take at once is more than the target has."""
    target, peak = plan.target, work.load_capture_record().peak
    size = peak.bytes * _narrowest(plan) // FLOAT32
    if not target.memory_mb or size <= target.memory_mb << 20:
        return
    where = f", at {peak.at}" if peak.at else ""
    raise ExportError(
        f"activations of {plan.source.name} in {plan.precision} need at least {in_bytes(size)} "
        f"at once{where}: {target.name} ({target.board}) has {target.memory_mb} MiB",
        hint=f"{FIX}; or choose another `target`",
    )


def _narrowest(plan: ExportPlan) -> int:
    """Bytes of an activation, of the format that stores it in the fewest."""
    traits = plan.traits
    stored = all(not named(fmt).computes_float16 for fmt in plan.formats)
    return FLOAT32 if traits.half and stored else np.dtype(traits.activations).itemsize
