"""Rows of the table of device faults in the docs, each recorded by the test that causes it.

    record("reaching the board", "host name not found", error, board="nothing", host="nothing")

compares with the stored row, a file in ``tests/device_fault_rows/``; with ``RECORD_FAULTS=1`` in
the environment it writes the row. What changes from run to run, such as a port, is replaced:
``names={str(port): "PORT"}``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from tinyml.core.errors import TinymlError

FOLDER = Path(__file__).with_name("device_fault_rows")
# Sections of the page, in order.
When = Literal[
    "reaching the board",
    "preparing the board",
    "copying files",
    "while a model runs",
    "two users, or interrupted",
]


def record(
    when: When,
    fault: str,
    error: TinymlError | tuple[str, int],
    *,
    board: str,
    host: str,
    names: Mapping[str, str] | None = None,
) -> None:
    """Compare a fault with its stored row, or write that row.

    error  the error that was raised, or its (message, exit code) as a command printed them
    board  what is left on the board: what the test has checked; ``host``: on this machine
    names  text that differs from run to run -> what the page shows instead
    """
    message, code = (error.message, error.exit_code) if isinstance(error, TinymlError) else error
    for own, shown in (names or {}).items():
        message = message.replace(own, shown)
    assert when in get_args(When)
    row = {
        "when": when,
        "fault": fault,
        "message": message,
        "code": code,
        "board": board,
        "host": host,
    }
    path = FOLDER / f"{_slug(when)}--{_slug(fault)}.json"
    if os.environ.get("RECORD_FAULTS"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(json.dumps(row, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    stored = json.loads(path.read_text("utf-8")) if path.is_file() else None
    assert row == stored, f"{path.name}: RECORD_FAULTS=1 writes the new row"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
