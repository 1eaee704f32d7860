"""The link to the machine of a target, from the registry."""

from __future__ import annotations

from contextlib import AbstractContextManager

from tinyml.core import registry
from tinyml.core.errors import UsageError
from tinyml.core.target import find_target
from tinyml.device.link import Link

HOST = "host"


def open_link(target: str = HOST) -> AbstractContextManager[Link]:
    """The link to ``target``, open within a ``with`` block.

    Raises `UsageError` for an unknown target, and for one whose link is not supported yet.
    """
    found = find_target(target)
    if found.link not in registry.LINKS:
        raise UsageError(
            f"{found.board} is reached over {found.link}, which is not supported yet",
            hint=f"copy the bundle to the board and use its run.py, or time this machine: {HOST}",
        )
    opened: AbstractContextManager[Link] = registry.load("link", found.link)(found)
    return opened
