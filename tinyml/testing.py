"""For users' own tests: ``from tinyml.testing import assert_parity``.

Loaded on first use, so that importing it needs no runtime.
"""

from __future__ import annotations

import importlib
from typing import Any

_LAZY = {"assert_parity": "tinyml.pipeline.assert_parity"}

__all__ = ["assert_parity"]  # noqa: F822 (found by __getattr__)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'tinyml.testing' has no attribute '{name}'")
