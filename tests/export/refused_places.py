"""Where in ``refused_networks.py`` a message must point."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import refused_networks

SOURCE = Path(refused_networks.__file__)


def place(what: str) -> str:
    """``file:line`` of the line that starts with a text, or of a class's forward."""
    kind, _, text = what.partition(":")
    if kind == "forward":
        line = inspect.getsourcelines(getattr(refused_networks, text).forward)[1]
    else:
        lines = SOURCE.read_text(encoding="utf-8").splitlines()
        line = next(i for i, said in enumerate(lines, 1) if said.strip().startswith(text))
    path = SOURCE.relative_to(Path.cwd()) if SOURCE.is_relative_to(Path.cwd()) else SOURCE
    return f"{path}:{line}"


def wording(template: str) -> str:
    """The template with places filled in."""
    return re.sub(r"\{((?:line|forward):.*?)\}", lambda hit: place(hit[1]), template)
