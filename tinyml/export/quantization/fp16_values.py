"""Values that float16 cannot hold, in an array of float32."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinyml.core.plan_record import UnheldValue
from tinyml.core.spec import Array

LARGEST = 65504.0
# Below it every value has the same spacing, `SMALLEST`: eleven bits become fewer.
SMALLEST_NORMAL = 2.0**-14
SMALLEST = 2.0**-24


def unheld_values(value: Array) -> Iterator[UnheldValue]:
    """At most one overflow and one underflow of ``value``, nameless."""
    if value.dtype != np.float32 or not value.size:
        return
    sizes = np.abs(value[np.isfinite(value)]).ravel()
    sizes = sizes[sizes > 0]
    if not sizes.size:
        return
    peak, least = float(sizes.max()), float(sizes.min())
    if peak > LARGEST:
        yield UnheldValue("overflow", "", "", "", peak)
    # A number alone may lose bits, not vanish: the usual epsilon of 1e-5 loses 0.3% of itself.
    needed = SMALLEST_NORMAL if value.ndim else SMALLEST
    if peak < needed or least < SMALLEST:
        yield UnheldValue("underflow", "", "", "", least, harmless=peak >= needed)
