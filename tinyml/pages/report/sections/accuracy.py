"""How good the predictions are: metrics with intervals, confusion, ROC and reliability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinyml.core.evaluation_results import Estimate, EvaluationResults
from tinyml.core.text import one_line
from tinyml.pages.report.content import Bar, Block, Cell, Heat, Prose, ReportSection, Table
from tinyml.pages.report.material import Material
from tinyml.pages.report.svg import LINE, NARROW, SERIES, SOFT, Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "How good it is"
# A larger matrix cannot be read: its largest confusions are listed instead.
MOST_CLASSES, MOST_CONFUSIONS = 20, 20
# More curves than this are not told apart by colour.
MOST_CURVES = 5
# Of a thousand labels, only the highest and the lowest curve are drawn.
MOST_DRAWN = 40
HEIGHT, NARROW_PANEL = 380, 330


def section(material: Material) -> ReportSection:
    """What the file's predictions on data show."""
    found = material.results
    if found is None:
        return ReportSection("accuracy", TITLE, "", [material.no_data()])
    lead = (
        f"Predictions of {found.engine} on {found.count:,} {found.unit} of {found.data_set} that "
        "training did not see. Intervals are of 95% and of these samples alone: another training "
        "varies more."
    )
    blocks: list[Block] = []
    if not found.same_data:
        blocks.append(Prose("This is not the data that the model was trained on."))
    blocks += [_metrics(found), _recalls(found)]
    blocks.append(_confusion(found))
    blocks.append(_curves(found))
    if found.roc:
        blocks.append(_areas(found))
    return ReportSection("accuracy", TITLE, lead, blocks)


def estimate_text(own: Estimate) -> str:
    """The value with its interval."""
    return f"{own.value:.3f} ({own.low:.3f} to {own.high:.3f})"


def _metrics(found: EvaluationResults) -> Table:
    rows = [(own.name, Bar(estimate_text(own), own.value)) for own in found.metrics]
    return Table("Metrics", ("metric", "value (95% interval)"), rows)


def _recalls(found: EvaluationResults) -> Table:
    counts = {own.count for own in found.recalls}
    rows: list[tuple[Cell, ...]] = [
        (own.name, Bar(estimate_text(own), own.value), f"{own.count:,}") for own in found.recalls
    ]
    head: tuple[str, ...] = ("label", "recall (95% interval)", found.unit)
    title = "Recall of each label"
    if len(counts) == 1:
        # A column of one number is a word of the title.
        title += f", of {counts.pop():,} {found.unit} each"
        head, rows = head[:2], [row[:2] for row in rows]
    return Table(title, head, rows, fold=len(rows) > MOST_CLASSES)


def _confusion(found: EvaluationResults) -> Table:
    if len(found.labels) > MOST_CLASSES:
        return _largest(found)
    totals = [max(1, sum(row)) for row in found.confusion]
    rows: list[tuple[Cell, ...]] = [
        (
            label,
            *(Heat(f"{count:,}", count / total, at == place) for place, count in enumerate(counts)),
        )
        for at, (label, counts, total) in enumerate(
            zip(found.labels, found.confusion, totals, strict=True)
        )
    ]
    head = ("label", *found.labels)
    return Table("Confusion: labels down, predictions across", head, rows, matrix=True)


def _largest(found: EvaluationResults) -> Table:
    pairs = [
        (count, found.labels[at], found.labels[place])
        for at, row in enumerate(found.confusion)
        for place, count in enumerate(row)
        if at != place and count
    ]
    shown = sorted(pairs, key=lambda row: -row[0])[:MOST_CONFUSIONS]
    rows = [(label, got, f"{count:,}") for count, label, got in shown]
    return Table("Largest confusions", ("label", "predicted as", found.unit), rows)


def _areas(found: EvaluationResults) -> Table:
    rows = [(own.area.name, Bar(estimate_text(own.area), own.area.value)) for own in found.roc]
    head = ("label", "area under the ROC curve (95% interval)")
    return Table("ROC of each label against all others", head, rows, fold=len(rows) > MOST_CURVES)


def _curves(found: EvaluationResults) -> Chart:
    def draw(figure: Figure, width: int) -> None:
        shape = (2, 1) if width == NARROW else (1, 2)
        _roc(figure.add_subplot(*shape, 1), found)
        _reliability(figure.add_subplot(*shape, 2), found)

    named = found.roc[:MOST_DRAWN]
    areas = "; ".join(f"{own.area.name} {own.area.value:.3f}" for own in named) or "none"
    return Chart(
        "curves",
        draw,
        title="ROC, and reliability of the probabilities",
        alt=f"Areas under the ROC curves: {areas}. Reliability in {len(found.reliability)} bins: "
        f"probabilities differ from the share of right predictions by "
        f"{found.expected_calibration_error:.3f} on average.",
        height=(HEIGHT, 2 * NARROW_PANEL),
        note="Reliability: samples are sorted by the probability of the most probable label and "
        "put into bins of equal size. Below the diagonal the model is too sure. Expected "
        f"calibration error: {found.expected_calibration_error:.3f}.",
    )


def _roc(axes: Axes, found: EvaluationResults) -> None:
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle="--")
    many = len(found.roc) > MOST_CURVES
    ends = _ends(found) if many else {own.area.name for own in found.roc}
    colours = iter(SERIES)
    few = len(found.roc) <= MOST_DRAWN
    for own in found.roc if few else [one for one in found.roc if one.area.name in ends]:
        shown = own.area.name in ends
        label = f"{one_line(own.area.name, 14)} {own.area.value:.3f}"
        axes.plot(
            own.false_positive,
            own.true_positive,
            color=next(colours) if shown else LINE,
            linewidth=2 if shown else 1.2,
            label=label if shown else None,
            zorder=3 if shown else 2,
        )
    _unit_square(axes, "false positive rate", "true positive rate")
    if found.roc:
        axes.legend(loc="lower right", title="lowest and highest area" if many else None)


def _ends(found: EvaluationResults) -> set[str]:
    ordered = sorted(found.roc, key=lambda own: own.area.value)
    return {ordered[0].area.name, ordered[-1].area.name}


def _reliability(axes: Axes, found: EvaluationResults) -> None:
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle="--")
    bins = found.reliability
    xs, ys = [own.probability for own in bins], [own.right.value for own in bins]
    axes.vlines(
        xs, [own.right.low for own in bins], [own.right.high for own in bins], color=SERIES[0]
    )
    axes.plot(xs, ys, "o", color=SERIES[0], markersize=7)
    _unit_square(axes, "probability of the predicted label", "share that is right")


def _unit_square(axes: Axes, x: str, y: str) -> None:
    ticks: Sequence[float] = (0, 0.25, 0.5, 0.75, 1)
    for named in (axes.xaxis, axes.yaxis):
        named.set_ticks(list(ticks), [f"{tick:g}" for tick in ticks])
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
