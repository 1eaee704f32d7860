"""int8 weights per channel, activations in float32: for size, not for speed. No calibration.

TFLite: ``weight -> DEQUANTIZE -> float operator``; the runtime makes the float weight once,
when it loads the file. ONNX: ``weight -> Cast -> Mul by its scale -> float operator``, which
onnxruntime folds when it loads the file. Symmetric: a pruned zero stays a zero.
"""

from __future__ import annotations

from tinyml.export.quantization.precision import Precision
from tinyml.export.quantization.precisions.w8a8_static import WEIGHT

W8 = Precision(
    name="w8",
    policy="w8",
    weights="int8",
    activations="float32",
    quantizers={
        "onnx": {},
        "tflite": {
            "weight_tensor_config": WEIGHT,
            "compute_precision": "FLOAT",
            "explicit_dequantize": True,
        },
    },
    notes={
        "onnx": "smaller, not faster: onnxruntime computes in float32 and makes the float weights "
        "once, when it loads the file",
        "tflite": "smaller, not faster: LiteRT computes in float32 and makes the float weights "
        "once, when it loads the file",
    },
    float_io="the activations of w8 stay float32",
    fixed_biases="it takes no calibration samples, on which a mean could be seen",
)
