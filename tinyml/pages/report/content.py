"""What a section of the report holds: typed blocks without any HTML, drawn by ``page.html.j2``.

Every text may come from a file name, a label or a manifest: it is escaped where it is drawn.
Text in backticks is drawn as code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from tinyml.pages.report.svg import Chart

Tone = Literal["good", "bad", "plain"]


@dataclass(frozen=True, slots=True)
class Bar:
    """A table's cell: ``text``, and ``share`` of 0 to 1 as a bar next to it."""

    kind: ClassVar = "bar"
    text: str
    share: float


@dataclass(frozen=True, slots=True)
class Heat:
    """A table's cell: ``text`` on a shade of ``share``, 0 to 1; ``right`` is another colour."""

    kind: ClassVar = "heat"
    text: str
    share: float
    right: bool = False

    @property
    def level(self) -> int:
        """The shade: 0 to 9."""
        return min(9, max(0, round(9 * self.share)))


@dataclass(frozen=True, slots=True)
class Badge:
    """A table's cell or a tile's mark: a verdict, in words as well as in colour."""

    kind: ClassVar = "badge"
    text: str
    tone: Tone = "plain"


Cell = str | Bar | Heat | Badge


@dataclass(frozen=True, slots=True)
class Prose:
    """A paragraph."""

    kind: ClassVar = "prose"
    text: str


@dataclass(frozen=True, slots=True)
class NamedValues:
    """Names and values, under a title if there is one."""

    kind: ClassVar = "facts"
    rows: Sequence[tuple[str, str]]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head; ``fold``: hidden until the reader opens it.

    ``matrix``: the cells are as wide as each other, as those of a confusion matrix.
    """

    kind: ClassVar = "table"
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    fold: bool = False
    matrix: bool = False


def without_empty(table: Table) -> Table:
    """``table`` without the columns that hold no value in any row."""
    kept = [
        at for at in range(len(table.head)) if any(row[at] not in ("", "-") for row in table.rows)
    ]
    rows = [[row[at] for at in kept] for row in table.rows]
    return replace(table, head=[table.head[at] for at in kept], rows=rows)


@dataclass(frozen=True, slots=True)
class Picture:
    """Pixels as a PNG, enlarged without smoothing.

    ``shape``: ``square`` keeps its sides; ``band`` and ``strip`` are as wide as the page.
    """

    png: bytes
    alt: str
    shape: Literal["square", "band", "strip"] = "square"


@dataclass(frozen=True, slots=True)
class Sound:
    """A recording as a WAV file."""

    wav: bytes
    label: str


@dataclass(frozen=True, slots=True)
class Example:
    """One picture or sound, as of a sample with its prediction."""

    title: str
    medium: Picture | Sound
    text: str
    mark: Badge | None = None


@dataclass(frozen=True, slots=True)
class Gallery:
    """Samples next to each other."""

    kind: ClassVar = "gallery"
    title: str
    examples: Sequence[Example]


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage made of a sample: pictures of its channels, ``text`` under its name."""

    name: str
    text: str
    pictures: Sequence[Picture] = ()
    chart: Chart | None = None
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Stages:
    """From input to output, in network order."""

    kind: ClassVar = "stages"
    stages: Sequence[Stage]


@dataclass(frozen=True, slots=True)
class Note:
    """A finding: where it is, what it costs and what to do about it."""

    rule: str
    where: str
    cost: str
    fix: str


@dataclass(frozen=True, slots=True)
class Notes:
    """Findings of one file."""

    kind: ClassVar = "notes"
    title: str
    notes: Sequence[Note]


@dataclass(frozen=True, slots=True)
class Missing:
    """What is not known, and the command that adds it."""

    kind: ClassVar = "missing"
    text: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands for a terminal, each with what it makes."""

    kind: ClassVar = "commands"
    rows: Sequence[tuple[str, str]]


Block = Prose | NamedValues | Table | Chart | Gallery | Stages | Notes | Missing | Commands


@dataclass(frozen=True, slots=True)
class ReportSection:
    """A heading with a sentence under it and what belongs to it; ``id`` is its anchor."""

    id: str
    title: str
    lead: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Tile:
    """A key figure at the top of the page, linked to the section ``anchor``."""

    label: str
    value: str
    note: str
    anchor: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Page:
    """The whole report."""

    title: str
    subtitle: str
    tiles: Sequence[Tile]
    sections: Sequence[ReportSection]
    footer: str
