"""Options of a data set, from [data] of a recipe."""

from __future__ import annotations

from collections.abc import Mapping

from tinyml.core.errors import DataError
from tinyml.core.spec import Options


def check_options(name: str, options: Options, known: Mapping[str, type]) -> None:
    """Raise `DataError` for an option that the set ``name`` does not have, or of another type."""
    for key, value in options.items():
        if key not in known:
            raise DataError(
                f"data set '{name}' has no option '{key}'",
                hint=f"options: {', '.join(known)}",
            )
        kind = known[key]
        taken = (int, float) if kind is float else (kind,)
        if not isinstance(value, taken) or (isinstance(value, bool) and kind is not bool):
            raise DataError(
                f"data set '{name}': option '{key}' is {value!r}, it takes {kind.__name__}"
            )
