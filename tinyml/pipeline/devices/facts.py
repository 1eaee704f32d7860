"""Facts of a device, read over its link."""

from __future__ import annotations

from tinyml.core.board_facts import BoardFacts
from tinyml.core.device import Device
from tinyml.core.errors import DeviceError
from tinyml.device.agent import push_agent
from tinyml.device.android import phone_facts
from tinyml.device.how_it_runs import how_it_runs
from tinyml.device.link import Link

# Where a recorded Python is gone.
SYSTEM_PYTHON = "python3"
# Android's name of an instruction set -> the kernel's, and the bits of its programs.
ABIS = {
    "arm64-v8a": ("aarch64", 64),
    "armeabi-v7a": ("armv7l", 32),
    "x86_64": ("x86_64", 64),
    "x86": ("i686", 32),
}


def board_facts(link: Link, device: Device) -> tuple[BoardFacts, str]:
    """Facts of ``device``, which ``link`` reaches; and what is wrong with its recorded Python.

    Where that cannot be started, the system's own one answers. Raises `DeviceError` where none
    does.
    """
    if how_it_runs(device) != "runner":
        return _of_phone(link), ""
    agent = push_agent(link)
    try:
        return agent.facts(), ""
    except DeviceError as error:
        if not device.python:
            raise
        try:
            facts = agent.facts(SYSTEM_PYTHON)
        except DeviceError:
            raise error from None
        return facts, f"{device.python}, which is recorded for it, cannot be started"


def _of_phone(link: Link) -> BoardFacts:
    phone = phone_facts(link)
    arch, bits = ABIS.get(phone.abi or "", (phone.abi or "", None))
    return BoardFacts(
        board=phone.model or "",
        soc=phone.soc or "",
        system=phone.system or "Android",
        arch=arch,
        bits=bits,
        page_kib=_in_1024(phone.page_bytes),
        home=link.folder,
        disk_free_mb=_in_1024(phone.free_disk_kb),
        memory_mb=_in_1024(phone.memory_kb),
        memory_free_mb=_in_1024(phone.free_memory_kb),
        cores=phone.cores,
        max_khz=tuple(own.max_khz for own in phone.groups if own.max_khz for _ in own.cores),
        boot_id=phone.boot or "",
        more=phone.condition,
    )


def _in_1024(count: int | None) -> int | None:
    return None if count is None else count >> 10
