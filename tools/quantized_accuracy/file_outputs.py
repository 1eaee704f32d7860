"""What one model file makes of the whole evaluation set, kept as JSON and not computed again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cases import Case, Questions

from tinyml.core import bundle as bundles
from tinyml.core import checkpoint
from tinyml.core.bundle import Bundle
from tinyml.core.errors import ValidationError
from tinyml.core.events import Progress, Report
from tinyml.core.export_job import export_job
from tinyml.core.export_settings import QAT
from tinyml.core.files import write_json
from tinyml.export.parity import GENERATED
from tinyml.pipeline.export import export
from tinyml.pipeline.formats import named
from tinyml.pipeline.outputs.engines import Engine, choose
from tinyml.pipeline.predict import windows_through
from tinyml.pipeline.qat import QatJob, train_rounded

ADAPTED: Mapping[str, Any] = {"rounding": "adaptive", "calibration_samples": 1000}
# Row of the page -> precision, and what else export is asked for.
NEAREST = "w8a8-static-nearest"
ROWS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "fp32": ("fp32", {}),
    "w8a8-static": ("w8a8-static", ADAPTED),
    NEAREST: ("w8a8-static", {}),
    "w8-dynamic": ("w8-dynamic", {}),
    "w8a16": ("w8a16", ADAPTED),
    "w8": ("w8", {}),
    QAT: (QAT, {}),
}
PRECISIONS = tuple(ROWS)
# The others are asked of the first seed's folds.
ALL_SEEDS = ("fp32", "w8a8-static", NEAREST)
FORMATS = ("onnx", "tflite")
BATCH = 100


@dataclass(frozen=True, slots=True)
class FileOutputs:
    """Of every subject or image in turn: its name, its label, the predicted label, its margin.

    outputs   [inputs, classes] of the graph: windows, or images
    margins   how far each unit is from another label (`Processor.margin`)
    logits_db  SQNR in dB against PyTorch of the stage before the last softmax, one a real case of
              the bundle's parity
    refused   why the gate let no such file pass; everything else is empty then
    """

    names: list[str]
    truths: list[int]
    labels: list[int]
    margins: list[float]
    outputs: list[list[float]]
    logits_db: list[float]
    refused: str = ""


def kept(case: Case, precision: str, file_format: str, runs: Path) -> FileOutputs | None:
    """The outputs that were computed already, if they were."""
    path = _path(case, precision, file_format, runs)
    if not path.is_file():
        return None
    return FileOutputs(**json.loads(path.read_text(encoding="utf-8")))


def compute(case: Case, precision: str, runs: Path, report: Report) -> None:
    """Export ``case`` in ``precision`` and keep the outputs of both formats."""
    missing = [f for f in FORMATS if kept(case, precision, f, runs) is None]
    if not missing:
        return
    questions = case.questions(report)
    found: dict[str, Bundle | str]
    try:
        found = dict.fromkeys(FORMATS, _bundle(case, precision, FORMATS, runs, report))
    except ValidationError:
        # Of two formats one may pass: each is asked for alone.
        found = {f: _bundle_or_reason(case, precision, f, runs, report) for f in missing}
    for file_format in missing:
        bundle = found[file_format]
        if isinstance(bundle, str):
            outputs = FileOutputs([], [], [], [], [], [], bundle)
        else:
            outputs = _ask(choose(bundle, named(file_format).runtime), bundle, questions, report)
        write_json(_path(case, precision, file_format, runs), asdict(outputs))


def _path(case: Case, precision: str, file_format: str, runs: Path) -> Path:
    return runs / "outputs" / f"{case.id}-{precision}-{file_format}.json"


def _bundle(
    case: Case, precision: str, formats: tuple[str, ...], runs: Path, report: Report
) -> Bundle:
    """The bundle that is there, or is made now; `ValidationError` of the gate."""
    alone = f"-{formats[0]}" if len(formats) == 1 else ""
    out = runs / "bundles" / f"{case.id}-{precision}{alone}"
    if (out / bundles.MANIFEST).is_file():
        return bundles.read(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    weights = _trained_on(case, runs, report) if precision == QAT else case.checkpoint
    asked, options = ROWS[precision]
    job = export_job(
        model=str(weights),
        target="host",
        out=out,
        formats=formats,
        precision=asked,
        **options,
    )
    return export(job, report)


def _trained_on(case: Case, runs: Path, report: Report) -> Path:
    """The case's weights after training in eight bits; it holds out what the case holds out."""
    out = runs / "qat" / case.id
    train_rounded(QatJob(case.checkpoint, {}), out, report)
    return out / checkpoint.FILE


def _bundle_or_reason(
    case: Case, precision: str, file_format: str, runs: Path, report: Report
) -> Bundle | str:
    try:
        return _bundle(case, precision, (file_format,), runs, report)
    except ValidationError as error:
        return error.message


def _ask(engine: Engine, bundle: Bundle, questions: Questions, report: Report) -> FileOutputs:
    answer, total = windows_through(engine), len(questions)
    outputs: list[list[float]] = []
    for start in range(0, total, BATCH):
        outputs += answer(questions.inputs(start, min(start + BATCH, total))).tolist()
        title = f"{engine.model.path} in {engine.name}"
        report(Progress(title, min(start + BATCH, total), total))
    units = questions.of_unit(outputs)
    processor = questions.processor
    rows = [
        row.sqnr_db
        for row in bundle.parity.stages
        if (row.engine, row.stage) == (engine.name, bundle.stages[-1]) and row.case not in GENERATED
    ]
    return FileOutputs(
        names=list(units),
        truths=[questions.truths[name] for name in units],
        labels=[processor.postprocess(own) for own in units.values()],
        margins=[processor.margin(own) for own in units.values()],
        outputs=outputs,
        logits_db=[db for db in rows if db is not None],
    )
