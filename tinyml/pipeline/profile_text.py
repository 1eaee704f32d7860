"""A profile as a table for a person to read, the submodules that take most of the time first."""

from __future__ import annotations

from tinyml.core.profile import ModuleTime, Profile
from tinyml.pages.profile_words import how, percent, totals, us
from tinyml.pages.tables import Section

MOST_ROWS = 20
BAR = 16
HEAD = ("module", "us", "of time", "of MACs", "")


def profile_section(own: Profile) -> Section:
    """The table of one file, with a bar of each share of time, and what to know of it."""
    rows = sorted(own.modules, key=lambda row: -row.ns)
    with_errors = own.method == "by difference"
    lines = [totals(own), how(own)]
    if len(rows) > MOST_ROWS:
        lines.append(f"the {MOST_ROWS} slowest of {len(rows)} submodules; --json has all operators")
    return Section(
        f"where the time goes: {own.title}",
        (*HEAD[:2], "+-", *HEAD[2:]) if with_errors else HEAD,
        [_row(own, row, with_errors) for row in rows[:MOST_ROWS]],
        tuple(lines),
    )


def _row(own: Profile, row: ModuleTime, with_errors: bool) -> tuple[object, ...]:
    error = (us(row.error_ns),) if with_errors else ()
    share, most = own.time_share(row), max(map(own.time_share, own.modules))
    bar = "#" * round(BAR * share / most) if most else ""
    return (row.name, us(row.ns), *error, percent(share), percent(own.mac_share(row)), bar)
