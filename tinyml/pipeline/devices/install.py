"""Bundles installed on a device: the version in use changes at once, the one before it is kept."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

from tinyml.core import bundle as bundles
from tinyml.core.board_facts import BoardFacts
from tinyml.core.bundle import Bundle
from tinyml.core.device import Device
from tinyml.core.errors import DeviceError, UsageError, machine_errors
from tinyml.core.events import Finished, Message, Report
from tinyml.core.files import resolved
from tinyml.core.scratch import scratch
from tinyml.core.target import Target, find_target
from tinyml.core.typed_json import from_json
from tinyml.device.agent import Agent, push_agent
from tinyml.pipeline.devices.choose import check_target
from tinyml.pipeline.devices.fits import why_not
from tinyml.pipeline.devices.inventory import NAME, NAME_HINT
from tinyml.pipeline.devices.lock import locked
from tinyml.pipeline.devices.reach import reached
from tinyml.pipeline.devices.service import check_service, restart, start_service

ARCHIVE = "bundle.zip"
TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class InstalledBundle:
    """A bundle on a device: ``current`` and ``previous`` are the first digits of digests.

    installed_s  when ``current`` was unpacked, by the board's clock; in seconds since 1970
    """

    name: str
    current: str
    previous: str
    bytes: int
    installed_s: float | None = None


@dataclass(frozen=True, slots=True)
class Installed:
    """``folder``: where ``bundle`` is there, whichever its version is; ``service``: its unit."""

    folder: str
    bundle: InstalledBundle
    service: str = ""


def install_bundle(
    folder: Path, name: str, report: Report, *, called: str = "", capture: str = ""
) -> Installed:
    """Install the bundle ``folder`` on the device ``name``, as ``called`` or by its folder's name.

    With ``capture``, the command of a recorder, a service listens with it from then on. A service
    that is there already starts anew.

    Raises `ValidationError` for a bundle that is not as it was exported, `DeviceError` for one that
    was made for another target or that nothing there can run, and where the board is in use.
    """
    bundle = bundles.read(folder)
    bundle.check_files()
    if capture:
        check_service(bundle, capture)
    called = called or resolved(folder).name
    if not NAME.fullmatch(called):
        raise UsageError(
            f"'{called}' is not a name for a bundle there", hint=f"--as NAME: {NAME_HINT}"
        )
    with reached(name, verb="device install") as (link, device):
        check_target(bundle, device)
        agent = push_agent(link)
        facts = _check_fits(bundle, agent, find_target(device.target), device)
        with locked(link, device, f"installing {called}", report):
            found = _install(agent, bundle, called, report)
        if capture:
            unit = start_service(agent, called, capture, facts.python_path, report)
            return replace(found, service=unit)
        restart(link, found.service)
        return found


def roll_back(called: str, name: str, report: Report) -> Installed:
    """Let the previous version of the bundle ``called`` be in use on the device ``name`` again."""
    with (
        reached(name, verb="device rollback") as (link, device),
        locked(link, device, f"rolling {called} back", report),
    ):
        found = _installed(push_agent(link), "rollback", called)
        restart(link, found.service)
        return found


def installed_bundles(name: str) -> tuple[InstalledBundle, ...]:
    """Those on the device ``name``."""
    with reached(name, verb="device list") as (link, _):
        return _bundles(push_agent(link))


def _check_fits(bundle: Bundle, agent: Agent, target: Target, device: Device) -> BoardFacts:
    """The board's facts; `DeviceError` where no model file of the bundle can run there."""
    facts = agent.facts()
    reasons = [why_not(model, facts, target) for model in bundle.models]
    if reasons and all(reasons):
        hint = f"tinyml device check {device.name} shows what is missing, with its fix"
        raise DeviceError(f"{device.name} cannot run {bundle.folder}: {reasons[0]}", hint=hint)
    return facts


def _install(agent: Agent, bundle: Bundle, called: str, report: Report) -> Installed:
    """Without copying it where that version is there: as the previous one, say."""
    found = _installed(agent, "install", called, bundle.digest, "")
    if found.folder:
        report(Finished(f"{called} on {agent.link.name}: this version is there already"))
        return found
    report(Message(f"copying {called} to {agent.link.name}"))
    return _installed(agent, "install", called, bundle.digest, _push(agent, bundle))


def _push(agent: Agent, bundle: Bundle) -> str:
    """Copy its files as one archive; the path there."""
    with scratch("bundle") as folder, machine_errors("packing the bundle", folder):
        with zipfile.ZipFile(folder / ARCHIVE, "w") as archive:
            for name in (bundles.MANIFEST, *bundle.files):
                archive.write(bundle.folder / name, name)
        return agent.link.push(folder / ARCHIVE, ARCHIVE)


def _bundles(agent: Agent) -> tuple[InstalledBundle, ...]:
    found = agent.call("bundles")["bundles"]
    what = f"{agent.link.name}: the agent's bundles"
    return from_json(tuple[InstalledBundle, ...], found, what=what, error=DeviceError)


def _installed(agent: Agent, *command: str) -> Installed:
    found = agent.call(*command, timeout_s=TIMEOUT_S)
    what = f"{agent.link.name}: the agent's {command[0]}"
    return from_json(Installed, found, what=what, error=DeviceError)
