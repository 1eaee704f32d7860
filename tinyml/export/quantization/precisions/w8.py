"""int8 weights per channel, activations in float32: for size, not for speed. No calibration.

TFLite: ``weight -> DEQUANTIZE -> float operator``; the runtime makes the float weight once,
when it loads the file. ONNX: ``weight -> Cast -> Mul by its scale -> float operator``, which
onnxruntime folds when it loads the file. Symmetric: a pruned zero stays a zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tinyml.export.quantization.precisions.w8a8_static import WEIGHT

if TYPE_CHECKING:
    from tinyml.export.quantization.plan import Scheme

NOTES: Mapping[str, str] = {
    "onnx": "smaller, not faster: onnxruntime computes in float32 and makes the float weights "
    "once, when it loads the file",
    "tflite": "smaller, not faster: LiteRT computes in float32 and makes the float weights once, "
    "when it loads the file",
}
CALIBRATED = False
WEIGHTS_ONLY = True
ACTIVATIONS: Scheme = "float32"
TFLITE: Mapping[str, Any] = {
    "weight_tensor_config": WEIGHT,
    "compute_precision": "FLOAT",
    "explicit_dequantize": True,
}
# No activation is quantized; `tinyml.export.formats.onnx.weights_to_int8` rounds the weights.
ONNX: tuple[str, bool] = ("", True)
