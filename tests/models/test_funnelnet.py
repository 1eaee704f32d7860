"""The paper's table layer by layer, our limits, and the generated table of costs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import torch

from tinyml.core import registry
from tinyml.models.cost import count_macs, count_parameters, front_end_children, macs_by_child
from tinyml.models.funnelnet import (
    FUNNELNET,
    FUNNELNET_PAPER,
    PAPER_W0,
    PAPER_WIDTHS,
    ClipMinMax,
    LevelNormalization,
    PaperFunnelNet,
)
from tinyml.models.protocol import ModelEntry
from tinyml.models.table import read_table, table

PAPER_SHAPES = {
    "squeeze.0": (16, 999, 31),
    "squeeze.2": (16, 499, 15),
    "squeeze.3": (8, 498, 14),
    "squeeze.4": (8, 249, 7),
    "bottleneck.0": (8, 248, 6),
    "bottleneck.2": (8, 124, 3),
    "expansion.0": (8, 123, 2),
    "expansion.1": (8, 61, 1),
    "expansion.3": (16, 61, 1),
    "expansion.5": (16, 31, 1),
    "logits.0": (496,),
    "logits.2": (8,),
}
PAPER_PARAMETERS = {
    "squeeze.0": 80,
    "squeeze.3": 520,
    "bottleneck.0": 40,
    "expansion.0": 264,
    "expansion.3": 528,
    "logits.2": 3976,
}
ENTRIES = [FUNNELNET, FUNNELNET_PAPER]


def test_every_layer_of_the_paper_has_its_shape_and_parameters() -> None:
    module = PaperFunnelNet(1).eval()
    shapes: dict[str, tuple[int, ...]] = {}
    for name in PAPER_SHAPES:
        module.get_submodule(name).register_forward_hook(
            lambda _m, _i, out, name=name: shapes.update({name: tuple(out.shape[1:])})
        )
    with torch.no_grad():
        module(waveform=torch.randn(1, 1000))
    assert shapes == PAPER_SHAPES
    counts = {name: count_parameters(module.get_submodule(name)) for name in PAPER_PARAMETERS}
    assert counts == PAPER_PARAMETERS


@pytest.mark.parametrize(("classes", "parameters"), [(1, 5417), (3, 5435), (5, 5453)])
def test_the_papers_totals(classes: int, parameters: int) -> None:
    module = FUNNELNET_PAPER.build(classes)
    assert count_parameters(module) == parameters
    macs = macs_by_child(module, FUNNELNET_PAPER.signature(classes))
    network = sum(macs.values()) - sum(macs[name] for name in front_end_children(FUNNELNET_PAPER))
    assert round(network / 1e6, 2) == 5.70
    with torch.no_grad():
        out = module.eval()(waveform=torch.randn(1, 1000))["probabilities"]
    assert out.shape == (1, classes)
    assert bool(((out >= 0) & (out <= 1)).all())


def test_five_of_the_papers_scales_are_aliased() -> None:
    cycles_per_sample = PAPER_W0 / (2 * np.pi * PAPER_WIDTHS)
    assert int((cycles_per_sample > 0.5).sum()) == 5


def test_ours_keeps_to_its_budget_and_the_shape_of_a_funnel() -> None:
    module = FUNNELNET.build(3)
    assert count_parameters(module) <= 6000
    macs = macs_by_child(module, FUNNELNET.signature(3))
    front = sum(macs[name] for name in front_end_children(FUNNELNET))
    assert front / 6 <= 2.0e6
    assert count_macs(module, FUNNELNET.signature(3)) == sum(macs.values())
    channels = [
        module.get_submodule(f"{part}.0").out_channels for part in ("squeeze", "bottleneck")
    ]
    assert 32 > channels[0] > channels[1] < module.logits.linear.in_features // 2


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_forward_is_features_then_classify(entry: ModelEntry) -> None:
    torch.manual_seed(0)
    module = entry.build(3).eval()
    waveform = torch.randn(2, entry.signature(3).inputs[0].shape[1])
    with torch.no_grad():
        features = module.features(waveform)
        module.fit_statistics(features)
        want = torch.softmax(module.classify(features), 1)
        got = module(waveform=waveform)["probabilities"]
    assert torch.equal(want, got)
    assert torch.allclose(got.sum(1), torch.ones(2), atol=1e-6)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_stages_are_submodules_and_silence_is_finite(entry: ModelEntry) -> None:
    module = entry.build(3).eval()
    for stage in entry.stages:
        module.get_submodule(stage)
    with torch.no_grad():
        out = module(waveform=torch.zeros(1, entry.signature(3).inputs[0].shape[1]))
    assert bool(torch.isfinite(out["probabilities"]).all())


def test_the_level_of_a_window_does_not_matter() -> None:
    features = torch.randn(8, 32, 1, 300) - 3
    normalization = LevelNormalization(32)
    normalization.fit(features)
    louder = normalization(features + 2)
    assert torch.allclose(normalization(features), louder, atol=1e-5)
    assert torch.allclose(normalization(features).mean(dim=(1, 2, 3)), torch.zeros(8), atol=1e-5)


def test_clip_and_min_max_use_the_training_statistics() -> None:
    features = torch.rand(50, 1, 10, 4)
    features[0, 0, 0, 0] = 100.0
    scaling = ClipMinMax()
    scaling.fit(features)
    scaled = scaling(features)
    assert float(scaled.min()) == 0.0
    assert float(scaled.max()) == pytest.approx(1.0, abs=1e-6)
    assert float(scaled[0, 0, 0, 0]) == float(scaled.max())


QUICK_MODELS = ("funnelnet", "lenet-300-100", "conv-4")


def assert_table_holds(names: Iterable[str]) -> None:
    stored = {row["name"]: row for row in read_table()}
    assert [stored[name] for name in names] == table([registry.load("model", n) for n in names])


def test_the_generated_table_has_every_model_and_equals_the_quick_modules() -> None:
    assert [row["name"] for row in read_table()] == list(registry.MODELS)
    assert_table_holds(QUICK_MODELS)


@pytest.mark.slow
def test_the_generated_table_equals_the_modules() -> None:
    assert_table_holds([name for name in registry.MODELS if name not in QUICK_MODELS])
