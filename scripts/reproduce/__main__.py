"""Train what a paper's claim needs, and write what came out: ``docs/evidence/CLAIM.md``.

    python scripts/reproduce lottery --budget 60

Interrupted, the same command continues. The length is fixed by the first call for a
folder; delete the folder for another one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import lottery
import page
import rewinding
import sparse
import tinynet
from jobs import run_all
from length import planned

CLAIMS = {
    "lottery": lottery,
    "rewinding": rewinding,
    "sparse": sparse,
    "tinynet": tinynet,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("claim", choices=CLAIMS)
    parser.add_argument("--budget", type=float, default=60.0, help="minutes on all cores")
    parser.add_argument("--set", default=None, help="another image set: shapes needs no data")
    parser.add_argument("--runs", type=Path, default=Path("runs/evidence"), help="where runs go")
    parser.add_argument("--docs", type=Path, default=page.DOCS, help="where the page goes")
    asked = parser.parse_args()
    claim, folder = CLAIMS[asked.claim], asked.runs / asked.claim
    length = planned(folder, asked.budget, claim.COST, asked.set or claim.SET, claim.PER_CLASS)
    print(
        f"{length.seeds} seeds, {length.epochs} epochs each, {length.workers} at once", flush=True
    )
    run_all(claim.jobs(folder, length), length.workers)
    asked.docs.mkdir(parents=True, exist_ok=True)
    found = claim.page(folder, length, asked.docs)
    print(f"written: {page.write(found, asked.claim, length, asked.docs)}")


if __name__ == "__main__":
    main()
