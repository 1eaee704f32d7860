"""What quantization costs in accuracy, on validation and test sets: docs/evidence/quantized.md.

    python tools/quantized_accuracy

Trains FunnelNet's folds where they are missing, exports every model in every precision, and runs
each file of each format on its evaluation set: validation subjects, or test images. Interrupted,
the same command continues: outputs are kept below --runs, by the hash of the weights.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from cases import FOLD_COUNT, ROOT, SEEDS, cases, folds_of, recipe_of
from file_outputs import ALL_SEEDS, PRECISIONS, compute
from write_page import write

from tinyml.core.errors import TinymlError
from tinyml.core.events import Event, Message
from tinyml.pipeline.train import train

MODELS = ("funnelnet", "mobilenet-v1")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--runs", type=Path, default=Path("runs/quantized"), help="where runs go")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "evidence")
    parser.add_argument("--page-only", action="store_true", help="of what was computed before")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    try:
        if not asked.page_only:
            _compute(asked)
        print(write(cases(asked.runs), asked.runs, asked.docs))
    except TinymlError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


def _compute(asked: argparse.Namespace) -> None:
    """The precisions in turn, so that what is asked of all models is there first."""
    if "funnelnet" in asked.models:
        for seed in SEEDS:
            train(
                recipe_of(asked.runs, seed),
                folds_of(asked.runs, seed),
                folds=FOLD_COUNT,
                data=None,
                strict=False,
                report=_Said(),
            )
    found = cases(asked.runs)
    for precision in asked.precisions:
        for model in asked.models:
            for case in found[model]:
                if case.seed and precision not in ALL_SEEDS:
                    continue
                print(f"{case.id} {precision}", file=sys.stderr, flush=True)
                compute(case, precision, asked.runs, _Said())


class _Said:
    """Texts of a report, and of bars every tenth."""

    def __init__(self) -> None:
        self.tenth: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, Message):
            print(f"  {event.text}", file=sys.stderr, flush=True)
            return
        tenth = 10 * event.done // max(1, event.total)
        if tenth > self.tenth.get(event.title, 0):
            self.tenth[event.title] = tenth
            print(f"  {event.title}: {10 * tenth}%", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
