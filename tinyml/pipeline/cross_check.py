"""What a bundle says twice must agree: the hashes of its files, and its manifest with itself.

This finds a manifest that was edited, or files of two bundles in one folder. Who edits every
place that says the same thing is found only by the digest of the manifest (docs/verify.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from tinyml.core import bundle as bundles
from tinyml.core.bundle import CARD, LABELS, MANIFEST, Bundle, ModelFile
from tinyml.core.errors import ValidationError
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.streaming import FRAMES, SAMPLES
from tinyml.pages.card import differing_lines
from tinyml.pipeline import formats


def check_bundle(bundle: Bundle) -> None:
    """Raise `ValidationError` unless all files are unchanged and nothing contradicts itself."""
    bundle.check_files()
    if found := contradictions(bundle):
        raise ValidationError(
            f"{bundle.folder} contradicts itself: {'; '.join(found)}",
            hint="its manifest was changed after the export: copy the bundle again, "
            "or export it again",
        )


def contradictions(bundle: Bundle) -> list[str]:
    """One line for each statement of the manifest that another one, or a file, denies."""
    return [
        *_models(bundle),
        *_labels(bundle),
        *_surroundings(bundle),
        *_card(bundle),
        *_streaming(bundle),
    ]


def _models(bundle: Bundle) -> Iterator[str]:
    """Every model file is in ``models`` and in ``files``, with one hash and the same stages.

    ``files`` give the sizes that files have.
    """
    found = [model.format for model in bundle.models]
    if not found or len(set(found)) < len(found):
        yield f"models have the formats {', '.join(found) or 'of none'}, not each another one"
    known = {model.path for model in bundle.models}
    for name, entry in bundle.files.items():
        path = bundle.folder / name
        if path.is_file() and path.stat().st_size != entry.size:
            yield f"{name} has {path.stat().st_size} bytes, files give {entry.size}"
        if formats.find(PurePath(name)) and name not in known and not _in_part(bundle, name):
            yield f"{name} is among the files, but not among the models"
    for model in bundle.models:
        yield from _model(bundle, model)


def _model(bundle: Bundle, model: ModelFile) -> Iterator[str]:
    listed = bundle.files.get(model.path)
    if listed is None or listed.sha256 != model.sha256:
        found = listed.sha256 if listed else "none"
        yield f"models give {model.path} the sha256 {model.sha256}, files {found}"
    if set(model.stages) != set(bundle.stages):
        odd = sorted(set(model.stages) ^ set(bundle.stages))
        yield f"{model.path} and the bundle do not have the same stages: {', '.join(odd)}"


def _labels(bundle: Bundle) -> Iterator[str]:
    """labels.txt has the labels of the processor, or one for each value of an output."""
    listed, text = LABELS in bundle.files, _text(bundle, LABELS)
    if bundle.processor is not None:
        labels = bundle.processor.labels
        if text != "".join(f"{label}\n" for label in labels):
            in_file = ", ".join(text.splitlines())
            yield f"{LABELS} holds '{in_file}', the processor has '{', '.join(labels)}'"
        output = bundle.signature.outputs[0]
        if output.shape[-1:] != (len(labels),):
            yield f"there are {len(labels)} labels for output '{output.name}' {list(output.shape)}"
        return
    lasts = [spec.shape[-1] for spec in bundle.signature.outputs if spec.shape]
    if listed and len(text.splitlines()) not in lasts:
        yield f"{LABELS} has {len(text.splitlines())} labels, the outputs end in {lasts}"


def _surroundings(bundle: Bundle) -> Iterator[str]:
    """The processor fits the input that it prepares."""
    spec, processor = bundle.signature.inputs[0], bundle.processor
    if isinstance(processor, ImageProcessor):
        wanted = (1, processor.channels, processor.side, processor.side)
        if spec.shape != wanted:
            yield f"the processor makes images {list(wanted)}, '{spec.name}' is {list(spec.shape)}"
    elif isinstance(processor, RecordingProcessor):
        if spec.shape != (1, processor.window):
            yield f"the window is {processor.window}, '{spec.name}' is {list(spec.shape)}"
        if processor.rate_hz != (0 if processor.whole else spec.rate_hz):
            rate = spec.rate_hz or "none"
            yield f"the processor has {processor.rate_hz} Hz, '{spec.name}' {rate}"
        if processor.hop > processor.window:
            yield f"the hop {processor.hop} skips samples: the window is {processor.window}"


def _card(bundle: Bundle) -> Iterator[str]:
    if any(model.path not in bundle.files for model in bundle.models):
        return  # `_models` reports it; the card has the size of each model
    for line in differing_lines(_text(bundle, CARD), bundle):
        yield f"{CARD} has '{line}', the manifest does not"


def _in_part(bundle: Bundle, name: str) -> bool:
    """Whether the file is of a bundle of streaming graphs, which is checked by itself."""
    return any(PurePath(name).is_relative_to(folder) for folder in bundle.facts.graphs)


def _streaming(bundle: Bundle) -> Iterator[str]:
    """The streaming graphs fit each other, and the model that they compute on a stream."""
    own, processor = bundle.facts.streaming, bundle.processor
    if own is None:
        return
    if lacking := [folder for folder in own.graphs if f"{folder}/{MANIFEST}" not in bundle.files]:
        yield f"streaming graphs are in {', '.join(lacking)}, files have no {MANIFEST} there"
        return
    front_end, head = (bundles.read(bundle.folder / folder) for folder in own.graphs)
    for part in (front_end, head):
        if part.facts.streaming is not None:
            yield f"{part.folder.name}, a streaming graph, has such graphs itself"
            return
        yield from contradictions(part)
    frames = front_end.signature.output(FRAMES).shape
    yield from _differing(
        ("the granule", (1, own.granule_samples), front_end.signature.input(SAMPLES).shape),
        ("the rate", own.rate_hz, front_end.signature.input(SAMPLES).rate_hz),
        ("the frames of a granule", (1, own.granule_frames), frames[:2]),
        ("the ring", (1, own.ring_frames, *frames[2:]), head.signature.input(FRAMES).shape),
        ("the output", bundle.signature.outputs, head.signature.outputs),
    )
    if isinstance(processor, RecordingProcessor):
        window, hop = (own.frame_samples * n for n in (own.ring_frames, own.hop_frames))
        yield from _differing(
            ("the rate", processor.rate_hz, own.rate_hz),
            ("the window", processor.window, window),
            ("the hop", processor.hop, hop),
        )


def _differing(*rows: tuple[str, object, object]) -> Iterator[str]:
    for what, wanted, found in rows:
        if wanted != found:
            yield f"{what} of the streaming graphs is {found}, not {wanted}"


def _text(bundle: Bundle, name: str) -> str:
    """Of a file of the bundle; empty where it has none."""
    path = bundle.folder / name
    return path.read_text(encoding="utf-8") if name in bundle.files and path.is_file() else ""
