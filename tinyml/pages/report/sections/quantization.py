"""What quantization costs: the sensitivity of layers, what stays in float32 and why."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tinyml.core.bundle import ModelFile
from tinyml.core.diagnosis import Confusion, SensitivityAnalysis, decibels, ranked
from tinyml.core.plan_record import Float16Record, QuantRecord
from tinyml.core.text import one_line
from tinyml.pages.report.content import Block, Missing, Prose, ReportSection, Table
from tinyml.pages.report.material import Material
from tinyml.pages.report.svg import INK, NARROW, PAPER, SERIES, Chart, name_rows
from tinyml.pages.report.units import command, counted, first_of
from tinyml.pages.summary import sensitivity_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LAYERS, MOST_MODULES = 20, 6
ROW, AROUND = 22, 92
LEAD = (
    "What rounding to fewer bits costs at the outputs, layer by layer, and which operators stay "
    "in float32."
)


def section(material: Material) -> ReportSection:
    """Plans of the files, sensitivity, and predicted classes before and after."""
    bundle = material.bundle
    planned = [own for own in bundle.models if own.plan is not None]
    if not planned:
        text = (
            "These files compute in float32: nothing is quantized. For an int8 bundle of the model:"
        )
        wanted = Missing(text, _export(material, "w8a8-static", f"{material.name}-int8"))
        return ReportSection("quantization", "Quantization", "", [wanted])
    blocks: list[Block] = [_plans(planned)]
    sensitivity = bundle.facts.sensitivity or {}
    for place, (fmt, own) in enumerate(sensitivity.items()):
        if own.layers:
            blocks.append(_chart(f"sensitivity-{place}", fmt, own))
    if sensitivity:
        blocks.append(_ranking(sensitivity))
    elif any(isinstance(own.plan, QuantRecord) for own in planned):
        words = ("tinyml", "export", "RUN", "--target", bundle.target)
        more = ("--precision", planned[0].precision, "--explain")
        text = (
            "The layers were not ranked by their sensitivity. Export with `--explain` to rank them:"
        )
        blocks.append(Missing(text, command(*words, *more, "--out", material.name)))
    for file in planned:
        blocks += _kept(file)
    if bundle.facts.classes:
        blocks.append(_classes(bundle.facts.classes))
    return ReportSection("quantization", "Quantization", LEAD, blocks)


def _export(material: Material, precision: str, out: str) -> str:
    words = ("tinyml", "export", "RUN", "--target", material.bundle.target)
    return command(*words, "--precision", precision, "--explain", "--out", out)


def _plans(planned: list[ModelFile]) -> Table:
    rows = []
    for own in planned:
        plan = own.plan
        how, what = "-", "-"
        if isinstance(plan, QuantRecord):
            how = f"{plan.ranges}, {plan.weight_scales}, rounding {plan.rounding}"
            what = f"{plan.samples} samples of {plan.data}" if plan.samples else "-"
        kept = "; ".join(filter(None, (plan.in_float32 if plan else "", own.mixed)))
        rows.append((own.path, own.precision, how, what, kept))
    head = ("file", "precision", "ranges and scales", "calibration", "in float32")
    return Table("Precision of the files", head, rows)


def _chart(name: str, fmt: str, own: SensitivityAnalysis) -> Chart:
    shown = ranked(own)[:MOST_LAYERS]
    first = shown[0]

    def draw(figure: Figure, width: int) -> None:
        _bars(figure, own, width)

    return Chart(
        name,
        draw,
        title=f"Sensitivity of the layers, {fmt}: SQNR of the outputs, higher is better",
        alt=f"{len(shown)} layers, the most sensitive first. It is {first.layer}: "
        f"{decibels(first.alone_db)} with it alone quantized; {decibels(own.whole_db)} with all "
        "layers quantized. The values are in the table below.",
        height=AROUND + ROW * len(shown),
        note=f"The {MOST_LAYERS} most sensitive of {len(own.layers)} layers."
        if len(own.layers) > MOST_LAYERS
        else "",
    )


def _bars(figure: Figure, own: SensitivityAnalysis, width: int) -> None:
    narrow = width == NARROW
    shown = ranked(own)[:MOST_LAYERS]
    axes = figure.add_subplot()
    places = range(len(shown))
    alone = [layer.alone_db if math.isfinite(layer.alone_db) else 0.0 for layer in shown]
    axes.barh(places, alone, height=0.62, color=SERIES[0], label="this layer alone")
    for place, layer in enumerate(shown):
        if not math.isfinite(layer.alone_db):
            axes.text(0.0, place, f" {decibels(layer.alone_db)}", va="center", fontsize=11)
    rest = [(layer.without_db, place) for place, layer in enumerate(shown)]
    known = [(db, place) for db, place in rest if math.isfinite(db)]
    axes.plot(
        [db for db, _ in known],
        [place for _, place in known],
        "o",
        color=SERIES[1],
        markeredgecolor=PAPER,
        markersize=8,
        label="all the others",
    )
    if math.isfinite(own.whole_db):
        axes.axvline(own.whole_db, color=INK, linewidth=1.2, linestyle="--", label="all layers")
    name_rows(axes, [one_line(layer.layer, 15 if narrow else 34) for layer in shown])
    axes.locator_params(axis="x", nbins=4 if narrow else 8)
    axes.set_xlabel("SQNR (dB)")
    figure.legend(loc="outside upper left", ncols=2 if narrow else 3)


def _ranking(found: Mapping[str, SensitivityAnalysis]) -> Table:
    _, rows = sensitivity_rows(found)
    shown = [
        (str(layer), str(fmt), str(alone), str(rest), str(count))
        for fmt, layer, alone, rest, count in rows
    ]
    head = ("layer", "format", "SQNR alone (dB)", "SQNR of all others (dB)", "operators")
    title = f"All {counted(len(shown), 'layer')}, the most sensitive first"
    return Table(title, head, shown, fold=True)


def _kept(own: ModelFile) -> list[Block]:
    """Why operators of one file stay in float32: a row a reason, with the submodules."""
    plan = own.plan
    if not isinstance(plan, QuantRecord | Float16Record) or not plan.kept:
        return []
    modules: dict[str, dict[str, None]] = defaultdict(dict)
    counts: dict[str, int] = defaultdict(int)
    for node, why in plan.kept.items():
        inside = plan.stages if isinstance(plan, Float16Record) else own.modules
        counts[why] += 1
        modules[why][str(inside.get(node) or node)] = None
    rows = [
        (why, f"{count}", first_of([f"`{name}`" for name in modules[why]], MOST_MODULES))
        for why, count in sorted(counts.items(), key=lambda row: -row[1])
    ]
    title = f"What stays in float32 in {own.path}, and why"
    return [Table(title, ("why", "operators", "in"), rows, fold=len(rows) > 6)]


def _classes(found: Mapping[str, Confusion]) -> Block:
    changed = [
        (own.classes[want], own.classes[got], path, f"{count}")
        for path, own in found.items()
        for want, got, count in own.pairs
        if want != got
    ]
    samples = max(own.samples for own in found.values())
    if not changed:
        return Prose(f"Quantization changes the predicted class of none of {samples:,} samples.")
    head = ("class in float32", "class when quantized", "file", "samples")
    title = f"Predicted classes that quantization changes, of {samples:,} samples"
    return Table(title, head, changed, fold=len(changed) > 8)
