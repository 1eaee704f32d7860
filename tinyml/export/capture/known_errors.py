"""Errors of the converters that are known, and how to fix them: the first row that matches counts.

The patterns are words of torch 2.13's, onnxscript 0.7's and litert-torch 0.10's own messages.
"""

from __future__ import annotations

import re

KNOWN_ERRORS: tuple[tuple[str, str, str], ...] = (
    (
        "complex numbers",
        r"complex(64|128)?\b|\bstft\b|fft_|view_as_real|as_complex|_rfft|irfft",
        "take abs, real or imag of torch.stft, which becomes a convolution, or write the FFT as "
        "products with cosines and sines: neither format has complex numbers",
    ),
    (
        ".item()",
        r"\.item\(\)|_local_scalar_dense|ConcretizationTypeError|\.tolist\(\)|\.numpy\(\)",
        "keep the value a tensor: .item(), .tolist() and float(tensor) leave the graph",
    ),
    (
        "data-dependent branch",
        r"GuardOnDataDependent|data-dependent|control flow|torch\.cond|UserError: .*bool|to bool",
        "compute both sides and choose with torch.where: a branch on a tensor's value cannot be "
        "exported",
    ),
    (
        "dynamic shapes",
        r"NonConcreteBoolean|SymInt|symbolic|dynamic shape|nonzero|unbacked|unique|masked_select",
        "fix every shape: sizes may not depend on values (nonzero, boolean masks, unique)",
    ),
    (
        "buffer mutation",
        r"changes its buffer|mutat|in-place|buffers_to_mutate",
        "make the state an input and an output, and name the pair: `states=IN=OUT`",
    ),
    (
        "float64",
        r"float64|\bdouble\b|f64|enable_x64",
        "make the module float32: module.float(), and no numpy arrays or Python lists of floats "
        "turned to tensors without dtype=torch.float32",
    ),
    (
        "loops or branches",
        r"loops or branches",
        "write the branch with torch.where and the loop with a fixed count",
    ),
    (
        "custom operator",
        r"custom operator|outside of (ONNX|TFLite)",
        "write it with operators of torch: neither format carries a user's own",
    ),
    (
        "unsupported operator",
        r"no ONNX function|No decompositions|Lowering not found|failed to legalize|"
        r"DispatchError|not implemented for|has no fake|FakeTensor|"
        r"not supported|[Uu]nsupported",
        "replace the operator on that line by ones of torch.nn or torch.nn.functional",
    ),
)
UNKNOWN = "try that part alone, or write it with other operators"


def fix_for(message: str) -> str:
    """The fix for what a converter reported; a general one when the cause is not known."""
    for _, pattern, remedy in KNOWN_ERRORS:
        if re.search(pattern, message):
            return remedy
    return UNKNOWN
