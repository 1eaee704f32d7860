"""Each rule about integers: fires where its cost is there, and is quiet where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tinyml.core.diagnosis import Confusion
from tinyml.core.spec import Array
from tinyml.export.quantization.findings import diagnose
from tinyml.export.quantization.findings.collapsed_classes import effective
from tinyml.export.quantization.findings.evidence import Bias, Evidence, Watched, WeightedLayer
from tinyml.export.quantization.findings.outlier_ranges import usual
from tinyml.export.quantization.plan import QuantPlan, TensorPlan
from tinyml.export.quantization.ranges import Range
from tinyml.modelfile.graph import Operator

CHANNELS, PIXELS = 8, 1024
NAMES = ("cat", "dog", "cow", "hen")


def plan(**asked: Any) -> QuantPlan:
    """w8a8-static of a file with the stages that the tensors here come from."""
    chosen: dict[str, Any] = {"stages": {"entry": "t0", "body": "t1"}}
    given = ("w8a8-static", "tflite", "min-max", 16, "noise")
    values = dict(zip(("precision", "format", "ranges", "samples", "data"), given, strict=True))
    return QuantPlan(**{**values, **chosen, **asked})


def noise(seed: int = 0) -> Array:
    """[1, pixels, channels], normal."""
    return np.random.default_rng(seed).standard_normal((1, PIXELS, CHANNELS), np.float32)


def watched(value: Array, within: Range | None = None) -> Watched:
    """``value`` seen; planned over what it spans, or ``within``."""
    own = Watched(-1, within or Range(float(value.min()), float(value.max())))
    own.see(value)
    return own


def layer(**asked: Any) -> WeightedLayer:
    """``body``, which reads t0 and makes t1, with even weights."""
    even = {"peaks": np.ones(CHANNELS), "norms": np.ones(CHANNELS)}
    return WeightedLayer(**{"name": "body", "source": "t0", "output": "t1", **even, **asked})


def rules(evidence: Evidence) -> list[str]:
    """The rules that fire."""
    return [finding.rule for finding in diagnose(evidence)]


def evidence(
    tensors: Mapping[str, Watched] | None = None, own: WeightedLayer | None = None, **asked: Any
) -> Evidence:
    stages = {"t0": "entry", "t1": "body"}
    return Evidence(plan(**asked), [own or layer()], tensors or {}, stages)


def test_even_noise_is_nothing_to_speak_of() -> None:
    seen = {"t0": watched(noise()), "t1": watched(noise(1))}
    assert rules(evidence(seen)) == []


JOIN = Operator("c", "CONCATENATION", ("a", "b"), ("c",))


def joining(small: float, **asked: Any) -> Evidence:
    """A join of operands that reach to 10 and to ``small``."""
    tops = {"a": 10.0, "b": small, "c": 10.0}
    tensors = {n: TensorPlan("int8", 0.0, top, "seen") for n, top in tops.items()}
    return Evidence(plan(tensors=tensors, **asked), stages={"c": "body"}, joins=[JOIN])


def test_a_join_that_leaves_an_operand_few_steps_is_named_with_its_stage() -> None:
    (found,) = diagnose(joining(0.5))
    assert (found.rule, found.node) == ("uneven_joins", "body")
    assert "1 : 20; the smallest keeps 13 of 255 steps" in found.cost
    assert found.fix.startswith("`keep_float=body`")


@pytest.mark.parametrize(
    ("small", "asked"),
    [(2.0, {}), (0.5, {"kept": {"c": "asked for"}}), (0.5, {"precision": "w8a16"})],
)
def test_a_join_is_quiet_where_its_steps_suffice(small: float, asked: dict[str, Any]) -> None:
    assert rules(joining(small, **asked)) == []


def confusion(pairs: list[tuple[int, int, int]]) -> Evidence:
    return Evidence(plan(), classes=Confusion(NAMES, tuple(pairs)))


def test_classes_that_one_takes_are_a_collapse_and_the_class_is_named() -> None:
    (found,) = diagnose(confusion([(0, 0, 10), (1, 0, 9), (2, 0, 10), (3, 3, 11)]))
    assert (found.rule, found.node) == ("collapsed_classes", "class cat")
    assert found.cost.startswith("29 of 40 samples get this class when quantized, 10 in float")
    assert "19 change their class, 4.0 classes in effect become 1.8" in found.cost
    assert "`auto_precision`" in found.fix


@pytest.mark.parametrize(
    "pairs",
    [
        [(0, 0, 10), (1, 1, 10), (2, 2, 10), (3, 3, 10)],
        [(0, 1, 10), (1, 2, 10), (2, 3, 10), (3, 0, 10)],  # wrong, but no collapse
        [(0, 0, 38), (1, 0, 2)],  # two of forty are on the fence
        [(0, 0, 3), (1, 0, 4)],  # too few to say
    ],
)
def test_classes_that_stay_apart_or_are_too_few_are_no_collapse(
    pairs: list[tuple[int, int, int]],
) -> None:
    assert rules(confusion(pairs)) == []


def test_the_effective_number_of_classes_is_that_of_equal_ones() -> None:
    assert effective([5, 5, 0, 5]) == pytest.approx(3.0)
    assert effective([7, 0]) == pytest.approx(1.0)


SPREAD = np.where(np.arange(CHANNELS) % 2 == 0, 1000.0, 1.0)


def test_weights_of_one_scale_whose_channels_spread_are_found_with_their_ratio() -> None:
    uneven = layer(peaks=SPREAD)
    (found,) = diagnose(evidence(own=uneven, weight_scales="per-tensor"))
    assert (found.rule, found.node) == ("uneven_weights", "body")
    assert "differ 1 : 1,000, one scale leaves 4 of 8 channels" in found.cost
    assert "`weight_scales=per-channel`" in found.fix


def test_weights_with_a_scale_each_pruned_channels_and_kept_layers_are_no_finding() -> None:
    assert rules(evidence(own=layer(peaks=SPREAD))) == []
    pruned = layer(peaks=np.where(SPREAD == 1, 0.0, 1.0))
    assert rules(evidence(own=pruned, weight_scales="per-tensor")) == []
    kept = {"t1": "asked for"}
    assert rules(evidence(own=layer(peaks=SPREAD), weight_scales="per-tensor", kept=kept)) == []
    even = layer(peaks=np.linspace(1, 40, CHANNELS))
    assert rules(evidence(own=even, weight_scales="per-tensor")) == []


def test_activations_that_spread_are_found_where_they_are_listened_to() -> None:
    seen = {"t0": watched((noise() * SPREAD).astype(np.float32))}
    reader = layer(norms=1 / SPREAD)
    (found,) = diagnose(evidence(seen, reader))
    assert (found.rule, found.node) == ("uneven_activations", "entry")
    assert "4 of 8 lie within 2 steps and are" in found.cost
    assert "of what body reads of it" in found.cost
    assert "`keep_float=entry` `keep_float=body`" in found.fix


@pytest.mark.parametrize(
    ("norms", "asked"),
    [
        (np.ones(CHANNELS), {}),  # the reader hears the large channels alone
        (1 / SPREAD, {"precision": "w8a16"}),
        (np.zeros(0), {}),  # the file does not tell which weights read which channel
    ],
)
def test_activations_that_spread_without_harm_are_no_finding(
    norms: Array, asked: dict[str, Any]
) -> None:
    seen = {"t0": watched((noise() * SPREAD).astype(np.float32))}
    assert "uneven_activations" not in rules(evidence(seen, layer(norms=norms), **asked))


def test_values_beyond_the_range_are_counted_and_the_cure_fits_how_it_was_chosen() -> None:
    seen = {"t0": watched(noise(), Range(-1.0, 1.0))}
    (found,) = diagnose(evidence(seen, ranges="mse"))
    assert (found.rule, found.node) == ("cut_ranges", "entry")
    assert found.cost.startswith("31.")
    assert "min-max" in found.fix
    (found,) = diagnose(evidence(seen))
    assert "`calibration`" in found.fix


def test_one_channel_that_is_cut_is_enough_and_a_rare_value_is_not() -> None:
    value = noise()
    value[..., 3] *= 3
    assert rules(evidence({"t0": watched(value, Range(-4.5, 4.5))}, ranges="mse")) == ["cut_ranges"]
    rare = noise()
    rare[0, :5, 0] = 100.0
    assert rules(evidence({"t0": watched(rare, Range(-5.0, 5.0))}, ranges="percentile")) == []


def test_a_range_that_few_values_set_is_found_and_cutting_methods_are_left_alone() -> None:
    value = noise()
    value[0, 0, 0] = 100.0
    (found,) = diagnose(evidence({"t0": watched(value)}))
    assert (found.rule, found.node) == ("outlier_ranges", "entry")
    assert "of 255 steps" in found.cost
    assert int(found.cost.split(": ")[1].split(" ")[0]) < 20
    assert rules(evidence({"t0": watched(value)}, ranges="mse")) == []
    assert rules(evidence({"t0": watched(value)}, precision="w8a16")) == []


@pytest.mark.parametrize("value", [6.0, 0.0, -3.0])
def test_an_activation_of_one_value_has_a_range_like_any_other(value: float) -> None:
    same = np.full((1, PIXELS, CHANNELS), value, np.float32)
    assert "outlier_ranges" not in rules(evidence({"t0": watched(same), "t1": watched(noise())}))
    assert usual(watched(same)) == Range(min(value, 0.0), max(value, 0.0))


def test_values_that_all_lie_outside_of_a_range_leave_it_as_it_is() -> None:
    assert usual(watched(noise() + 100, Range(-1.0, 1.0))) == Range(-1.0, 1.0)


def test_channels_that_never_change_are_counted_once_for_the_whole_file() -> None:
    dead, few = noise(), noise()
    dead[..., :3] = 0.0
    few[..., 0] = 0.25
    second = layer(source="t1", output="t2", name="head")
    seen = {"t1": watched(dead), "t2": watched(few)}
    (found,) = diagnose(Evidence(plan(), [layer(), second], seen, {"t1": "body", "t2": "head"}))
    assert (found.rule, found.node) == ("dead_channels", "body")
    assert found.cost == "4 of 16 channels in 2 layers never change, 3 of 8 here"


def test_a_channel_seen_a_few_times_is_not_called_dead() -> None:
    vector = np.array([[0.0, 1.0, 2.0]], np.float32)
    assert rules(evidence({"t1": watched(vector)})) == []


def biased(signal: float, error: float, weights: float, corrected: float) -> Evidence:
    """``head`` shifted by as much as ``body``, which varies less."""
    shifts = {"c1": np.full(CHANNELS, 0.1), "c2": np.full(CHANNELS, 0.1)}
    seen = {"t1": watched(noise()), "t2": watched(4 * noise(1))}
    layers = [layer(product="c1"), layer(name="head", product="c2", source="t1", output="t2")]
    return Evidence(plan(), layers, seen, bias=Bias(signal, error, weights, corrected, shifts))


def test_an_error_that_corrected_biases_would_take_away_is_found_at_the_layer_shifted_most() -> (
    None
):
    (found,) = diagnose(biased(100.0, 1.0, 0.8, 0.2))
    assert (found.rule, found.node) == ("biased_error", "body")
    assert "60% of the error of the outputs, whose SQNR is 20.0 dB" in found.cost
    assert found.cost.endswith("leave 21.0, with corrected biases 27.0")
    assert "`correct_bias`" in found.fix


@pytest.mark.parametrize(
    "powers",
    [
        (100.0, 1.0, 0.8, 0.8),  # the error has no bias
        (100.0, 1.0, 0.8, 0.9),  # corrected biases do harm
        (100.0, 1.0, 0.3, 0.0),  # most of it comes from activations
        (100.0, 0.05, 0.05, 0.0),  # 33 dB: nothing to fix
    ],
)
def test_an_error_that_corrected_biases_would_leave_is_no_finding(
    powers: tuple[float, float, float, float],
) -> None:
    assert rules(biased(*powers)) == []


def test_samples_add_up() -> None:
    own, parts = Watched(1, Range(-1.0, 1.0)), noise().reshape(4, CHANNELS, -1)
    for part in parts:
        own.see(part[None])
    assert own.values == parts.size
    np.testing.assert_allclose(own.spread, parts.std(axis=(0, 2)), rtol=1e-6)
    np.testing.assert_array_equal(own.high, parts.max(axis=(0, 2)))
