"""The one way from typed objects to JSON and back: every value is checked, nothing is guessed.

Frozen dataclasses say what a file holds; msgspec converts them (docs/adr/0007).

Keys that a dataclass does not have are **ignored**: a later version may add a key without making
files unreadable, and a change that a reader must know of raises the file's schema number. What a
person writes by hand refuses them, for there they are misspelt: a recipe (`tinyml.core.recipe`),
and what is read with ``strict``.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from tinyml.core.errors import InputError, TinymlError, raise_refusal

T = TypeVar("T")

# Deeper than any file of ours, and far from where Python's own recursion ends.
DEEPEST = 64
# Of JSON readers in other languages, which hold integers in 64 bits.
LARGEST = 2**63
# Of a text file: its values take up to thirty times as much memory.
MOST_BYTES = 64 << 20
# Metadata of a field: what is not set is not written.
OMIT_NONE = "omit None"
_PLACE = re.compile(r" - at `\$([^`]*)`")
# Its name is not the setting that the command line would make of it.
_FIELD = re.compile(r"(?<=field )`([^`]*)`")


class Unbounded(float):
    """A number that may be infinite, which JSON has no word for: it holds ``inf`` or ``-inf``."""

    __slots__ = ()

    def __neg__(self) -> Unbounded:
        return Unbounded(-float(self))


class Variants:
    """Base of a type that several dataclasses implement; JSON shows which of them it holds."""

    __slots__ = ()

    @classmethod
    def variant(cls, data: Mapping[str, Any]) -> type[Any]:
        """The dataclass that ``data`` is; `ValueError` for none."""
        raise NotImplementedError


def to_json(value: Any) -> Any:
    """``value``, of dataclasses, tuples, mappings and plain values, as JSON values.

    A field with the metadata `OMIT_NONE` is left out where it is ``None``. `TypeError` for
    anything else, as NumPy's numbers: a bug.
    """
    if isinstance(value, Unbounded):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"JSON has no word for {value}")
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, Mapping):
        return {name: to_json(own) for name, own in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(own) for own in value]
    if not is_dataclass(value):
        raise TypeError(f"a {type(value).__name__} is not a value of JSON")
    held = ((own, getattr(value, own.name)) for own in fields(value))
    return {
        own.name: to_json(inner)
        for own, inner in held
        if inner is not None or OMIT_NONE not in own.metadata
    }


def from_json(
    kind: type[T],
    data: Any,
    *,
    what: str = "",
    error: type[TinymlError] = InputError,
    hint: str = "",
    strict: bool = False,
) -> T:
    """JSON values as a ``kind``: a dataclass, a tuple or mapping of some, or one of `Variants`.

    Raises ``error``, in one line that starts with ``what`` (the file) and the place in it, for a
    value that is missing, of another type, not finite, not one of those allowed, or that ``kind``
    itself refuses; with ``strict`` also for a key that a dataclass does not have.
    """
    what = what or kind.__name__
    check_values(data, what=what, error=error, hint=hint)
    if strict and (unknown := _unknown_key(kind, data)):
        key, known = unknown
        near = difflib.get_close_matches(key, known, n=1)
        other = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
        raise error(f"{what}: no key is called '{key}'", hint=other)
    try:
        return msgspec.convert(data, kind, dec_hook=_decode)
    except msgspec.ValidationError as fault:
        raise error(f"{what}: {_placed(str(fault))}", hint=hint) from fault
    except TinymlError as fault:  # a dataclass refuses its values
        message = fault.message.replace("`", "'")
        raise error(f"{what}: {message}", hint=fault.hint or hint) from fault


def parse_json(
    text: str | bytes, *, what: str, error: type[TinymlError] = InputError, hint: str = ""
) -> Any:
    """JSON values of ``text``, as `check_values` allows them; ``error`` names ``what``."""
    try:
        data = json.loads(text)
    except RecursionError as fault:
        raise error(f"{what}: its values are nested too deeply", hint=hint) from fault
    except ValueError as fault:  # also an integer of more digits than Python reads
        raise error(f"{what} is not JSON: {fault}", hint=hint) from fault
    check_values(data, what=what, error=error, hint=hint)
    return data


def load_json(path: Path, *, error: type[TinymlError] = InputError, hint: str = "") -> Any:
    """JSON values of the file ``path``, as `parse_json`; ``error`` for one that is too large."""
    return parse_json(read_limited(path, error=error), what=f"{path}", error=error, hint=hint)


def read_limited(path: Path, *, error: type[TinymlError] = InputError) -> bytes:
    """The bytes of a text file; ``error`` for more than `MOST_BYTES`."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError as fault:
        raise_refusal(fault, f"reading {path.name}")
        raise error(f"{path} cannot be read: {fault.strerror}") from fault
    if len(content) > MOST_BYTES:
        raise error(f"{path} has more than {MOST_BYTES >> 20} MiB: tinyml writes no such text")
    return content


def read_json(
    kind: type[T], path: Path, *, error: type[TinymlError] = InputError, hint: str = ""
) -> T:
    """The JSON file ``path`` as a ``kind``; ``error`` names the file and the place in it."""
    data = load_json(path, error=error, hint=hint)
    return from_json(kind, data, what=f"{path}", error=error, hint=hint)


def check_values(
    data: Any, *, what: str, error: type[TinymlError] = InputError, hint: str = ""
) -> None:
    """Raise ``error`` naming the first value in ``data`` that JSON has not, or readers cannot hold.

    Python reads ``NaN``, ``Infinity`` and ``1e999``, integers of any size, half characters and,
    nearly, any depth.
    """
    if place := _unusable(data, DEEPEST):
        separator = "" if place.startswith(" ") else ": "
        raise error(f"{what}{separator}{place}", hint=hint or "only finite numbers can be used")


def _unusable(data: Any, deeper: int) -> str:
    """``.key[0] is nan``, or nothing."""
    if isinstance(data, float):
        return "" if math.isfinite(data) else f" is {data}"
    if isinstance(data, int):
        return "" if -LARGEST <= data < LARGEST else " is an integer of more than 64 bits"
    if isinstance(data, str):
        return "" if _is_text(data) else " is not valid Unicode"
    inside: list[tuple[str, Any]] = []
    if isinstance(data, Mapping):
        inside = [(f".{key}", value) for key, value in data.items()]
        if not all(map(_is_text, data)):
            return " has a key that is not valid Unicode"
    elif isinstance(data, list | tuple):
        inside = [(f"[{place}]", value) for place, value in enumerate(data)]
    if inside and not deeper:
        return " is nested too deeply"
    for place, value in inside:
        if found := _unusable(value, deeper - 1):
            return f"{place}{found}".removeprefix("." if deeper == DEEPEST else "")
    return ""


def _is_text(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _unknown_key(kind: Any, data: Any) -> tuple[str, list[str]] | None:
    """The first key in ``data`` that its dataclass does not have, and the keys that it has."""
    inner = get_args(kind) or (None,)
    if is_dataclass(kind) and isinstance(data, Mapping):
        kinds = get_type_hints(kind)
        if unknown := next((key for key in data if key not in kinds), None):
            return unknown, list(kinds)
        parts = [(kinds[key], value) for key, value in data.items()]
    elif isinstance(data, Mapping):
        parts = [(inner[-1], value) for value in data.values()]
    elif isinstance(data, list):
        parts = [(inner[0], value) for value in data]
    else:
        return None
    return next(filter(None, (_unknown_key(*part) for part in parts)), None)


def _placed(message: str) -> str:
    """msgspec's message with the place first: ``files[0].size: expected `int`, got `str```."""
    places = _PLACE.findall(message)
    reason = _FIELD.sub(r"'\1'", _PLACE.sub("", message))
    place = "".join(reversed(places)).removeprefix(".")  # of a variant: its own, then the outer
    reason = f"{reason[:1].lower()}{reason[1:]}"
    return f"{place}: {reason}" if place else reason


def _decode(kind: type[Any], data: Any) -> Any:
    if issubclass(kind, Unbounded):
        return kind(_number(data))
    if issubclass(kind, Variants):
        if not isinstance(data, dict):
            raise ValueError(f"Expected `object`, got `{type(data).__name__}`")
        return _variant(kind.variant(data), data)
    raise NotImplementedError(f"no JSON is defined for {kind}")


def _number(data: Any) -> float:
    if data in ("inf", "-inf") or (isinstance(data, int | float) and not isinstance(data, bool)):
        return float(data)
    raise ValueError(f"Expected `number`, `inf` or `-inf`, got `{type(data).__name__}`")


def _variant(kind: type[T], data: Mapping[str, Any]) -> T:
    try:
        return msgspec.convert(data, kind, dec_hook=_decode)
    except msgspec.ValidationError as fault:
        # Again as a plain error: msgspec adds the place of the variant to its own.
        raise ValueError(str(fault)) from fault
