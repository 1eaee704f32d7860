"""The registered model that a recipe or a checkpoint means, in its architecture."""

from __future__ import annotations

from tinyml.core import registry
from tinyml.core.checkpoint import Checkpoint
from tinyml.core.errors import require
from tinyml.core.recipe import Recipe
from tinyml.models.protocol import ModelEntry


def entry_of(saved: Checkpoint) -> ModelEntry:
    """The model of ``saved`` in the architecture of its recipe; `UsageError`, `RecipeError`."""
    return _configured(saved.model, saved.recipe)


def entry_of_recipe(recipe: Recipe) -> ModelEntry:
    """The model that ``recipe`` trains; `UsageError`, `RecipeError`."""
    return _configured(recipe.model, recipe)


def _configured(name: str, recipe: Recipe) -> ModelEntry:
    if name not in registry.MODELS:
        raise registry.unknown_name("model", name, registry.MODELS)
    require("torch", "torch", "train")
    entry: ModelEntry = registry.load("model", name)
    return entry.configured(recipe.architecture)
