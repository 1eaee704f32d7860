"""`w8a8_static` of weights that were trained to be rounded (``tinyml train --qat``).

The files differ from those of ``w8a8-static`` in nothing but the weights' values: plan,
ranges, quantizers and gate are the same, for both formats (docs/adr/0006).
"""

from __future__ import annotations

from tinyml.export.quantization.precisions.w8a8_static import (
    ACTIVATIONS,
    CALIBRATED,
    NOTES,
    ONNX,
    TFLITE,
    WEIGHTS_ONLY,
)

__all__ = ["ACTIVATIONS", "CALIBRATED", "NOTES", "ONNX", "TFLITE", "WEIGHTS_ONLY"]
