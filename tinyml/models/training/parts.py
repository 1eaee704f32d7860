"""The parts of a run over subjects: modules that are fitted once, and their outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tinyml.core.errors import DataError
from tinyml.core.events import Report
from tinyml.core.processor import Floats
from tinyml.core.recipe import Recipe
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.spec import Array
from tinyml.models.data.recordings import folds_by_subject
from tinyml.models.protocol import Classifier, ModelEntry
from tinyml.models.training.examples import Examples, classify
from tinyml.models.training.fit import Criterion, seed_of
from tinyml.models.training.learner import Learner
from tinyml.models.training.procedure import Procedure
from tinyml.models.training.run import new_module
from tinyml.models.training.state import TrainState
from tinyml.models.training.thresholds import choose_thresholds

Weights = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Windows:
    """What a module learns from: features [n, ...] and labels [n] of all windows.

    ``training`` and ``validation`` index them; validation only draws the curve.
    """

    features: Tensor
    labels: Tensor
    training: Tensor
    validation: Tensor
    batch_size: int

    @property
    def steps(self) -> int:
        """Optimizer steps of one epoch."""
        return -(-len(self.training) // self.batch_size)

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every training window once, in random order."""
        order = self.training[torch.randperm(len(self.training))]
        for batch in torch.split(order, self.batch_size):
            yield self.features[batch], self.labels[batch]

    def validate(self, module: Classifier, criterion: Criterion) -> dict[str, float]:
        """The loss of the validation windows, if there are any."""
        if not len(self.validation):
            return {}
        logits = classify(module, self.features, self.validation)
        return {"validation_loss": float(criterion(logits, self.labels[self.validation]))}


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What all parts of one run share.

    truths     subject -> label, over all of their recordings
    state      what is finished; written to ``path`` after every epoch
    procedure  how each part is trained, beginning with the weights ``parent``
    teacher    takes features to the logits that are distilled
    """

    entry: ModelEntry
    recipe: Recipe
    processor: RecordingProcessor
    examples: Examples
    truths: Mapping[str, int]
    state: TrainState
    path: Path
    report: Report
    procedure: Procedure
    parent: Weights | None = None
    teacher: Callable[[Tensor], Tensor] | None = None

    def save(self) -> None:
        """Write the state."""
        self.state.save(self.path)

    def fit_part(
        self, part: str, title: str, training: Sequence[str], validation: Sequence[str] = ()
    ) -> Any:
        """The module of ``part`` after its last epoch, continued where the state has it."""
        examples = self.examples
        chosen = examples.windows(training)
        classes = len(self.processor.labels)

        def initial(name: str) -> Any:
            module = new_module(self.entry, self.recipe, classes, f"{part}{name}")
            module.fit_statistics(examples.features[chosen])
            return module

        windows = Windows(
            features=examples.features,
            labels=examples.labels,
            training=chosen,
            validation=examples.windows(validation),
            batch_size=self.recipe.train.batch_size,
        )
        learner = Learner(
            recipe=self.recipe,
            part=part,
            title=title,
            batches=windows,
            state=self.state,
            save=self.save,
            report=self.report,
            initial=initial,
            teacher=self.teacher,
        )
        return self.procedure.train(learner, self.parent)

    def out_of_fold(
        self,
        part: str,
        title: str,
        training: Sequence[str],
        fold: Sequence[str],
        keep: Callable[[Any, Floats], None] | None = None,
    ) -> dict[str, Floats]:
        """Probabilities of the subjects of ``fold`` from a module trained on ``training``.

        ``keep`` is given a module that was trained now, and its outputs [recordings, classes],
        before the state forgets it.
        """
        if part not in self.state.finished:
            module = self.fit_part(part, title, training)
            outputs = self.examples.outputs(module, self.processor, fold)
            if keep is not None:
                keep(module, outputs)
            self.state.finish(part, outputs)
            self.save()
        return self.examples.of_subjects(self.processor, fold, self.state.finished[part])

    def decide(self, prefix: str, title: str, subjects: Sequence[str]) -> RecordingProcessor:
        """The decision with thresholds chosen by inner folds of ``subjects`` alone."""
        count = self.recipe.train.threshold_folds
        if not count:
            return self.processor
        among = set(subjects)
        kept = tuple(r for r in self.examples.data.recordings if r.subject in among)
        data = replace(self.examples.data, recordings=kept)
        folds = folds_by_subject(data, count, seed_of(self.recipe.seed, prefix) % 2**32)
        pooled: dict[str, Floats] = {}
        for number, fold in enumerate(folds, 1):
            training = [subject for subject in subjects if subject not in set(fold)]
            part = f"{prefix}thresholds {number}"
            step = f"{title}thresholds {number}/{count}"
            pooled |= self.out_of_fold(part, step, training, fold)
        thresholds = choose_thresholds(self.processor, self.truths, pooled)
        return replace(self.processor, thresholds=thresholds)


def check_truths(truths: Mapping[str, int], labels: Sequence[str], subjects: Sequence[str]) -> None:
    """Raise `DataError` when a label has nobody among the ``subjects`` that are trained on."""
    present = {truths[subject] for subject in subjects}
    missing = [label for index, label in enumerate(labels) if index not in present]
    if missing:
        raise DataError(
            f"no subject to train on has the label '{missing[0]}'",
            hint="use more subjects, or a smaller validation_fraction",
        )
