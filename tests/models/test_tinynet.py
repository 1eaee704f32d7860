"""TinyNet and EfficientNet: the published counts, timm's names, and timm's arithmetic."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from tinyml.core import registry
from tinyml.core.errors import CheckpointError
from tinyml.export.weights import load_weights
from tinyml.models.cost import count_macs, count_parameters
from tinyml.models.efficientnet import EFFICIENTNET_B0, EFFICIENTNET_B1
from tinyml.models.protocol import ModelEntry
from tinyml.models.timm_names import from_timm
from tinyml.models.tinynet import TINYNET, TINYNET_A, TINYNET_D, TINYNET_E

# Side, parameters and multiply-accumulates of convolutions and linear layers, in millions.
PUBLISHED = {
    "tinynet-a": (192, 6.188, 336.87),
    "tinynet-b": (188, 3.731, 200.71),
    "tinynet-c": (184, 2.457, 99.54),
    "tinynet-d": (152, 2.338, 51.58),
    "tinynet-e": (106, 2.043, 24.36),
    "efficientnet-b0": (224, 5.289, 385.81),
    "efficientnet-b1": (240, 7.794, 686.80),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_counts_to_the_last_digit(name: str) -> None:
    entry: ModelEntry = registry.load("model", name)
    with torch.device("meta"):
        module = entry.build(1000)
    macs = count_macs(module, entry.signature(1000))
    found = (entry.processor.side, round(count_parameters(module) / 1e6, 3), round(macs / 1e6, 2))
    assert found == PUBLISHED[name]


def test_the_family_makes_the_presets() -> None:
    made = TINYNET.configured({"width": 0.51, "depth": 0.6, "resolution": 106})
    names = [(n, v.shape) for n, v in made.build(1000).state_dict().items()]
    assert names == [(n, v.shape) for n, v in TINYNET_E.build(1000).state_dict().items()]
    assert made.signature(1000) == TINYNET_E.signature(1000)


@pytest.fixture(scope="module")
def timm_shapes() -> dict[str, dict[str, list[int]]]:
    """Names and shapes of timm 1.0.31's state dicts, by its own name of the model."""
    path = Path(os.environ.get("TINYML_DATA", "")) / "timm_tinynet_keys.json"
    if not path.is_file():
        pytest.skip("TINYML_DATA has no timm_tinynet_keys.json")
    shapes: dict[str, dict[str, list[int]]] = json.loads(path.read_text())
    return shapes


@pytest.mark.parametrize("letter", "abcde")
def test_timms_names_and_shapes_are_ours(
    timm_shapes: dict[str, dict[str, list[int]]], letter: str
) -> None:
    shapes = timm_shapes[f"tinynet_{letter}"]
    names = from_timm(shapes)
    entry: ModelEntry = registry.load("model", f"tinynet-{letter}")
    ours = {name: list(value.shape) for name, value in entry.build(1000).state_dict().items()}
    assert {names[name]: shape for name, shape in shapes.items()} == ours


def timm_dict(entry: ModelEntry, seed: int = 0) -> dict[str, Tensor]:
    """Random weights of ``entry`` in timm's names: what `from_timm` undoes."""
    torch.manual_seed(seed)
    state = entry.build(5).state_dict()
    given = {}
    for name, value in state.items():
        if "running_var" in name or name.endswith("norm.weight"):
            value = torch.rand_like(value) + 0.5
        elif name.endswith(("running_mean", "bias")):
            value = 0.3 * torch.randn_like(value)
        given[_in_timm(name)] = value
    assert from_timm(given) == {_in_timm(name): name for name in state}
    return given


def _in_timm(name: str) -> str:
    outside = {"stem.conv": "conv_stem", "stem.norm": "bn1", "top.conv": "conv_head"}
    outside |= {"top.norm": "bn2", "head.linear": "classifier"}
    layer, _, tensor = name.rpartition(".")
    if layer in outside:
        return f"{outside[layer]}.{tensor}"
    stage, block, inside = layer.split(".", 2)
    first = stage == "stage1"
    inside = {
        "expand.conv": "conv_pw",
        "expand.norm": "bn1",
        "depthwise.conv": "conv_dw",
        "depthwise.norm": "bn1" if first else "bn2",
        "squeeze.reduce": "se.conv_reduce",
        "squeeze.expand": "se.conv_expand",
        "project.conv": "conv_pw" if first else "conv_pwl",
        "project.norm": "bn2" if first else "bn3",
    }[inside]
    return f"blocks.{int(stage.removeprefix('stage')) - 1}.{block}.{inside}.{tensor}"


def timm_forward(weights: dict[str, Tensor], image: Tensor) -> Tensor:
    """What timm computes, from its names alone: strides are B0's, the rest is in the shapes."""

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight, bias = weights[f"{name}.weight"], weights.get(f"{name}.bias")
        groups = x.shape[1] // weight.shape[1]
        return F.conv2d(x, weight, bias, stride, weight.shape[2] // 2, groups=groups)

    def norm(name: str, x: Tensor) -> Tensor:
        keys = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(weights[f"{name}.{key}"] for key in keys), eps=1e-5)

    def gate(name: str, x: Tensor) -> Tensor:
        inside = F.silu(conv(f"{name}.conv_reduce", x.mean((2, 3), keepdim=True)))
        return x * conv(f"{name}.conv_expand", inside).sigmoid()

    x = F.silu(norm("bn1", conv("conv_stem", image, 2)))
    for block in dict.fromkeys(n.rsplit(".conv_dw", 1)[0] for n in weights if ".conv_dw." in n):
        _, group, position = block.split(".")
        stride = (1, 2, 2, 2, 1, 2, 1)[int(group)] if position == "0" else 1
        kept, norms = x, iter(f"{block}.bn{n}" for n in (1, 2, 3))
        if f"{block}.conv_pwl.weight" in weights:
            x = F.silu(norm(next(norms), conv(f"{block}.conv_pw", x)))
        x = F.silu(norm(next(norms), conv(f"{block}.conv_dw", x, stride)))
        x = gate(f"{block}.se", x)
        last = "conv_pwl" if f"{block}.conv_pwl.weight" in weights else "conv_pw"
        x = norm(next(norms), conv(f"{block}.{last}", x))
        x = x + kept if x.shape == kept.shape else x
    x = F.silu(norm("bn2", conv("conv_head", x))).mean((2, 3))
    return F.linear(x, weights["classifier.weight"], weights["classifier.bias"])


@pytest.mark.parametrize(
    "entry", [TINYNET_E, TINYNET_D, EFFICIENTNET_B1], ids=lambda entry: entry.name
)
def test_a_network_computes_what_timms_does(entry: ModelEntry, tmp_path: Path) -> None:
    weights = timm_dict(entry)
    save_file(weights, tmp_path / "w.safetensors")
    module = entry.build(5).eval()
    load_weights(module, tmp_path / "w.safetensors", rename=entry.rename)
    image = torch.randn(2, 3, entry.processor.side - 1, 64)
    with torch.no_grad():
        got, want = module.classify(image), timm_forward(weights, image)
    assert want.std() > 1e-3
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4 * want.abs().max().item())


def test_a_dict_of_another_variant_is_one_line(tmp_path: Path) -> None:
    save_file(timm_dict(TINYNET_A), tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError) as caught:
        load_weights(TINYNET_E.build(5), tmp_path / "a.safetensors", rename=from_timm)
    assert "other shapes (stage" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 3


def test_our_own_names_are_left_alone(tmp_path: Path) -> None:
    assert from_timm(TINYNET_E.build(2).state_dict()) == {}
    other = TINYNET_E.build(5)
    save_file(other.state_dict(), tmp_path / "ours.safetensors")
    module = TINYNET_E.build(5)
    load_weights(module, tmp_path / "ours.safetensors", rename=from_timm)
    assert torch.equal(module.top.conv.weight, other.top.conv.weight)


def test_a_name_that_timm_does_not_have_is_complained_of() -> None:
    names = from_timm(["conv_stem.weight", "blocks.0.0.attention.weight", "extra.bias"])
    assert names["blocks.0.0.attention.weight"] == "blocks.0.0.attention.weight"
    assert names["extra.bias"] == "extra.bias"


def test_depth_is_rounded_up_by_one_rule_and_to_the_nearest_by_the_other() -> None:
    by_efficientnet = EFFICIENTNET_B0.configured({"depth": 1.1, "width": 0.5}).build(2)
    by_tinynet = TINYNET.configured({"depth": 1.1, "width": 0.5}).build(2)
    assert (len(by_efficientnet.stage6), len(by_tinynet.stage6)) == (5, 4)
    assert (by_efficientnet.stem.conv.out_channels, by_tinynet.stem.conv.out_channels) == (16, 32)
    assert (by_efficientnet.top.conv.out_channels, by_tinynet.top.conv.out_channels) == (640, 1280)
