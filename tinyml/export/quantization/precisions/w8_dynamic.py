"""int8 weights; activations become integers anew at every call. Needs no calibration.

TFLite: hybrid kernels. ONNX: DynamicQuantizeLinear with ConvInteger and MatMulInteger, which
have one scale for all of a weight.
"""

from __future__ import annotations

from tinyml.export.quantization.precision import Precision
from tinyml.export.quantization.precisions.w8a8_static import WEIGHT

W8_DYNAMIC = Precision(
    name="w8-dynamic",
    policy="int8",
    weights="int8",
    activations="int8",
    ranges="each call",
    quantizers={
        "onnx": {"activation_type": "QUInt8"},
        "tflite": {
            "weight_tensor_config": WEIGHT,
            "compute_precision": "INTEGER",
            "explicit_dequantize": False,
        },
    },
    one_scale=("onnx",),
    float_io="w8-dynamic finds its ranges at each call, from inputs in float32",
    fixed_biases="it takes no calibration samples, on which a mean could be seen",
)
