"""The options of an export are declared once: recipe, command line and `build_bundle` take them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tinyml.cli import device, export
from tinyml.cli.main import VERBS, app
from tinyml.cli.settings import (
    OFF,
    PanelCommand,
    chosen,
    parameters,
    switched_off,
    with_flags,
)
from tinyml.core import recipe
from tinyml.core.errors import RecipeError
from tinyml.core.export_job import ExportJob
from tinyml.core.export_settings import RANGES, ExportSettings
from tinyml.core.registry import FORMATS, PRECISIONS
from tinyml.core.settings import (
    check,
    complete,
    flag_of,
    from_table,
    setting,
    settings_of,
    to_table,
)
from tinyml.export.quantization.ranges import METHODS
from tinyml.pipeline.build import build_bundle

NAMES = set(settings_of(ExportSettings))


@dataclass(frozen=True, slots=True, kw_only=True)
class More(ExportSettings):
    """The settings with one more, which nothing else names."""

    stage_depth: int = setting("How deep.", 2, minimum=1, panel="Depth", metavar="LEVELS")

    def __post_init__(self) -> None:
        check(self)


def invoke(*arguments: str) -> tuple[str, dict[str, Any]]:
    """A command with the options of `More`: its output, and what it was called with."""
    called: dict[str, Any] = {}

    def command(**options: Any) -> None:
        called.update(chosen(More, options), unset=switched_off(More, options))

    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        parameters(More, can_be_off=[More])
    )
    own = typer.Typer(add_completion=False, rich_markup_mode=None)
    own.command(cls=PanelCommand)(command)
    done = CliRunner().invoke(own, list(arguments))
    return done.output, called


def test_recipe_command_line_and_function_take_the_same_names() -> None:
    chosen = ExportSettings(formats=("onnx",))
    of_recipe = recipe.Recipe("r", "m", export=complete(chosen)).export
    assert {own.name for own in fields(of_recipe)} == NAMES
    table = to_table(of_recipe)
    assert set(table) == NAMES - {"metric_direction", "metric_tolerance", "memory_mb"}
    assert from_table(ExportSettings, table, str) == of_recipe
    of_command = set(inspect.signature(export.command).parameters)
    of_call = set(settings_of(ExportJob)) | {"model", "report_file", "as_json"}
    assert of_command == NAMES | {OFF + name for name in NAMES} | of_call
    in_memory = set(inspect.signature(build_bundle).parameters)
    of_module = {"module", "sample_inputs", "name", "report"}
    of_files = set(settings_of(ExportJob)) - {"sample", "weights", "recipe"}
    assert in_memory == NAMES | of_module | of_files


def test_every_option_of_the_command_line_is_the_settings_flag() -> None:
    shown = CliRunner().invoke(app, ["export", "--help"], env={"COLUMNS": "80"}).output
    for kind in (ExportSettings, ExportJob):
        for name, own in settings_of(kind).items():
            assert f"\n  {flag_of(name, own)}" in shown
    assert "`" not in shown
    headings = [line for line in shown.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings[:3] == ["Arguments:", "Options:", "Quantization:"]
    assert "--no-NAME switches off" in shown


@pytest.mark.parametrize("verb", [*VERBS, "device", *(f"device {own}" for own in device.VERBS)])
def test_help_fits_80_columns(verb: str) -> None:
    shown = CliRunner().invoke(app, [*verb.split(), "--help"], env={"COLUMNS": "80"}).output
    assert [line for line in shown.splitlines() if len(line) > 80] == []


def test_a_refused_setting_of_a_recipe_is_taken_back(tmp_path: Path) -> None:
    path, sample = tmp_path / "r.toml", tmp_path / "s.npz"
    path.write_text('model = "net"\n[export]\nwithout_data = true\n')
    places = ["--target", "rpi", "--out", str(tmp_path / "o"), "--sample", str(sample)]
    asked = ["export", "net.py:build", *places, "--recipe", str(path)]
    done = CliRunner().invoke(app, asked)
    assert done.output == (
        "error: --without-data is for a checkpoint; 'net.py:build' is not one\n"
        "hint: take back what the recipe sets: --no-without-data\n"
    )
    assert "needs" not in done.output
    assert "'net.py:build' is" not in CliRunner().invoke(app, [*asked, "--no-without-data"]).output


def test_one_more_field_is_an_option_a_recipes_key_and_a_checked_value() -> None:
    shown, _ = invoke("--help")
    assert "Depth:\n  --stage-depth LEVELS  How deep. Default: 2.\n" in shown
    assert invoke("--stage-depth", "3")[1] == {"stage_depth": 3, "unset": ()}
    assert invoke("--no-stage-depth", "--no-equalize")[1] == {"unset": ("equalize", "stage_depth")}
    read = from_table(More, {"stage_depth": 4, "ranges": "mse"}, lambda key: f"r.toml: {key}")
    assert (read.stage_depth, complete(read).precision) == (4, "fp32")
    with pytest.raises(RecipeError, match=r"r.toml: stage_depth: `stage_depth` is 0: it takes 1"):
        from_table(More, {"stage_depth": 0}, lambda key: f"r.toml: {key}")
    with pytest.raises(RecipeError, match="stage_dept: no setting is called 'stage_dept'"):
        from_table(More, {"stage_dept": 1}, lambda key: key)


def test_lists_are_repeated_or_separated_by_commas() -> None:
    _, called = invoke("--formats", "onnx,tflite", "--keep-float", "a,b", "--keep-float", "c")
    assert called["formats"] == ("onnx", "tflite")
    assert invoke("--formats", "onnx, tflite")[1]["formats"] == ("onnx", "tflite")
    assert called["keep_float"] == ("a,b", "c")


def test_settings_in_messages_become_options() -> None:
    text = "`keep_float` and `io=int8`; `timeout_s=None`, `states`; `tinyml inspect` and `unknown`"
    assert with_flags(text, ExportSettings) == (
        "--keep-float and --io int8; --no-timeout, --state; `tinyml inspect` and `unknown`"
    )


def test_allowed_values_are_those_that_are_implemented() -> None:
    declared = settings_of(ExportSettings)
    assert declared["ranges"].values == RANGES == tuple(METHODS)
    assert set(declared["precision"].values) == set(PRECISIONS)
    assert set(declared["formats"].values) == set(FORMATS)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"equalize": "yes"}, "`equalize` is 'yes': it takes true or false"),
        ({"calibration_samples": True}, "`calibration_samples` is True: it takes a whole number"),
        ({"keep_float": "head"}, "`keep_float` is 'head': it takes a list"),
        ({"keep_float": [1]}, "`keep_float` is 1: it takes a text"),
        ({"timeout_s": float("inf")}, "`timeout_s` is inf"),
        ({"timeout_s": 10**400}, "`timeout_s` is an integer of more than 64 bits"),
        ({"memory_mb": 10**30}, "`memory_mb` is an integer of more than 64 bits"),
        ({"formats": ["onnx", "onxx"]}, "unknown value 'onxx' of `formats`"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_line(
    tmp_path: Path, table: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=r"r.toml:7: ") as caught:
        from_table(ExportSettings, table, lambda key: "r.toml:7")
    assert caught.value.message.removeprefix("r.toml:7: ") == message


def test_a_recipe_is_not_told_of_options(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('model = "net"\n[export]\nranges = "min"\n')
    done = CliRunner().invoke(
        app, ["export", "net:build", "--target", "rpi", "--out", "o", "--recipe", str(path)]
    )
    assert f"error: {path}:3: unknown value 'min' of `ranges`\n" in done.output
    assert done.exit_code == 3


def test_the_command_line_names_options_in_errors() -> None:
    asked = ["export", "net:build", "--target", "rpi", "--out", "o", "--timeout", "0"]
    done = CliRunner().invoke(app, asked)
    assert "error: --timeout is 0: it takes 1 or more\n" in done.output
    assert done.exit_code == 2
