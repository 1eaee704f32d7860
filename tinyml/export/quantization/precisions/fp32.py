"""As trained: nothing to plan, nothing to perform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tinyml.core.spec import Arrays
from tinyml.export.quantization.fp16_plan import PrecisionPlan

if TYPE_CHECKING:
    from tinyml.export.capture.program import Captured

    Cases = Mapping[str, Arrays]

NOTES: Mapping[str, str] = {}


def plan(
    captured: Captured, fmt: str, inputs: Cases, stages: Cases, outputs: Cases
) -> PrecisionPlan:
    return PrecisionPlan("fp32", fmt)


def perform_onnx(model: Any, plan: PrecisionPlan, made: Mapping[str, Any]) -> int:
    return 0


def perform_tflite(model: Any, plan: PrecisionPlan, made: Mapping[str, Any]) -> Any:
    return model, 0
