"""``--report FILE`` of the verbs that make what a report shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyml.cli.settings import export_flags
from tinyml.cli.terminal import progress, say
from tinyml.core.averages import AverageTiming
from tinyml.core.errors import UsageError
from tinyml.core.files import resolved

if TYPE_CHECKING:
    from tinyml.core.measurement import Measurement
    from tinyml.core.profile import Profile

ReportFile = Annotated[
    Path | None,
    typer.Option("--report", metavar="HTML", help="Also write the report, as tinyml report does."),
]


def check_report_option(path: Path | None, *bundles: Path) -> None:
    """Refuse a report that could not be written, before any work is done for it.

    ``bundles`` may not exist yet.
    """
    if path is None:
        return
    from tinyml.pipeline.report import check_report

    for own in bundles:
        if own.is_file():
            raise UsageError(
                f"--report is about bundles, {own} is a file", hint="give the folder of a bundle"
            )
        if resolved(path).is_relative_to(resolved(own)):
            raise UsageError(
                f"{path} lies in the bundle {own}", hint="choose a place outside of the bundle"
            )
    check_report(path)


def write_report(
    path: Path | None,
    *bundles: Path,
    taken: Sequence[Measurement | AverageTiming] = (),
    profiles: Sequence[Profile] = (),
) -> None:
    """The report of the first of ``bundles`` at ``path``; nothing without a path."""
    if path is None:
        return
    from tinyml.pipeline.report import report

    first, *others = bundles
    with progress(as_json=False) as shown:
        report(
            first,
            others,
            path,
            in_options=export_flags,
            progress=shown,
            taken=taken,
            profiles=profiles,
        )
    say(f"report: {path}")
