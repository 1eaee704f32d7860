"""A systemd user unit of an installed bundle, and the scripts that it starts.

~/.tinyml/services/NAME/                        the scripts
~/.config/systemd/user/tinyml-NAME.service      the unit
"""

from __future__ import annotations

import os
import zipfile
from typing import Any

from tinyml.board_scripts.agent.places import draft_of, place, remove

SERVICES = "services"


def service(name: str, archive: str, text: str) -> dict[str, Any]:
    """Unpack the scripts in ``archive``, and write ``text`` as the unit; its name."""
    folder, unit = place(SERVICES, name), unit_of(name)
    path = unit_path(unit)
    remove(folder)
    with draft_of(folder) as draft, zipfile.ZipFile(archive) as opened:
        opened.extractall(draft)
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
