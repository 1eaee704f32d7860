"""docs/operators.md from the results."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from operators.cell import FAULTS, FORMATS, PRECISIONS, Cell
from operators.networks import CALIBRATION_COUNT, SEED
from operators.row import Row
from tinyml.core.versions import version_of
from tinyml.export.quantization.integer_kernels import NO_KERNEL
from tinyml.pipeline.steps.assemble import MAKERS

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"
Cells = Mapping[tuple[str, str], Cell]
HEAD = """\
# Operators that export

```sh
make operators    # exports what is not stored yet in build/operators, and writes this page
```

Each row is one operator in a small network: a layer with weights, the operator, a matrix. Each cell
is an export of that network as `tinyml export` does it, with the parity gate. A cell with two words
is ONNX / TFLite, a cell with one is both.

- **yes**: exported, and within the tolerance of its precision.
- **float**: the same, and the operator itself computes in float32. A number refers to the reason
  below the table; without one, the runtime has no integer kernel for the operator.
- **no**: refused, and no file is written. The number refers to the reason.

In `w8` every operator computes in float32, from weights of eight bits; in `w8-dynamic`, those that
do not multiply by a weight.

"""
WORDS = {"works": "yes", "float": "float", "refused": "no", "diverges": "WRONG", "crash": "CRASH"}
# Operators whose value jumps where their input passes some number: the gate refuses a network in
# which eight bits in front of one move a value across.
JUMPS = frozenset(
    {
        *("nn.Threshold", "nn.Hardshrink", "torch.sign", "torch.floor", "torch.ceil"),
        *("torch.round", "torch.trunc", "torch.frac", "torch.remainder", "torch.fmod"),
        *("torch.floor_divide", "torch.floor_divide (by a tensor)", "torch.masked_fill"),
        *("torch.logical_and", "torch.heaviside", "torch.any", "torch.argmax", "torch.argsort"),
        *("torch.topk (indices)", "boolean indexing", "boolean assignment", "torch.nonzero"),
        *("torch.masked_select", "torch.masked_scatter"),
    }
)
JUMPED = (
    "The parity gate refuses it: the operator's value jumps, and rounding to eight bits in front "
    "moves some inputs across. Name the operator and the layer in front in `keep_float`."
)
ROUNDED = ("w8a8-static", "w8-dynamic", "w8")


@dataclass(slots=True)
class Notes:
    """Reasons below one table, each once, numbered in the order of their first use."""

    numbers: dict[str, int] = field(default_factory=dict)

    def mark(self, reason: str) -> str:
        if not reason:
            return ""
        return f" [{self.numbers.setdefault(reason, len(self.numbers) + 1)}]"

    def text(self) -> str:
        return "".join(f"{number}. {reason}\n" for reason, number in self.numbers.items())


def is_fault(row: Row, cell: Cell) -> bool:
    """Whether the cell must not be: each is an error of this package."""
    return cell.outcome in FAULTS and not _is_jump(row, cell)


def _is_jump(row: Row, cell: Cell) -> bool:
    return cell.outcome == "diverges" and row.name in JUMPS and cell.precision in ROUNDED


def short_reason(cell: Cell) -> str:
    """The reason without names of this network, and what to do; empty for the usual one."""
    if cell.outcome == "works" or cell.reason == NO_KERNEL:
        return ""
    reason = re.sub(r"'layer(\.\w+)*'(?: \([^)]*\))?", "the operator", cell.reason)
    reason = re.sub(r"/\S*/", "", reason).rstrip(".")
    hint = re.sub(r"(; )?the whole log: \S+", "", cell.hint)
    return f"{reason}. {hint[:1].upper()}{hint[1:]}".strip(". ") + "." if reason else ""


def page(rows: Sequence[Row], found: Mapping[str, Cells]) -> str:
    parts = [HEAD, _made(rows, found), "\n"]
    for group, own in itertools.groupby(rows, lambda row: row.group):
        parts.append(f"## {group}\n\n{table(list(own), found)}\n")
    return f"{''.join(parts).rstrip()}\n"


def table(rows: Sequence[Row], found: Mapping[str, Cells]) -> str:
    """The rows, and the reasons below."""
    notes = Notes()
    lines = [["operator", *PRECISIONS], ["---"] * (1 + len(PRECISIONS))]
    for row in rows:
        cells = (_shown(row, found[row.id], precision, notes) for precision in PRECISIONS)
        lines.append([f"`{row.name}`", *cells])
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{text}\n{notes.text()}" if notes.numbers else text


def _shown(row: Row, own: Cells, precision: str, notes: Notes) -> str:
    """One word where both formats agree, else one each."""
    words = [_word(row, own.get((fmt, precision)), notes) for fmt in FORMATS]
    return words[0] if len(set(words)) == 1 else " / ".join(words)


def _word(row: Row, cell: Cell | None, notes: Notes) -> str:
    if cell is None:
        return "-"
    if _is_jump(row, cell):
        return f"no{notes.mark(JUMPED)}"
    return f"{WORDS[cell.outcome]}{notes.mark(short_reason(cell))}"


def _made(rows: Sequence[Row], found: Mapping[str, Cells]) -> str:
    """How many cells of each kind, and of what they were made."""
    cells = [(row, cell) for row in rows for cell in found[row.id].values()]
    words = Counter("no" if _is_jump(*one) else WORDS[one[1].outcome] for one in cells)
    told = ", ".join(f"{words[word]:,} {word}" for word in WORDS.values() if words[word])
    missing = len(rows) * len(FORMATS) * len(PRECISIONS) - len(cells)
    absent = f" {missing:,} were not run, shown as `-`." if missing else ""
    commits = Counter(cell.commit or "an earlier one" for _, cell in cells)
    at = ", ".join(f"{commit} ({count:,})" for commit, count in commits.most_common())
    versions = ", ".join(f"{name} {version_of(name)}" for name in MAKERS)
    return (
        f"{len(rows)} operators, {len(cells):,} exports: {told}.{absent}\n\n"
        f"Exports at each commit: {at or 'none'}. Weights and inputs are random, of seed {SEED}; "
        f"{CALIBRATION_COUNT} of the inputs calibrate.\nWith {versions}.\n"
    )
