"""float16: weights and activations in ONNX, weights alone in TFLite.

What float16 cannot hold stays in float32, see `tinyml.export.quantization.fp16_planner`.
"""

from __future__ import annotations

from tinyml.export.quantization.precision import Precision

FP16 = Precision(
    name="fp16",
    policy="fp16",
    weights="float16",
    activations="float16",
    quantizers={"onnx": {}, "tflite": {}},
    notes={
        "onnx": "smaller, not faster: FunnelNet takes 1.06 of fp32's time in onnxruntime 1.32 on "
        "x86-64, which computes in float32 and casts (benchmarks/precisions.py)",
        "tflite": "smaller, not faster: FunnelNet takes 1.00 of fp32's time in LiteRT 2.3 on "
        "x86-64, which casts the weights once, when it loads (benchmarks/precisions.py)",
    },
    float_io="fp16 is not quantized to integers",
    fixed_biases="its weights are not rounded to integers",
)
