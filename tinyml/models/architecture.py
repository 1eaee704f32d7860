"""A recipe's [architecture] read into a model's options: a frozen dataclass of defaults.

The dataclass says what may be chosen: a field's type, and what `between` and `one_of`
put into its metadata.
"""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any, TypeVar

from tinyml.core.errors import RecipeError
from tinyml.core.spec import Options

T = TypeVar("T")


def between(default: float | int, low: float, high: float) -> Any:
    """A field of numbers from ``low`` to ``high``."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high})


def one_of(default: Any, *choices: Any) -> Any:
    """A field with few values."""
    return dataclasses.field(default=default, metadata={"choices": (default, *choices)})


def with_options(model: str, options: Options, default: T) -> T:
    """``default`` with ``options``; `RecipeError` names the option and what it takes."""
    known = {field.name: field for field in dataclasses.fields(default)}  # type: ignore[arg-type]
    values = {}
    for name, value in options.items():
        if name not in known:
            raise _unknown(model, name, list(known))
        values[name] = _checked(model, known[name], value)
    changed: T = dataclasses.replace(default, **values)  # type: ignore[type-var]
    return changed


def defaults(architecture: Any) -> Options:
    """The options of ``architecture`` with their values, as a recipe would write them."""
    values: Options = dataclasses.asdict(architecture)
    return values


def _unknown(model: str, name: str, known: list[str]) -> RecipeError:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"it has: {', '.join(known)}"
    return RecipeError(f"[architecture] of '{model}' has no option '{name}'", hint=hint)


def _checked(model: str, field: dataclasses.Field[Any], value: Any) -> Any:
    choices = field.metadata.get("choices")
    if choices is not None:
        if value not in choices or isinstance(value, bool) != isinstance(choices[0], bool):
            raise _refused(model, field.name, value, " or ".join(map(repr, choices)))
        return value
    low, high = field.metadata["low"], field.metadata["high"]
    whole = isinstance(field.default, int)
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise _refused(model, field.name, value, f"{kind} from {low:g} to {high:g}")
    return value if whole else float(value)


def _refused(model: str, name: str, value: Any, takes: str) -> RecipeError:
    return RecipeError(f"[architecture] of '{model}': {name} is {value!r}, it takes {takes}")
