"""SE and scSE against their equations, and as an option of every convolutional network."""

from __future__ import annotations

import pytest
import torch

from tinyml.core import registry
from tinyml.models.cost import count_macs, count_parameters
from tinyml.models.mobilenet_v1 import MOBILENET_V1
from tinyml.models.protocol import ModelEntry
from tinyml.models.recalibration import SpatialAndChannel, SqueezeExcite
from tinyml.models.resnet_cifar import RESNET_20
from tinyml.models.table import read_table

WITH_OPTION = [row["name"] for row in read_table() if "recalibration" in row]


def test_the_equations_of_scse() -> None:
    torch.manual_seed(0)
    gates, maps = SpatialAndChannel(6), torch.randn(2, 6, 3, 5)
    with torch.no_grad():
        got = gates(maps)
        z = maps.mean((2, 3))
        reduce, expand = gates.channel.reduce, gates.channel.expand
        inner = torch.relu(z @ reduce.weight[:, :, 0, 0].T + reduce.bias)
        channel = torch.sigmoid(inner @ expand.weight[:, :, 0, 0].T + expand.bias)
        pixel = torch.sigmoid(torch.einsum("c,bchw->bhw", gates.pixel.weight[0, :, 0, 0], maps))
        want = maps * channel[:, :, None, None] + maps * pixel[:, None]
    torch.testing.assert_close(got, want)


def test_se_is_between_nothing_and_all_of_a_map() -> None:
    torch.manual_seed(0)
    maps = torch.rand(1, 32, 4, 4) + 0.1
    share = SqueezeExcite(32, 2)(maps) / maps
    assert bool(((share > 0) & (share < 1)).all())
    assert torch.allclose(share, share.mean((2, 3), keepdim=True).expand_as(share))


def test_every_network_with_convolutions_takes_it() -> None:
    convolutional = {n for n in registry.MODELS if not n.startswith(("funnelnet", "lenet"))}
    assert set(WITH_OPTION) == convolutional


@pytest.mark.parametrize("name", ["conv-2", "resnet-20", "vgg-16", "mobilenet-v2", "tinynet-e"])
@pytest.mark.parametrize("kind", ["se", "scse"])
def test_gates_follow_each_stage_and_leave_the_other_names_alone(name: str, kind: str) -> None:
    entry: ModelEntry = registry.load("model", name)
    with_gates = entry.configured({"recalibration": kind})
    plain, gated = entry.build(10), with_gates.build(10).eval()
    more = gated.state_dict().keys() - plain.state_dict().keys()
    assert more
    assert all(".recalibration." in name for name in more)
    assert plain.state_dict().keys() <= gated.state_dict().keys()
    (spec,) = with_gates.signature(10).inputs
    with torch.no_grad():
        gated(torch.randn(spec.shape))


def test_the_cost_in_the_table_is_what_is_counted() -> None:
    row = next(row for row in read_table() if row["name"] == "resnet-20")
    entry = RESNET_20.configured({"recalibration": "scse"})
    module = entry.build(10)
    added = row["recalibration"]["scse"]
    assert count_parameters(module) - row["parameters"] == added["parameters"]
    assert count_macs(module, entry.signature(10)) - row["macs"] == added["macs"]
    by_hand = sum(c * (c // 2) * 2 + c + c // 2 + c for c in (16, 32, 64))
    assert added["parameters"] == by_hand


def test_gates_are_trained() -> None:
    module = MOBILENET_V1.configured(
        {"recalibration": "scse", "width": 0.25, "resolution": 32}
    ).build(3)
    module.classify(torch.randn(2, 3, 32, 32)).sum().backward()
    assert module.stage2.recalibration.pixel.weight.grad.abs().sum() > 0
