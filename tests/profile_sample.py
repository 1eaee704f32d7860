"""A profile that is made up: a slow first submodule, a second one, and what the runtime adds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tinyml.core.profile import LayerTime, Profile

SHA = "ab" * 32


def sample_profile(text: str = "stem", **changes: Any) -> Profile:
    """``text`` is the name of the slow submodule."""
    layers = (
        LayerTime("t0", "Conv", text, 60_000.0, 100),
        LayerTime("t1", "Mul", text, 10_000.0),
        LayerTime("t2", "Conv", "head", 20_000.0, 300),
        LayerTime("", "ReorderOutput", "", 10_000.0),
    )
    made = Profile(
        model="net.onnx",
        model_sha256=SHA,
        runtime="onnxruntime",
        version="1.32.0",
        threads=1,
        label="host",
        method="profiler",
        calls=100,
        unprofiled_ns=80_000.0,
        profiled_ns=120_000.0,
        layers=layers,
    )
    return replace(made, **changes)
