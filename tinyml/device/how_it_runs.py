"""How a device runs a model: the one place that decides it.

A board with Python gets `tinyml.runtimes.runner` and prints raw samples and outputs. Android has no
Python: there a program runs the model, today LiteRT's ``benchmark_model``, which prints averages
and no outputs. A native runner would be one more way, named here.
"""

from __future__ import annotations

from typing import Literal

from tinyml.core.device import Device
from tinyml.core.errors import DeviceError

HowItRuns = Literal["runner", "benchmark_model"]
_WITHOUT_PYTHON = ("adb",)


def how_it_runs(device: Device) -> HowItRuns:
    """What runs a model file on ``device``."""
    return "benchmark_model" if device.link in _WITHOUT_PYTHON else "runner"


def require_runner(device: Device, verb: str) -> None:
    """Raise `DeviceError` where ``tinyml VERB`` needs outputs that ``device`` cannot give."""
    if how_it_runs(device) != "runner":
        raise DeviceError(
            f"tinyml {verb} is not supported on Android yet: {device.name} has no Python to run it",
            hint=f"tinyml bench BUNDLE --device {device.name} --benchmark-model PATH times it",
        )
