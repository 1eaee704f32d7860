"""What there is to time on a board: the files that it can run and computes right.

Whether it can is asked before a file is copied, and outputs are compared before any is timed.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from tinyml.core import bundle as bundles
from tinyml.core.board_facts import BoardFacts
from tinyml.core.bundle import Bundle, ModelFile, StageParity
from tinyml.core.device import THIS_MACHINE, Device
from tinyml.core.errors import DeviceError, TinymlError, ValidationError
from tinyml.core.events import Report
from tinyml.core.target import find_target
from tinyml.core.tolerance import PolicyName
from tinyml.device.agent import push_agent
from tinyml.device.how_it_runs import how_it_runs
from tinyml.device.link import Link
from tinyml.device.link_runtime import LinkRuntime
from tinyml.device.measure import Job
from tinyml.device.runner_command import push_runner
from tinyml.export import parity
from tinyml.pipeline.bench_jobs import JobList, jobs_of, jobs_of_engine
from tinyml.pipeline.checked_bundle import read_checked
from tinyml.pipeline.devices.choose import check_target
from tinyml.pipeline.devices.fits import missing_for, why_not
from tinyml.pipeline.outputs.engines import given_engines, runtime_of
from tinyml.pipeline.outputs.reference import Reference
from tinyml.pipeline.verify_on_link import FileOnLink, error_of, verify_on_link
from tinyml.runtimes.file_read import report_of

SETUP = "tinyml device check {} --setup installs what can be installed"

WRONG = "tinyml verify shows whether it is right here; another version of the runtime there may be"


def check_made_for(what: Path, device: Device) -> None:
    """Raise `DeviceError` for a bundle that was made for another target than ``device`` is.

    And `BundleError` for what is neither a bundle nor a file.
    """
    if not what.is_file():
        check_target(bundles.read(what), device)


def find_jobs(what: Path, work: Path, link: Link, device: Device, report: Report) -> JobList:
    """What there is to time on ``device``, which ``link`` reaches.

    Here, and where no outputs can be had, files are tried in the runtimes of this machine.
    """
    if device.link == THIS_MACHINE.link or how_it_runs(device) != "runner":
        return jobs_of(what, work, device.target)
    return jobs_there(what, work, link, device, report)


def jobs_there(what: Path, work: Path, link: Link, device: Device, report: Report) -> JobList:
    """What there is to time; parts of files are cut into ``work``.

    A file whose outputs are wrong there, or that fails, is among the ``failed`` and not timed.
    Optional engines take no part. Raises `DeviceError` where the board can run no file, and the
    first failure where none is left.
    """
    facts = push_agent(link).facts()
    find = _of_file if what.is_file() else _of_bundle
    found = find(what, work, link, device, facts, report)
    if not found.jobs:
        raise found.failed[0]
    return found


def _of_bundle(
    folder: Path, work: Path, link: Link, device: Device, facts: BoardFacts, report: Report
) -> JobList:
    bundle, expected = read_checked(folder)
    target = find_target(device.target)
    lacking = {
        model.path: line for model in bundle.models if (line := why_not(model, facts, target))
    }
    if len(lacking) == len(bundle.models):
        raise _cannot_run(device, "; ".join(lacking.values()))
    able = [model.path for model in bundle.models if model.path not in lacking]
    wrong = {
        own.path: error
        for own in verify_on_link(link, bundle, expected, report, able)
        if (error := _wrong(own, device)) is not None
    }
    right = tuple(own for own in bundle.models if own.path in able and own.path not in wrong)
    jobs = _jobs(bundle, right, expected, work)
    return JobList(tuple(jobs), tuple(lacking.values()), tuple(wrong.values()))


def _jobs(
    bundle: Bundle, models: tuple[ModelFile, ...], expected: Reference, work: Path
) -> list[Job]:
    inputs = next(iter(expected.inputs.values()))
    engines = [e for e in given_engines(bundle.folder, models) if not e.optional]
    return [job for engine in engines for job in jobs_of_engine(bundle, engine, inputs, work)]


def _wrong(file: FileOnLink, device: Device) -> TinymlError | None:
    """Why ``file`` is not timed, if it is not."""
    error = error_of(file, device.name)
    if isinstance(error, ValidationError):
        return ValidationError(f"{error.message}; it is not timed", hint=WRONG)
    return error


def _of_file(
    file: Path, _work: Path, link: Link, device: Device, facts: BoardFacts, report: Report
) -> JobList:
    """Its outputs are compared with those here."""
    runtime = runtime_of(file)
    if missing := missing_for(runtime.name, facts, find_target(device.target)):
        raise _cannot_run(device, f"{file.name}: {missing}")
    session = runtime.open(file)
    inputs = parity.cases(session.signature, seed=0)["random"]
    wanted = session.run(inputs)
    there = LinkRuntime(runtime, link, push_runner(link), session.signature)
    with closing(there):
        got = there.open(file).run(inputs)
    rows = parity.compare(runtime.name, "random", wanted, got, list(wanted), _policy(file))
    if failed := [row for row in rows if row.verdict == "fail"]:
        raise _other_outputs(file, device, failed[0])
    return JobList((Job(file, runtime.name, inputs),))


def _other_outputs(file: Path, device: Device, row: StageParity) -> ValidationError:
    numbers = "is missing or not finite"
    if row.max_error is not None and row.bound is not None:
        numbers = f"differs by {row.max_error:.3g}, at most {row.bound:.3g} is allowed"
    return ValidationError(
        f"{file.name} computes other outputs on {device.name} than here: '{row.stage}' {numbers}; "
        "it is not timed"
    )


def _policy(file: Path) -> PolicyName:
    """By what a file alone shows: whether any of its layers computes with integers."""
    layers = report_of(file).summary.layers
    return "engine" if all("float" in (own.activation or "float") for own in layers) else "int8"


def _cannot_run(device: Device, why: str) -> DeviceError:
    return DeviceError(f"{device.name} cannot run it: {why}", hint=SETUP.format(device.name))
