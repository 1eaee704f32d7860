"""``tinyml results``: benchmarks that were taken before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tinyml.cli.terminal import AsJson, put, put_json, put_section, say
from tinyml.cli.timing import CpuTime
from tinyml.core.errors import UsageError
from tinyml.core.typed_json import to_json

ACTIONS = ("list", "show", "history", "export")


def command(
    action: Annotated[str, typer.Argument(help="list, show, history or export.")],
    places: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders with *.bench.json in or below them, or files; default: here."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With export: write to this file.")
    ] = None,
    cpu_time: CpuTime = False,
    as_json: AsJson = False,
) -> None:
    """List, show and export the benchmarks in the JSON files of folders.

    list names the files, oldest first; show prints their tables; history compares each measurement
    with the one before it of the same model file, runtime and settings; export makes a CSV with a
    row for each measurement. A damaged file is named in the end, and the exit code is 3.

    Examples:

    \b
      tinyml results history bench-results
      tinyml results export bench-results --csv all.csv
    """
    from tinyml.core.files import write_text
    from tinyml.pipeline.results import read_results
    from tinyml.pipeline.results_text import history_sections, list_section, show_sections

    if action not in ACTIONS:
        raise UsageError(f"'{action}' is not one of {', '.join(ACTIONS)}")
    if csv is not None and action != "export":
        raise UsageError(f"--csv belongs to export, not to {action}")
    found = read_results(places or [Path()])
    if as_json:
        put_json([_json(own) for own in found.files])
    elif action == "list":
        put_section(list_section(found))
    elif action == "show":
        for own in found.files:
            for section in show_sections(own, cpu_time=cpu_time):
                put_section(section)
    elif action == "history":
        for section in history_sections(found.history(cpu_time=cpu_time)):
            put_section(section)
        if found.averages:
            say(
                f"averages of phones left out: {found.averages}; they have no samples to compare; "
                "tinyml results show prints them"
            )
    elif csv is None:
        put(found.csv().rstrip("\n"))
    else:
        write_text(csv, found.csv())
        say(f"written: {csv}")
    found.check()


def _json(own: Any) -> dict[str, Any]:
    return {"file": str(own.path), **to_json(own.found)}
