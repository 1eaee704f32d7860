"""Training in eight bits: what is rounded, what learns from it, and what stays as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tinyml.core.export_settings import QAT, ExportSettings
from tinyml.core.recipe import Recipe, TrainRecipe
from tinyml.core.spec import Array
from tinyml.models.qat.fine_tune import STAGE, FineTuning
from tinyml.models.training.fit import Fit
from tinyml.models.training.hook import Hook
from tinyml.models.training.learner import Learner
from tinyml.models.training.state import Identity, TrainState, load_state

IDENTITY = Identity("test", "recipe", "data", 1, "any")


class Net(nn.Module):
    """A front end, convolutions with and without norm, SiLU, a residual, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.InstanceNorm2d(3)
        self.entry = nn.Conv2d(3, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.middle = nn.Conv2d(8, 8, 1)
        self.act = nn.SiLU()
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(8, 3)

    def classify(self, inputs: Tensor) -> Tensor:
        maps = torch.relu(self.norm(self.entry(self.level(inputs))))
        maps = maps + self.act(self.middle(maps))
        return self.head(self.drop(nn.functional.adaptive_avg_pool2d(maps, 1).flatten(1)))


class Stripes:
    """Noise with a stripe in one of three channels."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(5)
        self.labels = torch.arange(48) % 3
        self.inputs = torch.randn(48, 3, 6, 6, generator=generator)
        self.inputs[torch.arange(48), self.labels, 2] += 4.0

    @property
    def steps(self) -> int:
        return 3

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        for chosen in torch.randperm(48).split(16):
            yield self.inputs[chosen], self.labels[chosen]

    def validate(self, module: Any, criterion: Any) -> dict[str, float]:
        module.eval()
        with torch.no_grad():
            return {"validation_loss": float(criterion(module.classify(self.inputs), self.labels))}


def initial(_name: str = "") -> Net:
    torch.manual_seed(7)
    return Net()


def learner(
    state: TrainState | None = None, save: Callable[[], None] = lambda: None, epochs: int = 6
) -> Learner:
    train = TrainRecipe(epochs=epochs, optimizer="adam", schedule="constant", learning_rate=0.05)
    return Learner(
        recipe=Recipe("t", "net", train=train, export=ExportSettings(precision=QAT)),
        part="final",
        title="t",
        batches=Stripes(),
        state=state or TrainState(IDENTITY),
        save=save,
        report=lambda event: None,
        initial=initial,
    )


@pytest.fixture(scope="module")
def parent() -> dict[str, Array]:
    """Weights as pruning leaves them: every third of the 1x1 convolution is zero."""
    weights = {name: value.numpy().copy() for name, value in initial().state_dict().items()}
    weights["middle.weight"].reshape(-1)[::3] = 0.0
    return weights


def tuned(parent: Mapping[str, Array], state: TrainState | None = None) -> dict[str, Array]:
    module = FineTuning("level").train(learner(state), parent)
    assert not module.training
    return {name: value.numpy() for name, value in module.state_dict().items()}


@pytest.fixture(scope="module")
def whole(parent: dict[str, Array]) -> tuple[TrainState, dict[str, Array]]:
    """A run that nothing stopped: its state and the weights that it made."""
    state = TrainState(IDENTITY)
    return state, tuned(parent, state)


def test_weights_change_the_loss_in_eight_bits_falls_and_zeros_stay(
    parent: dict[str, Array], whole: tuple[TrainState, dict[str, Array]]
) -> None:
    state, after = whole
    losses = [row["loss"] for row in state.curves[f"final/{STAGE}"]]
    assert losses[-1] < 0.8 * losses[0]
    assert after.keys() == parent.keys()
    for name in ("entry.weight", "middle.weight", "head.weight", "norm.running_mean"):
        assert np.any(after[name] != parent[name]), name
    zeros = parent["middle.weight"] == 0
    assert zeros.sum() == 22
    assert np.array_equal(after["middle.weight"] == 0, zeros)


def test_the_same_seed_gives_the_same_bytes_also_after_an_interruption(
    parent: dict[str, Array], whole: tuple[TrainState, dict[str, Array]], tmp_path: Path
) -> None:
    path, state = tmp_path / "state", TrainState(IDENTITY)

    def save() -> None:
        state.save(path)
        if state.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FineTuning("level").train(learner(state, save), parent)
    resumed, _ = load_state(path, IDENTITY)
    assert resumed.epoch == 2
    again = tuned(parent, resumed)
    for name, value in whole[1].items():
        assert again[name].tobytes() == value.tobytes(), name


def test_it_is_not_what_training_in_float_makes(
    parent: dict[str, Array], whole: tuple[TrainState, dict[str, Array]]
) -> None:
    module = initial()
    module.load_state_dict({n: torch.from_numpy(v.copy()) for n, v in parent.items()})
    floats = learner()
    floats.state.start("float")
    Fit(
        module=module,
        batches=floats.batches,
        recipe=floats.recipe.train,
        seed=floats.recipe.seed,
        state=floats.state,
        save=floats.save,
        report=lambda done, row: None,
        hook=Hook(),
    ).run()
    assert np.any(module.head.weight.detach().numpy() != whole[1]["head.weight"])
