"""TOML files: read with limits, and written, which Python's library does not, as plain values."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tinyml.core.errors import InputError
from tinyml.core.typed_json import read_limited

_BARE = re.compile(r"[A-Za-z0-9_-]+")
DELETE = "\x7f"


def read_toml(path: Path, hint: str) -> dict[str, Any]:
    """The table of the file; `InputError`, naming it, with ``hint`` for what is not TOML."""
    try:
        return tomllib.loads(read_limited(path).decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: {error}", hint=hint) from error


def toml_lines(table: Mapping[str, Any]) -> Iterable[str]:
    """``key = value`` for each text, number, truth value, and list of these."""
    return (f"{toml_key(key)} = {_value(value)}" for key, value in table.items())


def toml_key(name: str) -> str:
    """``name`` as a key or as the name of a table: in quotes where TOML needs them."""
    return name if _BARE.fullmatch(name) else _value(name)


def _value(value: Any) -> str:
    """JSON writes these alike, but for one character that TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False).replace(DELETE, "\\u007f")
