"""Size, accuracy and latency of every file against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinyml.core.text import one_line
from tinyml.core.time_ratio import MARGIN
from tinyml.pages.report.content import (
    Badge,
    Block,
    Cell,
    Missing,
    ReportSection,
    Table,
    without_empty,
)
from tinyml.pages.report.material import Material, Timed, Variant
from tinyml.pages.report.svg import LINE, MARKS, NARROW, PAPER, SERIES, SOFT, Chart
from tinyml.pages.report.units import KILO, command, ms_text, size_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAD = (
    "A filled mark is on the frontier: no other file is at least as good on both axes and better "
    "on one. Hollow marks are dominated. Times that differ by less than 5% count as equal."
)
PANEL, LEGEND_ROW, AROUND = 250, 21, 30


@dataclass(frozen=True, slots=True)
class TradeOff:
    """One file: bytes, accuracy of ``metric`` and nanoseconds; ``None`` is not known.

    ``where``: the device of the time, with its label.
    """

    name: str
    size: int
    accuracy: float | None
    metric: str
    median_ns: float | None
    runtime: str
    clock: str = "wall"
    where: str = "-"


def section(material: Material) -> ReportSection:
    """A chart of accuracy, or of size, over what each file costs; and the values."""
    timed = _one_device(material.whole)
    points = [_point(own, timed) for own in material.variants]
    blocks: list[Block] = []
    # The files of one bundle are not alternatives to choose from.
    panels = _panels(points) if len(material.bundles) > 1 else []
    if panels:
        blocks.append(_chart(points, panels))
    if points:
        blocks.append(_table(points, panels))
    if len(material.bundles) == 1:
        text = "Only one bundle was given. Name others, as of another precision, to compare them:"
        words = ("tinyml", "report", material.name, "OTHER_BUNDLE")
        blocks.append(Missing(text, command(*words)))
    elif all(own.median_ns is None for own in points):
        text = "No latency of these files was measured. To measure them:"
        lines = [command("tinyml", "bench", own.name) for own in material.bundles]
        blocks.append(Missing(text, "\n".join(lines)))
    lead = LEAD if panels else ""
    return ReportSection("tradeoffs", "Size, accuracy and latency", lead, blocks)


def _one_device(timed: Sequence[Timed]) -> list[Timed]:
    """Those of the device on which most files were measured: times of two do not compare."""
    found: dict[str | None, list[Timed]] = {}
    for own in timed:
        found.setdefault(own.measurement.conditions.device, []).append(own)

    def worth(device: list[Timed]) -> tuple[int, bool]:
        files = {own.measurement.model_sha256 for own in device}
        return len(files), device[0].measurement.label == "device"

    return max(found.values(), key=worth, default=[])


def _point(own: Variant, timed: Sequence[Timed]) -> TradeOff:
    metric, accuracy = _accuracy(own)
    found = [
        (m.measurement.p50_ns, m.measurement.runtime, m.measurement.clock, m.where)
        for m in timed
        if m.variant == own and m.measurement.p50_ns is not None
    ]
    unknown = (None, own.model.minimum_runtime, "wall", "-")
    median_ns, runtime, clock, where = min(found) if found else unknown
    return TradeOff(
        name=own.label,
        size=own.size,
        accuracy=accuracy,
        metric=metric,
        median_ns=median_ns,
        runtime=runtime,
        clock=clock,
        where=where,
    )


def _accuracy(own: Variant) -> tuple[str, float | None]:
    """Of predictions that were compared with PyTorch's, else of the author's metric."""
    runtimes = own.runtimes
    for agreement in own.bundle.parity.agreements:
        if agreement.engine in runtimes and agreement.difference is not None:
            return agreement.metric, agreement.difference.got
    for metric in own.bundle.parity.metrics:
        if metric.engine in runtimes:
            return metric.name, metric.value
    return "", None


@dataclass(frozen=True, slots=True)
class _Panel:
    """Which attributes are drawn: smaller is better, but for accuracy."""

    x: str
    y: str


def _panels(points: Sequence[TradeOff]) -> list[_Panel]:
    """Accuracy over size and over time, where two files have it; else size over time."""
    metrics = {own.metric for own in points if own.accuracy is not None}
    found = []
    if len(metrics) == 1 and _both(points, "accuracy", "size") > 1:
        found.append(_Panel("size", "accuracy"))
    if len(metrics) == 1 and _both(points, "accuracy", "median_ns") > 1:
        found.append(_Panel("median_ns", "accuracy"))
    if not found and _both(points, "size", "median_ns") > 1:
        found.append(_Panel("median_ns", "size"))
    return found


def _both(points: Sequence[TradeOff], one: str, other: str) -> int:
    return sum(None not in (getattr(own, one), getattr(own, other)) for own in points)


def _frontier(points: Sequence[TradeOff], panel: _Panel) -> list[TradeOff]:
    """Those that no other dominates, by x."""
    known = [own for own in points if None not in (getattr(own, panel.x), getattr(own, panel.y))]
    across, up = (1 + MARGIN if axis == "median_ns" else 1.0 for axis in (panel.x, panel.y))

    def cost(own: TradeOff) -> tuple[float, float]:
        y = float(getattr(own, panel.y))
        return float(getattr(own, panel.x)), -y if panel.y == "accuracy" else y

    def dominated(own: TradeOff) -> bool:
        x, y = cost(own)
        return any(
            a <= across * x and b <= up * y and (across * a < x or up * b < y)
            for a, b in map(cost, known)
        )

    return sorted((own for own in known if not dominated(own)), key=cost)


def _chart(points: Sequence[TradeOff], panels: Sequence[_Panel]) -> Chart:
    best = "; ".join(
        f"on the frontier of {_axis_name(p.y, points)} over {_axis_name(p.x, points)}: "
        + ", ".join(own.name for own in _frontier(points, p))
        for p in panels
    )

    def draw(figure: Figure, width: int) -> None:
        narrow = width == NARROW
        for place, panel in enumerate(panels, 1):
            shape = (len(panels), 1, place) if narrow else (1, len(panels), place)
            _scatter(figure.add_subplot(*shape), points, panel)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        columns = 1 if narrow else 2
        figure.legend(handles, labels, loc="outside upper left", ncols=columns, handletextpad=0.3)

    wide = AROUND + PANEL + LEGEND_ROW * -(-len(points) // 2)
    narrow = AROUND + PANEL * len(panels) + LEGEND_ROW * len(points)
    title = " and ".join(dict.fromkeys(_axis_name(p.y, points) for p in panels))
    return Chart(
        "tradeoffs",
        draw,
        title=f"{title[:1].upper()}{title[1:]} of each file, over what it costs",
        alt=f"{len(points)} files; {best}. The values are in the table below.",
        height=(wide, narrow),
    )


def _axis_name(attribute: str, points: Sequence[TradeOff]) -> str:
    if attribute == "accuracy":
        return next((own.metric for own in points if own.metric), attribute)
    clock = "CPU time" if any(own.clock == "cpu" for own in points) else "time"
    return {"size": "size", "median_ns": f"median {clock}"}[attribute]


def _scatter(axes: Axes, points: Sequence[TradeOff], panel: _Panel) -> None:
    best = _frontier(points, panel)
    xs, ys = ([_scaled(own, name) for own in best] for name in (panel.x, panel.y))
    axes.plot(xs, ys, color=SOFT, linewidth=1.2, linestyle="--", drawstyle="steps-post")
    for place, own in enumerate(points):
        colour = SERIES[place % len(SERIES)]
        axes.plot(
            [_scaled(own, panel.x)],
            [_scaled(own, panel.y)],
            MARKS[place % len(MARKS)],
            color=colour,
            markerfacecolor=colour if own in best else PAPER,
            markeredgewidth=1.8,
            markersize=9,
            linestyle="none",
            label=one_line(own.name, 36),
        )
    units = {"size": " (KB)", "median_ns": " (ms)", "accuracy": ""}
    axes.set_xlabel(f"{_axis_name(panel.x, points)}{units[panel.x]}")
    axes.set_ylabel(one_line(f"{_axis_name(panel.y, points)}{units[panel.y]}", 30))
    axes.margins(0.15)
    axes.locator_params(nbins=5)
    if panel.y == "accuracy":
        _end_at_one(axes, [own.accuracy for own in points if own.accuracy is not None])
    axes.tick_params(color=LINE)


def _end_at_one(axes: Axes, values: Sequence[float]) -> None:
    """Of shares, the margin around the marks shows no values that cannot be."""
    if all(0 <= value <= 1 for value in values):
        low, high = axes.get_ylim()
        axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= 1])
        axes.set_ylim(low, high)


def _scaled(own: TradeOff, attribute: str) -> float:
    value = getattr(own, attribute)
    if value is None:
        return float("nan")
    return float(value) / {"size": KILO, "median_ns": 1e6, "accuracy": 1}[attribute]


def _table(points: Sequence[TradeOff], panels: Sequence[_Panel]) -> Table:
    metric = next((own.metric for own in points if own.metric), "accuracy")
    on = {own.name for panel in panels for own in _frontier(points, panel)}
    rows: list[tuple[Cell, ...]] = [
        (
            own.name,
            size_text(own.size),
            "-" if own.accuracy is None else f"{own.accuracy:.4g}",
            "-" if own.median_ns is None else ms_text(own.median_ns),
            own.where,
            own.runtime,
            Badge("yes", "good") if own.name in on else "-",
        )
        for own in points
    ]
    head = ("file", "size", metric, "median", "on", "runtime", "on a frontier")
    return without_empty(Table("Every file", head, rows))
