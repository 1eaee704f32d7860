"""One part of a run: its module, its examples, and where its progress is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from tinyml.core.events import Epoch, Report
from tinyml.core.recipe import Recipe
from tinyml.models.protocol import Classifier
from tinyml.models.training.fit import Batches, Fit
from tinyml.models.training.hook import Hook
from tinyml.models.training.state import TrainState


@dataclass(frozen=True, slots=True)
class Learner:
    """What a `Procedure` is given.

    ``initial`` makes a module in the part's own initial state, its statistics set:
    always the same one, or with a name, another one that follows from that name.
    ``teacher`` takes inputs to logits, for distillation.
    """

    recipe: Recipe
    part: str
    title: str
    batches: Batches
    state: TrainState
    save: Callable[[], None]
    report: Report
    initial: Callable[[str], Any]
    teacher: Callable[[Tensor], Tensor] | None = None

    @property
    def steps(self) -> int:
        """Optimizer steps of one fit."""
        return self.recipe.train.epochs * self.batches.steps

    def name(self, stage: str) -> str:
        """What the state calls ``stage`` of this part."""
        return f"{self.part}/{stage}" if stage else self.part

    def fit(self, module: Classifier, stage: str = "", hook: Hook | None = None) -> None:
        """Train ``module``, from where the state has this stage, to its last epoch."""
        self.state.start(self.name(stage))
        title = f"{self.title} {stage}".strip()
        Fit(
            module=module,
            batches=self.batches,
            recipe=self.recipe.train,
            seed=self.recipe.seed,
            state=self.state,
            save=self.save,
            report=lambda done, row: self._progress(title, done, row),
            hook=hook or Hook(),
            teacher=self.teacher,
        ).run()

    def _progress(self, title: str, done: int, row: Mapping[str, float]) -> None:
        names = {"loss": "loss", "validation_accuracy": "accuracy", "sparsity": "sparsity"}
        values = [f"{name} {row[key]:.3f}" for key, name in names.items() if key in row]
        total, note = self.recipe.train.epochs, ", ".join(values)
        self.report(Epoch(title, done, total, note, loss=row["loss"]))
