"""What is printed of a board: a table, or why it was skipped. No time of a call is in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from check_board.board_check import BoardCheck, CheckedFile
from tinyml.core.bundle import Parity
from tinyml.pages.summary import parity_rows
from tinyml.pages.tables import paragraph, table

HEAD = ("file", "verdict", "error", "bound", "SQNR dB", "instructions")


def board_text(found: BoardCheck) -> str:
    """A title with the label, and a row for each file: its worst case, and of each output."""
    name = f"{found.target}, {found.system}"
    if found.skipped and not found.files:
        return paragraph(f"{name}: ", f"skipped: {found.skipped}")
    runtimes = sorted({f"{own.file.runtime} {own.file.version}" for own in _ran(found)})
    board = ", ".join([found.cpu, f"Python {found.python}", *runtimes])
    rows = [row for own in found.files for row in _rows(own)]
    failures = [
        paragraph(f"  {own.file.path}: ", own.file.failure.message)
        for own in found.files
        if own.file.failure is not None
    ]
    if found.skipped:
        failures.append(paragraph("  the other files: ", f"skipped: {found.skipped}"))
    return "\n".join(
        [paragraph(f"{name}, emulated: ", board), table(HEAD, rows, indent=2), *failures]
    )


def _ran(found: BoardCheck) -> Iterator[CheckedFile]:
    return (own for own in found.files if own.file.version)


def _rows(own: CheckedFile) -> Iterator[Sequence[object]]:
    file = own.file
    count = "-" if own.instructions is None else f"{own.instructions:,}"
    if file.failure is not None:
        yield (file.path, "failed", "-", "-", "-", count)
        return
    for _, _, verdict, _, error, bound, sqnr in parity_rows(Parity(stages=file.rows))[1]:
        yield (file.path, verdict, error, bound, sqnr, count)
