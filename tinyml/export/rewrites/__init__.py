"""Rewrites of the captured program, in the order applied: every format gains by them.

A pass is called with the program, which it changes in place, and the map
stage -> node, which it keeps true. It returns its `Outcome`: how often it fired, and why not
elsewhere. ``FIRES_IN`` of its module names the network of the tests in which it must fire.
"""

from __future__ import annotations

from collections.abc import Callable

from torch.export import ExportedProgram

from tinyml.export.capture.program import Captured
from tinyml.export.outcome import Outcome
from tinyml.export.rewrites.average_by_matrix import average_by_matrix
from tinyml.export.rewrites.crop_conv_transpose import crop_conv_transpose
from tinyml.export.rewrites.drop_dropout import drop_dropout
from tinyml.export.rewrites.fold_batchnorm import fold_batchnorm
from tinyml.export.rewrites.maximum_by_windows import maximum_by_windows
from tinyml.export.rewrites.merge_pad_into_conv import merge_pad_into_conv
from tinyml.export.rewrites.stft_to_conv import stft_to_conv
from tinyml.export.rewrites.use_leaky_relu import use_leaky_relu
from tinyml.export.rewrites.zero_masked_rows import zero_masked_rows

Stages = dict[str, str | None]

REWRITES: dict[str, Callable[[ExportedProgram, Stages], Outcome]] = {
    "drop_dropout": drop_dropout,
    "stft_to_conv": stft_to_conv,
    "zero_masked_rows": zero_masked_rows,
    "average_by_matrix": average_by_matrix,
    "maximum_by_windows": maximum_by_windows,
    "crop_conv_transpose": crop_conv_transpose,
    "use_leaky_relu": use_leaky_relu,
    "merge_pad_into_conv": merge_pad_into_conv,
    "fold_batchnorm": fold_batchnorm,
}

# Only of the copy that goes to a converter: `write.py` of `tinyml.export.formats.tflite` and, for
# functions, of `onnx`; of quantized files, if asked for: `tinyml.pipeline.steps.equalize`.
ON_REQUEST = (
    "drop_detach",
    "pad_by_numbers",
    "decompose_functions",
    "use_convertible_operators",
    "conv1d_to_conv2d",
    "average_over_space",
    *("select_by_topk", "assign_by_where", "scatter_by_comparison"),
    "equalize_layers",
)


def rewrite(captured: Captured) -> tuple[Captured, dict[str, int]]:
    """Apply every pass; returns the rewritten capture (same program) and the counts."""
    stages = dict(captured.stages)
    counts = {name: apply(captured.program, stages).count for name, apply in REWRITES.items()}
    captured.program.graph_module.recompile()
    captured.program.validate()  # type: ignore[no-untyped-call]
    return Captured(captured.program, stages, captured.signature), counts
