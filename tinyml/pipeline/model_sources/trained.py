"""The source of this package's own models: a checkpoint, or a registered name with weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinyml.core import registry
from tinyml.core.array_files import read_npz
from tinyml.core.arrays import FINITE_SAMPLE, check_inputs
from tinyml.core.bundle_facts import BundleFacts
from tinyml.core.checkpoint import Checkpoint
from tinyml.core.errors import UsageError, machine_errors, require
from tinyml.core.events import Message, Report
from tinyml.core.finite import check_finite
from tinyml.core.recipe import Recipe
from tinyml.core.spec import Arrays, Signature
from tinyml.export import parity
from tinyml.models.protocol import ModelEntry
from tinyml.pipeline.model_sources.calibration import (
    WHAT,
    Calibration,
    check_has_data,
    given,
    of_training,
    sample_alone,
)
from tinyml.pipeline.model_sources.source import Accuracy, ExportedModel, RunChild
from tinyml.pipeline.model_sources.workspace import CaptureJob, Workspace
from tinyml.pipeline.outputs.agreement import agreement
from tinyml.pipeline.outputs.engines import Engine
from tinyml.pipeline.outputs.evaluation_set import EvaluationSet, load_evaluation_set, real_cases

REAL_CASES = 4
NOTE = "accuracy was not measured: no validation data was given"


@dataclass(slots=True)
class TrainedSource:
    """A checkpoint with its model's entry.

    weights   a file that the capturing child loads instead of the checkpoint's own
    sample    one more parity case
    evaluation_set  what training did not see, once it is loaded
    """

    checkpoint: Checkpoint
    entry: ModelEntry
    data: Path | None = None
    without_data: bool = False
    weights: Path | None = None
    strip_prefix: str = ""
    sample: Arrays | None = None
    evaluation_set: EvaluationSet | None = field(default=None, init=False)

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def runs_user_code(self) -> bool:
        return False

    def capture(self, work: Workspace, run: RunChild, report: Report) -> ExportedModel:
        saved = self.checkpoint
        if saved.facts and not self.without_data:
            self.evaluation_set = load_evaluation_set(saved, self.data, report)
        report(Message("capturing the model with torch.export"))
        with machine_errors("writing the parity cases"):
            if self.evaluation_set is not None:
                self.evaluation_set.save(work.evaluation_set)
        self.run_capture(work, run)
        return self.known()

    def run_capture(self, work: Workspace, run: RunChild, part: str = "") -> None:
        """Capture it, or its ``part``, in a child: on the sample, data and generated inputs."""
        saved = self.checkpoint
        cases = parity.cases(saved.signature, saved.recipe.seed, self.sample)
        if self.sample is not None:
            cases = {"sample": dict(self.sample)} | cases
        if self.evaluation_set is not None:
            cases = real_cases(self.evaluation_set, saved.signature, REAL_CASES) | cases
        with machine_errors("writing the parity cases"):
            work.save_cases(cases)
            work.save_checkpoint(saved)
        weights = str(self.weights.absolute()) if self.weights else ""
        work.save_capture_job(
            CaptureJob(weights=weights, strip_prefix=self.strip_prefix, part=part)
        )
        run("tinyml.pipeline.model_sources.capture", [str(work.folder)])

    def known(self) -> ExportedModel:
        saved, entry = self.checkpoint, self.entry
        facts = BundleFacts(
            recipe=saved.recipe,
            recipe_id=saved.recipe.id,
            training=saved.facts,
            scalogram=entry.scalogram,
        )
        return ExportedModel(
            name=saved.model,
            signature=saved.signature,
            stages=entry.stages,
            processor=saved.processor,
            labels=saved.processor.labels,
            facts=facts,
            front_end=entry.front_end,
            domain=entry.domain,
        )

    def check_calibration(self, arrays: Arrays | None) -> None:
        signature = self.checkpoint.signature
        if arrays is not None:
            check_inputs(signature.inputs, signature.states, arrays, WHAT)
        elif self.sample is None:
            check_has_data(self.checkpoint)

    def calibration(
        self, signature: Signature, arrays: Arrays | None, count: int, report: Report
    ) -> Calibration:
        if arrays is not None:
            return given(arrays, signature, count)
        if self.sample is not None and not self.checkpoint.facts:
            return sample_alone(self.sample, signature)
        return of_training(self.checkpoint, self.data, count, report)

    def accuracy(
        self, engines: Sequence[Engine], work: Workspace, run: RunChild, report: Report
    ) -> Accuracy:
        if self.evaluation_set is None:
            return Accuracy(note=NOTE)
        reference = work.probabilities
        found = (agreement(self.evaluation_set, engine, reference, report) for engine in engines)
        return Accuracy(agreements=tuple(found))


def check_named(name: str, weights: Path | None) -> None:
    """`UsageError` unless ``name`` is registered and comes with ``weights``."""
    if name not in registry.MODELS:
        raise registry.unknown_name("model", name, registry.MODELS)
    if weights is None:
        raise UsageError(
            f"'{name}' is a model's name: it needs `weights`",
            hint="give a safetensors state dict, or a checkpoint of tinyml train",
        )


def named_model(name: str) -> tuple[Checkpoint, ModelEntry]:
    """A registered model that is to get weights: a checkpoint without any yet."""
    require("torch", "torch", "train")
    entry: ModelEntry = registry.load("model", name)
    empty = Checkpoint(
        model=name,
        weights={},
        signature=entry.signature(len(entry.processor.labels)),
        processor=entry.processor,
        recipe=Recipe(name=f"{name} with given weights", model=name),
        facts=None,
    )
    return empty, entry


def sample_for(entry: ModelEntry, path: Path | None) -> Arrays | None:
    """The arrays of ``sample``; `InputError` unless they are the model's inputs."""
    if path is None:
        return None
    sample = read_npz(path)
    check_finite("the sample's", sample, hint=FINITE_SAMPLE)
    entry.signature(len(entry.processor.labels)).check_inputs(sample)
    return sample
