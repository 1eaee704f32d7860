"""Every option of an export, once.

A recipe's ``[export]``, the command line of ``tinyml export`` and `tinyml.build_bundle` take
these names. A new option is one field here and the code that uses it. What belongs to one call
alone, files and places, is in `tinyml.core.export_job`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinyml.core.registry import FORMATS, PRECISIONS
from tinyml.core.settings import check, setting

# Panels of the help text; settings without one are the common ones.
QUANTIZATION = "Quantization"
OWN_MODEL = "Your own model"
CHECKS = "Accuracy and checks"
LIMITS = "Storage and limits"

# The precision whose weights a training has adapted to eight bits.
QAT = "qat-w8a8"
SPARSE = AUTO, OFF = ("auto", "off")
IO = FLOAT, INT8, UINT8 = ("float", "int8", "uint8")
RANGES = ("min-max", "percentile", "mse", "entropy")
SCALES = PER_CHANNEL, PER_TENSOR = ("per-channel", "per-tensor")
ROUNDINGS = NEAREST, ADAPTIVE = ("nearest", "adaptive")
LAYOUTS = NCHW, NHWC = ("nchw", "nhwc")
DIRECTIONS = ("higher", "lower")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """How a model is exported; ``None`` is not set. `SettingError` for a value out of its range.

    Those of the panel `QUANTIZATION` are refused where the precision is not quantized.
    """

    formats: tuple[str, ...] | None = setting(
        "Formats of the model files. Default: the target's; tinyml targets NAME shows them.",
        values=FORMATS,
        metavar="LIST",
        separator=",",
    )
    precision: str = setting(
        "fp16 halves the file and keeps in float32 what float16 cannot hold. w8a8-static, "
        "w8-dynamic and w8a16 also compute with integers; w8 stores only the weights as such. "
        "qat-w8a8 is for a run of tinyml train --qat.",
        "fp32",
        values=PRECISIONS,
    )
    streaming: bool = setting(
        "Add the model as two graphs for a stream, which compute no frame of the sound twice.",
        False,
    )

    ranges: str = setting(
        "Method that chooses the range of each activation.",
        "min-max",
        values=RANGES,
        panel=QUANTIZATION,
    )
    calibration_samples: int = setting(
        "Number of samples that ranges are chosen on.",
        200,
        minimum=1,
        panel=QUANTIZATION,
        metavar="COUNT",
    )
    io: str = setting(
        "int8 makes the inputs and outputs of the files integers; their scales and zero points "
        "are in the manifest. For w8a8-static and qat-w8a8; uint8 is for .onnx alone.",
        FLOAT,
        values=IO,
        panel=QUANTIZATION,
    )
    keep_float: tuple[str, ...] = setting(
        "A stage that stays in float32.", (), panel=QUANTIZATION, metavar="STAGE"
    )
    equalize: bool = setting(
        "Equalize the channels of consecutive layers first; the outputs in float32 stay the same.",
        False,
        panel=QUANTIZATION,
    )
    correct_bias: bool = setting(
        "Subtract from each bias what rounding the weights adds to the mean of its layer. "
        "For w8a8-static and w8a16.",
        False,
        panel=QUANTIZATION,
    )
    rounding: str = setting(
        "adaptive rounds all weights of an output channel together, so that the layer's output "
        "changes least on the calibration samples, and corrects the biases. For w8a8-static and "
        "w8a16.",
        NEAREST,
        values=ROUNDINGS,
        panel=QUANTIZATION,
    )
    weight_scales: str = setting(
        "per-tensor, one scale a weight, is for processors that support no other.",
        PER_CHANNEL,
        values=SCALES,
        panel=QUANTIZATION,
    )
    front_end: str = setting(
        "int8 quantizes the model's front end too.",
        FLOAT,
        values=(FLOAT, INT8),
        panel=QUANTIZATION,
    )
    explain: bool = setting(
        "Rank the layers by their sensitivity: the error that each causes alone.",
        False,
        panel=QUANTIZATION,
    )
    auto_precision: bool = setting(
        "Keep the most sensitive layers in float32 until the parity gate passes and the loss is "
        "at most `max_drop_points`.",
        False,
        panel=QUANTIZATION,
    )
    max_drop_points: float = setting(
        "With `auto_precision`: percent of predictions that may change, points of a share of "
        "samples, or percent of any other metric.",
        0.5,
        minimum=0,
        panel=QUANTIZATION,
        metavar="NUMBER",
    )

    strip_prefix: str = setting(
        "Prefix to remove from the names in `weights`, such as module.",
        "",
        panel=OWN_MODEL,
        metavar="TEXT",
    )
    states: tuple[str, ...] = setting(
        "Output OUT becomes input IN of the next call.",
        (),
        panel=OWN_MODEL,
        flag="--state",
        metavar="IN=OUT",
    )
    input_layout: str = setting(
        "nhwc: the 4-D inputs of the files, and of the sample, have their channels last.",
        NCHW,
        values=LAYOUTS,
        panel=OWN_MODEL,
    )

    without_data: bool = setting(
        "Check parity on generated inputs only; the bundle records it.", False, panel=CHECKS
    )
    metric_direction: str | None = setting(
        "Which value of the metric is better. Needed unless the metric is a share of samples, or "
        "its name tells (accuracy, recall, auc).",
        values=DIRECTIONS,
        panel=CHECKS,
    )
    metric_tolerance: float | None = setting(
        "How much worse than PyTorch's the metric may be. Default: one sample or 1% of a share of "
        "samples, 1% of any other metric.",
        minimum=0,
        panel=CHECKS,
        metavar="NUMBER",
    )
    require_delegate: bool = setting(
        "Fail with exit code 5 unless XNNPACK runs every operator of the .tflite file.",
        False,
        panel=CHECKS,
    )

    sparse: str = setting(
        "auto stores a pruned weight of a .tflite file without its zeros where that is smaller.",
        AUTO,
        values=SPARSE,
        panel=LIMITS,
    )
    timeout_s: float = setting(
        "Seconds that one conversion may take.",
        600.0,
        minimum=1,
        panel=LIMITS,
        flag="--timeout",
        metavar="SECONDS",
    )
    memory_mb: int | None = setting(
        "MB that one conversion may use. Default: all of the machine's.",
        minimum=64,
        panel=LIMITS,
        flag="--memory",
        metavar="MB",
    )

    def __post_init__(self) -> None:
        check(self)
