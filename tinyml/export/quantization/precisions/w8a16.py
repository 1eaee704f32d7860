"""int8 weights per channel and int16 activations: for accuracy, not for speed.

XNNPACK has no kernels for it: TFLite's reference kernels run it, and onnxruntime computes
in float32 between its pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tinyml.export.quantization.precisions.w8a8_static import ACTIVATION, WEIGHT

if TYPE_CHECKING:
    from tinyml.export.quantization.plan import Scheme

NOTES: Mapping[str, str] = {
    "onnx": "accuracy, not speed: onnxruntime computes 16-bit pairs in float32, in 1.2 times "
    "the time of float32 for FunnelNet (benchmarks/precisions.py)",
    "tflite": "accuracy, not speed: XNNPACK takes no 16-bit activations, the reference kernels "
    "run them, in 1.6 times FunnelNet's time in float32 (benchmarks/precisions.py)",
}
CALIBRATED = True
WEIGHTS_ONLY = False
ACTIVATIONS: Scheme = "int16"
TFLITE: Mapping[str, Any] = {
    "weight_tensor_config": WEIGHT,
    "activation_tensor_config": {**ACTIVATION, "num_bits": 16, "symmetric": True},
    "compute_precision": "INTEGER",
}
ONNX: tuple[str, bool] = ("QInt16", True)
