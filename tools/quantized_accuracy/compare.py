"""Integers against float over the same subjects or images: kept labels, metrics, intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from file_outputs import FileOutputs

from tinyml.core.paired_difference import Difference, Metric, paired_difference
from tinyml.core.tolerance import sqnr_db
from tinyml.models.training.metrics import Reals


@dataclass(frozen=True, slots=True)
class Change:
    """A subject or image that two files name differently; ``margin`` is the float file's."""

    seed: int
    fold: int
    name: str
    truth: int
    want: int
    got: int
    margin: float


@dataclass(frozen=True, slots=True)
class Pair:
    """Labels of the same subjects or images by a float file and by one of integers.

    ``names`` stand there once a seed. One a fold: ``sqnr_db`` of the logits of all inputs
    together; ``low_db``: one input in a hundred has less; ``parity_db``: the lowest of the
    bundle's parity rows of the logits.
    """

    names: tuple[str, ...]
    truths: tuple[int, ...]
    wants: tuple[int, ...]
    gots: tuple[int, ...]
    changes: tuple[Change, ...]
    sqnr_db: tuple[float, ...]
    low_db: tuple[float, ...]
    parity_db: tuple[float, ...]

    @property
    def kept(self) -> float:
        """The share that keeps its label."""
        return 1 - len(self.changes) / len(self.truths)


def pool(pairs: Iterable[tuple[int, int, FileOutputs, FileOutputs]]) -> Pair:
    """(seed, fold, float outputs, quantized outputs) of every fold, one after another."""
    names: list[str] = []
    truths: list[int] = []
    wants: list[int] = []
    gots: list[int] = []
    changes: list[Change] = []
    noise: list[tuple[float, float, float]] = []
    for seed, fold, want, got in pairs:
        if (want.names, want.truths) != (got.names, got.truths):
            raise ValueError(f"fold {fold}: the two files answered about others")
        names += want.names
        truths, wants, gots = truths + want.truths, wants + want.labels, gots + got.labels
        rows = zip(want.names, want.truths, want.labels, got.labels, want.margins, strict=True)
        changes += [Change(seed, fold, *row) for row in rows if row[2] != row[3]]
        noise.append((*_noise(want, got), min(got.logits_db, default=float("nan"))))
    told = map(tuple, (names, truths, wants, gots, changes))
    return Pair(*told, *zip(*noise, strict=True))


def _noise(want: FileOutputs, got: FileOutputs) -> tuple[float, float]:
    """SQNR of the logits in dB: of all inputs together, and what one in a hundred is below."""
    wants, gots = logits(want.outputs), logits(got.outputs)
    each = [sqnr_db(own, other) for own, other in zip(gots, wants, strict=True)]
    whole = sqnr_db(gots, wants)
    # "lower": an input that is exact has infinity, which cannot be interpolated.
    return whole, float(np.quantile(each, 0.01, method="lower"))


def logits(probabilities: Sequence[Sequence[float]]) -> Reals:
    """[inputs, classes] before the softmax that made ``probabilities``, each input's mean zero.

    That mean is all of the logits that a softmax does not let through.
    """
    tiny = float(np.finfo(np.float32).tiny)
    found = np.log(np.maximum(np.asarray(probabilities, np.float64), tiny))
    return np.asarray(found - found.mean(axis=1, keepdims=True))


def difference(pair: Pair, metric: Metric, classes: int) -> Difference:
    """``metric`` of both, and the interval of its difference; a drawn name brings every seed's."""
    seeds = len(pair.names) // len(set(pair.names))
    order = np.argsort(pair.names, kind="stable")
    truths, wants, gots = (
        np.array(one)[order].reshape(-1, seeds) for one in (pair.truths, pair.wants, pair.gots)
    )
    return paired_difference(metric, truths, wants, gots, classes)
