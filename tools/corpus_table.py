"""Write docs/corpus.md: ``python tools/corpus_table.py [--work FOLDER] [NETWORK...]``.

Every network of tests/corpus goes through the real line. With names, only these do, and
the table is printed instead.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "corpus.md"
HEAD = """\
# Networks that export

```sh
make corpus    # writes this page, in 5 to 10 minutes
```

These networks export. They are typical networks, and classes from `transformers` with small
configurations, all with seeded random weights. Each goes through the steps of `tinyml export`:
capture, rewrites, one child process per format, and the parity of every block and output;
[tests/corpus/corpus_table.py](../tests/corpus/corpus_table.py) lists the networks.

- A block is a submodule to depth 3 whose output is one tensor, each call apart. *blocks* were read
  from the shipped file and compared. *instrumented* were compared in a second file with them as
  outputs, because no tensor of the shipped file has their value; for instance a convolution and the
  normalisation after it become one. *lost* are in neither: a rewrite merged them.
- Outputs come from the runtime with its default optimisations and delegates. Inputs are a seeded
  sample and the five seeded cases of parity (random, silence, tiny, full-scale, impulse).
- *lowest SQNR* is over all blocks, outputs and cases; *s* are the seconds of the child that wrote
  the file, both formats at the same time on two shared cores.

"""
COLUMNS = (
    "network",
    "format",
    "parity",
    "lowest SQNR",
    "blocks",
    "instrumented",
    "lost",
    "ops",
    "KiB",
    "s",
)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*")
    parser.add_argument("--work", type=Path, help="keep the files there")
    given = parser.parse_args(arguments)
    sys.path.insert(0, str(ROOT / "tests" / "corpus"))
    warnings.simplefilter("ignore")  # torch and transformers on their own deprecations
    with tempfile.TemporaryDirectory() as scratch:
        rows, reasons = measure(given.networks, given.work or Path(scratch))
    text = _summary(rows) + _table(rows) + "".join(reasons)
    if given.networks:
        print(text)
    else:
        TABLE.write_text(HEAD + text, encoding="utf-8")


def measure(names: Sequence[str], work: Path) -> tuple[list[tuple[str, ...]], list[str]]:
    """Rows of the table, and a paragraph for each network that has something to say."""
    import torch
    from corpus_line import run
    from corpus_table import ENTRIES

    torch.set_num_threads(1)
    rows, notes = [], []
    for entry in ENTRIES:
        if names and entry.name not in names:
            continue
        folder = work / entry.name
        folder.mkdir(parents=True, exist_ok=True)
        results = run(entry, folder)
        rows += [_row(result) for result in results]
        reasons = [f"{r.format}: {r.reason}." for r in results if r.reason]
        if reasons or entry.note:
            notes.append(f"\n**{entry.name}.** " + " ".join([*reasons, entry.note]).strip() + "\n")
        print(*rows[-len(results) :], sep="\n", file=sys.stderr, flush=True)
    return rows, notes


def _row(result: object) -> tuple[str, ...]:
    from corpus_line import Result

    assert isinstance(result, Result)
    name, fmt = f"`{result.name}`", result.format
    seconds = f"{result.seconds:.1f}"
    if not result.rows:
        return (name, fmt, "no: see below", "-", "-", "-", "-", "-", seconds)
    sqnr = "-" if result.lowest_sqnr_db is None else f"{result.lowest_sqnr_db:.0f} dB"
    numbers = (
        result.blocks,
        result.instrumented,
        result.fused,
        result.ops,
        f"{result.bytes / 1024:.1f}",
        seconds,
    )
    parity = "no: see below" if result.reason else "yes"
    return (name, fmt, parity, sqnr, *(str(number) for number in numbers))


def _summary(rows: list[tuple[str, ...]]) -> str:
    failed = {row[0] for row in rows if row[2] != "yes"}
    names = {row[0] for row in rows}
    return f"{len(names - failed)} of {len(names)} networks have parity in both formats.\n\n"


def _table(rows: list[tuple[str, ...]]) -> str:
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main(sys.argv[1:])
