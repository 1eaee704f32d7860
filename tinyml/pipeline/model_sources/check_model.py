"""What was asked of a model, against what it has: refused before it is captured."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from tinyml.core.errors import InputError, UsageError
from tinyml.core.spec import Signature

# Of a model's stages, in a hint.
MOST_TOLD = 8


def check_kept(keep: Sequence[str], stages: Sequence[str]) -> None:
    """`UsageError` for a stage that the model does not have: the nearest come first."""
    for name in keep:
        if name not in stages:
            near = difflib.get_close_matches(name, stages, n=MOST_TOLD, cutoff=0.0)
            more = f" and {len(stages) - len(near)} more" if len(stages) > len(near) else ""
            raise UsageError(
                f"no stage '{name}' to keep in float32",
                hint=f"stages, the nearest first: {', '.join(near) or 'none'}{more}",
            )


def check_labels(count: int, signature: Signature) -> None:
    """`InputError` for ``count`` labels, 0: none, where no output has as many values last."""
    lasts = [spec.shape[-1] for spec in signature.outputs if spec.shape]
    if count and count not in lasts:
        raise InputError(
            f"{count} labels are given, the last axes of the outputs have {lasts}",
            hint="give one label per class, one a line",
        )
