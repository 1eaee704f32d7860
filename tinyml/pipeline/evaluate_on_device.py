"""Labels and metrics of a data set as a device computes them, compared with this machine's.

The network computes there, one input at a time, in one process. Its outputs are kept here as they
come: after a lost link, a crash or Ctrl-C the same command continues.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tinyml.core import bundle as bundles
from tinyml.core.bundle import Bundle
from tinyml.core.device import Device
from tinyml.core.errors import DeviceError, ValidationError
from tinyml.core.events import Event, Message, Progress, Report, Resumed
from tinyml.core.files import resolved
from tinyml.core.measurement import Label
from tinyml.core.processor import Floats, Processor
from tinyml.core.training_record import ImageMetrics, SubjectMetrics
from tinyml.models.data.images import ImageSet
from tinyml.models.data.recordings import RecordingSet
from tinyml.pipeline.cross_check import check_bundle
from tinyml.pipeline.devices.inventory import place
from tinyml.pipeline.devices.opened import opened
from tinyml.pipeline.evaluate import (
    Judged,
    Opened,
    RecordingOutputs,
    check_part,
    judge,
    load_data,
)
from tinyml.pipeline.outputs.agreement import disagreements, labels_of
from tinyml.pipeline.outputs.data import Recorded, require_recorded
from tinyml.pipeline.outputs.engines import candidates
from tinyml.pipeline.outputs.engines_on_link import OpenedEngine, opened_engine
from tinyml.pipeline.outputs.judged import Answer
from tinyml.pipeline.outputs.kept_outputs import KeptOutputs, Made, keeping
from tinyml.pipeline.predict import windows_through, windows_through_session


@dataclass(frozen=True, slots=True)
class ChangedPrediction:
    """A recording or image with another prediction on the device than on this machine.

    ``margin``: how sure this machine was of its own.
    """

    case: str
    here: str
    there: str
    margin: float


@dataclass(frozen=True, slots=True)
class ComparedHere:
    """The device against ``engine``, the runtime of this machine, on all ``cases``."""

    engine: str
    cases: int
    changed: tuple[ChangedPrediction, ...]
    largest_probability_error: float


@dataclass(frozen=True, slots=True)
class EvaluationOnDevice:
    """Metrics of ``file`` in ``engine`` on a device; ``compared`` is ``None`` if it is not here."""

    device: str
    label: Label
    file: str
    engine: str
    metrics: SubjectMetrics | ImageMetrics
    recordings: tuple[RecordingOutputs, ...] | None
    compared: ComparedHere | None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is evaluated: a part of ``found`` through ``bundle``, on ``device``."""

    bundle: Bundle
    own: Recorded
    found: ImageSet | RecordingSet
    part: str
    device: Device

    def judged(self, answer: Answer, report: Report) -> Judged:
        model = Opened(self.own.processor, self.own.recipe, self.own.training, answer)
        return judge(model, self.found, self.part, report)

    def made(self, there: OpenedEngine) -> Made:
        """What the outputs of ``there`` depend on."""
        model = there.engine.model
        return Made(
            place={
                "bundle": f"{resolved(self.bundle.folder)}",
                "device": self.device.name,
                "reached over": place(self.device),
                "runtime": there.engine.name,
                "part": self.part,
            },
            content={
                "bundle": f"{self.bundle.digest} {model.path}",
                "data set": self.found.sha256,
                "runtime on the device": there.version,
            },
        )


def evaluate_on_device(
    folder: Path,
    device: Device,
    *,
    part: str,
    data: Path | None,
    runtime: str | None,
    report: Report,
) -> EvaluationOnDevice:
    """Metrics over subjects or images, through a bundle's file on ``device``.

    Raises as `tinyml.pipeline.evaluate.evaluate`, and `DeviceError`, whose details tell how much
    is kept.
    """
    check_part(part)
    bundle = bundles.read(folder)
    check_bundle(bundle)
    own = require_recorded(bundle)
    found = load_data(own.processor, own.recipe, own.training, data, report)
    asked = _Asked(bundle, own, found, part, device)
    with (
        opened(device, bundle, "eval", report) as link,
        opened_engine(bundle, runtime, link) as there,
        keeping(asked.made(there)) as kept,
    ):
        judged = _judged_there(asked, there, kept, report)
    engine, label = there.engine, link.label
    compared = _compared(asked, engine.name, judged, report)
    kept.remove()
    return EvaluationOnDevice(
        device=device.name,
        label=label,
        file=engine.model.path,
        engine=f"{engine.name} {there.version}",
        metrics=judged.evaluation.metrics,
        recordings=judged.evaluation.recordings,
        compared=compared,
    )


def _judged_there(asked: _Asked, there: OpenedEngine, kept: KeptOutputs, report: Report) -> Judged:
    if kept.changed:
        names = " and the ".join(kept.changed)
        report(Message(f"the {names} changed since the run that was stopped: it starts again"))
    elif kept.kept:
        report(Resumed(f"continuing: {kept.kept:,} outputs are kept from a run that was stopped"))
    session = kept.through(there.session)
    answer = windows_through_session(session, there.engine.model.path)
    try:
        return asked.judged(answer, _titled(report, asked.device.name))
    except DeviceError as error:
        if kept.kept:
            text = f"{kept.kept:,} outputs are kept: run the same command to continue"
            error.details.append(text)
        raise
    except ValidationError:
        kept.remove()  # the outputs are wrong, and would be again
        raise


def _titled(report: Report, where: str) -> Report:
    """``report``, with ``where`` behind the titles of progress."""

    def forward(event: Event) -> None:
        if isinstance(event, Progress):
            event = replace(event, title=f"{event.title} on {where}")
        report(event)

    return forward


def _compared(asked: _Asked, name: str, there: Judged, report: Report) -> ComparedHere | None:
    """The same through the runtime ``name`` of this machine."""
    (engine,) = candidates(asked.bundle, name)
    version = engine.runtime.version()
    if version is None:
        report(Message(f"not compared with this machine: {name} is not installed here"))
        return None
    here = asked.judged(windows_through(engine), _titled(report, "this machine"))
    return ComparedHere(
        engine=f"{name} {version}",
        cases=len(here.cases),
        changed=changed_predictions(asked.own.processor, here.cases, there.cases),
        largest_probability_error=max(
            float(np.abs(own - there.cases[case]).max()) for case, own in here.cases.items()
        ),
    )


def changed_predictions(
    processor: Processor, here: Mapping[str, Floats], there: Mapping[str, Floats]
) -> tuple[ChangedPrediction, ...]:
    """Cases whose predictions differ, in the order of ``here``."""
    labels, others = (labels_of(processor, own) for own in (here, there))
    found = disagreements(processor, here, labels, others)
    return tuple(ChangedPrediction(own.name, own.want, own.got, own.margin) for own in found)
