"""Learning rates follow their equations; the average forgets its beginning."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tinyml.core.recipe import TrainRecipe
from tinyml.models.training.average import Average
from tinyml.models.training.optimize import OPTIMIZERS, SCHEDULES, learning_rate, make_optimizer


def rates(schedule: str, warm_up: float = 0.0) -> list[float]:
    recipe = TrainRecipe(epochs=10, schedule=schedule, learning_rate=0.5, warm_up_epochs=warm_up)
    return [learning_rate(step, 20, recipe) for step in range(200)]


def test_the_cosine_falls_from_the_peak_to_zero() -> None:
    found = rates("cosine")
    want = [0.5 * (1 + math.cos(math.pi * step / 200)) / 2 for step in range(200)]
    assert found == pytest.approx(want)


def test_the_exponential_is_a_step_of_three_percent_every_2_4_epochs() -> None:
    found = rates("exponential")
    assert found[47] == 0.5
    assert found[48] == pytest.approx(0.5 * 0.97)
    assert found[-1] == pytest.approx(0.5 * 0.97**4)


def test_steps_are_a_tenth_at_half_and_a_hundredth_at_three_quarters() -> None:
    found = rates("steps")
    assert (found[99], found[100], found[149], found[150]) == pytest.approx(
        (0.5, 0.05, 0.05, 0.005)
    )


@pytest.mark.parametrize("schedule", [name for name in SCHEDULES if name != "one-cycle"])
def test_a_warm_up_rises_by_equal_steps_to_the_schedule(schedule: str) -> None:
    found = rates(schedule, warm_up=1.0)
    assert found[:20] == pytest.approx([0.5 * (step + 1) / 20 for step in range(20)])
    assert found[20:] == pytest.approx(rates(schedule)[20:])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_lowers_a_loss_and_takes_the_weight_decay(name: str) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(4, 1)
    optimizer = make_optimizer(layer.parameters(), TrainRecipe(optimizer=name, weight_decay=0.02))
    assert optimizer.param_groups[0]["weight_decay"] == 0.02
    inputs = torch.randn(32, 4)
    losses = []
    for _ in range(20):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3
        optimizer.zero_grad()
        loss = (layer(inputs) - 1).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_the_average_is_what_its_equation_says() -> None:
    layer = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(0.0)
    average, want = Average(layer, 0.9), 0.0
    for step in range(1, 30):
        with torch.no_grad():
            layer.weight.fill_(float(step))
        average.update(layer)
        decay = min(0.9, (1 + step) / (10 + step))
        want = decay * want + (1 - decay) * step
    assert float(average.values["weight"]) == pytest.approx(want, rel=1e-5)
    with average.in_place_of(layer):
        assert layer.weight.item() == pytest.approx(want, rel=1e-5)
    assert layer.weight.item() == 29.0
