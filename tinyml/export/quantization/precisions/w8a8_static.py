"""int8 weights per channel and 8-bit activations, their ranges fixed by calibration.

Activations of .onnx are uint8 on x86: the same steps, counted from another zero point.
Symmetric weights: a pruned zero stays zero. Activations are asymmetric. Both runtimes
compute in integers; XNNPACK has kernels for it on every board.
"""

from __future__ import annotations

from tinyml.export.quantization.precision import Precision

# ai-edge-quantizer's configurations of tensors.
WEIGHT = {"num_bits": 8, "symmetric": True, "granularity": "CHANNELWISE", "dtype": "INT"}
ACTIVATION = {"num_bits": 8, "symmetric": False, "granularity": "TENSORWISE", "dtype": "INT"}

W8A8_STATIC = Precision(
    name="w8a8-static",
    policy="int8",
    weights="int8",
    activations="int8",
    ranges="calibration",
    quantizers={
        "onnx": {"activation_types": ("int8", "uint8"), "symmetric_activations": False},
        "tflite": {
            "weight_tensor_config": WEIGHT,
            "activation_tensor_config": ACTIVATION,
            "compute_precision": "INTEGER",
        },
    },
)
