"""What a procedure does around each optimizer step."""

from __future__ import annotations

from collections.abc import Mapping

from tinyml.core.spec import Array


class Hook:
    """Called by `Fit` around an optimizer step; this one does nothing.

    Steps are counted over the whole fit; ``step`` many are finished in `after_update`.
    """

    def before_update(self) -> None:
        """Gradients are there, weights are about to change."""

    def after_update(self, step: int) -> None:
        """``step`` updates are finished."""

    def mask(self) -> None:
        """The module computes with averaged weights for a while: mask them the same way."""

    @property
    def finished(self) -> bool:
        """Whether the fit may end with this epoch."""
        return False

    def row(self) -> dict[str, float]:
        """More columns of the epoch's row of the curve."""
        return {}

    def tensors(self) -> dict[str, Array]:
        """What `restore` needs after an interruption."""
        return {}

    def restore(self, tensors: Mapping[str, Array]) -> None:
        """Continue where `tensors` was taken."""
