"""int8 weights per channel and int8 activations, their ranges fixed by calibration.

Symmetric weights: a pruned zero stays zero. Activations are asymmetric. Both runtimes
compute in integers; XNNPACK has kernels for it on every board.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyml.export.quantization.plan import Scheme

NOTES: Mapping[str, str] = {}
CALIBRATED = True
WEIGHTS_ONLY = False
ACTIVATIONS: Scheme = "int8"
# ai-edge-quantizer's configurations of tensors.
WEIGHT = {"num_bits": 8, "symmetric": True, "granularity": "CHANNELWISE", "dtype": "INT"}
ACTIVATION = {"num_bits": 8, "symmetric": False, "granularity": "TENSORWISE", "dtype": "INT"}
TFLITE: Mapping[str, Any] = {
    "weight_tensor_config": WEIGHT,
    "activation_tensor_config": ACTIVATION,
    "compute_precision": "INTEGER",
}
# onnxruntime's names of the activations' type and whether they are symmetric.
ONNX: tuple[str, bool] = ("QInt8", False)
