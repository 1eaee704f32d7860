"""What a bundle says twice must agree: the hashes of its files, and its manifest with itself.

This finds a manifest that was edited, or files of two bundles in one folder. Who edits every
place that says the same thing is found only by the digest of the manifest (docs/verify.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from tinyml.core.bundle import CARD, LABELS, Bundle, ModelFile
from tinyml.core.decision import Decision
from tinyml.core.errors import ValidationError
from tinyml.core.image_decision import ImageDecision
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
    return [*_models(bundle), *_labels(bundle), *_surroundings(bundle), *_card(bundle)]


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
        if path.is_file() and path.stat().st_size != entry["size"]:
            yield f"{name} has {path.stat().st_size} bytes, files give {entry['size']}"
        if formats.find(PurePath(name)) and name not in known:
            yield f"{name} is among the files, but not among the models"
    for model in bundle.models:
        yield from _model(bundle, model)


def _model(bundle: Bundle, model: ModelFile) -> Iterator[str]:
    listed = bundle.files.get(model.path, {}).get("sha256")
    if listed != model.sha256:
        yield f"models give {model.path} the sha256 {model.sha256}, files {listed}"
    if set(model.stages) != set(bundle.stages):
        odd = sorted(set(model.stages) ^ set(bundle.stages))
        yield f"{model.path} and the bundle do not have the same stages: {', '.join(odd)}"


def _labels(bundle: Bundle) -> Iterator[str]:
    """labels.txt has the labels of the decision, or one for each value of an output."""
    listed, text = LABELS in bundle.files, _text(bundle, LABELS)
    if bundle.decision is not None:
        labels = bundle.decision.labels
        if text != "".join(f"{label}\n" for label in labels):
            in_file = ", ".join(text.splitlines())
            yield f"{LABELS} holds '{in_file}', the decision has '{', '.join(labels)}'"
        output = bundle.signature.outputs[0]
        if output.shape[-1:] != (len(labels),):
            yield f"there are {len(labels)} labels for output '{output.name}' {list(output.shape)}"
        return
    lasts = [spec.shape[-1] for spec in bundle.signature.outputs if spec.shape]
    if listed and len(text.splitlines()) not in lasts:
        yield f"{LABELS} has {len(text.splitlines())} labels, the outputs end in {lasts}"


def _surroundings(bundle: Bundle) -> Iterator[str]:
    """The decision fits the input that it prepares."""
    spec, decision = bundle.signature.inputs[0], bundle.decision
    if isinstance(decision, ImageDecision):
        wanted = (1, decision.channels, decision.side, decision.side)
        if spec.shape != wanted:
            yield f"the decision makes images {list(wanted)}, '{spec.name}' is {list(spec.shape)}"
    elif isinstance(decision, Decision):
        if spec.shape != (1, decision.window):
            yield f"the window is {decision.window}, '{spec.name}' is {list(spec.shape)}"
        if decision.rate_hz != (0 if decision.whole else spec.rate_hz):
            yield f"the decision has {decision.rate_hz} Hz, '{spec.name}' {spec.rate_hz or 'none'}"
        if decision.hop > decision.window:
            yield f"the hop {decision.hop} skips samples: the window is {decision.window}"


def _card(bundle: Bundle) -> Iterator[str]:
    for line in differing_lines(_text(bundle, CARD), bundle):
        yield f"{CARD} has '{line}', the manifest does not"


def _text(bundle: Bundle, name: str) -> str:
    """Of a file of the bundle; empty where it has none."""
    path = bundle.folder / name
    return path.read_text(encoding="utf-8") if name in bundle.files and path.is_file() else ""
