"""Deploy compact PyTorch models to boards, checked against PyTorch on the way.

The core names are loaded on first use, so that importing the package stays cheap.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

__version__ = "0.1.0"

DISTRIBUTION = "tinyml-deploy"

# onnxruntime wheels from 1.29 on report usage unless this stands before the first import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

_LAZY = {
    "Bundle": "tinyml.core.bundle",
    "Checkpoint": "tinyml.core.checkpoint",
    "ImageProcessor": "tinyml.core.image_processor",
    "RecordingProcessor": "tinyml.core.recording_processor",
    "Recipe": "tinyml.core.recipe",
    "Signature": "tinyml.core.spec",
    "Target": "tinyml.core.target",
    "TensorSpec": "tinyml.core.spec",
    "TinymlError": "tinyml.core.errors",
    "build_bundle": "tinyml.pipeline.build",
    "read_bundle": "tinyml.core.bundle",
}
# Those that have another name where they are defined.
_NAMES = {"read_bundle": "read"}

__all__ = ["DISTRIBUTION", "__version__", *sorted(_LAZY)]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), _NAMES.get(name, name))
    raise AttributeError(f"module 'tinyml' has no attribute '{name}'")
