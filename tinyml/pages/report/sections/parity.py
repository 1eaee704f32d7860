"""How far the files are from PyTorch: every stage of every engine, and the predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinyml.core.bundle import Agreement, Disagreement, Metric, Parity, StageParity
from tinyml.core.text import one_line
from tinyml.pages.divergence import LEAST, MOST, share
from tinyml.pages.report.content import (
    Badge,
    Block,
    Cell,
    Missing,
    Prose,
    ReportSection,
    Table,
    without_empty,
)
from tinyml.pages.report.material import Material
from tinyml.pages.report.svg import BAD, INK, MARKS, NARROW, PAPER, SERIES, SOFT, Chart, name_rows
from tinyml.pages.report.units import command, counted
from tinyml.pages.summary import parity_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Rows of the chart; of more stages those nearest to their bounds are drawn.
MOST_STAGES, MOST_CHANGED = 40, 50
ROW, AROUND = 19, 96
# In PyTorch: what is between the module and the files.
PROGRAMS = ("captured", "rewritten")
NAME = {True: 16, False: 34}
VERDICTS = {"pass": Badge("pass", "good"), "fail": Badge("fail", "bad")}


def section(material: Material) -> ReportSection:
    """The largest error of each stage over its bound, and whose predictions change."""
    parity = material.bundle.parity
    cases = len({row.case for row in parity.stages})
    lead = (
        f"Every stage of the files is compared with PyTorch in eval mode, on "
        f"{counted(cases, 'input')}. A stage passes where its largest error is within its bound."
    )
    blocks: list[Block] = [_errors(parity)] if parity.judged else []
    if parity.agreements:
        blocks += _agreements(parity.agreements)
    else:
        words = ("tinyml", "export", "RUN", "--target", material.bundle.target, "--data", "FOLDER")
        text = "Predictions on data were not compared: the export had no data set."
        blocks.append(Missing(text, command(*words)))
    if parity.metrics:
        blocks.append(_metrics(parity.metrics))
    blocks.append(_table(parity))
    return ReportSection("parity", "Parity with PyTorch", lead, blocks)


def _errors(parity: Parity) -> Chart:
    order = _shown(parity)
    every = len(dict.fromkeys(row.stage for row in parity.stages))
    engines = list(dict.fromkeys(row.engine for row in parity.stages))
    worst = max((row for row in parity.stages if _drawn(row)), key=share)
    first = parity.first_divergence
    end = (
        f"all are within their bounds; the nearest is {worst.stage} in {worst.engine}, at "
        f"{share(worst):.2g} of its bound"
        if first is None
        else f"the first out of bounds is {first.stage} in {first.engine}"
    )
    note = (
        f"The {len(order)} of {every} stages nearest to their bounds." if len(order) < every else ""
    )

    def draw(figure: Figure, width: int) -> None:
        _dots(figure, parity, order, engines, width)

    height = AROUND + ROW * len(order)
    return Chart(
        "parity",
        draw,
        title="Largest error of each stage, as a share of its bound",
        alt=f"Errors of {len(order)} stages in {len(engines)} engines: {end}. The values are in "
        "the table below.",
        height=(height, height + 20 * ((len(engines) + 1) // 2)),
        note=note,
    )


def _shown(parity: Parity) -> list[str]:
    """The stages that are drawn, in network order."""
    order = list(dict.fromkeys(row.stage for row in parity.stages if _drawn(row)))
    by_error = sorted(order, key=lambda s: -max(map(share, _of(parity, s))))
    kept = set(by_error[:MOST_STAGES])
    return [stage for stage in order if stage in kept]


def _of(parity: Parity, stage: str) -> list[StageParity]:
    return [row for row in parity.stages if row.stage == stage and _drawn(row)]


def _drawn(row: StageParity) -> bool:
    return row.verdict in ("pass", "fail")


def _dots(
    figure: Figure, parity: Parity, order: Sequence[str], engines: Sequence[str], width: int
) -> None:
    narrow = width == NARROW
    axes = figure.add_subplot()
    axes.set_xscale("log")
    colours = iter(SERIES * 2)
    for at, engine in enumerate(engines):
        rows = [
            (place, max(map(share, found)))
            for place, stage in enumerate(order)
            if (found := [row for row in _of(parity, stage) if row.engine == engine])
        ]
        program = engine in PROGRAMS
        shift = 0.44 * (at / max(1, len(engines) - 1) - 0.5)
        axes.plot(
            [value for _, value in rows],
            [place + shift for place, _ in rows],
            MARKS[at % len(MARKS)],
            color=SOFT if program else next(colours),
            markerfacecolor=PAPER if program else None,
            markersize=6 if program else 7,
            markeredgewidth=1.3 if program else 0,
            linestyle="none",
            label=one_line(engine, 24),
            clip_on=False,
        )
    axes.axvline(1.0, color=BAD, linewidth=1.4)
    _axis(axes, parity)
    name_rows(axes, [one_line(stage, NAME[narrow]) for stage in order])
    figure.legend(loc="outside upper left", ncols=2 if narrow else 4, handletextpad=0.2)


def _axis(axes: Axes, parity: Parity) -> None:
    shares = [share(row) for row in parity.stages if _drawn(row)]
    least, most = max(LEAST, min([1e-2, *shares])), min(MOST, max([1.0, *shares]))
    axes.set_xlim(least / 2, most * 4)
    ticks = [10.0**power for power in range(-6, 7) if least / 2 <= 10.0**power <= most * 4]
    ticks = ticks if len(ticks) < 6 else [t for i, t in enumerate(reversed(ticks)) if i % 2 == 0]
    names = {LEAST: "exact", 1.0: "bound", MOST: "missing"}
    axes.set_xticks(sorted(ticks), [names.get(tick, f"{tick:g}") for tick in sorted(ticks)])
    axes.set_xticks([], minor=True)
    axes.text(1.12, -0.55, "out of bounds", color=BAD, va="top", ha="left", fontsize=11)
    axes.set_xlabel("error / bound", color=INK)


def _agreements(found: Sequence[Agreement]) -> list[Block]:
    head = ("engine", "predictions that agree", "metric", "PyTorch", "file", "points (95%)")
    rows = []
    for own in found:
        agree = f"{own.agreeing:,} of {own.count:,} {own.shown_unit}"
        if own.difference is None:
            rows.append((own.engine, agree, "-", "-", "-", "-"))
        else:
            one = own.difference
            values = (f"{one.want:.4f}", f"{one.got:.4f}", one.points)
            rows.append((own.engine, agree, own.metric, *values))
    title = "Predictions of the files against PyTorch's"
    return [without_empty(Table(title, head, rows)), *_changed(found)]


def _changed(found: Sequence[Agreement]) -> list[Block]:
    """Samples whose label changes, those that PyTorch was surest of first."""
    moved: dict[Disagreement, list[str]] = {}
    for own in found:
        for one in own.disagreements:
            moved.setdefault(one, []).append(own.engine)
    if not moved:
        return []
    ordered = sorted(moved.items(), key=lambda row: -row[0].margin)[:MOST_CHANGED]
    rows = [
        (one.name, one.want, one.got, f"{one.margin:.4f}", ", ".join(engines))
        for one, engines in ordered
    ]
    head = ("sample", "PyTorch", "file", "margin in PyTorch", "engines")
    title = counted(len(moved), "changed prediction")
    if len(moved) > MOST_CHANGED:
        title += f": the {MOST_CHANGED} that PyTorch was surest of"
    return [Table(title, head, rows, fold=True)]


def _metrics(found: Sequence[Metric]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            own.engine,
            own.name,
            f"{own.value:.6g}",
            f"{own.samples:,}",
            Badge("holds", "good") if own.holds else Badge("worse", "bad"),
        )
        for own in found
    ]
    return Table("The author's metric", ("engine", "metric", "value", "samples", "verdict"), rows)


def _table(parity: Parity) -> Block:
    head, rows = parity_rows(parity)
    if not rows:
        return Prose("The manifest lists no comparison.")
    at = head.index("verdict")
    shown: list[list[Cell]] = []
    for row in rows:
        cells: list[Cell] = [str(cell) for cell in row]
        cells[at] = VERDICTS.get(str(row[at]), Badge(str(row[at])))
        # The stage heads its row.
        shown.append([cells[1], cells[0], *cells[2:]])
    title = f"All {len(rows):,} comparisons of a stage in an engine: the worst case of each"
    return Table(title, (head[1], head[0], *head[2:]), shown, fold=True)
