"""A module captured and judged: what every source of a model does with its module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinyml.core.bundle import StageParity
from tinyml.core.errors import ExportError
from tinyml.core.parts import OUTPUT, STAGE
from tinyml.core.spec import Arrays, Signature
from tinyml.export import parity
from tinyml.pipeline.model_sources.workspace import CaptureRecord, Peak, Workspace
from tinyml.pipeline.outputs.reference import Reference

if TYPE_CHECKING:
    from torch import nn

    from tinyml.export.capture.program import Captured

LOG = "capture"
SEARCH_S = 120.0


def capture_or_locate(
    module: nn.Module,
    signature: Signature,
    stages: Sequence[str],
    work: Workspace,
    sample: Arrays | None = None,
) -> Captured:
    """`capture`; where that is refused, the error names the smallest part to blame.

    The search runs the module on ``sample``, else on zeros, and takes `SEARCH_S` at most.
    """
    from tinyml.export.capture.bisect_module import locate_failure
    from tinyml.export.capture.program import capture

    try:
        return capture(module, signature, stages)
    except ExportError as error:
        log = work.log(LOG)
        found = locate_failure(
            module,
            sample or signature,
            error,
            log=log if log.exists() else None,
            budget_s=SEARCH_S,
        )
        if found is error:
            raise
        raise found from error


def finish(captured: Captured, expected: Reference, work: Workspace, **more: Any) -> None:
    """Judge the captured program, rewrite it, judge it again; ``more`` goes into the record."""
    from tinyml.export.capture.activation_peak import activation_peak
    from tinyml.export.rewrites import rewrite

    order = list(captured.stages)
    rows = rows_of("captured", captured, expected, order)
    rewritten, counts = rewrite(captured)
    rows += rows_of("rewritten", rewritten, expected, order)
    work.save_program(rewritten)
    peak = Peak(*activation_peak(rewritten.program))
    work.save_capture_record(CaptureRecord(counts, tuple(rows), peak, **more))


def rows_of(
    engine: str, captured: Captured, expected: Reference, stages: list[str]
) -> list[StageParity]:
    """Every stage and output of the program on every case against ``expected``."""
    from tinyml.export.capture.stage_values import captured_values

    rows: list[StageParity] = []
    parts, output_parts = expected.parts(STAGE), expected.parts(OUTPUT)
    for case, inputs in expected.inputs.items():
        inside, outputs = captured_values(captured, inputs)
        kept = [stage for stage in stages if stage in expected.stages[case]]
        rows += parity.compare(engine, case, expected.stages[case], inside, kept, parts=parts)
        wanted = expected.outputs[case]
        ties = expected.ties.get(case)
        rows += parity.compare(
            engine, case, wanted, outputs, list(wanted), parts=output_parts, ties=ties
        )
    return rows
