"""int8 weights per channel and int16 activations: for accuracy, not for speed.

XNNPACK has no kernels for it: TFLite's reference kernels run it, and onnxruntime computes
in float32 between its pairs.
"""

from __future__ import annotations

from tinyml.export.quantization.precision import Precision
from tinyml.export.quantization.precisions.w8a8_static import ACTIVATION, WEIGHT

W8A16 = Precision(
    name="w8a16",
    policy="w8a16",
    weights="int8",
    activations="int16",
    ranges="calibration",
    quantizers={
        "onnx": {"symmetric_activations": True},
        "tflite": {
            "weight_tensor_config": WEIGHT,
            "activation_tensor_config": {**ACTIVATION, "num_bits": 16, "symmetric": True},
            "compute_precision": "INTEGER",
        },
    },
    # 16 bits need opset 21.
    minimum_runtimes={"onnx": "onnxruntime>=1.17"},
    notes={
        "onnx": "accuracy, not speed: onnxruntime computes 16-bit pairs in float32, in 1.2 times "
        "the time of float32 for FunnelNet (benchmarks/precisions.py)",
        "tflite": "accuracy, not speed: XNNPACK takes no 16-bit activations, the reference "
        "kernels run them, in 1.6 times FunnelNet's time in float32 (benchmarks/precisions.py)",
    },
    float_io="the activations of w8a16 have 16 bits",
)
