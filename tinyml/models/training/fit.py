"""One fit of one module, epoch by epoch, the last epoch (or the average) kept.

All that is random in an epoch is drawn from a generator seeded by the recipe's seed, the
part's name and the epoch's number; a run that stops between two epochs continues exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from tinyml.core.errors import RecipeError
from tinyml.core.finite import is_finite
from tinyml.core.recipe import TrainRecipe
from tinyml.core.spec import Array
from tinyml.models.protocol import Classifier
from tinyml.models.training.average import Average
from tinyml.models.training.hook import Hook
from tinyml.models.training.optimize import learning_rate, make_optimizer
from tinyml.models.training.state import TrainState

Criterion = Callable[[Tensor, Tensor], Tensor]
EVALUATION_BATCH = 256


class Batches(Protocol):
    """What a module learns from."""

    @property
    def steps(self) -> int:
        """Optimizer steps of one epoch."""

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        """(inputs, labels) of every training example once, in random order."""

    def validate(self, module: Classifier, criterion: Criterion) -> dict[str, float]:
        """What the curve says of examples that are not trained on; empty without any."""


def seed_of(seed: int, *names: object) -> int:
    """A seed of its own for each thing that is random, 63 bits."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True, slots=True)
class Fit:
    """One fit: ``save`` writes ``state`` and is called after every epoch.

    ``report`` gets the number of finished epochs and the curve's row; ``teacher`` takes
    the same inputs to logits, whose softened form is ``distill_weight`` of the loss
    (Hinton et al. 2015, arXiv 1503.02531).
    """

    module: Classifier
    batches: Batches
    recipe: TrainRecipe
    seed: int
    state: TrainState
    save: Callable[[], None]
    report: Callable[[int, Mapping[str, float]], None]
    hook: Hook
    teacher: Callable[[Tensor], Tensor] | None = None

    def run(self) -> None:
        """Train from where the state is and leave the module in eval mode."""
        optimizer = make_optimizer(self.module.parameters(), self.recipe)
        average = Average(self.module, self.recipe.ema) if self.recipe.ema else None
        self._restore(optimizer, average)
        for epoch in range(self.state.epoch, self.recipe.epochs):
            if self.hook.finished:
                break
            torch.manual_seed(seed_of(self.seed, self.state.part, epoch))
            row = {"epoch": epoch + 1, "loss": self._epoch(optimizer, average, epoch)}
            row |= self._validate(average)
            self._check(row)
            row |= self.hook.row()
            self.state.epoch = epoch + 1
            self.state.tensors = self._tensors(optimizer, average)
            self.state.curves[self.state.part].append(row)
            self.save()
            self.report(epoch + 1, row)
        if average is not None:
            average.copy_to(self.module)
        self.module.eval()

    def _epoch(
        self, optimizer: torch.optim.Optimizer, average: Average | None, epoch: int
    ) -> float:
        """One pass over the training examples; their mean loss."""
        self.module.train()
        total = count = 0.0
        for number, (inputs, labels) in enumerate(self.batches.epoch()):
            step = epoch * self.batches.steps + number
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, self.batches.steps, self.recipe)
            optimizer.zero_grad()
            loss = self._loss(inputs, labels)
            loss.backward()  # type: ignore[no-untyped-call]
            self.hook.before_update()
            optimizer.step()
            self.hook.after_update(step + 1)
            if average is not None:
                average.update(self.module)
            total += loss.item() * len(labels)
            count += len(labels)
        return total / count

    def _check(self, row: Mapping[str, float]) -> None:
        """`RecipeError` for an epoch whose loss, of training or validation, is not finite."""
        for name, value in row.items():
            if not is_finite(value):
                raise RecipeError(
                    f"the {name.replace('_', ' ')} is not finite in epoch {row['epoch']}: "
                    "the training diverges",
                    hint=f"lower learning_rate, {self.recipe.learning_rate:g} now",
                )

    def _loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        logits = self.module.classify(inputs)
        loss = self._criterion(logits, labels)
        if self.teacher is None or not self.recipe.distill_weight:
            return loss
        with torch.no_grad():
            taught = self.teacher(inputs)
        weight, heat = self.recipe.distill_weight, self.recipe.distill_temperature
        soft = nn.functional.kl_div(
            nn.functional.log_softmax(logits / heat, dim=1),
            nn.functional.log_softmax(taught / heat, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        return (1 - weight) * loss + weight * heat * heat * soft

    def _criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        weights = self.recipe.class_weights
        return nn.functional.cross_entropy(
            logits,
            labels,
            weight=torch.tensor(weights) if weights else None,
            label_smoothing=self.recipe.label_smoothing,
        )

    def _validate(self, average: Average | None) -> dict[str, float]:
        if average is None:
            return self.batches.validate(self.module, self._criterion)
        with average.in_place_of(self.module):
            self.hook.mask()
            return self.batches.validate(self.module, self._criterion)

    def _tensors(
        self, optimizer: torch.optim.Optimizer, average: Average | None
    ) -> dict[str, Array]:
        kept = {f"weights/{name}": value for name, value in self.module.state_dict().items()}
        for index, moments in optimizer.state_dict()["state"].items():
            kept |= {f"optimizer/{index}/{key}": value for key, value in moments.items()}
        if average is not None:
            kept |= {f"average/{name}": value for name, value in average.tensors().items()}
        arrays = {name: value.detach().numpy().copy() for name, value in kept.items()}
        return arrays | {f"hook/{name}": value for name, value in self.hook.tensors().items()}

    def _restore(self, optimizer: torch.optim.Optimizer, average: Average | None) -> None:
        """Put back what `_tensors` took; nothing when the part is at its beginning."""
        if not self.state.tensors:
            return
        kinds: dict[str, dict[str, Array]] = {}
        for name, value in self.state.tensors.items():
            kind, _, rest = name.partition("/")
            kinds.setdefault(kind, {})[rest] = value
        self.module.load_state_dict(_torch(kinds["weights"]))
        parameters = list(self.module.parameters())
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _torch(kinds.get("optimizer", {})).items():
            index, _, key = name.partition("/")
            moments.setdefault(int(index), {})[key] = _like(parameters[int(index)], tensor)
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": moments, "param_groups": groups})
        if average is not None:
            average.load(_torch(kinds["average"]))
        self.hook.restore(kinds.get("hook", {}))


def _like(parameter: Tensor, moment: Tensor) -> Tensor:
    """In the parameter's order of memory: a fused optimizer goes through both side by side."""
    if moment.shape != parameter.shape:
        return moment
    return torch.empty_like(parameter, requires_grad=False).copy_(moment)


def _torch(arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(value.copy()) for name, value in arrays.items()}
