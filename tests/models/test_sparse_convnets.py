"""Which layers of a sparse preset get zeros, in which blocks, and what is left."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tinyml.core import registry
from tinyml.models.cost import count_parameters
from tinyml.models.protocol import LayerSparsity, ModelEntry
from tinyml.models.sparsity import count_nonzero, count_zeros, rule_for, sparse_layers

PRESETS = [name for name in registry.MODELS if "sparse" in name]
SHARES = {"sparse90": 0.90, "sparse85": 0.85, "sparse80": 0.80}


def layers(name: str) -> tuple[nn.Module, dict[str, LayerSparsity]]:
    entry: ModelEntry = registry.load("model", name)
    with torch.device("meta"):
        module: nn.Module = entry.build(1000)
    return module, sparse_layers(module, entry.sparsity)


def test_every_row_of_the_papers_table_is_a_preset() -> None:
    rows = [f"mbv1-{w}-sparse90" for w in ("0.75", "1.0", "1.4")]
    rows += [f"mbv2-{w}-sparse85" for w in ("0.8", "1.15", "1.4", "2.0")]
    assert [*rows, "efficientnet-b0-sparse80", "efficientnet-b1-sparse85"] == PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_zeros_are_in_every_1x1_convolution_of_the_trunk_alone(name: str) -> None:
    module, sparse = layers(name)
    pointwise = {
        n
        for n, layer in module.named_modules()
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and "squeeze" not in n
    }
    last = {"head.linear"} if name.startswith("efficientnet") else set()
    assert set(sparse) == pointwise | last
    assert {rule.share for rule in sparse.values()} == {SHARES[name.rpartition("-")[2]]}


@pytest.mark.parametrize("name", PRESETS)
def test_blocks_divide_the_output_channels(name: str) -> None:
    module, sparse = layers(name)
    for layer, rule in sparse.items():
        assert module.get_parameter(f"{layer}.weight").shape[0] % rule.block == 0


def test_blocks_are_where_the_paper_has_them() -> None:
    _, v1 = layers("mbv1-1.0-sparse90")
    assert {n for n, rule in v1.items() if rule.block == 4} == {"stage5.1.pointwise.conv"}
    assert {rule.block for rule in v1.values()} == {1, 4}
    _, v2 = layers("mbv2-1.4-sparse85")
    by_block = [rule.block for n, rule in v2.items() if n.endswith("project.conv")]
    assert by_block == [1] * 10 + [2] * 7
    assert v2["top.conv"].block == 2


def test_nonzero_is_counted_from_the_rules() -> None:
    entry: ModelEntry = registry.load("model", "mbv1-1.0-sparse90")
    module = entry.build(1000)
    zeros = 0
    for name, rule in sparse_layers(module, entry.sparsity).items():
        weight = module.get_parameter(f"{name}.weight").detach()
        rows = weight.flatten(1).view(weight.shape[0] // rule.block, rule.block, -1)
        count = count_zeros(weight.numel(), rule) // rule.block
        mask = torch.ones(rows.shape[0] * rows.shape[2])
        mask[:count] = 0
        rows.mul_(mask.view(rows.shape[0], 1, rows.shape[2]))
        zeros += int((weight == 0).sum())
    assert count_nonzero(module, entry.sparsity) == count_parameters(module) - zeros
    dense = sum(p.numel() for n, p in module.named_parameters() if ".pointwise.conv" not in n)
    left = count_nonzero(module, entry.sparsity) - dense
    assert left == pytest.approx(0.1 * (count_parameters(module) - dense), abs=20)


def test_the_first_rule_that_matches_holds() -> None:
    rules = (LayerSparsity("a.1", 0.9, 4), LayerSparsity("a.*", 0.8))
    assert rule_for("a.1", rules) is rules[0]
    assert rule_for("a.2", rules) is rules[1]
    assert rule_for("b.1", rules) is None
