"""``docs/device-faults.md``, from the rows that the tests of faults record.

    make device-faults

A row is a file in ``tests/device_fault_rows``: see `tests/device_faults.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from device_faults import FOLDER, When

PAGE = Path(__file__).parents[1] / "docs" / "device-faults.md"
HEAD = """# What happens when a board fails

`tinyml device check NAME` shows what is wrong with a board before anything is copied. When
something fails later, a command prints one line and a hint, and ends with the exit code of the
table: 4 for a board or its connection, 3 for a file that cannot be used, 5 for wrong outputs, 130
for Ctrl-C ([all of them](commands.md)). The same command can be run again.

Each row is recorded by a test that causes the fault, and `make device-faults` writes this page from
them. The last columns show what is left afterwards on the board and on the machine that the command
ran on.
"""


def page(folder: Path = FOLDER) -> str:
    """The text of the page."""
    rows = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    return "\n".join([HEAD, *(line for when in get_args(When) for line in _section(when, rows))])


def _section(when: str, rows: list[dict[str, str]]) -> Iterator[str]:
    own = [row for row in rows if row["when"] == when]
    if own:
        yield f"## {when[0].upper()}{when[1:]}\n"
        yield "| fault | message | exit | left on the board | left here |\n|---|---|---|---|---|"
        for row in sorted(own, key=lambda row: row["fault"]):
            message = _cell(row["message"])
            yield (
                f"| {_cell(row['fault'])} | `{message}` | {row['code']} | {_cell(row['board'])} "
                + (f"| {_cell(row['host'])} |")
            )
        yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("`", "'").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
