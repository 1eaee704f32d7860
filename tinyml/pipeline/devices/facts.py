"""What a device is and has, over its link."""

from __future__ import annotations

from tinyml.core.board_facts import BoardFacts
from tinyml.core.device import Device
from tinyml.core.errors import DeviceError
from tinyml.device.agent import push_agent
from tinyml.device.link import Link

# Where a recorded Python is gone.
SYSTEM_PYTHON = "python3"


def board_facts(link: Link, device: Device) -> tuple[BoardFacts, str]:
    """Facts of ``device``, which ``link`` reaches; and what is wrong with its recorded Python.

    Where that cannot be started, the system's own one answers. Raises `DeviceError` where none
    does.
    """
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
