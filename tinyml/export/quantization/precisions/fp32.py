"""As trained: nothing to plan, nothing to perform."""

from __future__ import annotations

from tinyml.export.quantization.precision import Precision

FP32 = Precision(
    name="fp32",
    policy="engine",
    weights="float32",
    activations="float32",
    quantizers={},
    float_io="fp32 is not quantized",
    fixed_biases="its weights are not rounded",
)
