"""Write docs/operators.md: every operator in every format and precision, exported.

    make operators
    PYTHONPATH=tools python -m operators --rows softplus conv2d   # these alone, printed

Results are kept in build/operators, a JSON file a cell. The same command continues: what was
exported by the same code is not exported again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from operators.cell import FORMATS, PRECISIONS, Cell
from operators.networks import ROWS
from operators.page import PAGE, is_fault, page, table
from operators.row import Row
from operators.store import FOLDER, Store, code_key, key_of
from tinyml.core.errors import TinymlError
from tinyml.core.process import machine_memory_mb
from tinyml.core.subprocesses import Child
from tinyml.core.worker import Worker

# A row is ten exports, of which some look for the place of a failure.
ROW_S = 1800.0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", nargs="+", help="rows whose id holds one of these words")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--redo", action="store_true", help="export again what is stored")
    parser.add_argument("--any-version", action="store_true", help="results of other code hold")
    parser.add_argument("--page-only", action="store_true", help="of what is stored")
    parser.add_argument("--lanes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--store", type=Path, default=FOLDER)
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    store = Store(asked.store.absolute(), asked.any_version)
    run = _Run(store, code_key(), asked.precisions, asked.redo)
    rows = [row for row in ROWS if _is_asked(row, asked.rows)]
    if not asked.page_only:
        run.export(rows, asked.lanes)
    found = {row.id: run.store.cells(row, key_of(row, run.code)) for row in rows}
    if asked.rows:
        print(table(rows, found))
    else:
        PAGE.write_text(page(rows, found), encoding="utf-8")
    faults = [c for row in rows for c in found[row.id].values() if is_fault(row, c)]
    for cell in faults:
        print(f"{cell.row} {cell.format} {cell.precision}: {cell.outcome}: {cell.reason}")
    return 5 if faults else 0


def _is_asked(row: Row, words: list[str] | None) -> bool:
    return words is None or any(word.lower() in row.id.lower() for word in words)


@dataclass(frozen=True, slots=True)
class _Run:
    store: Store
    code: str
    precisions: Sequence[str]
    redo: bool

    def export(self, rows: list[Row], lanes: int) -> None:
        """Every row that is not stored, ``lanes`` at a time."""
        todo = [row for row in rows if self.redo or not self._is_done(row)]
        print(f"{len(todo)} of {len(rows)} rows to export", file=sys.stderr, flush=True)
        with ThreadPoolExecutor(lanes) as pool:
            list(pool.map(self._lane, [todo[place::lanes] for place in range(lanes)]))

    def _lane(self, rows: list[Row]) -> None:
        with Worker(machine_memory_mb() // 2) as worker:
            for row in rows:
                started = time.monotonic()
                self._export(row, worker, redo=self.redo)
                took = time.monotonic() - started
                print(f"{row.id}: {took:.0f} s", file=sys.stderr, flush=True)

    def _export(self, row: Row, worker: Worker, *, redo: bool) -> None:
        """A cell that ends the process is a result too; the row continues behind it."""
        key, folder = key_of(row, self.code), self.store.folder
        given = [row.id, key, str(folder), *self.precisions, *(["redo"] if redo else [])]
        log = folder / "logs" / f"{row.id}.log"
        try:
            worker.run([Child("operators.export_row", tuple(given), log)], ROW_S)
        except TinymlError as error:
            missing = self._missing(row)
            if not missing or redo:
                raise
            fmt, precision = missing[0]
            cell = Cell(row.id, fmt, precision, "crash", error.message, error.hint)
            self.store.save(cell, key)
            self._export(row, worker, redo=False)

    def _is_done(self, row: Row) -> bool:
        return not self._missing(row)

    def _missing(self, row: Row) -> list[tuple[str, str]]:
        done = self.store.cells(row, key_of(row, self.code))
        every = [(fmt, precision) for fmt in FORMATS for precision in self.precisions]
        return [place for place in every if place not in done]


if __name__ == "__main__":
    sys.exit(main())
