"""The systemd user unit of an installed bundle: ``~/.config/systemd/user/tinyml-NAME.service``."""

from __future__ import annotations

import os
from typing import Any


def service(name: str, text: str) -> dict[str, Any]:
    """Write ``text`` as the unit of the bundle ``name``; the unit's name."""
    unit = unit_of(name)
    path = unit_path(unit)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    draft = path + ".tmp"
    with open(draft, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(draft, path)
    return {"unit": unit}


def unit_of(name: str) -> str:
    return "tinyml-{}.service".format(name)


def unit_path(unit: str) -> str:
    settings = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(settings, "systemd", "user", unit)


def service_of(name: str) -> str:
    """The unit of the bundle ``name``; empty where it has none."""
    return unit_of(name) if os.path.isfile(unit_path(unit_of(name))) else ""
