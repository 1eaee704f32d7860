"""All cells of one row, from one capture.

``python -m operators.export_row ROW KEY FOLDER [redo] [PRECISION...]``: FOLDER is a store.

A step of a worker (`tinyml.core.worker`) that runs many rows; the export's own steps run in a
second one, which lives as long. Each result is written when it is there.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from operators import lane
from operators.cell import FORMATS, PRECISIONS, Cell, Ended, outcome_of, timed
from operators.networks import BY_ID, CALIBRATION_COUNT, sample
from operators.row import Row
from operators.store import Store
from tinyml.core.errors import TinymlError
from tinyml.core.events import Report, silent
from tinyml.core.export_job import ExportJob
from tinyml.core.export_settings import ExportSettings
from tinyml.core.scratch import scratch
from tinyml.core.spec import Arrays, Signature
from tinyml.pipeline.export import bundle_from
from tinyml.pipeline.model_sources.calibration import Calibration, given
from tinyml.pipeline.model_sources.source import Accuracy, ExportedModel, RunChild
from tinyml.pipeline.model_sources.user_model import Asked, FactorySource
from tinyml.pipeline.model_sources.workspace import Workspace
from tinyml.pipeline.outputs.engines import Engine

# One conversion of a network this small; the search for a failure's place too.
TIMEOUT_S = 300.0
FIRST = PRECISIONS[0]


@dataclass(slots=True)
class CapturedOnce:
    """A factory whose first capture is kept in ``folder`` and copied for every later export."""

    source: FactorySource
    folder: Path
    samples: Arrays
    subject: ExportedModel | None = None
    error: TinymlError | None = None
    name: str = field(init=False)
    runs_user_code: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.name = self.source.name

    def capture(self, work: Workspace, run: RunChild, report: Report) -> ExportedModel:
        if self.error is not None:
            raise self.error
        if self.subject is None:
            try:
                self.subject = self.source.capture(Workspace(self.folder), run, report)
            except TinymlError as error:
                self.error = error
                raise
        shutil.copytree(self.folder, work.folder, dirs_exist_ok=True)
        return self.subject

    def known(self) -> None:
        return None

    def check_calibration(self, arrays: Arrays | None) -> None:
        self.source.check_calibration(self.samples)

    def calibration(
        self, signature: Signature, arrays: Arrays | None, count: int, report: Report
    ) -> Calibration:
        return given(self.samples, signature, count)

    def accuracy(
        self, engines: list[Engine], work: Workspace, run: RunChild, report: Report
    ) -> Accuracy:
        return self.source.accuracy(engines, work, run, report)


def export_row(
    row: Row, key: str, store: Store, precisions: Sequence[str] = PRECISIONS, *, redo: bool = False
) -> None:
    """Export every cell of ``row`` that ``store`` does not have, or all with ``redo``."""
    known = {} if redo else store.cells(row, key)
    with scratch("row") as folder:
        source = _source(row, folder / "captured")
        lane.worker().begin(folder)
        for fmt in FORMATS:
            for precision in precisions:
                if (fmt, precision) in known:
                    continue
                cell = _refused_already(known.get((fmt, FIRST)), precision) or _export(
                    source, fmt, precision, folder / f"{fmt}-{precision}"
                )
                known[fmt, precision] = cell
                store.save(cell, key)


def _refused_already(first: Cell | None, precision: str) -> Cell | None:
    """The cell of ``precision`` where float32, which it starts from, is not written."""
    if first is None or first.outcome != "refused":
        return None
    return replace(first, precision=precision, seconds=0.0)


def _source(row: Row, folder: Path) -> CapturedOnce:
    folder.mkdir()
    samples = sample(row, CALIBRATION_COUNT)
    asked = Asked({"x": np.ascontiguousarray(samples[0])})
    return CapturedOnce(
        FactorySource(f"operators.networks:{row.id}", asked), folder, {"x": samples}
    )


def _export(source: CapturedOnce, fmt: str, precision: str, out: Path) -> Cell:
    settings = ExportSettings(
        formats=(fmt,), precision=precision, timeout_s=TIMEOUT_S, without_data=True
    )
    job = ExportJob(source.name, "xnnpack", out, settings=settings)
    started = time.monotonic()
    bundle, error = None, None
    try:
        bundle = bundle_from(job, source, settings, silent, lane.worker())
    except Exception as raised:  # a traceback is what the table looks for
        error = raised
    seconds = timed(started)
    outcome, reason, hint = outcome_of(Ended(bundle, error, seconds))
    shutil.rmtree(out, ignore_errors=True)
    return Cell(source.name, fmt, precision, outcome, reason, hint, seconds)


def main(arguments: list[str]) -> None:
    row, key, folder, *rest = arguments
    redo = "redo" in rest
    precisions = [name for name in PRECISIONS if name in rest] or PRECISIONS
    export_row(BY_ID[row], key, Store(Path(folder)), precisions, redo=redo)


if __name__ == "__main__":
    main(sys.argv[1:])
