"""The policy of every precision rejects a wrong layer of real networks, at that layer's stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from policy_networks import WRONG, Values, accepted, of_bundle, of_keywords

from tinyml.core import registry
from tinyml.core.bundle import ModelFile
from tinyml.core.tolerance import LAYERS, POLICIES, PolicyName, is_rotated
from tinyml.export.quantization.plan import QuantPlan, plan_tensors
from tinyml.export.quantization.precision import find_precision
from tinyml.export.quantization.ranges import Range
from tinyml.modelfile.graph import Operator
from tinyml.pipeline.outputs.engines import Engine


@pytest.fixture(scope="module")
def networks(small_bundle: Path, image_bundle: Path) -> dict[str, Values]:
    """FunnelNet, MobileNet and the keyword spotter of the examples, each trained."""
    bundles = {"funnelnet": of_bundle(small_bundle), "mobilenet": of_bundle(image_bundle)}
    return {**bundles, "keywords": of_keywords()}


@pytest.mark.parametrize("precision", registry.PRECISIONS)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_layer_is_rejected_at_every_stage(
    networks: dict[str, Values], precision: str, wrong: str
) -> None:
    """Rotated channels, the same with a layer's noise, doubled, zeroed, negated, not a number."""
    found = {name: accepted(own, precision, WRONG[wrong]) for name, own in networks.items()}
    assert not any(found.values()), found


@pytest.mark.parametrize("precision", registry.PRECISIONS)
def test_the_noise_of_a_layer_is_accepted_everywhere(
    networks: dict[str, Values], precision: str
) -> None:
    for own in networks.values():
        stages = accepted(own, precision, lambda want, noise: want + noise)
        assert stages == list(own.real)


@pytest.mark.parametrize("policy", POLICIES)
def test_nearly_equal_probabilities_may_not_trade_places(policy: PolicyName) -> None:
    """They differ by less than any tolerance for their size."""
    want = np.array([[0.347, 0.331, 0.322]], np.float32)
    assert not POLICIES[policy].accepts(np.roll(want, 1, 1), want)
    assert not POLICIES[policy].accepts(np.roll(want, -1, 1), want)


def test_channels_of_images_and_of_sequences_are_looked_at() -> None:
    random = np.random.default_rng(0)
    want = 100 + random.standard_normal((1, 6, 5, 4)).astype(np.float32)
    assert is_rotated(np.roll(want, 1, 1), want, 0.01)
    assert is_rotated(np.roll(want, -1, 3), want, 0.01)
    assert not is_rotated(want + np.float32(0.1) * random.standard_normal(want.shape), want, 0.01)
    scalar = np.float32(3.0)
    assert not is_rotated(np.asarray(scalar + 1), np.asarray(scalar), 0.01)


@pytest.mark.parametrize("layers", [1.1, 2.0, 4.0])
def test_noise_does_not_pass_for_a_rotation(layers: float) -> None:
    """Of nearly equal probabilities, drawn again and again: fewer than 2 in 1,000."""
    policy, random = POLICIES["int8"], np.random.default_rng(0)
    rows = np.array([[0.347, 0.331, 0.322], [0.334, 0.333, 0.333], [0.6, 0.3, 0.1]])
    taken = 0
    for want in rows[:, None]:
        one = policy.bound(want) / LAYERS
        for _ in range(1000):
            noisy = want + layers * one * random.standard_normal(want.shape)
            taken += is_rotated(noisy, want, one)
    assert taken < 6


def test_sixteen_bits_are_judged_by_their_own_steps() -> None:
    """By what its weights of eight bits may do, not by what activations of eight bits may."""
    assert find_precision("w8a16").policy == "w8a16"
    random = np.random.default_rng(0)
    want, noise = random.standard_normal((2, 4096)).astype(np.float32)
    ours, weights, int8 = (POLICIES[name] for name in ("w8a16", "w8", "int8"))
    step = float(np.ptp(want)) / 65534
    assert ours.bound(want, step) == pytest.approx(weights.bound(want), rel=0.02)
    assert ours.bound(want) < int8.bound(want)
    more = want + np.float32(0.15) * noise
    assert int8.accepts(more, want)
    assert not ours.accepts(more, want, step)
    assert ours.accepts(want + np.float32(0.05) * noise, want, step)


@pytest.mark.parametrize(
    ("precision", "low", "high", "step"),
    [
        ("w8a8-static", -1.0, 4.1, 5.1 / 255),
        ("w8a8-static", 2.0, 5.1, 5.1 / 255),
        ("w8a16", -1.0, 3.2767, 1e-4),
        ("w8a16", 0.0, 3.2767, 1e-4),
    ],
)
def test_a_step_is_that_of_the_tensors_own_integers(
    precision: str, low: float, high: float, step: float
) -> None:
    """Zero is among them, and int16 spans as much below it as above it."""
    operator = Operator("y", "Conv", ("x",), ("y",), "w")
    scheme = find_precision(precision).activations
    tensors = plan_tensors([operator], {"y": Range(low, high)}, {}, scheme=scheme)
    plan = QuantPlan(precision, "onnx", "min-max", 8, "given", tensors)
    assert plan.tensors["y"].scheme == ("int16" if precision == "w8a16" else "int8")
    file = ModelFile("n.onnx", "", "onnx", precision, {}, {"last": "y"}, {}, "", plan=plan)
    engine = Engine(file, Path("n.onnx"), None)
    assert engine.step_of("y") == pytest.approx(step)
