"""`w8a8_static` of weights that were trained to be rounded (``tinyml train --qat``).

The files differ from those of ``w8a8-static`` in nothing but the weights' values: plan,
ranges, quantizers and gate are the same, for both formats (docs/adr/0006).
"""

from __future__ import annotations

from dataclasses import replace

from tinyml.export.quantization.precisions.w8a8_static import W8A8_STATIC

QAT_W8A8 = replace(
    W8A8_STATIC,
    name="qat-w8a8",
    fixed_biases="its biases were trained together with rounded weights",
    quantization_aware=True,
)
