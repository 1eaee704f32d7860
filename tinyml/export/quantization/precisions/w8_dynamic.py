"""int8 weights; activations become integers anew at every call. Needs no calibration.

TFLite: hybrid kernels. ONNX: DynamicQuantizeLinear with ConvInteger and MatMulInteger.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tinyml.export.quantization.precisions.w8a8_static import WEIGHT

if TYPE_CHECKING:
    from tinyml.export.quantization.plan import Scheme

NOTES: Mapping[str, str] = {}
CALIBRATED = False
WEIGHTS_ONLY = False
ACTIVATIONS: Scheme = "int8"
TFLITE: Mapping[str, Any] = {
    "weight_tensor_config": WEIGHT,
    "compute_precision": "INTEGER",
    "explicit_dequantize": False,
}
ONNX: tuple[str, bool] = ("QUInt8", False)
