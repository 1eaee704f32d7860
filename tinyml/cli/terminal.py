"""stdout is data, stderr is talk: the few ways in which the verbs speak."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyml.cli.settings import export_flags
from tinyml.core.events import Event, Progress, Report
from tinyml.core.text import printable
from tinyml.core.typed_json import to_json

if TYPE_CHECKING:
    from tinyml.pages.tables import Section

NOT_MEDICAL = "a research result, not a medical device"
# The option with which a command answers by `put_json`.
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def say(text: str) -> None:
    """A line for the person at the terminal."""
    print(printable(text), file=sys.stderr, flush=True)


def put(text: str) -> None:
    """A line of the answer."""
    print(printable(text), flush=True)


def put_json(data: Any, *, indent: int | None = 2) -> None:
    """The answer as JSON."""
    print(json.dumps(data, indent=indent, allow_nan=False), flush=True)


def put_table(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    whole: Collection[str] = (),
    indent: int = 0,
) -> None:
    """A table of the answer; columns with the heads ``whole`` are not shortened."""
    from tinyml.pages.tables import table

    put(table(head, rows, whole=whole, indent=indent))


def put_section(section: Section) -> None:
    """A title of the answer, with its table and lines under it."""
    from tinyml.pages.tables import paragraph

    put(section.title)
    if section.rows:
        put_table(section.head, section.rows, indent=2)
    for line in section.lines:
        put(paragraph("", line, indent=2))


# Keys of written files that are older than the words of today.
METRIC_NAMES = {"persons": "subjects"}


def metric_lines(metrics: Mapping[str, Any]) -> str:
    """One metric a line, three digits; a confusion [truth][answer] as rows beneath its name."""
    lines = []
    for key, value in metrics.items():
        name = METRIC_NAMES.get(key, key)
        if isinstance(value, list) and value and isinstance(value[0], list):
            width = max(len(str(cell)) for row in value for cell in row)
            lines.append(f"{name:<20} a row for each true label, a column for each prediction")
            lines += ["  " + " ".join(str(cell).rjust(width) for cell in row) for row in value]
        else:
            lines.append(f"{name:<20} {_metric(value)}")
    return "\n".join(lines)


def _metric(value: Any) -> str:
    if isinstance(value, Mapping):
        return "  ".join(f"{name} {_metric(item)}" for name, item in value.items())
    if isinstance(value, list):
        return " to ".join(_metric(item) for item in value)
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


@contextmanager
def progress(*, as_json: bool) -> Iterator[Report]:
    """A `Report` that draws a bar for `Progress`, and prints messages.

    With ``as_json`` each event is one JSON line on stdout instead.
    """
    if as_json:
        yield lambda event: put_json(to_json(event), indent=None)
        return
    bars = _Bars()
    try:
        yield bars
    finally:
        bars.stop()


class _Bars:
    """One bar per title; a line for every event that has none.

    Nothing is drawn where nobody watches: bars are for a terminal.
    """

    def __init__(self) -> None:
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            if sys.stderr.isatty():
                self._draw(event)
            return
        text = printable(export_flags(event.text))
        if self._progress is None:
            say(text)
        else:
            self._progress.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def stop(self) -> None:
        """Remove the bars."""
        if self._progress is not None:
            self._progress.stop()

    def _draw(self, event: Progress) -> None:
        if self._progress is None:
            self._progress = _start()
        title = event.title
        if title not in self._tasks:
            self._tasks[title] = self._progress.add_task(title, total=event.total, note="")
        self._progress.update(
            self._tasks[title], completed=event.done, total=event.total, note=event.note
        )
        if event.done >= event.total:
            self._progress.remove_task(self._tasks.pop(title))


def _start() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[note]}"),
        TimeRemainingColumn(),
    )
    started = Bars(*columns, console=Console(stderr=True), transient=True)
    started.start()
    return started
