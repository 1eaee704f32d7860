"""The streaming graphs of a bundle: each is an export of its own, into a folder of the bundle.

The front end is float32 in every bundle. Its powers span ten orders of magnitude, and its states
are signals, which integers would round at each call. What is left of it in the head, the
normalization, is float32 as in the whole model; of fp16 all of the head is: silence is -10 in the
frames, where float16 has steps of 0.008, and the level is subtracted from that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tinyml.core.bundle import Bundle
from tinyml.core.errors import ValidationError
from tinyml.core.events import Message, Report
from tinyml.core.export_job import ExportJob
from tinyml.core.export_settings import ExportSettings
from tinyml.core.settings import overlay
from tinyml.core.streaming import FRONT_END, HEAD, Streaming
from tinyml.core.worker import Worker
from tinyml.pipeline.model_sources.streaming_part import StreamingPart
from tinyml.pipeline.model_sources.trained import TrainedSource
from tinyml.pipeline.steps.export_plan import ExportPlan

# Settings that the head does not take from the whole model.
OF_THE_WHOLE = ("streaming", "io", "explain", "auto_precision", "max_drop_points")
# `tinyml.pipeline.export.bundle_from`
Export = Callable[[ExportJob, StreamingPart, ExportSettings, Report, Worker | None], Bundle]


def export_parts(
    plan: ExportPlan, draft: Path, kept: Sequence[str], export: Export, report: Report
) -> Streaming | None:
    """Export both graphs into ``draft``; ``None`` where the settings do not ask for them.

    ``kept``: stages of the whole model that stay in float32.
    """
    if not plan.settings.streaming:
        return None
    whole = plan.source
    assert isinstance(whole, TrainedSource)
    record = _part(whole, FRONT_END).form.streaming
    for part, folder in ((FRONT_END, record.front_end), (HEAD, record.head)):
        source = _part(whole, part)
        in_float32 = part == FRONT_END or plan.traits.half
        settings = _float32(plan) if in_float32 else _head(plan, source, kept)
        calibration = None if in_float32 else plan.job.calibration
        job = ExportJob(
            plan.job.model,
            plan.job.target,
            draft / folder,
            calibration=calibration,
            keep_failed=plan.job.keep_failed,
        )
        report(Message(f"streaming: the {part}"))
        try:
            export(job, source, settings, report, plan.worker)
        except ValidationError as error:
            named = ValidationError(f"streaming, {part}: {error.message}", hint=error.hint)
            named.details = error.details
            raise named from error
    return record


def _part(whole: TrainedSource, part: str) -> StreamingPart:
    made = StreamingPart(
        whole.checkpoint,
        whole.entry,
        data=whole.data,
        without_data=whole.without_data,
        weights=whole.weights,
        strip_prefix=whole.strip_prefix,
        sample=whole.sample,
        part=part,
    )
    made.evaluation_set = whole.evaluation_set
    return made


def _float32(plan: ExportPlan) -> ExportSettings:
    """Formats and limits of the whole model, in float32."""
    own = plan.settings
    return ExportSettings(
        formats=plan.formats,
        require_delegate=own.require_delegate,
        sparse=own.sparse,
        timeout_s=own.timeout_s,
        memory_mb=own.memory_mb,
    )


def _head(plan: ExportPlan, head: StreamingPart, kept: Sequence[str]) -> ExportSettings:
    """The settings of the whole model, but for those that are of its input, or of a search."""
    known = head.known()
    own = ExportSettings(keep_float=tuple(stage for stage in kept if stage in known.stages))
    return overlay(plan.settings, own, unset=OF_THE_WHOLE)
