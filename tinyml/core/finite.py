"""Numbers that are not finite are refused, and named, where they come in and where they go out.

A NaN is never a healthy value: every comparison with it is false, so that a label, a limit or
a ranking that meets one looks like an ordinary result. What a user hands in is an `InputError`
(exit code 3); a finite input whose output is not finite is a `ValidationError` (exit code 5).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinyml.core.errors import InputError, TinymlError, ValidationError

# Why a network that works gives NaN.
LOUD = "inputs may be far beyond what the model was trained on: samples have full scale 1"


def is_finite(values: Any) -> bool:
    """Whether ``values``, an array or a number of any type, holds neither NaN nor infinities."""
    array = np.asarray(values)
    return array.dtype.kind not in "fc" or bool(np.all(np.isfinite(array)))


def check_finite(
    what: str,
    named: Mapping[str, Any],
    *,
    error: type[TinymlError] = InputError,
    hint: str = "",
) -> None:
    """Raise ``error`` for the first of ``named``, arrays or numbers, that is not finite.

    The message is ``what``, the name, and how many values are NaN or infinite.
    """
    for name, values in named.items():
        if not is_finite(values):
            raise error(f"{what} '{name}' {_amount(values)}", hint=hint)


def check_outputs(what: str, outputs: Mapping[str, Any], *, hint: str = "") -> None:
    """Raise `ValidationError` for an output that is not finite, where the inputs are."""
    check_finite(f"{what}: the output", outputs, error=ValidationError, hint=hint)


def _amount(values: Any) -> str:
    array = np.asarray(values)
    if array.ndim == 0:
        return f"is {array.item()}"
    bad = array.size - int(np.count_nonzero(np.isfinite(array)))
    return f"holds NaN or infinite values ({bad:,} of {array.size:,})"
