"""int8 weights per channel and int16 activations: for accuracy, not for speed.

XNNPACK has no kernels for it: TFLite's reference kernels run it, and onnxruntime computes
in float32 between its pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinyml.export.precision.w8a8_static import WEIGHT

NOTES: Mapping[str, str] = {
    "onnx": "accuracy, not speed: onnxruntime computes 16-bit pairs in float32",
    "tflite": "accuracy, not speed: XNNPACK takes no 16-bit activations, the reference kernels "
    "run them (benchmarks/precisions.py)",
}
CALIBRATED = True
TFLITE: Mapping[str, Any] = {
    "weight_tensor_config": WEIGHT,
    "activation_tensor_config": {
        "num_bits": 16,
        "symmetric": True,
        "granularity": "TENSORWISE",
        "dtype": "INT",
    },
    "compute_precision": "INTEGER",
}
ONNX: tuple[str, bool] = ("QInt16", True)
