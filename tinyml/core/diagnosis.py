"""What was found out about model files: where, what it costs, what to do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tinyml.core.typed_json import Unbounded

EXACT = "exact"


def decibels(value: float) -> str:
    """``value`` in dB for a person; an infinite one is ``exact``."""
    return EXACT if value == math.inf else f"{value:.1f} dB"


@dataclass(frozen=True, slots=True)
class Finding:
    """``rule`` is the rule's name; ``node`` an operator, tensor or stage of the file."""

    rule: str
    node: str
    cost: str
    fix: str


def findings_by_module(found: Iterable[Finding], modules: Mapping[str, str]) -> tuple[Finding, ...]:
    """``found`` with the submodule instead of the tensor, where ``modules`` has it."""
    return tuple(replace(own, node=modules.get(own.node, own.node)) for own in found)


@dataclass(frozen=True, slots=True)
class LayerSensitivity:
    """What quantizing one layer of a file costs.

    alone_db    SQNR of the outputs when nothing else is in integers, in dB; ``inf``: it changes
                nothing; ``-inf``: outputs are not finite
    without_db  the same when all else is in integers and this stays in float32
    operators   how many it has
    """

    layer: str
    alone_db: Unbounded
    without_db: Unbounded
    operators: int


@dataclass(frozen=True, slots=True)
class SensitivityAnalysis:
    """Sensitivity by layer in the file's order, and SQNR in dB with all layers quantized."""

    layers: tuple[LayerSensitivity, ...]
    whole_db: Unbounded


def ranked(*found: SensitivityAnalysis) -> list[LayerSensitivity]:
    """The layers of every file in ``found``, the most sensitive first."""
    rows = [(sensitivity(layer, own.whole_db), layer) for own in found for layer in own.layers]
    return [layer for _, layer in sorted(rows, key=lambda row: row[0], reverse=True)]


def sensitivity(layer: LayerSensitivity, whole_db: float) -> tuple[int, float]:
    """What a layer is ranked by: whether its integers make outputs not finite, then their noise.

    The noise, over the signal's power, is what the layer adds to a file in float32, and also
    what goes with it from the whole file where that is most of the noise: ``alone_db`` by itself
    would rank a layer last that costs something only next to others. Less than half does not count:
    such differences between two noisy files are chance.
    """
    alone, without, whole = map(_noise, (layer.alone_db, layer.without_db, whole_db))
    terms = [alone]
    if without < whole / 2:
        terms.append(whole - without)
    return sum(map(math.isinf, terms)), sum(term for term in terms if math.isfinite(term))


def _noise(db: float) -> float:
    """Power of the noise over the signal's; infinite where outputs are not finite."""
    return math.inf if db == -math.inf else 10.0 ** (-db / 10)


@dataclass(frozen=True, slots=True)
class Confusion:
    """Predicted classes of samples: the float file's against the integers'.

    ``pairs``: (class in float, class when quantized, how many samples), none of them empty.
    """

    classes: tuple[str, ...]
    pairs: tuple[tuple[int, int, int], ...]

    @property
    def samples(self) -> int:
        return sum(count for *_, count in self.pairs)

    @property
    def moved(self) -> int:
        """Samples that the integers put into another class."""
        return sum(count for want, got, count in self.pairs if want != got)

    def histogram(self, side: int) -> list[int]:
        """Samples of each class, ``side`` 0: in float, 1: in integers."""
        found = [0] * len(self.classes)
        for pair in self.pairs:
            found[pair[side]] += pair[2]
        return found
