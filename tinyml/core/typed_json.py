"""JSON values -> the frozen dataclass that they were made of, every field checked."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def from_json(kind: type[T], value: Any) -> T:
    """``value`` as a ``kind``: a dataclass of numbers, texts, tuples, mappings and dataclasses.

    Raises `ValueError` naming the place of a value that is missing, too many, or of another type.
    """
    made: T = _made(kind, value, kind.__name__)
    return made


def _made(kind: Any, value: Any, place: str) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, place)
    if origin in (typing.Union, types.UnionType):
        return _union(inner, value, place)
    if origin is tuple:
        return _tuple(inner, value, place)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        _require(isinstance(value, dict), kind, value, place)
        return {key: _made(inner[1], own, f"{place}.{key}") for key, own in value.items()}
    if kind is float:
        _require(type(value) in (int, float), kind, value, place)
        return float(value)
    _require(type(value) is kind, kind, value, place)
    return value


def _dataclass(kind: Any, value: Any, place: str) -> Any:
    names = [field.name for field in dataclasses.fields(kind) if field.init]
    if not isinstance(value, dict) or set(value) != set(names):
        given = sorted(value) if isinstance(value, dict) else type(value).__name__
        raise ValueError(f"{place} has {given}, not {names}")
    hints = typing.get_type_hints(kind)
    return kind(**{name: _made(hints[name], value[name], f"{place}.{name}") for name in names})


def _union(kinds: tuple[Any, ...], value: Any, place: str) -> Any:
    for kind in kinds:
        try:
            return _made(kind, value, place)
        except ValueError:
            continue
    raise ValueError(f"{place} is a {type(value).__name__}, not one of {kinds}")


def _tuple(kinds: tuple[Any, ...], value: Any, place: str) -> tuple[Any, ...]:
    _require(isinstance(value, list), tuple, value, place)
    if len(kinds) == 2 and kinds[1] is ...:
        kinds = (kinds[0],) * len(value)
    if len(value) != len(kinds):
        raise ValueError(f"{place} has {len(value)} values, not {len(kinds)}")
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_made(kind, own, f"{place}[{number}]") for number, (kind, own) in pairs)


def _require(holds: bool, kind: Any, value: Any, place: str) -> None:
    if not holds:
        raise ValueError(f"{place} is a {type(value).__name__}, not a {kind}")
