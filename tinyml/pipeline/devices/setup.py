"""Install what bundles need on a board: numpy and its target's runtimes, in an environment there.

The wheels come over the link, so that the board needs no network, and no pip. Run again after an
interruption, it copies only what has not arrived.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tinyml.core.device import Device
from tinyml.core.errors import DeviceError
from tinyml.core.events import Finished, Message, Progress, Report
from tinyml.core.files import sha256
from tinyml.core.target import find_target
from tinyml.device.agent import Agent, push_agent
from tinyml.device.how_it_runs import require_runner
from tinyml.device.link import Link
from tinyml.pipeline.devices.check import DeviceCheck, check_device, judge
from tinyml.pipeline.devices.facts import board_facts
from tinyml.pipeline.devices.inventory import known_device, save_device
from tinyml.pipeline.devices.links import open_link
from tinyml.pipeline.devices.lock import locked
from tinyml.pipeline.devices.problems import FREE_SPACE, BoardProblem, setup_command
from tinyml.pipeline.devices.wheel_files import download_wheels, wheel_key
from tinyml.pipeline.devices.wheels import missing_packages, needed_packages

# Two runtimes and numpy, unpacked next to their wheels.
LEAST_FREE_MB = 400
TIMEOUT_S = 600.0
# Package -> what is imported of it.
MODULES = {
    "numpy": "numpy",
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "onnxruntime": "onnxruntime",
}


def setup_device(name: str, report: Report) -> DeviceCheck:
    """Install what is missing on the device called ``name``, record its Python, and check it.

    Raises `DeviceError` where something else prevents bundles from running there.
    """
    device = known_device(name)
    require_runner(device, "device check --setup")
    python = _install(device, report)
    if python != device.python:
        save_device(replace(device, python=python), replace=True)
    return check_device(name)


def _install(device: Device, report: Report) -> str:
    """The Python to record: the new environment's; where nothing was missing, the one that ran."""
    with open_link(device) as link:
        facts, wrong_python = board_facts(link, device)
        if not wrong_python:
            return _install_over(link, device, judge(link, device, facts), report)
    # The recorded Python is gone: the system's makes the environment anew.
    return _install(replace(device, python=""), report)


def _install_over(link: Link, device: Device, found: DeviceCheck, report: Report) -> str:
    target, facts = find_target(device.target), found.facts
    if not missing_packages(target, facts.packages) and not _fixed_by_setup(found):
        report(Finished(f"{device.name} already has {', '.join(needed_packages(target))}"))
        return device.python
    _require_possible(found)
    wanted = [f"{own}=={version}" if version else own for own, version in found.installable.items()]
    wheels = download_wheels(facts, wanted, report)
    agent = push_agent(link)
    with locked(link, device, "installing", report):
        copy_wheels(agent, wheels, report)
        key = wheel_key(facts, wanted)
        names = [wheel.name for wheel in wheels]
        modules = ",".join(MODULES[package] for package in needed_packages(target))
        report(Message(f"unpacking {len(names)} wheels on {device.name}, and importing them"))
        python: str = agent.call("setup", key, modules, *names, timeout_s=TIMEOUT_S)["python"]
    return python


def _require_possible(found: DeviceCheck) -> None:
    """Raise the first problem that an installation does not fix."""
    fixed = _fixed_by_setup(found)
    others = tuple(own for own in found.problems if own not in fixed)
    replace(found, problems=others).require_ready()
    free_mb = found.facts.disk_free_mb
    if free_mb is not None and free_mb < LEAST_FREE_MB:
        raise DeviceError(
            f"{found.device.name} has {free_mb} MB free in {found.facts.home}: installing takes "
            f"{LEAST_FREE_MB}",
            hint=FREE_SPACE,
        )


def _fixed_by_setup(found: DeviceCheck) -> list[BoardProblem]:
    return [own for own in found.problems if own.fix == setup_command(found.device)]


def copy_wheels(agent: Agent, wheels: Sequence[Path], report: Report) -> None:
    """Copy those wheels that have not arrived; each is kept there as soon as it is whole."""
    there = agent.call("wheels")["wheels"]
    for done, wheel in enumerate(wheels):
        report(Progress("copying wheels", done, len(wheels), wheel.name))
        digest = sha256(wheel)
        if there.get(wheel.name) != digest:
            path = agent.link.push(wheel, wheel.name)
            agent.call("keep-wheel", path, wheel.name, digest)
    report(Progress("copying wheels", len(wheels), len(wheels)))
