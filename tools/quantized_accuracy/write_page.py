"""docs/evidence/quantized.md: from the outputs that are kept, and what is missing."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cases import FOLD_COUNT, Case
from compare import Pair, difference, pool
from file_outputs import FORMATS, NEAREST, PRECISIONS, kept

from tinyml.core import checkpoint
from tinyml.core.files import write_text
from tinyml.core.paired_difference import DRAWS, Metric
from tinyml.models.training.metrics import average_recall, share_right, weighted_share

NAME = "quantized.md"
FLOAT, INTEGERS = "fp32", "w8a8-static"
OPTIONS = "--rounding adaptive --calibration-samples 1000"
ENGINES = {"onnx": "ONNX in onnxruntime", "tflite": "TFLite in LiteRT"}
# What is asked of w8a8-static.
LEAST_KEPT, LEAST_UAR_POINTS, LEAST_DB, MOST_POINTS = 0.95, -5.0, 20.0, 1.0

HEAD = f"""\
# What quantization costs in accuracy

Made by `make quantized-accuracy` (`python tools/quantized_accuracy`, {platform.machine()}, one
thread): each checkpoint is exported with `tinyml export CHECKPOINT --target host --precision P`,
calibrated on its training set alone, and each file predicts the whole validation or test set. A
quantized file is compared with the float32 file of the same checkpoint, format and runtime.
Intervals are 95%, by {{draws}} bootstrap draws of subjects or images, each with both of its
predictions.
"""
FUNNELNET = f"""
## FunnelNet on CirCor

`tinyml train circor --folds {FOLD_COUNT} --out runs/quantized/circor-folds` leaves a model a
fold (`fold-1.safetensors` ...) that has not seen that fold's subjects, with thresholds from the
others; twice more with another `seed` in the recipe, which splits and trains again, because a
subject near a threshold may go either way. The front end is in float32, the network quantized,
with the float model's thresholds. `{INTEGERS}` with `{OPTIONS}`, pooled over the folds of each
seed, and over all; there a drawn subject has the predictions of every seed's model:

"""
MOBILENET = f"""
## The CIFAR MobileNet

`examples/checkpoints/sparse-dense.safetensors`, 10,000 test images, `{INTEGERS}` with
`{OPTIONS}`:

"""
NOISE = """
SQNR of the network's logits. *All windows* of the validation subjects together, and the level
that one window in a hundred is below: against the float32 file (each window's mean taken off,
which a softmax does not let through). *Worst of 4*: the lowest of the bundle's parity rows
(`tinyml verify`), against PyTorch.
"""
TABLE = f"""
## Every precision

The first figure of a cell is the metric, the second its difference to the float32 file in points,
the third the label agreement; FunnelNet's folds are those of the recipe's own seed.
`w8a8-static` and `w8a16` have `{OPTIONS}`; `{NEAREST}` has neither, so that
weights are rounded one by one and ranges are those of 200 samples. `qat-w8a8` was trained on first,
by `tinyml train --qat CHECKPOINT`.

"""


@dataclass(frozen=True, slots=True)
class Judged:
    """A model of the page: its metrics by name, the first one is the table's."""

    cases: Sequence[Case]
    metrics: Mapping[str, Metric]

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names."""
        return checkpoint.load(self.cases[0].checkpoint).processor.labels


def write(found: Mapping[str, Sequence[Case]], runs: Path, docs: Path) -> Path:
    """Write the page; what was not computed is said to be missing."""
    models = {name: _judged(own) for name, own in found.items() if _ready(own)}
    parts = [HEAD.format(draws=f"{DRAWS:,}")]
    if "funnelnet" in models:
        parts += [FUNNELNET, _subjects(models["funnelnet"], runs)]
    if "mobilenet-v1" in models:
        parts += [MOBILENET, _images(models["mobilenet-v1"], runs)]
    parts += [TABLE, _precisions(models, runs)]
    path = docs / NAME
    write_text(path, "".join(parts))
    return path


def _ready(cases: Sequence[Case]) -> bool:
    return all(case.checkpoint.is_file() for case in cases)


def _judged(cases: Sequence[Case]) -> Judged:
    labels = checkpoint.load(cases[0].checkpoint).processor.labels
    if cases[0].model != "funnelnet":
        return Judged(cases, {"accuracy": share_right})
    weighted = partial(weighted_share, labels=labels)
    return Judged(cases, {"UAR": average_recall, "weighted accuracy": weighted})


def pair_of(cases: Sequence[Case], precision: str, file_format: str, runs: Path) -> Pair | str:
    """Integers beside float over all folds, or why there are none."""
    rows = []
    for case in cases:
        want = kept(case, FLOAT, file_format, runs)
        got = kept(case, precision, file_format, runs)
        where = f"fold {case.fold}: " if case.fold else ""
        where = f"seed {case.seed}, {where}" if case.seed else where
        if want is None or got is None:
            return "not computed"
        if refused := want.refused or got.refused:
            return f"refused by the gate: {where}{refused}"
        rows.append((case.seed, case.fold, want, got))
    return pool(rows)


def _subjects(model: Judged, runs: Path) -> str:
    rows = [["", "seed", "subjects", "label agreement", *_heads(model)]]
    musts: list[str] = []
    noise = [["", "SQNR, dB", "seed", *(f"fold {number}" for number in range(1, FOLD_COUNT + 1))]]
    changed = [["", "seed", "fold", "subject", "is", "float32", INTEGERS, "margin"]]
    for file_format in FORMATS:
        name, pair = ENGINES[file_format], pair_of(model.cases, INTEGERS, file_format, runs)
        if isinstance(pair, str):
            musts.append(f"- {name}: {pair}")
            continue
        for seed, own in _by_seed(model.cases, file_format, runs).items():
            rows.append([name, str(seed), *_told(model, own)])
            noise += _noise(name, str(seed), own)
        if len({own.seed for own in model.cases}) > 1:
            rows.append([name, "all", *_told(model, pair)])
        musts += _subject_musts(name, model, pair)
        musts += _nearest(name, model, file_format, runs)
        changed += _changed(name, model.labels, pair)
    parts = [table(rows), "\n".join(musts), NOISE, table(noise)]
    moved = table(changed) if len(changed) > 1 else "No prediction changed.\n"
    return "\n".join([*parts, "All changed predictions, and the margin in float32:\n", moved])


def _by_seed(cases: Sequence[Case], file_format: str, runs: Path) -> dict[int, Pair]:
    """Each seed's folds alone, where all of them are there."""
    found = {
        seed: pair_of([own for own in cases if own.seed == seed], INTEGERS, file_format, runs)
        for seed in sorted({own.seed for own in cases})
    }
    return {seed: pair for seed, pair in found.items() if not isinstance(pair, str)}


def _told(model: Judged, pair: Pair) -> list[str]:
    subjects = len(set(pair.names))
    return [f"{subjects:,}", _kept(pair), *_differences(model, pair)]


def _noise(name: str, seed: str, pair: Pair) -> list[list[str]]:
    rows = {
        "all windows": pair.sqnr_db,
        "1 in 100 below": pair.low_db,
        "worst of 4": pair.parity_db,
    }
    return [[name, what, seed, *(f"{db:.1f}" for db in values)] for what, values in rows.items()]


def _subject_musts(name: str, model: Judged, pair: Pair) -> list[str]:
    uar = difference(pair, model.metrics["UAR"], len(model.labels))
    asked = {
        f"label agreement is at least {LEAST_KEPT:.0%}": pair.kept >= LEAST_KEPT,
        f"UAR's interval begins above {LEAST_UAR_POINTS:g} points": 100 * uar.low
        > LEAST_UAR_POINTS,
        f"the network has at least {LEAST_DB:g} dB over the windows of every fold": min(
            pair.sqnr_db
        )
        >= LEAST_DB,
        "so has each window alone of the bundles' parity rows": min(pair.parity_db) >= LEAST_DB,
    }
    lines = [f"- {name}: {text}: {_yes(holds)}" for text, holds in asked.items()]
    return [*lines, f"- {name}: {_smallest(model.labels, pair)}"]


def _nearest(name: str, model: Judged, file_format: str, runs: Path) -> list[str]:
    """What all seeds have without the options, where it was computed."""
    pair = pair_of(model.cases, NEAREST, file_format, runs)
    if isinstance(pair, str):
        return []
    uar = difference(pair, model.metrics["UAR"], len(model.labels))
    return [f"- {name}: with neither option label agreement {_kept(pair)}, UAR {uar.points} points"]


def _smallest(labels: Sequence[str], pair: Pair) -> str:
    """How coarse UAR is: its classes weigh the same, however few subjects they have."""
    truths = dict(zip(pair.names, pair.truths, strict=True))
    counts = Counter(labels[truth] for truth in truths.values())
    label, count = min(counts.items(), key=lambda item: item[1])
    points = 100 / len(counts) / count
    return f"of {label} there are {count} subjects, each worth {points:.2f} points of UAR"


def _images(model: Judged, runs: Path) -> str:
    rows = [["", "images", "label agreement", *_heads(model)]]
    musts = []
    for file_format in FORMATS:
        name, pair = ENGINES[file_format], pair_of(model.cases, INTEGERS, file_format, runs)
        if isinstance(pair, str):
            musts.append(f"- {name}: {pair}")
            continue
        rows.append([name, *_told(model, pair)])
        found = difference(pair, share_right, len(model.labels))
        holds = 100 * (found.want - found.got) <= MOST_POINTS
        musts.append(f"- {name}: at most {MOST_POINTS:g} point lost: {_yes(holds)}")
    return table(rows) + "\n" + "\n".join(musts) + "\n"


def _precisions(models: Mapping[str, Judged], runs: Path) -> str:
    names = [(name, own, f) for name, own in models.items() for f in FORMATS]
    rows = [["", *(f"{name}, {f}: {next(iter(own.metrics))}" for name, own, f in names)]]
    notes: list[str] = []
    for precision in PRECISIONS:
        cells = [precision]
        for name, own, file_format in names:
            first = [case for case in own.cases if not case.seed]
            pair = pair_of(first, precision, file_format, runs)
            if isinstance(pair, str) and pair.startswith("refused"):
                notes.append(f"- {name}, {precision}, {file_format}: {pair}")
                pair = "refused"
            cells.append(pair if isinstance(pair, str) else _cell(own, pair, precision))
        rows.append(cells)
    return table(rows) + ("\n" + "\n".join(notes) + "\n" if notes else "")


def _cell(model: Judged, pair: Pair, precision: str) -> str:
    metric = next(iter(model.metrics.values()))
    found = difference(pair, metric, len(model.labels))
    if precision == FLOAT:
        return f"{100 * found.want:.1f}"
    return f"{100 * found.got:.1f}; {found.points}; {_kept(pair)}"


def _changed(name: str, labels: Sequence[str], pair: Pair) -> list[list[str]]:
    return [
        [
            name,
            str(change.seed),
            str(change.fold),
            change.name,
            *(labels[index] for index in (change.truth, change.want, change.got)),
            f"{change.margin:.4f}",
        ]
        for change in pair.changes
    ]


def _heads(model: Judged) -> list[str]:
    heads = ((f"{m}, float32", f"{m}, quantized", "difference, points") for m in model.metrics)
    return [head for own in heads for head in own]


def _differences(model: Judged, pair: Pair) -> list[str]:
    cells: list[str] = []
    for metric in model.metrics.values():
        found = difference(pair, metric, len(model.labels))
        cells += [f"{100 * found.want:.2f}", f"{100 * found.got:.2f}", found.points]
    return cells


def _kept(pair: Pair) -> str:
    return f"{100 * pair.kept:.2f}%"


def _yes(holds: bool) -> str:
    return "yes" if holds else "**no**"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown; the first row is the head."""
    head, *body = rows
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in body)]) + "\n"
