"""Prune while training: any method, resumable after every epoch.

The rounds of a method are stages of one part of the run. What a round needs of those
before it (its masks, the survivors' starting values) is kept in the state when it begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tinyml.core.checkpoint import Checkpoint
from tinyml.core.spec import Array
from tinyml.core.training_record import PruningRecord
from tinyml.models.pruning.hooks import Masked, Scheduled, Snapshot
from tinyml.models.pruning.mask import Masks, apply, random_like
from tinyml.models.pruning.plan import PruningPlan, check_run
from tinyml.models.pruning.record import pruning_record
from tinyml.models.training.fit import seed_of
from tinyml.models.training.learner import Learner

Weights = Mapping[str, Array]
ORIGIN, START, MASK = "origin/", "start/", "mask/"


@dataclass(frozen=True, slots=True)
class Pruning:
    """Training that prunes by ``plan``: a `Procedure`."""

    plan: PruningPlan

    def check(self, steps: int, *, from_parent: bool) -> None:
        check_run(self.plan, steps, from_parent=from_parent)

    def train(self, learner: Learner, parent: Weights | None = None) -> Any:
        """The pruned module, trained; masked weights are exact zeros.

        ``parent`` are trained weights to begin with; without them a method that needs any
        trains them first. A control takes a ticket's masks from its ``parent``, and raises
        `RecipeError` without one.
        """
        self.check(learner.steps, from_parent=parent is not None)
        return _Rounds(learner, self.plan, parent).run()

    def pruned(self, module: Any, parent: Checkpoint | None) -> PruningRecord | None:
        return pruning_record(module, self.plan)


class _Rounds:
    """The rounds of one pruned part."""

    def __init__(self, learner: Learner, plan: PruningPlan, parent: Weights | None) -> None:
        self.learner, self.plan, self.parent = learner, plan, parent
        self.kept = learner.state.kept

    def run(self) -> Any:
        rounds = self.plan.rounds if self.plan.settings.control == "none" else (1.0,)
        first = self._resumed(rounds)
        module = self._dense() if first is None and rounds[0] > 0 else None
        for number, done in enumerate(rounds[first or 0 :], first or 0):
            if number != first and done > 0:
                self._begin(module, done)
            module = self._train(done)
        return module

    def _resumed(self, rounds: Sequence[float]) -> int | None:
        """The round that was in work when the run stopped."""
        names = [self.learner.name(self._stage(done)) for done in rounds]
        part = self.learner.state.part
        return names.index(part) if part in names else None

    def _stage(self, done: float) -> str:
        """What a round is called; its name seeds what is random in it.

        So a dense training is the same one with and without a method, and a ticket does
        not depend on whether its rounds were done in one run.
        """
        if self.plan.method.schedule is not None:
            return "pruning"
        return f"sparsity {self.plan.settings.sparsity * done:.6f}" if done else ""

    def _dense(self) -> Any:
        """A module with trained weights: the parent's, or trained here."""
        module = self.learner.initial("")
        self._fit_from_origin(module)
        return module

    def _fit_from_origin(self, module: Any) -> None:
        """Train from the initial state and keep the weights that survivors rewind to.

        A parent is what this training would give: then only the early step is trained for.
        """
        step, rewinds = self.plan.settings.rewind_step, self.plan.method.survivors == "rewind"
        if rewinds and step == 0:
            self._keep(ORIGIN, module.state_dict())
        if self.parent is None or (rewinds and step):
            snapshot = Snapshot(module, step, alone=self.parent is not None)
            self.learner.fit(module, hook=snapshot)
            if rewinds and step:
                self._keep(ORIGIN, {n: torch.from_numpy(v) for n, v in snapshot.state.items()})
        if self.parent is not None:
            _load(module, self.parent)

    def _train(self, done: float) -> Any:
        """One round: from what `_begin` kept, or from the beginning."""
        module = self.learner.initial("")
        if done == 0 and self.plan.method.schedule is None:
            self._fit_from_origin(module)
            return module
        if done > 0:
            _load(module, self._take(START))
        elif self.parent is not None:
            _load(module, self.parent)
        hook = self._hook(module, done)
        self.learner.fit(module, self._stage(done), hook)
        apply(hook.masks, dict(module.named_parameters()))
        return module

    def _hook(self, module: Any, done: float) -> Masked | Scheduled:
        schedule, settings = self.plan.method.schedule, self.plan.settings
        if schedule is None:
            return Masked(module, {n: _truth(v) for n, v in self._take(MASK).items()})
        steps = self.learner.steps
        return Scheduled(
            module=module,
            layers=self.plan.layers,
            score=self.plan.method.score,
            done=lambda step: schedule(settings, step, steps),
            # A short training gets at least four masks.
            every=min(settings.every, max(1, int((settings.end - settings.begin) * steps / 4))),
            steps=steps,
        )

    def _begin(self, trained: Any, done: float) -> None:
        """Choose the masks of a round and the values that its survivors start with."""
        weights = {name: value.detach() for name, value in trained.state_dict().items()}
        names = [layer.weight for layer in self.plan.layers.layers]
        if self.plan.settings.control != "none":
            masks = {name: weights[name] != 0 for name in names}
        else:
            scores = {name: self.plan.method.score(weights[name]) for name in names}
            masks = self.plan.layers.masks(scores, done)
        start: Mapping[str, Tensor] = weights
        if self.plan.method.survivors == "rewind":
            start = {name: torch.from_numpy(value) for name, value in self._take(ORIGIN).items()}
        if done == 1.0 and self.plan.settings.control != "none":
            start, masks = self._controlled(start, masks)
        self._keep(MASK, masks)
        values = {name: value.clone() for name, value in start.items()}
        apply(masks, values)
        self._keep(START, values)

    def _controlled(
        self, start: Mapping[str, Tensor], masks: Masks
    ) -> tuple[Mapping[str, Tensor], Masks]:
        """The paper's controls: other initial values, or the zeros at other places."""
        settings = self.plan.settings
        if settings.control == "reinit":
            return self.learner.initial("reinit").state_dict(), masks
        seed = seed_of(self.learner.recipe.seed, self.learner.part, "random mask")
        return start, random_like(masks, settings.block, settings.block_axis, seed)

    def _keep(self, prefix: str, tensors: Mapping[str, Tensor]) -> None:
        arrays = {f"{prefix}{n}": v.detach().numpy().copy() for n, v in tensors.items()}
        self.kept.update({n: _storable(v) for n, v in arrays.items()})

    def _take(self, prefix: str) -> dict[str, Array]:
        return {n.removeprefix(prefix): v for n, v in self.kept.items() if n.startswith(prefix)}


def _storable(array: Array) -> Array:
    return array.astype(np.uint8) if array.dtype == np.bool_ else array


def _truth(array: Array) -> Tensor:
    return torch.from_numpy(array.astype(np.bool_))


def _load(module: Any, weights: Weights) -> None:
    module.load_state_dict({n: torch.from_numpy(v.copy()) for n, v in weights.items()})
