"""Recipes of exports: keys for integers, what auto-precision found, ids that stay."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyml.core import recipe as recipes
from tinyml.core.cpu_features import instruction_set
from tinyml.core.errors import RecipeError, UsageError
from tinyml.core.export_job import ExportJob, export_job
from tinyml.core.export_settings import ExportSettings
from tinyml.core.recipe import Recipe
from tinyml.core.settings import complete, given
from tinyml.pipeline.model_sources.choose import settings_over
from tinyml.pipeline.model_sources.user_model import Asked, FactorySource
from tinyml.pipeline.steps.export_plan import ExportPlan, checked
from tinyml.pipeline.steps.found_recipe import recipe_file, save_found, toml

FOUND = ExportSettings(
    formats=("tflite",),
    precision="w8a8-static",
    sparse="off",
    io="int8",
    ranges="entropy",
    calibration_samples=7,
    keep_float=("layer.0", 'odd "name" \\ é'),
    weight_scales="per-tensor",
    equalize=True,
    front_end="int8",
    correct_bias=True,
)


SAMPLE = {"x": np.zeros(2, np.float32)}


def source() -> FactorySource:
    """A factory that nobody calls."""
    return FactorySource("net:build", Asked(sample=SAMPLE))


def job(tmp_path: Path, **asked: object) -> ExportJob:
    """An export of it."""
    return export_job("net:build", "rpi", tmp_path / "out", **asked)


def planned(job: ExportJob) -> ExportPlan:
    """Its plan."""
    return checked(job, source(), settings_over(job, ExportSettings()))


def test_a_found_recipe_reads_back_as_it_was(tmp_path: Path) -> None:
    path = recipe_file(tmp_path / "out")
    assert path == tmp_path / "out.recipe.toml"
    path.write_text(toml("net", FOUND))
    read = recipes.read(path)
    assert (read.model, read.export) == ("net", FOUND)


def test_a_recipes_export_is_taken_and_options_go_before(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(toml("net", FOUND))
    samples = tmp_path / "samples.npz"
    np.savez(samples, x=np.zeros((3, 2), np.float32))
    given_too = {"calibration": samples}
    taken = planned(job(tmp_path, recipe=path, **given_too))
    assert taken.formats == ("tflite",)
    assert taken.settings == complete(FOUND)
    options = {"ranges": "mse", "calibration_samples": 9, "keep_float": ("head",), "io": "float"}
    over = planned(job(tmp_path, recipe=path, **given_too, **options)).settings
    assert over == replace(complete(FOUND), **options)
    scales = planned(job(tmp_path, recipe=path, **given_too, weight_scales="per-channel"))
    assert scales.settings == replace(complete(FOUND), weight_scales="per-channel")


def test_every_setting_of_a_recipe_can_be_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(toml("net", FOUND))
    names = tuple(given(FOUND))
    assert settings_over(job(tmp_path, recipe=path, unset=names), FOUND) == ExportSettings()
    both = job(tmp_path, recipe=path, unset=("io",), io="float")
    with pytest.raises(UsageError, match="`io` and `io=None` exclude each other"):
        settings_over(both, FOUND)


@pytest.mark.parametrize("option", [{"correct_bias": True}, {"rounding": "adaptive"}])
def test_a_search_leaves_all_that_it_was_given_in_its_recipe(
    tmp_path: Path, option: dict[str, Any]
) -> None:
    asked = {"equalize": True, "weight_scales": "per-tensor", "precision": "w8a8-static", **option}
    plan = planned(job(tmp_path, auto_precision=True, max_drop_points=1.0, **asked))
    again = planned(job(tmp_path, recipe=save_found(plan, ("head",))))
    formats = ("onnx", "tflite")
    asked |= {"keep_float": ("head",), "formats": formats}
    assert again.settings == complete(ExportSettings(**asked))


def test_a_key_of_the_wrong_type_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('model = "net"\n[export]\ncalibration_samples = "many"\n')
    with pytest.raises(RecipeError, match=r"r.toml:3: `calibration_samples` is 'many'"):
        planned(job(tmp_path, recipe=path))


def test_new_keys_change_a_recipes_id_only_where_they_are_used() -> None:
    plain = Recipe("r", "funnelnet")
    assert plain.id == "6c7b5a36158418e5"
    assert replace(plain, export=replace(plain.export, ranges="mse")).id != plain.id
    assert replace(plain, export=replace(plain.export, keep_float=("a",))).id != plain.id


def test_the_instruction_set_names_what_kernels_are_chosen_by(tmp_path: Path) -> None:
    machine = platform.machine()
    (tmp_path / "x86").write_text("processor : 0\nflags\t\t: fpu avx2 fma avx512_vnni rdtscp\n")
    assert instruction_set(tmp_path / "x86") == f"{machine} avx2 avx512_vnni fma"
    (tmp_path / "arm").write_text("Features\t: fp asimd asimddp crc32\n")
    assert instruction_set(tmp_path / "arm") == f"{machine} asimd asimddp"
    assert instruction_set(tmp_path / "nowhere") == machine
    assert instruction_set().startswith(machine)
