"""``tinyml scale``: budgets as people write them, recipes that build, fits with their plot."""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tinyml.core.errors import DataError, UsageError
from tinyml.models.scaling import PUBLISHED
from tinyml.models.tinynet import TINYNET
from tinyml.pipeline.scale import ScaleJob, parse_count, recipe_lines, run

Cli = Callable[..., "CompletedProcess[str]"]


@pytest.mark.parametrize(
    "text",
    ["57M", "57m", "57 M", "57e6", "5.7e7", "57000000", "57_000_000", "57,000,000", "0.057G"],
)
def test_a_count_is_read_as_people_write_it(text: str) -> None:
    assert parse_count(text, "--macs") == 57_000_000


@pytest.mark.parametrize("text", ["", "M", "57MM", "-57M", "fifty", "nan", "1e400", "57 M MACs"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a count"):
        parse_count(text, "--macs")


def test_the_recipe_builds_what_was_counted() -> None:
    found = run(ScaleJob(macs="30M", classes=10))
    recipe = tomllib.loads("\n".join(recipe_lines(found)))
    assert recipe["model"] == TINYNET.name
    entry = TINYNET.configured(recipe["architecture"])
    parameters = sum(p.numel() for p in entry.build(10).parameters())
    assert parameters == found["parameters"]


@pytest.mark.parametrize(
    ("job", "wrong"),
    [
        (ScaleJob(), "give --macs N"),
        (ScaleJob(params="2M", fit=Path("x.csv")), "limits on a budget"),
        (ScaleJob(macs="57M", plot=Path("x.png")), "--plot draws a fit"),
        (ScaleJob(macs="57M", classes=0), "--classes 0"),
        (ScaleJob(fit=Path("nowhere.csv")), "no points at nowhere.csv"),
    ],
)
def test_options_that_do_not_go_together_are_refused(job: ScaleJob, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        run(job)


@pytest.fixture
def points(tmp_path: Path) -> Path:
    """Twelve networks on the published curves, one worse than all."""
    lines = ["resolution,depth,width,accuracy,macs"]
    for n in range(12):
        macs = 20e6 * 1.3**n
        ratio = macs / 385.8e6
        r, d = PUBLISHED.resolution(ratio), PUBLISHED.depth(ratio)
        lines.append(f"{224 * r:.0f},{d:.3f},0.5,{60 + n},{macs:.0f}")
    lines.append("224,2.0,0.2,40,100e6")
    path = tmp_path / "points.csv"
    path.write_text("\n".join(lines))
    return path


def test_a_fit_says_its_evidence_draws_its_band_and_scales(points: Path) -> None:
    found = run(ScaleJob(macs="57M", fit=points))
    assert abs(found["distance"]) <= 0.01
    fitted = found["fit"]
    assert (fitted["points"], len(fitted["frontier"])) == (13, 12)
    assert set(fitted["out_of_fold"]) == {"r", "d"}
    for out_of_fold in fitted["out_of_fold"].values():
        assert out_of_fold["points"] == 12
        assert 8 <= out_of_fold["inside"] <= 12
    assert (points.parent / "points.png").read_bytes().startswith(b"\x89PNG")


def test_a_refused_fit_leaves_no_plot(points: Path) -> None:
    points.write_text("\n".join(points.read_text().splitlines()[:4]))
    with pytest.raises(DataError, match="a fit needs 6"):
        run(ScaleJob(fit=points))
    assert not points.with_suffix(".png").exists()


def test_the_command_prints_a_recipe_or_json_within_five_seconds(
    cli: Cli, cli_process: Cli
) -> None:
    begin = time.monotonic()
    done = cli_process("scale", "--macs", "57e6", "--json")
    took_s = time.monotonic() - begin
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert set(found) >= {"macs", "parameters", "resolution", "depth", "width", "neighbours"}
    assert abs(found["macs"] / 57e6 - 1) <= 0.01
    assert took_s < 5
    talk = cli("scale", "--macs", "57M", "--params", "3M")
    assert tomllib.loads(talk.stdout)["architecture"]["resolution"] == found["resolution"]
    assert "56.88 M MACs (-0.21%)" in talk.stderr


@pytest.mark.parametrize("arguments", [("--macs", "10M"), ("--macs", "57M", "--params", "1M")])
def test_a_budget_that_nothing_has_is_one_line_and_exit_2(
    cli: Cli, arguments: tuple[str, ...]
) -> None:
    done = cli("scale", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]
