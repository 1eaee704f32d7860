"""The sources of users' models: a factory that a child process runs, and a module in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyml.core.array_files import read_npz
from tinyml.core.arrays import FINITE_SAMPLE, TARGETS, check_inputs
from tinyml.core.bundle_facts import BundleFacts
from tinyml.core.errors import (
    ExportError,
    InputError,
    MachineError,
    UsageError,
    machine_errors,
    raise_refusal,
)
from tinyml.core.events import Message, Report
from tinyml.core.export_settings import NCHW
from tinyml.core.finite import check_finite
from tinyml.core.spec import Arrays, Signature, StatePair, TensorSpec
from tinyml.pipeline.model_sources.calibration import WHAT, Calibration, given, sample_alone
from tinyml.pipeline.model_sources.metric import Measuring, check_pytorch, measure
from tinyml.pipeline.model_sources.source import Accuracy, ExportedModel, RunChild
from tinyml.pipeline.model_sources.user_code import check_code
from tinyml.pipeline.model_sources.workspace import CaptureJob, Workspace
from tinyml.pipeline.outputs.engines import Engine

NOTE = "accuracy was not measured: parity was judged on the sample and on generated inputs"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user says of a model in addition to the module itself.

    sample     the inputs by name; their shapes and types become the signature
    states     input -> output that is that input at the next call
    labels     names along the last axis of an output
    layout     ``nhwc``: 4-D inputs come channels last, the sample's and data's too
    measuring  the metric and its data, if accuracy is to be measured
    keep_float stages that stay in float32 in a quantized export
    precision  of the export
    """

    sample: Arrays
    states: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    layout: str = NCHW
    measuring: Measuring | None = None
    keep_float: tuple[str, ...] = ()
    precision: str = "fp32"

    def __post_init__(self) -> None:
        check_finite("the sample's", self.sample, hint=FINITE_SAMPLE)
        for name in self.states:
            if name not in self.sample:
                raise InputError(f"no input is called '{name}'; there are {[*self.sample]}")
        for label in self.labels:
            if len(label.splitlines()) != 1:
                raise InputError(f"the label '{label}' is not one line", hint="rename the class")

    def check_calibration(self, arrays: Arrays | None) -> None:
        """`InputError` where ``arrays`` are not of the sample's names, shapes and types."""
        if arrays is None:
            return
        specs = [TensorSpec(n, a.shape, dtype=str(a.dtype)) for n, a in self.sample.items()]
        states = [StatePair(into, out) for into, out in self.states.items()]
        check_inputs(specs, states, arrays, WHAT)

    def capture_job(
        self, factory: str = "", weights: str = "", strip_prefix: str = ""
    ) -> CaptureJob:
        """What the capture is told of it."""
        return CaptureJob(
            factory,
            weights,
            strip_prefix,
            self.states,
            self.layout,
            labels=len(self.labels),
            keep_float=self.keep_float,
            precision=self.precision,
        )

    def write(self, work: Workspace) -> None:
        """Put the arrays where `tinyml.pipeline.model_sources.user_capture` reads them."""
        with machine_errors("writing the sample"):
            work.save_sample(self.sample)
            if self.measuring is not None:
                work.save_data(self.measuring.data)


@dataclass(slots=True)
class FactorySource:
    """``PATH.py:NAME`` or ``package.module:NAME``, imported and called in the child only."""

    factory: str
    asked: Asked
    weights: Path | None = None
    strip_prefix: str = ""

    def __post_init__(self) -> None:
        check_code(self.factory)
        if self.weights is not None and not self.weights.is_file():
            raise UsageError(f"no weights at {self.weights}", hint="give a state dict's file")
        if self.strip_prefix and self.weights is None:
            raise UsageError("`strip_prefix` is about names in `weights`, which is not given")

    @property
    def name(self) -> str:
        return self.factory.rpartition(":")[2]

    @property
    def runs_user_code(self) -> bool:
        return True

    def capture(self, work: Workspace, run: RunChild, report: Report) -> ExportedModel:
        report(Message(f"making {self.name} and capturing it with torch.export"))
        self.asked.write(work)
        where, _, attribute = self.factory.rpartition(":")
        factory = f"{Path(where).absolute()}:{attribute}" if where.endswith(".py") else self.factory
        weights = str(self.weights.absolute()) if self.weights else ""
        work.save_capture_job(self.asked.capture_job(factory, weights, self.strip_prefix))
        try:
            run("tinyml.pipeline.model_sources.capture", [str(work.folder)])
        except MachineError as error:
            raise MachineError(f"{self.factory}: {error.message}", hint=error.hint) from error
        return _exported(self.name, self.asked, work, run)

    def known(self) -> None:
        return None

    def check_calibration(self, arrays: Arrays | None) -> None:
        self.asked.check_calibration(arrays)

    def calibration(
        self, signature: Signature, arrays: Arrays | None, count: int, report: Report
    ) -> Calibration:
        return _calibration(self.asked, signature, arrays, count)

    def accuracy(
        self, engines: Sequence[Engine], work: Workspace, run: RunChild, report: Report
    ) -> Accuracy:
        return _accuracy(self.asked, engines, work, run, report)


@dataclass(slots=True)
class ModuleSource:
    """A module of the calling process: it cannot be sent elsewhere, so it is captured here.

    samples  inputs by name with a leading axis, to calibrate on
    """

    module: Any
    name: str
    asked: Asked
    samples: Arrays | None = None

    @property
    def runs_user_code(self) -> bool:
        return True

    def capture(self, work: Workspace, run: RunChild, report: Report) -> ExportedModel:
        from tinyml.pipeline.model_sources.user_capture import capture_module

        report(Message(f"capturing {self.name} with torch.export"))
        self.asked.write(work)
        capture_module(self.module, self.asked.capture_job(), work)
        return _exported(self.name, self.asked, work, run)

    def known(self) -> None:
        return None

    def check_calibration(self, arrays: Arrays | None) -> None:
        self.asked.check_calibration(self.samples if arrays is None else arrays)

    def calibration(
        self, signature: Signature, arrays: Arrays | None, count: int, report: Report
    ) -> Calibration:
        given_samples = self.samples if arrays is None else arrays
        return _calibration(self.asked, signature, given_samples, count)

    def accuracy(
        self, engines: Sequence[Engine], work: Workspace, run: RunChild, report: Report
    ) -> Accuracy:
        return _accuracy(self.asked, engines, work, run, report)


def _calibration(
    asked: Asked, signature: Signature, arrays: Arrays | None, count: int
) -> Calibration:
    if arrays is None:
        return sample_alone(asked.sample, signature)
    return given(arrays, signature, count)


def _exported(name: str, asked: Asked, work: Workspace, run: RunChild) -> ExportedModel:
    if not work.capture_record.is_file():
        raise ExportError(
            f"{name}: the child process ended without a result and without an error",
            hint="the user's code must not end its process (os._exit)",
        )
    record = work.load_capture_record()
    signature = record.user_signature
    if asked.measuring is not None:
        check_pytorch(asked.measuring, work, run)
    return ExportedModel(
        name=name,
        signature=signature,
        stages=record.stages,
        processor=None,
        labels=asked.labels,
        facts=BundleFacts(not_judged=record.not_judged),
    )


def _accuracy(
    asked: Asked, engines: Sequence[Engine], work: Workspace, run: RunChild, report: Report
) -> Accuracy:
    if asked.measuring is None:
        return Accuracy(note=NOTE)
    signature = work.load_capture_record().user_signature
    return Accuracy(metrics=measure(asked.measuring, signature, engines, work, run, report))


def read_measuring(
    metric: str | None,
    data: Path | None,
    direction: str | None = None,
    tolerance: float | None = None,
) -> Measuring | None:
    """The metric and its data, which need each other, and what is said of the metric."""
    check_metric_given(metric, direction, tolerance)
    if metric is None and data is None:
        return None
    if metric is None:
        raise UsageError("`data` is for `metric`, which is not given")
    check_code(metric)
    if data is None:
        raise UsageError("`metric` needs `data`", hint=f"an .npz of inputs and '{TARGETS}'")
    arrays = read_npz(data)
    if TARGETS not in arrays:
        raise InputError(f"{data} has no '{TARGETS}'", hint=f"it has: {', '.join(arrays)}")
    return Measuring(metric, arrays, direction, tolerance)


def check_metric_given(metric: object, direction: str | None, tolerance: float | None) -> None:
    """`UsageError` for what is said of a metric that is not given."""
    for name, value in (("direction", direction), ("tolerance", tolerance)):
        if metric is None and value is not None:
            raise UsageError(
                f"`metric_{name}` is for `metric`, which is not given",
                hint=f"omit `metric_{name}`, or add `metric=my_eval.py:FUNCTION`",
            )


def read_labels(path: Path | None) -> tuple[str, ...]:
    """One label a line; `InputError` for a file that cannot be read or is empty."""
    if path is None:
        return ()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise_refusal(error, f"reading {path.name}")
        raise InputError(f"{path} cannot be read as labels: {error}") from error
    labels = tuple(line.strip() for line in lines if line.strip())
    if not labels:
        raise InputError(f"{path} holds no labels", hint="one label a line")
    return labels


def read_states(pairs: Sequence[str]) -> dict[str, str]:
    """``IN=OUT`` pairs as a mapping; `UsageError` for anything else."""
    split = [pair.partition("=") for pair in pairs]
    for pair, (into, _, out) in zip(pairs, split, strict=True):
        if not into or not out:
            raise UsageError(f"`states={pair}` is not IN=OUT")
    return {into: out for into, _, out in split}
