"""Budgets to networks: within 1%, counted as the built network is, and refused with reasons."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyml.core.errors import UsageError
from tinyml.models.cost import count_macs, count_parameters
from tinyml.models.efficientnet import EfficientNet
from tinyml.models.efficientnet import plan as efficientnet_plan
from tinyml.models.plans import NetworkPlan, count_plan_macs, count_plan_parameters
from tinyml.models.scaling import (
    BASE_MACS,
    BASE_SIDE,
    HIGHEST,
    LOWEST,
    PUBLISHED,
    SIDE_REACH,
    Budget,
    Scaled,
    scale,
    tinynet_plan,
)
from tinyml.models.tinynet import PUBLISHED as PUBLISHED_NETWORKS
from tinyml.models.tinynet import TINYNET


def counted(network: Scaled, classes: int = 1000) -> tuple[int, int]:
    """(multiply-accumulates, parameters) of the network that a recipe would build."""
    entry = TINYNET.configured(
        {"width": network.width, "depth": network.depth, "resolution": network.resolution}
    )
    with torch.device("meta"):
        module = entry.build(classes)
    return count_macs(module, entry.signature(classes)), count_parameters(module)


@pytest.mark.parametrize(
    ("plan", "side"),
    [
        (tinynet_plan(0.51, 0.6), 106),
        (tinynet_plan(1.0, 1.2), 192),
        (tinynet_plan(0.33, 0.71), 159),
        (efficientnet_plan(1.0, 1.1), 240),
        (efficientnet_plan(0.4, 0.5), 37),
    ],
)
def test_a_plan_counts_what_its_network_counts(plan: NetworkPlan, side: int) -> None:
    with torch.device("meta"):
        module = EfficientNet(7, plan)
    signature = TINYNET.configured({"resolution": side}).signature(7)
    assert count_plan_macs(plan, side, 7) == count_macs(module, signature)
    assert count_plan_parameters(plan, 7) == count_parameters(module)


@pytest.mark.parametrize("millions", [20, 30, 57, 100, 211, 330, 400])
def test_a_budget_is_met_within_one_percent_by_the_network_that_is_built(millions: int) -> None:
    network = scale(Budget(millions * 10**6)).network
    assert counted(network) == (network.macs, network.parameters)
    assert network.macs == pytest.approx(millions * 10**6, rel=0.01)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(LOWEST, HIGHEST))
def test_any_budget_in_the_range_is_met_near_the_fitted_resolution(macs: int) -> None:
    network = scale(Budget(macs)).network
    assert abs(network.distance(macs)) <= 0.01
    fitted = int(BASE_SIDE * PUBLISHED.resolution(macs / BASE_MACS))
    assert abs(network.resolution - fitted) <= SIDE_REACH
    assert network.depth == pytest.approx(PUBLISHED.depth(macs / BASE_MACS), abs=6e-4)


@pytest.mark.parametrize("letter", PUBLISHED_NETWORKS)
def test_the_curves_go_through_the_published_networks(letter: str) -> None:
    r, w, d = PUBLISHED_NETWORKS[letter]
    ratio = count_plan_macs(tinynet_plan(w, d), int(BASE_SIDE * r), 1000) / BASE_MACS
    assert PUBLISHED.resolution(ratio) == pytest.approx(r, abs=0.02)
    assert PUBLISHED.depth(ratio) == pytest.approx(d, abs=0.02)


def test_the_base_is_efficientnet_b0() -> None:
    assert count_plan_macs(efficientnet_plan(1.0, 1.0), BASE_SIDE, 1000) == BASE_MACS


@pytest.mark.parametrize("macs", [19_999_999, 400_000_001, 0])
def test_a_budget_out_of_range_is_refused_with_the_range_and_the_reason(macs: int) -> None:
    with pytest.raises(UsageError, match="out of range: 20 M to 400 M; below, the fit") as caught:
        scale(Budget(macs))
    assert caught.value.exit_code == 2


def test_millions_without_their_m_are_guessed() -> None:
    with pytest.raises(UsageError) as caught:
        scale(Budget(57))
    assert caught.value.hint == "did you mean 57M?"


def test_parameters_are_an_upper_limit() -> None:
    free = scale(Budget(100_000_000)).network
    limit = free.parameters - 1
    held = scale(Budget(100_000_000, parameters=limit)).network
    assert held.parameters <= limit
    assert abs(held.distance(100_000_000)) <= 0.01


def test_limits_that_no_network_keeps_name_the_nearest_and_a_way_out() -> None:
    with pytest.raises(UsageError, match="at most 2 M parameters; the nearest: 50") as caught:
        scale(Budget(57_000_000, parameters=2_000_000))
    assert caught.value.exit_code == 2
    side = int(caught.value.hint.rpartition(" ")[2])
    found = scale(Budget(57_000_000, parameters=2_000_000, resolution=side)).network
    assert found.parameters <= 2_000_000
    assert abs(found.distance(57_000_000)) <= 0.01


def test_a_resolution_is_kept_and_the_nearest_network_shown_however_far() -> None:
    found = [scale(Budget(57_000_000, resolution=side)).network for side in (130, 224, 256)]
    assert [network.resolution for network in found] == [130, 224, 256]
    distances = [abs(network.distance(57_000_000)) for network in found]
    assert max(distances) > 0.01
    assert max(distances) < 0.1


@pytest.mark.parametrize(("macs", "side"), [(20_000_000, 600), (400_000_000, 40)])
def test_a_resolution_that_no_width_fits_is_refused_with_the_nearest(macs: int, side: int) -> None:
    with pytest.raises(UsageError, match=f"no TinyNet of {side} pixels has .* the nearest: "):
        scale(Budget(macs, resolution=side))


@pytest.mark.parametrize("budget", [Budget(57_000_000, resolution=8), Budget(57_000_000, 0)])
def test_limits_that_make_no_sense_are_refused(budget: Budget) -> None:
    with pytest.raises(UsageError, match=r"--(resolution|params)"):
        scale(budget)


def test_neighbours_are_a_step_narrower_and_wider_and_a_pixel_less_and_more() -> None:
    found = scale(Budget(100_000_000))
    network, (narrower, wider, less, more) = found.network, found.neighbours
    assert narrower.width < network.width < wider.width
    assert narrower.macs < network.macs < wider.macs
    assert (less.resolution, more.resolution) == (network.resolution - 1, network.resolution + 1)


def test_classes_are_counted_in() -> None:
    few = scale(Budget(30_000_000, classes=10)).network
    assert counted(few, classes=10) == (few.macs, few.parameters)
    assert math.isclose(few.macs, 30_000_000, rel_tol=0.01)
