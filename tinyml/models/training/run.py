"""One run of training: parts that are done once, kept in a state, and never repeated."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tinyml.decision import Decision, Floats
from tinyml.errors import DataError, UsageError, machine_errors
from tinyml.files import lock
from tinyml.models.data.recordings import folds_by_person
from tinyml.models.training.examples import Examples
from tinyml.models.training.fit import Windows, fit, seed_of
from tinyml.models.training.state import TrainState
from tinyml.models.training.thresholds import choose_thresholds
from tinyml.recipe import Recipe
from tinyml.spec import ModelEntry

Report = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Run:
    """What all parts of one run share.

    truths     person -> label, over all of their recordings
    state      what is finished; written to ``path`` after every epoch
    """

    entry: ModelEntry
    recipe: Recipe
    decision: Decision
    examples: Examples
    truths: Mapping[str, int]
    state: TrainState
    path: Path
    report: Report

    def save(self) -> None:
        """Write the state."""
        self.state.save(self.path)

    def fit_part(
        self, part: str, title: str, training: Sequence[str], validation: Sequence[str] = ()
    ) -> Any:
        """The module of ``part`` after its last epoch, continued where the state has it."""
        self.state.start(part)
        module = new_module(self.entry, self.recipe, len(self.decision.labels), part)
        chosen = self.examples.windows(training)
        module.fit_statistics(self.examples.features[chosen])
        windows = Windows(
            self.examples.features, self.examples.labels, chosen, self.examples.windows(validation)
        )

        def progress(done: int, loss: float) -> None:
            event = {"event": "epoch", "title": title, "done": done, "loss": loss}
            total = self.recipe.train.epochs
            self.report({**event, "total": total, "note": f"loss {loss:.3f}"})

        fit(module, windows, self.recipe.train, self.recipe.seed, self.state, self.save, progress)
        return module

    def held_out(
        self, part: str, title: str, training: Sequence[str], held_out: Sequence[str]
    ) -> dict[str, Floats]:
        """Probabilities of the persons ``held_out`` from a module trained on ``training``."""
        if part not in self.state.finished:
            module = self.fit_part(part, title, training)
            answers = self.examples.answers(module, self.decision, held_out)
            self.state.finish(part, answers)
            self.save()
        answers = self.state.finished[part]
        return self.examples.of_persons(self.decision, held_out, answers)

    def decide(self, prefix: str, title: str, persons: Sequence[str]) -> Decision:
        """The decision with thresholds chosen by inner folds of ``persons`` alone."""
        count = self.recipe.train.threshold_folds
        if not count:
            return self.decision
        among = set(persons)
        kept = tuple(r for r in self.examples.data.recordings if r.person in among)
        data = replace(self.examples.data, recordings=kept)
        folds = folds_by_person(data, count, seed_of(self.recipe.seed, prefix) % 2**32)
        pooled: dict[str, Floats] = {}
        for number, fold in enumerate(folds, 1):
            training = [person for person in persons if person not in set(fold)]
            part = f"{prefix}thresholds {number}"
            said = f"{title}thresholds {number}/{count}"
            pooled |= self.held_out(part, said, training, fold)
        thresholds = choose_thresholds(self.decision, self.truths, pooled)
        return replace(self.decision, thresholds=thresholds)


def new_module(entry: ModelEntry, recipe: Recipe, classes: int, part: str) -> Any:
    """The model in an initial state that follows from the recipe's seed and the part."""
    torch.manual_seed(seed_of(recipe.seed, part, "weights"))
    return entry.build(classes)


@contextlib.contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """``threads`` threads and deterministic algorithms, until the block ends."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])


@contextlib.contextmanager
def owned_folder(out: Path) -> Iterator[None]:
    """Make ``out``, be its only writer, and remove what a killed writer left half-written.

    Raises `UsageError` when it is a file or another process works in it.
    """
    out = out.absolute()
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file", hint="choose another folder")
    with machine_errors(f"making {out.name}"):
        out.mkdir(parents=True, exist_ok=True)
    with lock(out):
        for left in out.glob(".*.safetensors.*"):
            left.unlink()
        for left in out.glob(".*.json.*"):
            left.unlink()
        yield


def check_truths(truths: Mapping[str, int], labels: Sequence[str], persons: Sequence[str]) -> None:
    """Raise `DataError` when a label has nobody among the ``persons`` that are trained on."""
    present = {truths[person] for person in persons}
    missing = [label for index, label in enumerate(labels) if index not in present]
    if missing:
        raise DataError(
            f"no person to train on has the label '{missing[0]}'",
            hint="use more persons, or a smaller validation_fraction",
        )
