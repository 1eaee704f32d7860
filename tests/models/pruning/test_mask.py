"""Masks are exact in count, and blocks share one fate."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tinyml.core import registry
from tinyml.core.errors import InputError, RecipeError, UsageError
from tinyml.core.recipe import PruneRecipe
from tinyml.models.protocol import LayerSparsity
from tinyml.models.pruning.gradual import GRADUAL
from tinyml.models.pruning.layers import PrunedLayer, PrunedLayers, choose_layers
from tinyml.models.pruning.mask import apply, block_scores, expand, lowest, random_like, sparsity
from tinyml.models.pruning.plan import plan_pruning


@given(
    share=st.floats(0.0, 1.0),
    block=st.sampled_from([1, 2, 4]),
    axis=st.sampled_from(["output", "input"]),
    seed=st.integers(0, 99),
)
def test_a_layers_zeros_are_exactly_the_lowest_blocks(
    share: float, block: int, axis: str, seed: int
) -> None:
    scores = torch.rand(8, 12, 1, 1, generator=torch.Generator().manual_seed(seed))
    layers = PrunedLayers((PrunedLayer("w", share, block, axis),))
    mask = layers.masks({"w": scores}, 1.0)["w"]
    blocks = 96 // block
    assert int((~mask).sum()) == round(share * blocks) * block
    ahead = block_scores(scores, block, axis)
    kept = block_scores(mask.float(), block, axis) > 0
    if kept.any() and not kept.all():
        assert ahead[~kept].max() <= ahead[kept].min()
    assert torch.equal(expand(kept, block, axis), mask)


def test_a_block_is_scored_by_its_norm() -> None:
    weight = torch.tensor([[3.0, 1.0], [4.0, 0.0]])
    assert block_scores(weight, 2, "output").tolist() == [[5.0, 1.0]]
    assert block_scores(weight, 2, "input")[:, 0].tolist() == pytest.approx([10**0.5, 4.0])


def test_equal_scores_still_give_the_exact_count() -> None:
    kept = lowest([torch.ones(5), torch.ones(5)], 7)
    assert sum(int(part.sum()) for part in kept) == 3


def test_global_scope_ranks_all_layers_together() -> None:
    scores = {"a": torch.full((4, 4), 0.1), "b": torch.full((4, 4), 9.0)}
    both = (PrunedLayer("a", 0.5), PrunedLayer("b", 0.5))
    together = PrunedLayers(both, "global").masks(scores, 1.0)
    assert not together["a"].any()
    assert together["b"].all()
    apart = PrunedLayers(both, "layer").masks(scores, 1.0)
    assert apart["a"].sum() == apart["b"].sum() == 8


def test_a_random_mask_keeps_counts_and_blocks() -> None:
    scores = torch.rand(16, 6, generator=torch.Generator().manual_seed(1))
    mask = PrunedLayers((PrunedLayer("w", 0.75, 4, "output"),)).masks({"w": scores}, 1.0)["w"]
    other = random_like({"w": mask}, 4, "output", seed=3)["w"]
    assert other.sum() == mask.sum()
    assert not torch.equal(other, mask)
    assert torch.equal(expand(other[::4], 4, "output"), other)


def test_masked_weights_are_exact_zeros_and_the_rest_untouched() -> None:
    weight = torch.randn(4, 4)
    before, mask = weight.clone(), torch.rand(4, 4) > 0.5
    apply({"w": mask}, {"w": weight})
    assert torch.equal(weight[mask], before[mask])
    assert (weight[~mask] == 0).all()
    assert sparsity({"w": mask}) == pytest.approx(float((~mask).float().mean()))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8)
        self.pointwise = nn.Conv2d(8, 12, 1)
        self.wide = nn.Conv2d(12, 12, 3)
        self.fc = nn.Linear(12, 10)


@pytest.mark.parametrize(
    ("which", "names"),
    [
        ("", ["pointwise"]),
        ("pointwise", ["pointwise"]),
        ("all", ["pointwise", "wide"]),
        ("every", ["stem", "pointwise", "wide", "fc"]),
        ("w*", ["wide"]),
    ],
)
def test_layers_are_chosen_by_kind_or_name_and_depthwise_never(
    which: str, names: list[str]
) -> None:
    chosen = choose_layers(Net(), PruneRecipe("gradual", 0.5, layers=which), "pointwise")
    assert [layer.weight for layer in chosen.layers] == [f"{name}.weight" for name in names]


def test_a_presets_own_shares_and_blocks_hold_unless_a_sparsity_is_asked_for() -> None:
    preset = (LayerSparsity("wide", 0.75, 4), LayerSparsity("*", 0.0))
    own = choose_layers(Net(), PruneRecipe("gradual"), "pointwise", preset)
    assert own.layers == (PrunedLayer("wide.weight", 0.75, 4),)
    asked = choose_layers(Net(), PruneRecipe("gradual", 0.5), "pointwise", preset)
    assert asked.layers == (PrunedLayer("pointwise.weight", 0.5),)


@pytest.mark.parametrize(
    "more", [{"block": 4}, {"layers": "wide"}, {"scope": "global"}, {"block_axis": "input"}]
)
def test_options_that_a_preset_settles_are_refused(more: dict[str, Any]) -> None:
    preset = (LayerSparsity("wide", 0.75, 4),)
    with pytest.raises(RecipeError, match="is set by the sparse preset"):
        choose_layers(Net(), PruneRecipe("gradual", **more), "pointwise", preset)


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        (PruneRecipe("gradual", 1.0), RecipeError, "sparsity is 1"),
        (PruneRecipe("gradual", 0.0), RecipeError, "sparsity is 0"),
        (PruneRecipe("gradual", -0.5), RecipeError, "sparsity is -0.5"),
        (PruneRecipe("gradual", 0.5, block=4, layers="fc"), InputError, "10 output channels"),
        (PruneRecipe("gradual", 0.5, block=3), InputError, "block of 3"),
        (PruneRecipe("gradual", 0.5, block_axis="rows"), InputError, "along the rows"),
        (PruneRecipe("gradual", 0.5, layers="nothing*"), InputError, "no layer to prune"),
        (PruneRecipe("gradual", 0.5, scope="world"), RecipeError, "scope 'world'"),
        (PruneRecipe("gradul", 0.5), UsageError, "unknown pruning method 'gradul'"),
        (PruneRecipe("gradual", 0.5, begin=0.8, end=0.2), RecipeError, "begin before end"),
        (PruneRecipe("gradual", 0.5, control="reinit"), RecipeError, "for the lottery"),
        (PruneRecipe("lottery", 0.5, control="magic"), RecipeError, "'magic' is none of"),
        (PruneRecipe("lottery", 0.5, rate=1.0), RecipeError, "rate is 1"),
        (PruneRecipe("lottery"), RecipeError, "sparsity is missing"),
        (PruneRecipe("gradual", 0.5, every=0), RecipeError, "every is at least 1"),
        (PruneRecipe("gradual", 0.5, initial=0.7), RecipeError, "initial is 0.7"),
        (PruneRecipe("lottery", 0.5, initial=1.0), RecipeError, "initial is 1"),
    ],
)
def test_what_cannot_be_pruned_is_refused_in_one_line(
    asked: PruneRecipe, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words.replace("*", r"\*")) as caught:
        plan_pruning(Net(), asked, registry.load("pruning method", asked.method))
    assert "\n" not in str(caught.value)


def test_a_model_without_pointwise_layers_is_refused_with_the_cure() -> None:
    with pytest.raises(InputError, match="no layer to prune") as caught:
        plan_pruning(
            nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)), PruneRecipe("gradual", 0.5), GRADUAL
        )
    assert "--layers" in caught.value.hint


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_masked_becomes_zero_to_the_bit_and_the_rest_stays(dtype: torch.dtype) -> None:
    weights = torch.tensor([[1.5, -2.0, float("nan")], [-0.0, float("-inf"), -3.0]], dtype=dtype)
    mask = torch.tensor([[True, False, False], [False, False, True]])
    apply({"w": mask}, {"w": weights})
    assert weights.tolist() == [[1.5, 0.0, 0.0], [0.0, 0.0, -3.0]]
    assert not torch.signbit(weights[~mask]).any()
