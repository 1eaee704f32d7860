"""docs/operators.md from the results."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from operators.cell import FORMATS, PRECISIONS, Cell
from operators.row import Row

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"
Cells = Mapping[tuple[str, str], Cell]
SHORT = {"w8a8-static": "w8a8", "w8-dynamic": "dynamic"}
HEAD = """\
# Operators that export

```sh
make operators    # exports what is not stored yet in build/operators, and writes this page
```

Each row is one operator in a small network: a layer with weights, the operator, a matrix. Each cell
is an export of that network as `tinyml export` does it, with the parity gate.

- **yes**: exported, and within the tolerance of its precision.
- **float**: the same, and the operator itself computes in float32: the note says why.
- **no**: refused, with the message of the note; no file is written.

*w8a8* is `w8a8-static`, *dynamic* is `w8-dynamic`. In *w8*, and in *dynamic* unless it has weights,
an operator computes in float32 by definition.

"""
WORDS = {"works": "yes", "float": "float", "refused": "no", "diverges": "WRONG", "crash": "CRASH"}


@dataclass(slots=True)
class Notes:
    """Reasons, each once, numbered in the order of their first use."""

    numbers: dict[str, int] = field(default_factory=dict)

    def mark(self, cell: Cell) -> str:
        text = short_reason(cell)
        if not text:
            return ""
        return f" [{self.numbers.setdefault(text, len(self.numbers) + 1)}]"

    def text(self) -> str:
        return "".join(f"{number}. {reason}\n" for reason, number in self.numbers.items())


def short_reason(cell: Cell) -> str:
    """The reason without names of this network, and what to do."""
    reason = re.sub(r"'layer(\.\w+)*'(?: \([^)]*\))?", "the operator", cell.reason)
    reason = re.sub(r"/\S*/", "", reason)
    hint = re.sub(r"(; )?the whole log: \S+", "", cell.hint) if cell.outcome != "works" else ""
    return f"{reason}. {hint[:1].upper()}{hint[1:]}".strip(". ") if reason else ""


def page(rows: Sequence[Row], found: Mapping[str, Cells]) -> str:
    notes = Notes()
    parts = [HEAD, _summary(found), "\n"]
    for group, own in itertools.groupby(rows, lambda row: row.group):
        parts.append(f"## {group}\n\n{_table(list(own), found, notes)}\n")
    return "".join([*parts, "## Notes\n\n", notes.text()])


def table(rows: Sequence[Row], found: Mapping[str, Cells]) -> str:
    """The rows alone, with their notes."""
    notes = Notes()
    return f"{_table(rows, found, notes)}\n{notes.text()}"


def _table(rows: Sequence[Row], found: Mapping[str, Cells], notes: Notes) -> str:
    heads = [f"{fmt} {SHORT.get(p, p)}" for fmt in FORMATS for p in PRECISIONS]
    lines = [["operator", *heads], ["---"] * (1 + len(heads))]
    for row in rows:
        own = found[row.id]
        cells = [own.get((fmt, p)) for fmt in FORMATS for p in PRECISIONS]
        lines.append([f"`{row.name}`", *(_shown(cell, notes) for cell in cells)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _shown(cell: Cell | None, notes: Notes) -> str:
    return "-" if cell is None else f"{WORDS[cell.outcome]}{notes.mark(cell)}"


def _summary(found: Mapping[str, Cells]) -> str:
    cells = [cell for own in found.values() for cell in own.values()]
    counts = {word: sum(c.outcome == kind for c in cells) for kind, word in WORDS.items()}
    told = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
    return f"{len(found)} operators, {len(cells):,} exports: {told}.\n"
