"""What a runtime does with a sparse file, compared with the same file stored dense."""

from __future__ import annotations

from dataclasses import dataclass

# Relative to the largest value; sparse kernels sum in another order.
WRONG = 1e-3


@dataclass(frozen=True, slots=True)
class Outcome:
    """``does``: sparse, dense, wrong (other numbers than dense), or refused.

    Sparse kernels sum in another order: outputs with the very bits of dense ones are
    computed dense, any others sparse, and so is what is much faster. They may be slower.

    sparse, dense  instructions or milliseconds of a call; ratio: dense over sparse
    error          largest difference, relative to the largest value
    """

    does: str
    sparse: float
    dense: float
    error: float

    @property
    def ratio(self) -> float:
        return self.dense / self.sparse if self.sparse else 0.0


def outcome(sparse: float, dense: float, error: float, refused: str, faster: float) -> Outcome:
    """``faster``: a ratio that dense kernels cannot have."""
    if refused:
        return Outcome("refused", 0, 0, 0.0)
    if error > WRONG:
        return Outcome("wrong", sparse, dense, error)
    runs_sparse = error > 0 or dense > faster * sparse
    return Outcome("sparse" if runs_sparse else "dense", sparse, dense, error)
