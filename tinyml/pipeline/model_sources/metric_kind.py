"""What kind of number a user's metric is: which way is worse, and what a small change of it is.

Accuracy is a share of samples, whole samples over all: rounding turns one that is on the fence.
Any other metric (a loss, an error rate per word, an F1) moves with every value and has no scale but
its own; nothing in the number says whether lower or higher is better, so the user must.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tinyml.core.errors import InputError, UsageError

HINT = "set which is better: `metric_direction=lower`, or higher"
# Of a function's name in words; those of the first are found inside of words too.
LOSS_PARTS = ("loss", "error", "perplexity", "distance", "divergence", "deviation")
LOSS_WORDS = (
    *("mse", "rmse", "nmse", "nrmse", "mae", "mape", "smape", "wer", "cer", "ter", "eer", "der"),
    *("nll", "bce", "kl", "fid", "ece", "brier"),
)
GAIN_WORDS = {"accuracy", "acc", "recall", "precision", "auc", "auroc", "iou", "uar"}
_WORD = re.compile("[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def check_direction(name: str, direction: str | None) -> None:
    """Before any work: `UsageError` where it is unknown which value of ``name`` is better."""
    if direction is None and sounds_like_loss(name):
        raise UsageError(
            f"the metric '{name}' sounds like a loss: whether lower is better is not given",
            hint=HINT,
        )


def sounds_like_loss(name: str) -> bool:
    """Whether the name of a function says that lower is better."""
    words = [word.lower() for word in _WORD.findall(name)]
    return any(word in LOSS_WORDS or any(p in word for p in LOSS_PARTS) for word in words)


def direction_of(name: str, given: str | None) -> str | None:
    """``given``, else ``higher`` where the name of the function says so (accuracy), else None."""
    words = {word.lower() for word in _WORD.findall(name)}
    return given or ("higher" if words & GAIN_WORDS else None)


def is_share(values: Iterable[float], samples: int) -> bool:
    """Whether each of ``values`` is a number of whole samples over all ``samples``."""
    counts = [value * samples for value in values]
    # A share computed in float32 is off by less; a thousandth of a sample is no sample.
    return all(0 <= own <= samples + 1e-3 and abs(own - round(own)) < 1e-3 for own in counts)


def check_kind(name: str, value: float, samples: int, direction: str | None) -> None:
    """`InputError` for a metric that is not a share of samples and has no ``direction``."""
    if direction is None and not is_share([value], samples):
        raise InputError(
            f"the metric '{name}' is {value:.6g}, which is not a share of {samples} samples: "
            "whether lower is better is not given",
            hint=HINT,
        )
