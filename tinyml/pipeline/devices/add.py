"""Add a board: connect to it, detect its target, and save it under a name for other commands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tinyml.core.board_facts import BoardFacts
from tinyml.core.device import Device
from tinyml.core.errors import DeviceError, UsageError
from tinyml.core.files import resolved
from tinyml.core.target import SUFFIX, find_target
from tinyml.pipeline.devices.check import DeviceCheck, judge
from tinyml.pipeline.devices.facts import board_facts
from tinyml.pipeline.devices.inventory import check_new, save_device
from tinyml.pipeline.devices.links import open_link
from tinyml.pipeline.devices.recognise import recognise

LINKS = ("ssh", "adb")


def add_device(
    name: str,
    address: str,
    *,
    target: str = "",
    link: str = "",
    python: str = "",
    tags: tuple[str, ...] = (),
    emulated: bool = False,
    replaces: bool = False,
) -> DeviceCheck:
    """Reach the board at ``address``, choose its target unless it is given, and record it.

    Returns what was found there; a board that is not ready is recorded all the same. Raises
    `DeviceError`, and records nothing, where it cannot be reached or is not like any shipped
    target; `UsageError` for a name that is taken, unless it ``replaces`` the one with it.
    """
    known = find_target(target) if target else None
    if known is not None and known.is_host:
        raise UsageError(
            f"'{target}' is this machine, and not the target of a board",
            hint="omit --target: tinyml then detects the target",
        )
    link = link or (known.link if known is not None else LINKS[0])
    if link not in LINKS:
        raise UsageError(f"unknown link '{link}'", hint=f"known: {', '.join(LINKS)}")
    if target.endswith(SUFFIX):
        target = f"{resolved(Path(target))}"
    device = Device(
        name=name, link=link, address=address, python=python, tags=tags, emulated=emulated
    )
    check_new(device, replace=replaces)
    with open_link(device) as opened:
        facts, wrong_python = board_facts(opened, device)
        if wrong_python:
            raise DeviceError(
                f"{name}: {python} cannot be started",
                hint="give the path of Python on the board, or omit --python to use its python3",
            )
        target = target or _recognised(name, facts)
        found = judge(opened, replace(device, target=target), facts)
    save_device(found.device, replace=replaces)
    return found


def _recognised(name: str, facts: BoardFacts) -> str:
    """The name of the target that the board is."""
    found = recognise(facts)
    if found is not None:
        return found.target.name
    called = " ".join([facts.board or "a board without a name", *facts.cpus])
    raise DeviceError(
        f"{name} is not like any shipped target: {called}, {facts.arch}, {facts.system}",
        hint="give the most similar target with --target, or your own FILE.toml",
    )
