"""An option is declared once: a dataclass field with its help text, values and default.

The command line, the recipe parser and the checks are made from the declaration:

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Mine:
        rounding: str = setting("How weights are rounded.", "nearest", values=("nearest", "up"))

        def __post_init__(self) -> None:
            check(self)

A setting that is ``None`` is not set; `complete` fills in what it then stands for. The annotated
type is that of a complete setting: ``T | None`` where "nothing" is a value of its own.
Messages write a setting as `` `name` `` or `` `name=value` ``; the command line shows its flag.
"""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from tinyml.core.errors import RecipeError, UsageError
from tinyml.core.typed_json import LARGEST, OMIT_NONE

_KEY = "setting"
T = TypeVar("T")


class SettingError(UsageError):
    """A setting has a value that it cannot have; ``setting`` is its name."""

    def __init__(self, setting: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.setting = setting


@dataclass(frozen=True, slots=True)
class Setting:
    """What one field declares.

    help       one or two sentences, without the values and the default, which are added
    default    what stands where nothing is set
    values     the only texts that are allowed, such as a table of the registry; empty: any
    minimum    of a number
    panel      heading that it stands under in the help text; empty: among the common ones
    flag       of the command line, where it is not ``--`` and the name
    metavar    what the help text calls the value
    separator  one text of the command line holds several values, between it
    """

    help: str
    default: Any = None
    values: Collection[str] = ()
    minimum: float | None = None
    panel: str = ""
    flag: str = ""
    metavar: str = ""
    separator: str = ""


def setting(help: str, default: Any = None, *, required: bool = False, **more: Any) -> Any:
    """A dataclass field with a `Setting`; ``more`` are its other fields."""
    metadata = {_KEY: Setting(help, default, **more), OMIT_NONE: True}
    return field(metadata=metadata) if required else field(default=None, metadata=metadata)


def settings_of(kind: type) -> Mapping[str, Setting]:
    """Name -> declaration, in the order of the fields; fields without one are left out."""
    return {own.name: own.metadata[_KEY] for own in fields(kind) if _KEY in own.metadata}


def types_of(kind: type) -> Mapping[str, Any]:
    """Name -> type of the value: ``str``, ``int``, ``float``, ``bool``, ``Path``, or a tuple."""
    hints = get_type_hints(kind)
    return {name: _plain(hints[name]) for name in settings_of(kind)}


def required(kind: type) -> tuple[str, ...]:
    """Names of the settings that must be given."""
    names = settings_of(kind)
    return tuple(own.name for own in fields(kind) if own.name in names and own.default is MISSING)


def flag_of(name: str, own: Setting) -> str:
    """The option of the command line."""
    return own.flag or f"--{name.replace('_', '-')}"


def given(settings: Any) -> dict[str, Any]:
    """Name -> value of what is set."""
    values = {name: getattr(settings, name) for name in settings_of(type(settings))}
    return {name: value for name, value in values.items() if value is not None}


def asked_for(settings: Any) -> dict[str, Any]:
    """`given`, but for what is switched off: False, an empty list."""
    return {name: own for name, own in given(settings).items() if own is not False and own != ()}


def overlay(base: T, over: T, unset: Collection[str] = ()) -> T:
    """``base`` with what ``over`` sets, and nothing set of the names in ``unset``."""
    changed = {**given(over), **dict.fromkeys(unset)}
    return replace(base, **changed)  # type: ignore[type-var]


def complete(settings: T) -> T:
    """``settings`` with the default of each that is not set."""
    unset = {n: own.default for n, own in settings_of(type(settings)).items()}
    return replace(settings, **{**unset, **given(settings)})  # type: ignore[type-var]


def check(settings: Any) -> None:
    """In ``__post_init__``: `SettingError` for a value that a setting cannot have.

    A list becomes a tuple, a text a `Path`, a whole number a float, where the type is such.
    """
    kinds, owns = types_of(type(settings)), settings_of(type(settings))
    for name, value in given(settings).items():
        kept = _converted(name, value, kinds[name])
        for one in kept if isinstance(kept, tuple) else (kept,):
            _check_value(name, one, owns[name])
        object.__setattr__(settings, name, kept)


def from_table(kind: type[T], table: Mapping[str, Any], place: Callable[[str], str]) -> T:
    """Settings read from a recipe's section; ``place(key)`` is ``file:line`` for an error.

    Raises `RecipeError` for a key that does not exist and a value that does not fit.
    """
    known = list(settings_of(kind))
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
            raise RecipeError(f"{place(key)}: no setting is called '{key}'", hint=hint)
    try:
        return kind(**table)
    except SettingError as error:
        where = place(error.setting)
        raise RecipeError(f"{where}: {error.message}", hint=error.hint) from error


def to_table(settings: Any) -> dict[str, Any]:
    """What is set as JSON or TOML values; the opposite of `from_table`."""
    return {name: _table_value(value) for name, value in given(settings).items()}


def _table_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def _plain(hint: Any) -> Any:
    """``T`` of ``T | None``."""
    if isinstance(hint, types.UnionType):
        (hint,) = [own for own in get_args(hint) if own is not types.NoneType]
    return hint


def _converted(name: str, value: Any, kind: Any) -> Any:
    if get_origin(kind) is tuple:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise SettingError(name, f"`{name}` is {value!r}: it takes a list")
        return tuple(_converted(name, one, get_args(kind)[0]) for one in value)
    if isinstance(value, int) and not -LARGEST <= value < LARGEST:
        raise SettingError(name, f"`{name}` is an integer of more than 64 bits")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise SettingError(name, f"`{name}` is {value!r}: it takes {_WORDS[kind]}")
    return value


def _check_value(name: str, value: Any, own: Setting) -> None:
    if own.values and value not in own.values:
        near = difflib.get_close_matches(value, list(own.values), n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(own.values)}"
        raise SettingError(name, f"unknown value '{value}' of `{name}`", hint=hint)
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingError(name, f"`{name}` is {value}", hint="give a finite number")
    if own.minimum is not None and value < own.minimum:
        raise SettingError(name, f"`{name}` is {value:g}: it takes {own.minimum:g} or more")


_WORDS = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Path: "a path",
}
