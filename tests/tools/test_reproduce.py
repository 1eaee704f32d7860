"""The claims' machinery: lengths, intervals, jobs that continue (`make rehearse` runs them)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "tools" / "reproduce"
NAMES = ("intervals", "length", "jobs", "claim", "page")


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, ModuleType]]:
    sys.path.insert(0, str(FOLDER))
    try:
        yield {name: importlib.import_module(name) for name in NAMES}
    finally:
        sys.path.remove(str(FOLDER))
        for name in NAMES:
            sys.modules.pop(name, None)


def test_an_interval_is_students_over_the_seeds(modules: Any) -> None:
    found = modules["intervals"].mean([0.8, 0.82, 0.84])
    assert found.value == pytest.approx(0.82)
    assert found.half == pytest.approx(4.302653 * 0.02 / 3**0.5, rel=1e-5)
    assert modules["intervals"].mean([0.8]).half is None


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ([0.9, 0.91, 0.92], [0.5, 0.51, 0.52], "holds"),
        ([0.5, 0.51, 0.52], [0.9, 0.91, 0.92], "does not hold: the opposite"),
        ([0.5, 0.9], [0.6, 0.7], "not decided: the interval holds zero"),
        ([0.9], [0.1], "not decided: the interval holds zero"),
    ],
)
def test_a_verdict_needs_an_interval_away_from_zero(
    modules: Any, ours: list[float], theirs: list[float], words: str
) -> None:
    intervals = modules["intervals"]
    assert intervals.verdict(intervals.difference(ours, theirs)) == words


def test_a_budget_buys_seeds_first_and_its_plan_stays(modules: Any, tmp_path: Path) -> None:
    length = modules["length"]
    cost = length.Cost(epoch_s=60.0, epochs=10, least_seeds=2, most_seeds=5)
    plan = length.planned(tmp_path / "a", 30 / length.os.cpu_count(), cost, "mnist", 0)
    assert (plan.seeds, plan.epochs, plan.short) == (3, 10, False)
    short = length.planned(tmp_path / "b", 8 / length.os.cpu_count(), cost, "mnist", 0)
    assert (short.seeds, short.epochs, short.short) == (2, 4, True)
    rehearsal = length.planned(tmp_path / "c", 0.01, cost, "mnist", 0)
    assert (rehearsal.seeds, rehearsal.epochs, rehearsal.per_class) == (1, 2, 100)
    assert rehearsal.short
    assert length.planned(tmp_path / "a", 999.0, cost, "other", 7) == plan


def test_a_recipe_that_a_claim_writes_is_one_that_tinyml_reads(
    modules: Any, tmp_path: Path
) -> None:
    from tinyml.core import recipe

    plan = modules["length"].Length(1.0, 2, 2, 7, 50, "shapes", 7)
    path = modules["claim"].recipe(
        tmp_path,
        model="resnet-20",
        seed=3,
        length=plan,
        train={"learning_rate": 1.2e-3, "flip": True},
        architecture={"width": 0.5},
        prune={"method": "gradual", "sparsity": 0.9},
    )
    read = recipe.read(path)
    assert (read.model, read.seed, read.train.epochs) == ("resnet-20", 3, 7)
    assert read.data.options == {"limit": 50}
    assert read.prune.method == "gradual"
    assert read.train.flip is True


def test_jobs_wait_for_what_they_need_and_finished_ones_are_not_repeated(
    modules: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = modules["jobs"]
    order: list[str] = []

    class Done:
        returncode = 0

        def poll(self) -> int:
            return 0

    def start(job: Any) -> Done:
        order.append(job.out.name)
        job.out.mkdir()
        (job.out / "checkpoint.safetensors").touch()
        return Done()

    monkeypatch.setattr(jobs, "_start", start)
    first = jobs.Job(tmp_path / "first", ("train", "r"))
    second = jobs.Job(tmp_path / "second", ("prune", "x"), needs=(first.out,))
    third = jobs.Job(tmp_path / "third", ("prune", "y"), needs=(second.out,))
    jobs.run_all([third, second, first], 2, 1.0)
    assert order == ["first", "second", "third"]
    jobs.run_all([third, second, first], 2, 1.0)
    assert order == ["first", "second", "third"]


def test_a_failed_job_ends_the_run_with_its_command_and_log(modules: Any, tmp_path: Path) -> None:
    jobs = modules["jobs"]
    job = jobs.Job(tmp_path / "runs" / "bad", ("train", "no-such-recipe"))
    with pytest.raises(SystemExit, match=r"failed \(3\): tinyml train no-such-recipe"):
        jobs.run_all([job], 1, 1.0)
    assert "no recipe at no-such-recipe" in (tmp_path / "runs" / "bad.log").read_text()
