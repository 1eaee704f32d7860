"""For users' own tests: ``from tinyml.testing import assert_parity``.

In pytest it is a fixture too, and a failure shows the table of stages (`tinyml.pytest_plugin`).
Loaded on first use, so that importing it needs no runtime.
"""

from __future__ import annotations

import importlib
from typing import Any

_LAZY = {"assert_parity": "tinyml.pipeline.assert_parity"}

__all__ = ["ParityError", "assert_parity"]  # noqa: F822 (found by __getattr__)


class ParityError(AssertionError):
    """An engine does not answer as the reference: what differs first, and where.

    ``table`` has every engine and stage that was compared, as lines of text.
    """

    def __init__(self, message: str, table: str) -> None:
        super().__init__(message)
        self.table = table


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'tinyml.testing' has no attribute '{name}'")
