"""The model card of a bundle (after Mitchell et al. 2019, arXiv 1810.03993)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tinyml.core.bundle import Bundle
from tinyml.core.image_processor import RESAMPLER, ImageProcessor
from tinyml.core.processor import Processor
from tinyml.core.recording_processor import recording_processor
from tinyml.core.training_record import ImageMetrics, SubjectMetrics
from tinyml.core.typed_json import to_json
from tinyml.core.upgrade import upgraded_text

INTENDED_USE = {
    "heart": (
        "Research on heart-sound recordings and on deploying small models. **Not a medical "
        "device**: it has no clinical validation and must not inform a diagnosis."
    ),
    "other": "Set by the author of the model.",
}

# What the card repeats of the manifest. Only these values are compared, not the words around
# them, so that a card of another version, which says it otherwise, is not taken for a changed one.
REPEATED = (
    r"^- ((?:in|out)put) `(.+)`: (\w+) \[(.*)\](?: at (\d+) Hz)?$",
    r"^- labels: (.+)$",
    r"windows of (\d+) samples every (\d+), (\w+) over windows, thresholds (\[.*\]|none)$",
    r"^- (?:decision|processor): (\d+) x \d+ pixels, \(pixel - \[(.+?)\]\) / \[(.+?)\]",
    r"^\| (\S+) \| (onnx|tflite) \| ([\w-]+)",
    r"^- (\S+): lowest SQNR of a stage (\S+) dB$",
    r"^- (\S+): (\d+) of (\d+) validation ",
    r"^- (\S+) of (\S+) on (\d+) samples of the author's: (\S+)",
)


def differing_lines(card: str, bundle: Bundle) -> Iterator[str]:
    """Lines of ``card`` with values that the manifest of ``bundle`` does not have."""
    expected, card = model_card(bundle), upgraded_text(card)
    for pattern in REPEATED:
        wanted = {found.groups() for found in re.finditer(pattern, expected, re.M)}
        for found in re.finditer(pattern, card, re.M):
            if found.groups() not in wanted:
                yield found[0]


def intended_use(card: str) -> str:
    """The paragraph of ``card`` about its use, without Markdown's emphasis; empty without one."""
    found = re.search(r"^## Intended use\n\n(.+?)\n(?:\n|\Z)", card, re.M | re.S)
    return found[1].replace("**", "") if found else ""


def model_card(bundle: Bundle, domain: str = "other", caveat: str = "") -> str:
    """Markdown from the manifest: use, data, metrics, files, parity, limits.

    ``caveat``: what a reader of figures from the bundle's data set must know.
    """
    parts = [
        f"# {bundle.model} for {bundle.target}\n",
        "## Intended use\n",
        INTENDED_USE[domain] + "\n",
        "## What it computes\n",
        _signature(bundle),
        "## Data and metrics\n",
        _data(bundle, caveat),
        "## Files\n",
        _files(bundle),
        "## Parity with PyTorch\n",
        _parity(bundle),
    ]
    return "\n".join(parts)


def _signature(bundle: Bundle) -> str:
    lines = [
        f"- {kind} `{spec.name}`: {spec.dtype} {list(spec.shape)}"
        + (f" at {spec.rate_hz} Hz" if spec.rate_hz else "")
        for kind, specs in (
            ("input", bundle.signature.inputs),
            ("output", bundle.signature.outputs),
        )
        for spec in specs
    ]
    processor = bundle.processor
    if processor:
        lines.append(f"- labels: {', '.join(processor.labels)}")
        lines.append(f"- processor: {processor_text(processor)}")
    return "\n".join(lines) + "\n"


def processor_text(processor: Processor) -> str:
    """What surrounds the graph, in one line."""
    if isinstance(processor, ImageProcessor):
        return (
            f"{processor.side} x {processor.side} pixels, (pixel - {list(processor.mean)}) / "
            f"{list(processor.std)} at full scale 1, the most probable label; {RESAMPLER}"
        )
    own = recording_processor(processor)
    return (
        f"windows of {own.window} samples every {own.hop}, "
        f"{own.aggregation} over windows, thresholds {list(own.thresholds) or 'none'}"
    )


def _data(bundle: Bundle, caveat: str) -> str:
    training = bundle.facts.training
    metrics = [
        f"- {m.name} of {m.engine} on {m.samples} samples of the author's: {m.value:.4g}"
        + (f" ({m.direction} is better)" if m.direction else "")
        for m in bundle.parity.metrics
    ]
    if metrics:
        return "\n".join(metrics) + "\n"
    if training is None:
        return "Accuracy was not measured: the weights came without a data set.\n"
    lines = [f"- data set: {training.data_set}" + (f", {caveat}" if caveat else "")]
    found = training.validation
    if isinstance(found, ImageMetrics):
        lines += _of_images(found)
    elif isinstance(found, SubjectMetrics):
        lines += _of_subjects(found)
    return "\n".join(lines) + "\n"


def _of_subjects(found: SubjectMetrics) -> list[str]:
    lines = [
        f"- {name} on the validation subjects: {value:.3f}"
        for name, value in to_json(found).items()
        if isinstance(value, float)
    ]
    said = "- one split by subject; the interval over splits is wider than the digits shown"
    return [*lines, said]


def _of_images(found: ImageMetrics) -> list[str]:
    low, high = found.interval
    recalls = {label: share for label, share in found.recall.items() if share is not None}
    worst = min(recalls, key=lambda label: recalls[label])
    return [
        f"- accuracy on the {found.images:,} images of the test part: {found.accuracy:.3f} "
        f"(95% interval {low:.3f} to {high:.3f})",
        f"- lowest recall of a class: {worst} {recalls[worst]:.3f}",
        "- one training; the interval is of the images alone, other seeds vary more",
    ]


def _files(bundle: Bundle) -> str:
    rows = [
        f"| {m.path} | {m.format} | {m.precision} | {bundle.files[m.path].size:,} "
        f"| {m.minimum_runtime} |"
        for m in bundle.models
    ]
    head = "| file | format | precision | bytes | oldest runtime |\n|---|---|---|---|---|\n"
    notes = [f"- {m.path}: {m.note}" for m in bundle.models if m.note]
    notes += [f"- {m.path}: {m.plan.in_float32}" for m in bundle.models if m.plan]
    notes += [f"- {m.path}: {m.mixed}" for m in bundle.models if m.mixed]
    notes += _streaming(bundle)
    return head + "\n".join([*rows, "", *notes] if notes else rows) + "\n"


def _streaming(bundle: Bundle) -> list[str]:
    own = bundle.facts.streaming
    if own is None:
        return []
    return [
        f"- {own.front_end}: the front end on a stream, {own.granule_samples} samples a call at "
        f"{own.rate_hz} Hz, frames {own.delay_frames / own.frame_rate_hz:g} s late",
        f"- {own.head}: the rest, over the last {own.ring_frames} frames every {own.hop_frames}",
    ]


def _parity(bundle: Bundle) -> str:
    worst: dict[str, float] = {}
    for row in bundle.parity.stages:
        if row.sqnr_db is not None:
            worst[row.engine] = min(worst.get(row.engine, float("inf")), row.sqnr_db)
    lines = [f"- {engine}: lowest SQNR of a stage {db:.1f} dB" for engine, db in worst.items()]
    lines += [
        f"- {a.engine}: {a.agreeing} of {a.count} validation {a.unit} get PyTorch's label"
        for a in bundle.parity.agreements
    ]
    lines += [
        f"- {a.engine}: {a.metric} {a.difference.want:.3f} in PyTorch, {a.difference.got:.3f} of "
        f"these labels: {a.difference.points} points, 95% paired interval"
        for a in bundle.parity.agreements
        if a.difference is not None
    ]
    if bundle.parity.accuracy_note:
        lines.append(f"- {bundle.parity.accuracy_note}")
    return "\n".join(lines) + "\n"
