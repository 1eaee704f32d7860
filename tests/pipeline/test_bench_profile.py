"""`tinyml bench --profile`: real profilers, the way without one, and one that fails."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from profile_sample import sample_profile
from short_timing import short
from small_files import onnx_model

from tinyml.core.device import THIS_MACHINE, Device
from tinyml.core.errors import DeviceError
from tinyml.core.measurement import WHOLE
from tinyml.core.profile import Profile
from tinyml.device import profile as device_profile
from tinyml.device.link import Link
from tinyml.device.local import LocalLink, open_link
from tinyml.device.measure import Job, JobResult, measure
from tinyml.pipeline import profile as module
from tinyml.pipeline import profile_by_difference
from tinyml.pipeline.bench_jobs import jobs_of
from tinyml.pipeline.devices.links import open_link as open_board
from tinyml.pipeline.profile import profiles, timed_wholes
from tinyml.pipeline.profile_text import profile_section
from tinyml.runtimes.litert import LITERT
from tinyml.runtimes.runner.profile_litert import TESTED

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
PLAN = short(runs=20).plan
# Of FunnelNet and of a MobileNet.
SUBMODULES = {
    "small_bundle": {"filter_bank.octaves.0", "scalogram", "squeeze.0", "logits.linear"},
    "image_bundle": {"stem.conv", "stage1.0.depthwise.conv", "stage5.1.pointwise.conv"},
}


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.onnx"
    path.write_bytes(onnx_model().SerializeToString())
    return path


@pytest.fixture
def link() -> Iterator[LocalLink]:
    with open_link(THIS_MACHINE) as opened:
        yield opened


def profiled(link: Link, what: Path, work: Path, runtime: str) -> Profile:
    """The file of ``what`` that ``runtime`` runs, after one short process."""
    jobs = [job for job in jobs_of(what, work, "rpi").jobs if job.runtime == runtime]
    wholes = [job for job in jobs if job.part == WHOLE]
    timed = timed_wholes(wholes, measure(link, wholes, 1, plan=PLAN))
    found, failed = profiles(link, timed, work, PLAN, lambda *_: None)
    assert failed == []
    (own,) = found
    return own


@pytest.mark.usefixtures("quiet_machine")
@pytest.mark.parametrize("bundle", SUBMODULES)
@pytest.mark.parametrize("runtime", ["onnxruntime", "litert"])
def test_the_time_of_every_submodule_by_the_runtimes_own_profiler(
    bundle: str,
    runtime: str,
    link: LocalLink,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    own = profiled(link, request.getfixturevalue(bundle), tmp_path, runtime)
    assert (own.method, own.runtime, own.clock) == ("profiler", runtime, "wall")
    assert own.profiled_ns is not None
    assert own.unprofiled_ns > 0
    names = [row.name for row in own.modules]
    known = {name.removesuffix(".activation").removesuffix(".conv") for name in names}
    wanted = {name.removesuffix(".conv") for name in SUBMODULES[bundle]}
    assert wanted <= known
    assert not [name for name in names if name[0] == "t" and name[1:].isdecimal()]
    assert sum(map(own.time_share, own.modules)) == pytest.approx(1.0)
    assert sum(own.mac_share(row) or 0.0 for row in own.modules) == pytest.approx(1.0)
    added = sum(row.ns for row in own.modules if row.name == own.added)
    assert added < 0.5 * own.total_ns


def test_the_installed_version_of_litert_has_been_tried() -> None:
    """Its C interface changes: add the version to `TESTED` when this file passes with it."""
    assert LITERT.version() in TESTED


@pytest.mark.usefixtures("quiet_machine")
def test_another_version_of_litert_is_profiled_by_difference(
    small_bundle: Path, link: LocalLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_profile, "TESTED", ("2.1.0",))
    monkeypatch.setattr(profile_by_difference, "REPEATS", 1)
    monkeypatch.setattr(profile_by_difference, "MOST_PARTS", 3)
    own = profiled(link, small_bundle, tmp_path, "litert")
    assert (own.method, own.profiled_ns, len(own.layers)) == ("by difference", None, 3)
    assert own.layers[0].module == "filter_bank to filter_bank.octaves.4"
    assert own.layers[-1].name == "probabilities"
    assert all(layer.error_ns == 0.0 for layer in own.layers)  # of one turn
    assert sum(map(own.time_share, own.modules)) == pytest.approx(1.0)
    assert own.macs == sum(layer.macs or 0 for layer in own.layers)
    section = profile_section(own)
    assert section.head[2] == "+-"
    assert section.lines[1].startswith("by difference: ")


@pytest.mark.usefixtures("quiet_machine")
def test_a_file_without_a_bundle_has_the_names_of_its_operators(
    onnx_file: Path, link: LocalLink, tmp_path: Path
) -> None:
    own = profiled(link, onnx_file, tmp_path, "onnxruntime")
    assert {"conv", "mean", "p"} <= {layer.name for layer in own.layers}
    assert {layer.module for layer in own.layers} == {""}


@pytest.mark.usefixtures("quiet_machine")
def test_a_board_profiles_too(onnx_file: Path, ssh_device: Device, tmp_path: Path) -> None:
    with open_board(ssh_device) as link:
        own = profiled(link, onnx_file, tmp_path, "onnxruntime")
    assert (own.label, own.device) == ("device", ssh_device.name)
    assert own.title.endswith(f" on {ssh_device.name}")
    assert {"conv", "mean", "p"} <= {layer.name for layer in own.layers}


@pytest.mark.usefixtures("without_optional_engines")
def test_a_profiler_that_fails_leaves_the_times(
    onnx_file: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise DeviceError("small.onnx, whole, onnxruntime: was killed by signal 11")

    monkeypatch.setattr(module, "profile_once", fails)
    monkeypatch.setattr("tinyml.cli.bench.timing", lambda *_, **__: short(runs=2))
    done = cli("bench", onnx_file, "--profile")
    assert done.returncode == 4
    assert "onnxruntime  whole" in done.stdout
    assert "error: not profiled: small.onnx, whole, onnxruntime: was killed" in done.stderr
    written = json.loads(Path(f"{onnx_file}.bench.json").read_text())
    assert len(written["measurements"]) >= 1


def test_only_whole_files_that_were_timed_are_profiled() -> None:
    job = Job(Path("m.onnx"), "onnxruntime", {})
    paced = replace(job, plan=short().plan)
    front = replace(job, part="front end")
    results = [JobResult(None)] * 3
    assert timed_wholes([job, paced, front], results) == []


def test_the_table_fits_a_terminal_and_names_what_is_left_out() -> None:
    layer = sample_profile().layers[0]
    many = tuple(replace(layer, module=f"stage{place}.conv") for place in range(30))
    section = profile_section(sample_profile(layers=many))
    assert len(section.rows) == 20
    assert section.lines[-1].startswith("the 20 slowest of 30 submodules")
    first = profile_section(sample_profile()).rows[0]
    assert first == ("stem", "70.0", "70.0%", "25.0%", "#" * 16)
