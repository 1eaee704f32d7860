from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tinyml.core import recipe
from tinyml.core.errors import RecipeError
from tinyml.core.typed_json import from_json, to_json

GOOD = """\
model = "funnelnet"

[data]
set = "synthetic"
options = { persons = 8 }

[train]
epochs = 3
class_weights = [5, 3, 1]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_is_read_and_survives_json(tmp_path: Path) -> None:
    read = recipe.read(write(tmp_path, GOOD))
    assert (read.name, read.model, read.train.epochs) == ("mine", "funnelnet", 3)
    assert read.data.options == {"persons": 8}
    assert from_json(recipe.Recipe, to_json(read)) == read


def test_the_id_changes_with_anything_in_it(tmp_path: Path) -> None:
    read = recipe.read(write(tmp_path, GOOD))
    assert read.id == recipe.read(write(tmp_path, GOOD)).id
    assert read.id != replace(read, seed=1).id
    assert read.id != replace(read, train=replace(read.train, epochs=4)).id


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (("epochs = 3", "epoch = 3"), r"mine\.toml:8: \[train\] has no key 'epoch'", "'epochs'"),
        (("[train]", "[trian]"), r"mine\.toml:7: has no key 'trian'", "'train'"),
        (("model =", "modle ="), r"mine\.toml:1: has no key 'modle'", "'model'"),
        (("epochs = 3", 'epochs = "3"'), r"mine\.toml:8: 'epochs' is '3'", ""),
        (("epochs = 3", "epochs = true"), r"mine\.toml:8: 'epochs' is True", ""),
        (("[5, 3, 1]", "5"), r"mine\.toml:9: 'class_weights' is a list", ""),
        (('model = "funnelnet"', "data = 3"), r"mine\.toml", ""),
        (("[data]", "[data"), "mine.toml", "a recipe is a TOML file"),
        (('model = "funnelnet"\n', ""), "a key is missing: 'model'", "write model ="),
    ],
)
def test_a_wrong_key_is_named_with_line_and_remedy(
    tmp_path: Path, change: tuple[str, str], message: str, hint: str
) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        recipe.read(write(tmp_path, GOOD.replace(*change)))
    assert hint in caught.value.hint


def test_shipped_recipes_are_found_by_name_and_others_are_listed() -> None:
    for name in recipe.shipped():
        assert recipe.read(Path(name)).name == name
    with pytest.raises(RecipeError) as caught:
        recipe.read(Path("sinthetic"))
    assert "synthetic" in caught.value.hint
