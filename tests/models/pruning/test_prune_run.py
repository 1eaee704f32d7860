"""Every method keeps its promise at every step, and stops and continues without a trace."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tinyml.core import registry
from tinyml.core.errors import RecipeError
from tinyml.core.recipe import PruneRecipe, Recipe, TrainRecipe
from tinyml.core.spec import Array
from tinyml.models.pruning.gradual import cubic
from tinyml.models.pruning.hooks import Scheduled
from tinyml.models.pruning.lottery import rounds
from tinyml.models.pruning.mask import sparsity
from tinyml.models.pruning.plan import PruningPlan, plan_pruning
from tinyml.models.pruning.prune import Pruning
from tinyml.models.training.fit import Fit
from tinyml.models.training.hook import Hook
from tinyml.models.training.learner import Learner
from tinyml.models.training.state import Identity, TrainState, load_state

IDENTITY = Identity("test", "recipe", "data", 1, "any")
GRADUAL = PruneRecipe("gradual", 0.75, layers="every", begin=0.1, end=0.8, every=3)
LOTTERY = PruneRecipe("lottery", 0.6, layers="every")
MAGNITUDE = PruneRecipe("magnitude", 0.5, layers="every", scope="global")


class Points:
    """Two blobs in 8 dimensions."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(5)
        self.labels = torch.arange(64) % 2
        self.inputs = torch.randn(64, 8, generator=generator) + self.labels[:, None]

    @property
    def steps(self) -> int:
        return 4

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        for chosen in torch.randperm(64).split(16):
            yield self.inputs[chosen], self.labels[chosen]

    def validate(self, module: Any, criterion: Any) -> dict[str, float]:
        module.eval()
        right = module.classify(self.inputs).argmax(1) == self.labels
        return {"validation_accuracy": float(right.float().mean())}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 16)
        self.norm = nn.BatchNorm1d(16)
        self.last = nn.Linear(16, 4)

    def classify(self, inputs: Tensor) -> Tensor:
        return self.last(torch.relu(self.norm(self.first(inputs))))


def initial(name: str) -> Net:
    torch.manual_seed(7 if not name else 8)
    return Net()


def learner(
    asked: PruneRecipe, state: TrainState | None = None, save: Callable[[], None] = lambda: None
) -> Learner:
    train = TrainRecipe(epochs=3, optimizer="sgd", schedule="cosine", learning_rate=0.05, ema=0.9)
    return Learner(
        recipe=Recipe("t", "net", train=train, prune=asked),
        part="final",
        title="t",
        batches=Points(),
        state=state or TrainState(IDENTITY),
        save=save,
        report=lambda event: None,
        initial=initial,
    )


def plan(settings: PruneRecipe) -> PruningPlan:
    return plan_pruning(Net(), settings, registry.load("pruning method", settings.method))


def pruned(settings: PruneRecipe, parent: Mapping[str, Array] | None = None) -> Any:
    return Pruning(plan(settings)).train(learner(settings), parent)


def arrays(module: nn.Module) -> dict[str, Array]:
    return {name: value.numpy().copy() for name, value in module.state_dict().items()}


def zero_share(module: Any) -> float:
    weights = [module.first.weight, module.last.weight]
    return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)


@pytest.mark.parametrize("initial_share", [0.0, 0.3])
def test_the_schedule_follows_zhu_and_guptas_equation_at_every_step(initial_share: float) -> None:
    asked = PruneRecipe("gradual", 0.9, begin=0.1, end=0.7, initial=initial_share)
    steps, start, stop = 1000, 100, 700
    for t in range(steps + 1):
        if t < start:
            want = initial_share
        elif t > stop:
            want = 0.9
        else:
            want = 0.9 + (initial_share - 0.9) * (1 - (t - start) / (stop - start)) ** 3
        assert 0.9 * cubic(asked, t, steps) == pytest.approx(want, abs=1e-6)


def test_masks_while_training_have_the_schedules_sparsity() -> None:
    seen: list[tuple[int, float]] = []

    class Watched(Scheduled):
        def after_update(self, step: int) -> None:
            super().after_update(step)
            seen.append((step, sparsity(self.masks)))

    asked, module = GRADUAL, initial("")
    chosen = plan(asked)
    hook = Watched(
        module, chosen.layers, torch.abs, lambda t: cubic(asked, t, 12), asked.every, steps=12
    )
    run = learner(asked)
    run.fit(module, hook=hook)
    assert [step for step, _ in seen] == list(range(1, 13))
    for step, share in seen:
        updated = step if step in (3, 6, 9, 12) else step // 3 * 3
        want = 0.75 * cubic(asked, updated, 12) if updated else 0.0
        # The layers have 128 and 64 weights: counts are whole.
        assert share == pytest.approx(want, abs=1.01 / 192)


def test_masked_weights_train_on_unseen_and_may_come_back() -> None:
    module = initial("")
    asked = replace(GRADUAL, every=1)
    chosen = plan(asked)
    lost: set[int] = set()
    back: set[int] = set()

    class Watched(Scheduled):
        def after_update(self, step: int) -> None:
            super().after_update(step)
            kept = self.masks["first.weight"].flatten()
            now = set(torch.nonzero(kept).flatten().tolist())
            back.update(lost & now)
            lost.update(set(range(128)) - now)

    hook = Watched(module, chosen.layers, torch.abs, lambda t: cubic(asked, t, 12), 1, steps=12)
    learner(asked).fit(module, hook=hook)
    assert lost
    assert back


def test_no_mask_changes_after_the_schedules_end() -> None:
    asked = replace(GRADUAL, every=1, end=0.5)
    module = initial("")
    chosen = plan(asked)
    seen: dict[int, Tensor] = {}

    class Watched(Scheduled):
        def after_update(self, step: int) -> None:
            super().after_update(step)
            seen[step] = self.masks["first.weight"].clone()

    hook = Watched(module, chosen.layers, torch.abs, lambda t: cubic(asked, t, 12), 1, steps=12)
    learner(asked).fit(module, hook=hook)
    assert all(torch.equal(seen[step], seen[6]) for step in range(7, 13))
    assert not torch.equal(seen[5], seen[6])


@pytest.mark.parametrize("asked", [GRADUAL, LOTTERY, MAGNITUDE], ids=lambda a: a.method)
def test_the_result_has_exact_zeros_at_the_asked_share(asked: PruneRecipe) -> None:
    module = pruned(asked)
    exponent = plan(asked).method.last_exponent(asked)
    want = (128 * asked.sparsity + 64 * (1 - (1 - asked.sparsity) ** exponent)) / 192
    assert zero_share(module) == pytest.approx(want, abs=1.01 / 192)


@pytest.mark.parametrize("asked", [GRADUAL, LOTTERY, MAGNITUDE], ids=lambda a: a.method)
def test_a_run_stopped_after_any_epoch_ends_in_the_same_weights(
    asked: PruneRecipe, tmp_path: Path
) -> None:
    class StopError(Exception):
        pass

    whole = arrays(pruned(asked))
    path = tmp_path / "state.safetensors"
    for _ in range(100):
        state, _ = load_state(path, IDENTITY)

        def save(state: TrainState = state) -> None:
            state.save(path)
            raise StopError

        try:
            module = Pruning(plan(asked)).train(learner(asked, state, save))
        except StopError:
            continue
        assert all(np.array_equal(value, whole[name]) for name, value in arrays(module).items())
        return
    pytest.fail("the run never ended")


@pytest.mark.parametrize("step", [0, 2])
def test_survivors_start_every_round_with_their_early_values(step: int, monkeypatch: Any) -> None:
    origin: dict[str, Array] = arrays(initial(""))
    starts: list[dict[str, Array]] = []
    run = Fit.run

    class Watch(Hook):
        def __init__(self, inner: Hook, module: nn.Module) -> None:
            self.inner, self.module = inner, module

        def before_update(self) -> None:
            self.inner.before_update()

        def after_update(self, done: int) -> None:
            self.inner.after_update(done)
            if done == step and len(starts) == 1:
                origin.update(arrays(self.module))

        def row(self) -> dict[str, float]:
            return self.inner.row()

        def tensors(self) -> dict[str, Array]:
            return self.inner.tensors()

    def watched(self: Fit) -> None:
        starts.append(arrays(self.module))
        run(replace(self, hook=Watch(self.hook, self.module)))

    monkeypatch.setattr(Fit, "run", watched)
    asked = replace(LOTTERY, rewind_step=step)
    pruned(asked)
    assert len(starts) == len(rounds(asked)) >= 4
    for start in starts[1:]:
        for name, values in start.items():
            kept = values != 0
            assert np.array_equal(values[kept], origin[name][kept]), name
    shares = [(start["first.weight"] == 0).mean() for start in starts]
    assert shares == sorted(shares)
    nested = itertools.pairwise(starts[1:])
    assert all(((a["first.weight"] == 0) <= (b["first.weight"] == 0)).all() for a, b in nested)


def test_every_round_prunes_a_fifth_of_the_survivors() -> None:
    shares = [0.961 * done for done in rounds(PruneRecipe("lottery", 0.961))]
    left = [1 - share for share in shares]
    assert left[:4] == pytest.approx([1.0, 0.8, 0.64, 0.512])
    assert left[-1] == pytest.approx(0.039)
    assert all(b / a >= 0.8 - 1e-9 for a, b in itertools.pairwise(left))


def test_a_ticket_found_in_two_runs_is_the_ticket_found_in_one() -> None:
    whole = arrays(pruned(LOTTERY))
    halfway = arrays(pruned(replace(LOTTERY, sparsity=0.36)))
    rest = arrays(pruned(replace(LOTTERY, initial=0.36), halfway))
    assert all(np.array_equal(value, whole[name]) for name, value in rest.items())


def test_a_parent_is_taken_for_the_training_it_came_from() -> None:
    dense = initial("")
    learner(LOTTERY).fit(dense)
    for asked in (LOTTERY, replace(LOTTERY, rewind_step=2)):
        alone, after = arrays(pruned(asked)), arrays(pruned(asked, arrays(dense)))
        assert all(np.array_equal(value, alone[name]) for name, value in after.items())


def test_a_rewind_step_beyond_the_training_is_refused() -> None:
    with pytest.raises(RecipeError, match="not within a training of 12 steps"):
        pruned(replace(LOTTERY, rewind_step=12))


@pytest.mark.parametrize(("initial", "target"), [(0.832, 0.914), (0.0, 0.7903), (0.0, 0.8658)])
def test_a_sliver_of_a_round_is_no_training_of_its_own(initial: float, target: float) -> None:
    shares = [target * done for done in rounds(PruneRecipe("lottery", target, initial=initial))]
    assert shares[-1] == pytest.approx(target)
    assert all(after - before > 0.01 * (1 - after) for before, after in itertools.pairwise(shares))


def test_a_run_that_needs_an_early_step_of_its_parent_continues_to_the_same_bytes(
    tmp_path: Path,
) -> None:
    class StopError(Exception):
        pass

    asked = replace(LOTTERY, rewind_step=2)
    dense = initial("")
    learner(LOTTERY).fit(dense)
    whole = learner(asked)
    Pruning(plan(asked)).train(whole, arrays(dense))
    path = tmp_path / "state.safetensors"
    for _ in range(100):
        state, _ = load_state(path, IDENTITY)

        def save(state: TrainState = state) -> None:
            state.save(path)
            raise StopError

        try:
            Pruning(plan(asked)).train(learner(asked, state, save), arrays(dense))
        except StopError:
            continue
        assert state.curves == whole.state.curves
        return
    pytest.fail("the run never ended")


def test_a_rewound_tickets_random_mask_starts_from_the_same_early_step(monkeypatch: Any) -> None:
    asked = replace(LOTTERY, rewind_step=2, sparsity=0.2)
    dense = initial("")
    learner(LOTTERY).fit(dense)
    run = learner(asked)
    ticket = arrays(Pruning(plan(asked)).train(run, arrays(dense)))
    early = {n.removeprefix("origin/"): v for n, v in run.state.kept.items() if "origin/" in n}
    control = replace(asked, control="random-mask")
    other = learner(control)
    Pruning(plan(control)).train(other, ticket)
    start = {n.removeprefix("start/"): v for n, v in other.state.kept.items() if "start/" in n}
    kept = start["first.weight"] != 0
    assert np.array_equal(start["first.weight"][kept], early["first.weight"][kept])


def test_only_the_networks_last_layer_is_pruned_at_half_the_rate() -> None:
    chosen = plan(replace(LOTTERY, layers="first")).layers.layers
    assert [layer.exponent for layer in chosen] == [1.0]
    both = plan(LOTTERY).layers.layers
    assert both[0].exponent == 1.0
    assert both[1].exponent < 1.0


def test_controls_train_the_tickets_mask_with_other_values_or_at_other_places() -> None:
    ticket = pruned(LOTTERY)
    held = arrays(ticket)
    reinit = arrays(pruned(replace(LOTTERY, control="reinit"), held))
    moved = arrays(pruned(replace(LOTTERY, control="random-mask"), held))
    name = "first.weight"
    assert np.array_equal(reinit[name] == 0, held[name] == 0)
    assert not np.array_equal(reinit[name], held[name])
    assert (moved[name] == 0).sum() == (held[name] == 0).sum()
    assert not np.array_equal(moved[name] == 0, held[name] == 0)


def test_a_control_without_a_ticket_is_refused() -> None:
    with pytest.raises(RecipeError, match="needs a lottery ticket"):
        pruned(replace(LOTTERY, control="reinit"))


def test_one_shot_keeps_the_parents_largest_weights_of_all_layers() -> None:
    parent = arrays(initial("parent"))
    module = pruned(replace(MAGNITUDE, sparsity=0.5), parent)
    both = np.concatenate([parent["first.weight"].ravel(), parent["last.weight"].ravel()])
    limit = np.sort(np.abs(both))[len(both) // 2]
    kept = module.first.weight.detach().numpy() != 0
    assert np.array_equal(kept, np.abs(parent["first.weight"]) >= limit)
