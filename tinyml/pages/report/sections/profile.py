"""Where the time of a call goes: the submodules, their time next to what they multiply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinyml.core.profile import ModuleTime, Profile
from tinyml.core.text import one_line
from tinyml.pages.profile_words import how, percent, totals, us
from tinyml.pages.report.content import Bar, Block, Missing, Prose, ReportSection, Table
from tinyml.pages.report.material import Material
from tinyml.pages.report.svg import NARROW, SERIES, Chart, name_rows
from tinyml.pages.report.units import command, counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_BARS, MOST_ROWS = 20, 8
ROW, AROUND = 30, 84
# Characters of a line of a name next to a bar, on a narrow page.
NARROW_LABEL = 17
LEAD = (
    "A submodule whose share of time is far above its share of the multiply-accumulates (MACs) is "
    "slow for what it computes."
)


def section(material: Material) -> ReportSection:
    """A chart and a table of each profile."""
    if not material.profiles:
        text = "The time of the submodules was not measured. To measure it here:"
        wanted = Missing(text, command("tinyml", "bench", material.name, "--profile"))
        return ReportSection("profile", "Where the time goes", "", [wanted])
    blocks: list[Block] = []
    for place, own in enumerate(material.profiles):
        rows = sorted(own.modules, key=lambda row: -row.ns)
        blocks += [_chart(f"profile-{place}", own, rows), _table(own, rows), _words(own)]
    return ReportSection("profile", "Where the time goes", LEAD, blocks)


def _words(own: Profile) -> Prose:
    first, second = totals(own), how(own)
    return Prose(f"{first[:1].upper()}{first[1:]}. {second[:1].upper()}{second[1:]}.")


def _chart(name: str, own: Profile, rows: Sequence[ModuleTime]) -> Chart:
    shown = rows[:MOST_BARS]
    first = shown[0]

    def draw(figure: Figure, width: int) -> None:
        _bars(figure, own, shown, width)

    return Chart(
        name,
        draw,
        title=f"Share of time and of MACs: {own.title}",
        alt=f"{counted(len(shown), 'submodule')}, the slowest first. It is {first.name}: "
        f"{own.time_share(first):.0%} of the time, {percent(own.mac_share(first))} of the MACs. "
        "The values are in the table below.",
        height=AROUND + ROW * len(shown),
        note=f"The {MOST_BARS} slowest of {len(rows)} submodules." if len(rows) > MOST_BARS else "",
    )


def _bars(figure: Figure, own: Profile, shown: Sequence[ModuleTime], width: int) -> None:
    narrow = width == NARROW
    axes = figure.add_subplot()
    times = [100 * own.time_share(row) for row in shown]
    macs = [100 * (own.mac_share(row) or 0.0) for row in shown]
    axes.barh([at - 0.2 for at in range(len(shown))], times, 0.38, color=SERIES[0], label="time")
    axes.barh([at + 0.2 for at in range(len(shown))], macs, 0.38, color=SERIES[1], label="MACs")
    name_rows(axes, [two_lines(row.name) if narrow else one_line(row.name, 34) for row in shown])
    axes.locator_params(axis="x", nbins=4 if narrow else 8)
    axes.set_xlabel("share (%)")
    figure.legend(loc="outside upper left", ncols=2)


def two_lines(name: str) -> str:
    """A long ``name`` broken behind the dot or space that is nearest to its middle."""
    name = one_line(name, 2 * NARROW_LABEL)
    ends = [place + 1 for place, own in enumerate(name) if own in ". "]
    if len(name) <= NARROW_LABEL or not ends:
        return one_line(name, NARROW_LABEL)
    middle = min(ends, key=lambda end: abs(2 * end - len(name)))
    return "\n".join(one_line(part, NARROW_LABEL) for part in (name[:middle], name[middle:]))


def _table(own: Profile, rows: Sequence[ModuleTime]) -> Table:
    with_errors = own.method == "by difference"
    head = ("submodule", "operators", "us", *(("+- us",) if with_errors else ()), "time", "MACs")
    cells = [
        (
            row.name,
            f"{row.operators}",
            us(row.ns),
            *((us(row.error_ns),) if with_errors else ()),
            Bar(percent(own.time_share(row)), own.time_share(row)),
            Bar(percent(own.mac_share(row)), own.mac_share(row) or 0.0),
        )
        for row in rows
    ]
    title = f"Time of the submodules: {own.title}"
    return Table(title, head, cells, fold=len(rows) > MOST_ROWS)
