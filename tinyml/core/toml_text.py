"""Writing TOML, which Python's library only reads: keys with plain values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")
DELETE = "\x7f"


def toml_lines(table: Mapping[str, Any]) -> Iterable[str]:
    """``key = value`` for each text, number, truth value, and list of these."""
    return (f"{toml_key(key)} = {_value(value)}" for key, value in table.items())


def toml_key(name: str) -> str:
    """``name`` as a key or as the name of a table: in quotes where TOML needs them."""
    return name if _BARE.fullmatch(name) else _value(name)


def _value(value: Any) -> str:
    """JSON writes these alike, but for one character that TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False).replace(DELETE, "\\u007f")
