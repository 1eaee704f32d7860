"""Which operator of the file, and which submodule, each time of a runtime's profiler belongs to.

onnxruntime names what it runs by the file's nodes, in forms of its own. XNNPACK names kernels, in
the order of the file's operators but without those that it runs together with others: they are
told by their order. What the runtime adds, as a conversion of layouts, belongs to none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinyml.core.profile import LayerTime
from tinyml.modelfile.operator_list import ListedOperator

Modules = Mapping[str, str]
# What onnxruntime puts around the name of a node, or of its output, that it runs in another form.
_AFFIXES = re.compile(r"^fused |_nchwc$|_token_\d+$|_gemm$|_matmul$")
_UNNAMED = re.compile(r"(\w+)_(\d+)")
# XNNPACK's kernel, up to its first bracket -> the file's operators that it can be.
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
KERNELS: Mapping[str, tuple[str, ...]] = {
    "Convolution": _CONVOLUTIONS,
    "Deconvolution": ("TRANSPOSE_CONV",),
    "Fully Connected": ("FULLY_CONNECTED", "CONV_2D"),
    "Dynamic Fully Connected": ("FULLY_CONNECTED", "BATCH_MATMUL"),
    "Batch Matrix Multiply": ("BATCH_MATMUL",),
    "Average Pooling": ("AVERAGE_POOL_2D", "MEAN"),
    "Global Average Pooling": ("AVERAGE_POOL_2D", "MEAN"),
    "Max Pooling": ("MAX_POOL_2D",),
    "Sum": ("SUM", "MEAN"),
    "Square": ("MUL", "SQUARE", "POW"),
    "Square Root": ("SQRT",),
    "Reciprocal Square Root": ("RSQRT",),
    "Constant Pad": ("PAD", "PADV2"),
    "Static Reshape": ("RESHAPE", "EXPAND_DIMS", "SQUEEZE"),
    "Copy": ("CONCATENATION", "RESHAPE", "SPLIT", "PACK", "EXPAND_DIMS", "SQUEEZE"),
    "Slice": ("SLICE", "STRIDED_SLICE", "SPLIT"),
    "Sigmoid": ("LOGISTIC",),
    "Clamp": ("RELU", "RELU6", "RELU_N1_TO_1", "MINIMUM", "MAXIMUM"),
    "Negate": ("NEG",),
    "Exp": ("EXP",),
    "Bilinear Resize": ("RESIZE_BILINEAR",),
    "Resize Bilinear": ("RESIZE_BILINEAR",),
    "Convert": ("QUANTIZE", "DEQUANTIZE", "CAST"),
}
# Letters that a kernel and an operator have in common at their start, where it is not in the table.
LETTERS = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a profiler: mean time of one operator.

    ``name``: as onnxruntime calls it; LiteRT tells the place of those that it runs itself.
    """

    name: str
    op: str
    ns: float


def by_name(
    entries: Sequence[Entry], operators: Sequence[ListedOperator], modules: Modules
) -> tuple[LayerTime, ...]:
    """onnxruntime's ``entries``."""
    found = _Names(operators)
    return _layers(entries, [found.operator(own) for own in entries], operators, modules)


def by_order(
    entries: Sequence[Entry], operators: Sequence[ListedOperator], modules: Modules
) -> tuple[LayerTime, ...]:
    """LiteRT's ``entries``: those with a place are the file's own, the others XNNPACK's."""
    own = {place: _at(operators, entry) for place, entry in enumerate(entries) if entry.name}
    taken = {found.name for found in own.values() if found is not None}
    left = [found for found in operators if found.name not in taken]
    kernels = _aligned([entry for entry in entries if not entry.name], left)
    others = iter(kernels)
    owners = [own[place] if place in own else next(others) for place in range(len(entries))]
    return _layers(entries, owners, operators, modules)


def _at(operators: Sequence[ListedOperator], entry: Entry) -> ListedOperator | None:
    """The operator in the place that ``entry`` is called by."""
    place = int(entry.name) if entry.name.isdecimal() else len(operators)
    found = operators[place] if place < len(operators) else None
    return found if found is not None and found.op == entry.op else None


def all_modules(operators: Sequence[ListedOperator], modules: Modules) -> dict[str, str]:
    """Operator -> the submodule that it computes; empty where that is not known.

    What belongs to none, as a rounding to integers, is part of what it reads, else of what reads
    it.
    """
    found: dict[str, str] = {}
    for own in operators:
        names = (own.name, *own.outputs)
        told = next((modules[name] for name in names if modules.get(name)), "")
        before = (found[name] for name in own.sources if found.get(name))
        found[own.name] = told or next(before, "")
    unknown = {name for name, module in found.items() if not module}
    for own in reversed(operators):  # the first that reads it is the last here
        found |= {name: found[own.name] for name in own.sources if name in unknown}
    return found


def is_kernel_of(op: str, operator: str) -> bool:
    """Whether ``op`` of a profile, XNNPACK's or LiteRT's own, can be that ``operator``."""
    if op == operator:
        return True
    kernel = op.partition(" (")[0]
    if kernel in KERNELS:
        return operator in KERNELS[kernel]
    return kernel.upper().replace(" ", "_")[:LETTERS] == operator[:LETTERS]


class _Names:
    """The file's operators by what a runtime may call them."""

    def __init__(self, operators: Sequence[ListedOperator]) -> None:
        self.operators = operators
        self.by_name = {own.name: own for own in operators}
        self.by_output = {out: own for own in operators for out in own.outputs}

    def operator(self, entry: Entry) -> ListedOperator | None:
        name, bare = entry.name, _AFFIXES.sub("", _AFFIXES.sub("", entry.name))
        found = self._known(name) or self._known(bare) or self._unnamed(bare)
        if found is not None and found.front and found.op != entry.op:
            return self.by_name.get(found.front, found)
        return found

    def _known(self, name: str) -> ListedOperator | None:
        return self.by_name.get(name) or self.by_output.get(name)

    def _unnamed(self, name: str) -> ListedOperator | None:
        """A node without a name is called by its operator and place."""
        told = _UNNAMED.fullmatch(name)
        place = int(told[2]) if told else len(self.operators)
        if told is None or place >= len(self.operators) or self.operators[place].op != told[1]:
            return None
        return self.operators[place]


def _aligned(
    entries: Sequence[Entry], operators: Sequence[ListedOperator]
) -> list[ListedOperator | None]:
    """Each entry's operator: as many as possible, in the order of both."""
    fits = is_kernel_of
    most = [[0] * (len(operators) + 1) for _ in range(len(entries) + 1)]
    for i in reversed(range(len(entries))):
        for j in reversed(range(len(operators))):
            most[i][j] = max(most[i + 1][j], most[i][j + 1])
            if fits(entries[i].op, operators[j].op):
                most[i][j] = max(most[i][j], 1 + most[i + 1][j + 1])
    found: list[ListedOperator | None] = []
    i = j = 0
    while i < len(entries):
        both = j < len(operators) and fits(entries[i].op, operators[j].op)
        if both and most[i][j] == 1 + most[i + 1][j + 1]:
            found.append(operators[j])
            i, j = i + 1, j + 1
        elif j < len(operators) and most[i][j] == most[i][j + 1]:
            j += 1
        else:
            found.append(None)
            i += 1
    return found


def _layers(
    entries: Sequence[Entry],
    owners: Sequence[ListedOperator | None],
    operators: Sequence[ListedOperator],
    modules: Modules,
) -> tuple[LayerTime, ...]:
    """A layer for each entry, in the order of the file; what the runtime adds comes last.

    Multiply-accumulates of an operator count once; those of an operator that no entry is of are a
    layer that takes no time.
    """
    layers: list[LayerTime] = []
    found, counted = all_modules(operators, modules), set[str]()
    for entry, own in zip(entries, owners, strict=True):
        if own is None:
            layers.append(LayerTime("", entry.op, "", entry.ns))
            continue
        macs = 0 if own.name in counted else own.macs
        counted.add(own.name)
        layers.append(LayerTime(own.name, entry.op, found[own.name], entry.ns, macs))
    left = [own for own in operators if own.macs and own.name not in counted]
    layers += [LayerTime(own.name, own.op, found[own.name], 0.0, own.macs) for own in left]
    places = {own.name: place for place, own in enumerate(operators)}
    return tuple(sorted(layers, key=lambda own: places.get(own.name, len(places))))
