"""Outputs that hang on a choice between nearly equal numbers, and what may stand in their rows.

The places that topk, sort and argmax choose are not continuous: where two numbers differ by less
than an engine may round, it may choose the other place, and is right. What is computed for
each place is known, so an output is compared with the values at the places that it chose, and
those places must be ones that the numbers allow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinyml.core.spec import Array
from tinyml.core.tolerance import POLICIES, PolicyName

# Of an output that has no axis of chosen places: each row has one.
NO_AXIS = -1


@dataclass(frozen=True, slots=True)
class Ties:
    """One output in one case: ``rows`` choices of ``count`` places each, out of ``places``.

    numbers  [rows, places] that are chosen from
    chosen   [rows, count]: the numbers at the places that PyTorch chose
    table    [rows or 1, places, values]: what the output has for a choice of each place
    axis     of the output, along which its chosen places lie; `NO_AXIS`: it has none
    """

    numbers: Array
    chosen: Array
    table: Array
    axis: int

    @property
    def nbytes(self) -> int:
        """Of its arrays."""
        return int(self.numbers.nbytes + self.chosen.nbytes + self.table.nbytes)

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an output of ``shape`` can have these choices."""
        if (self.numbers.ndim, self.chosen.ndim, self.table.ndim) != (2, 2, 3):
            return False
        (rows, places), (others, count) = self.numbers.shape, self.chosen.shape
        is_axis = self.axis == NO_AXIS or (
            0 <= self.axis < len(shape) and shape[self.axis] == count
        )
        return (
            is_axis
            and rows == others
            and self.table.shape[:2] in ((rows, places), (1, places))
            and rows * count * self.table.shape[2] == int(np.prod(shape, dtype=np.int64))
            and (self.axis != NO_AXIS or count == 1)
        )

    def with_table(self, outputs: Sequence[Array]) -> Ties:
        """With the table from ``outputs`` in which the places are chosen one after the other."""
        table = np.concatenate([self.by_row(output) for output in outputs], axis=1)
        table = np.ascontiguousarray(table[:, : self.numbers.shape[1]])
        is_one = len(table) == 1 or bool(np.all(table == table[:1]))
        return replace(self, table=table[:1] if is_one else table)

    def nearest(self, got: Array, want: Array, policy: PolicyName) -> Array:
        """``want`` with each row as it is for the place, of those allowed, that ``got`` shows.

        Allowed are places whose numbers differ from PyTorch's chosen one by no more than two
        errors of ``policy``: the engine's of this number and of the other. No place stands in
        for two where the output is the places themselves.
        """
        if got.shape != want.shape:
            return want
        rows = np.stack([*self._nearest(self.by_row(got), self._slack(policy))], axis=1)
        return self._back(rows.astype(want.dtype), want.shape)

    def policy(self, asked: PolicyName) -> PolicyName:
        """What the output is judged by: places of which one is another place are wrong."""
        return "bitwise" if self.is_place else asked

    def _slack(self, policy: PolicyName) -> float:
        return 2.0 * max(POLICIES[name].bound(self.numbers) for name in (policy, "engine"))

    def _nearest(self, got: Array, slack: float) -> Iterator[Array]:
        """[rows, values] for each chosen place, from ``got``, [rows, count, values]."""
        numbers, table = self.numbers.astype(np.float64), self.table.astype(np.float64)
        is_place = self.is_place
        taken = np.zeros(numbers.shape, bool)
        every = np.arange(len(numbers))
        for turn in range(got.shape[1]):
            with np.errstate(invalid="ignore", over="ignore"):
                gap = np.abs(numbers - self.chosen[:, turn : turn + 1])
                far = np.abs(table - got[:, turn, None, :].astype(np.float64)).max(axis=2)
            far = np.where((gap <= slack) & ~taken, np.nan_to_num(far, nan=np.inf), np.inf)
            none = ~np.isfinite(far).any(axis=1)
            place = np.where(none, gap.argmin(axis=1), far.argmin(axis=1))
            if is_place:
                taken[every, place] = True
            yield self.table[every if len(self.table) > 1 else 0 * every, place]

    @property
    def is_place(self) -> bool:
        """Whether the output names the places, each by another integer."""
        if self.table.dtype.kind not in "iu" or self.table.shape[2] != 1:
            return False
        return all(len(np.unique(row)) == len(row) for row in self.table[..., 0])

    def by_row(self, output: Array) -> Array:
        """[rows, count, values] of an output."""
        rows, count = self.chosen.shape
        if self.axis == NO_AXIS:
            return output.reshape(rows, 1, -1)
        if rows == 1:
            return np.moveaxis(output, self.axis, 0).reshape(1, count, -1)
        return np.moveaxis(output, self.axis, -1).reshape(rows, count, 1)

    def _back(self, rows: Array, shape: tuple[int, ...]) -> Array:
        """The inverse of `by_row`."""
        if self.axis == NO_AXIS:
            return rows.reshape(shape)
        others = [size for axis, size in enumerate(shape) if axis != self.axis]
        if len(rows) == 1:
            return np.moveaxis(rows.reshape(shape[self.axis], *others), 0, self.axis)
        return np.moveaxis(rows.reshape(*others, shape[self.axis]), -1, self.axis)
