"""Which network of the tests a rewrite must fire in: it says so itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

Rewrite = Callable[..., Any]


def fires_in(rewrite: Rewrite) -> str:
    """The name of the network, as ``FIRES_IN`` of the rewrite's module."""
    network: str = sys.modules[rewrite.__module__].FIRES_IN
    return network


def named(rewrites: Mapping[str, Rewrite], network: str) -> list[str]:
    """Those of ``rewrites`` that name ``network``."""
    return [name for name, rewrite in rewrites.items() if fires_in(rewrite) == network]
