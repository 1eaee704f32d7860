"""A kind of link that is a test's own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import pytest

from tinyml.core import registry
from tinyml.core.device import Device
from tinyml.device.link import Link


def use_link(
    patch: pytest.MonkeyPatch, name: str, opened: Callable[[Device], AbstractContextManager[Link]]
) -> None:
    """Let ``opened`` open each device whose link is called ``name``."""
    module: Any = ModuleType(f"own_{name}")
    module.open_link = opened
    patch.setitem(sys.modules, module.__name__, module)
    patch.setitem(registry.LINKS, name, f"{module.__name__}:open_link")
