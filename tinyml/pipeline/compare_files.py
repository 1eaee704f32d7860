"""Two model files next to each other: size, operators, precision of each layer, passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tinyml.core.bundle import ModelFile
from tinyml.core.errors import MissingExtraError
from tinyml.core.files import sha256
from tinyml.modelfile.sparse_storage import SparseTensor
from tinyml.modelfile.summary import LayerSummary, Summary
from tinyml.pipeline.formats import format_of
from tinyml.pipeline.module_names import modules_of, with_modules
from tinyml.runtimes.file_read import report_of

Value = int | float | str | None
# Aligning takes time with the square of their number; more layers are paired by their place.
MOST_ALIGNED = 2000


@dataclass(frozen=True, slots=True)
class Both:
    """One fact of A and of B; ``None`` where that side has none."""

    name: str
    a: Value
    b: Value

    @property
    def differs(self) -> bool:
        return self.a != self.b

    @property
    def ratio(self) -> float | None:
        """B over A, of numbers."""
        if isinstance(self.a, str) or isinstance(self.b, str) or not self.a or self.b is None:
            return None
        return self.b / self.a


@dataclass(frozen=True, slots=True)
class Contents:
    """A model file of one side.

    model  what its bundle's manifest says of it; ``None`` for a file alone
    facts  what it holds; ``None`` where its reader is not installed, as ``note`` says
    """

    path: Path
    sha256: str
    size: int
    format: str
    model: ModelFile | None
    facts: Summary | None
    sparse: tuple[SparseTensor, ...]
    note: str = ""

    @property
    def layers(self) -> tuple[LayerSummary, ...]:
        """Those that multiply and accumulate."""
        return tuple(layer for layer in self.facts.layers if layer.macs != 0) if self.facts else ()


@dataclass(frozen=True, slots=True)
class LayerPair:
    """A layer in both files, or in one: names, and dtypes as stored, ``weight/activation``."""

    name_a: str | None
    name_b: str | None
    stored_a: str | None
    stored_b: str | None
    macs: int | None


@dataclass(frozen=True, slots=True)
class FileComparison:
    """What two files hold; ``passes`` only where bundles tell them."""

    a: Contents
    b: Contents
    sizes: tuple[Both, ...]
    operators: tuple[Both, ...]
    layers: tuple[LayerPair, ...]
    passes: tuple[Both, ...]

    @property
    def identical(self) -> bool:
        """Whether they are the same bytes."""
        return self.a.sha256 == self.b.sha256

    def to_json(self) -> dict[str, Any]:
        return {
            "a": self.a.path.name,
            "b": self.b.path.name,
            "identical": self.identical,
            "size": [asdict(row) for row in self.sizes],
            "operators": [asdict(row) for row in self.operators],
            "layers": [asdict(layer) for layer in self.layers],
            "passes": [asdict(row) for row in self.passes],
            "notes": [side.note for side in (self.a, self.b) if side.note],
        }


def contents(path: Path, model: ModelFile | None) -> Contents:
    """Read a file without running it; `InputError` when it is no whole model file.

    Raises `MissingExtraError` for a file alone whose reader is not installed; of a bundle's
    file the manifest is still known.
    """
    note, facts, sparse = "", None, tuple[SparseTensor, ...]()
    try:
        found = report_of(path)
        facts, sparse = found.summary, found.sparse
        facts = with_modules(facts, model.modules if model else modules_of(path))
    except MissingExtraError as error:
        if model is None:
            raise
        note = f"{path.name} is not read: {error.message}"
    digest = sha256(path)
    if model is not None and digest != model.sha256:
        note = f"{path.name} was changed after its export: its parity is that of another file"
    size, fmt = path.stat().st_size, format_of(path).name
    return Contents(path, digest, size, fmt, model, facts, sparse, note)


def compare_files(a: Contents, b: Contents) -> FileComparison:
    """Everything that both files tell."""
    return FileComparison(
        a,
        b,
        sizes=tuple(Both(name, of_a, _sizes(b)[name]) for name, of_a in _sizes(a).items()),
        operators=both(a.facts.ops if a.facts else {}, b.facts.ops if b.facts else {}),
        layers=tuple(_layers(a.layers, b.layers)),
        passes=both(a.model.passes if a.model else {}, b.model.passes if b.model else {}),
    )


def both(a: Mapping[str, Value], b: Mapping[str, Value]) -> tuple[Both, ...]:
    """Every key of either, in the order of ``a``, then of ``b``."""
    return tuple(Both(name, a.get(name), b.get(name)) for name in dict.fromkeys([*a, *b]))


def _sizes(side: Contents) -> dict[str, Value]:
    facts, sparse = side.facts, side.sparse
    return {
        "precision": side.model.precision if side.model else None,
        "file bytes": side.size,
        "weight bytes": facts.weight_bytes if facts else None,
        "weights stored sparse": len(sparse) if facts else None,
        "sparse bytes": sum(weight.stored_bytes for weight in sparse) if sparse else None,
        "the same, dense": sum(weight.dense_bytes for weight in sparse) if sparse else None,
        "parameters": facts.parameters if facts else None,
        "MACs": facts.macs if facts else None,
        "MACs in float": facts.float_macs if facts else None,
        "largest activation bytes": facts.largest_activation_bytes if facts else None,
        "oldest runtime": side.model.minimum_runtime if side.model else None,
    }


def _layers(a: tuple[LayerSummary, ...], b: tuple[LayerSummary, ...]) -> Iterable[LayerPair]:
    """Layers side by side, in order: names of tensors differ between any two files.

    The same layer has the same MACs in every format and precision; where a file does not
    tell them, the number of its parameters is looked at.
    """
    told = all(layer.macs is not None for layer in (*a, *b))
    of_a, of_b = ([x.macs if told else x.parameters for x in side] for side in (a, b))
    if of_a == of_b or max(len(a), len(b)) > MOST_ALIGNED:
        yield from (_pair(x, y) for x, y in zip_longest(a, b))
        return
    found = SequenceMatcher(a=of_a, b=of_b, autojunk=False).get_opcodes()
    for tag, a0, a1, b0, b1 in found:
        if tag == "equal":
            yield from (_pair(x, y) for x, y in zip(a[a0:a1], b[b0:b1], strict=True))
        else:
            yield from (_pair(layer, None) for layer in a[a0:a1])
            yield from (_pair(None, layer) for layer in b[b0:b1])


def _pair(a: LayerSummary | None, b: LayerSummary | None) -> LayerPair:
    known = [layer.macs for layer in (a, b) if layer is not None and layer.macs is not None]
    return LayerPair(
        name_a=a.module or a.name if a else None,
        name_b=b.module or b.name if b else None,
        stored_a=_stored(a) if a else None,
        stored_b=_stored(b) if b else None,
        macs=known[0] if known else None,
    )


def _stored(layer: LayerSummary) -> str:
    return f"{layer.weight or '-'}/{layer.activation or '-'}"
