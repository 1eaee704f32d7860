"""What is in a bundle or a model file; the file itself is read in child processes only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tinyml.core import bundle as bundles
from tinyml.core.bundle import Bundle, ModelFile, Parity
from tinyml.core.diagnosis import findings_by_module
from tinyml.core.errors import InputError, MissingExtraError
from tinyml.core.target import Target, all_targets, find_target
from tinyml.core.typed_json import to_json
from tinyml.modelfile.summary import Summary
from tinyml.pipeline.formats import format_of
from tinyml.pipeline.module_names import modules_of, with_modules
from tinyml.pipeline.outputs import engines
from tinyml.pipeline.steps import delegation
from tinyml.runtimes.delegation import delegation_by_module
from tinyml.runtimes.file_read import FileReport, report_of


def inspect(path: Path, target: str | None = None) -> dict[str, Any]:
    """JSON values. Of a bundle: the manifest's facts, and each model file's where it can be read.

    Lint is for ``target``, a bundle's own by default. Raises `InputError` for anything that is
    neither a bundle, ``.tflite`` nor ``.onnx``, `UsageError` for an unknown target.
    """
    known = find_target(target) if target else None
    if path.is_dir():
        return _bundle(bundles.read(path), known)
    if not path.exists():
        raise InputError(f"no such file or directory: {path}")
    return inspect_file(path, known)


def inspect_file(path: Path, target: Target | None = None) -> dict[str, Any]:
    """`read_file`, and ``delegation``: measured by the file's runtime, in a child."""
    return read_file(path, target) | {"delegation": _delegation(path)}


def _delegation(path: Path) -> dict[str, Any]:
    """What the delegate takes, or why that is not known: a file that a runtime refuses is shown."""
    try:
        found = delegation.delegation_of(path)
        if found is None:
            engines.runtime_of(path).check_loads(path)
        return delegation.report(delegation_by_module(found, modules_of(path)))
    except (InputError, MissingExtraError) as error:
        return {"note": f"not measured: {error.message}"}


def read_file(path: Path, target: Target | None = None) -> dict[str, Any]:
    """What one model file holds, by its suffix; ``lint``: for ``target``, or what needs none.

    No runtime sees it. Raises `InputError` for a file that is not whole.
    """
    return _as_json(path, report_of(path, target), modules_of(path))


def _as_json(
    path: Path, found: FileReport, modules: Mapping[str, str] | None = None
) -> dict[str, Any]:
    summary = with_modules(found.summary, modules or {})
    findings = findings_by_module(found.lint, modules or {})
    shown = summary_report(summary) | {"lint": to_json(findings)}
    return shown | ({"sparse_weights": _sparse(found)} if format_of(path).stores_sparse else {})


def summary_report(summary: Summary) -> dict[str, Any]:
    """A model file's summary, with the sums over its layers before them."""
    shown = to_json(summary)
    layers = shown.pop("layers")
    if not summary.signatures:
        del shown["signatures"]
    return {**shown, "macs": summary.macs, "float_macs": summary.float_macs, "layers": layers}


def _bundle(bundle: Bundle, target: Target | None) -> dict[str, Any]:
    processor, streaming = bundle.processor, bundle.facts.streaming
    found: dict[str, Any] = {
        "model": bundle.model,
        "target": bundle.target,
        "inputs": [to_json(spec) for spec in bundle.signature.inputs],
        "outputs": [to_json(spec) for spec in bundle.signature.outputs],
        "processor": to_json(processor) if processor else {},
        **({"streaming": to_json(streaming)} if streaming else {}),
        "parity": {
            "verdict": _verdict(bundle.parity),
            "rows": len(bundle.parity.stages),
            "judged": bundle.parity.judged,
            **{a.unit: a.count for a in bundle.parity.agreements},
        },
        "files": [{"name": name, **to_json(entry)} for name, entry in sorted(bundle.files.items())],
    }
    target = target or all_targets().get(bundle.target)  # a user's own is not known by its name
    found["lint"] = []
    for prefix, own in _with_parts(bundle):
        for model in own.models:
            shown, lint = _model(own, model, target)
            found[prefix + model.path] = shown
            found["lint"] += [{"file": prefix + model.path, **finding} for finding in lint]
    return found


def _with_parts(bundle: Bundle) -> Iterator[tuple[str, Bundle]]:
    """The bundle, and those of its streaming graphs, each with what comes before its files."""
    yield "", bundle
    for folder in bundle.facts.graphs:
        yield f"{folder}/", bundles.read(bundle.folder / folder)


def _model(
    bundle: Bundle, model: ModelFile, target: Target | None
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """What a model file holds, and its findings."""
    contents, lint = _contents(bundle.file(model), target)
    shown = {
        "format": model.format,
        "precision": model.precision,
        **({"mixed": model.mixed} if model.mixed else {}),
        "passes": dict(model.passes),
        "minimum_runtime": model.minimum_runtime,
        **contents,
        **_taken(bundle, model),
    }
    return shown, lint


def _verdict(parity: Parity) -> str:
    if not parity.judged:
        return "not judged"
    return "pass" if parity.passed else "fail"


def _taken(bundle: Bundle, model: ModelFile) -> dict[str, Any]:
    """What the delegate took of the file where it was exported; older bundles do not say."""
    told = bundle.facts.delegation.get(model.path)
    return {"delegation": told} if told else {}


def _sparse(found: FileReport) -> list[dict[str, Any]]:
    """Weights that a .tflite file stores without their zeros."""
    return [{**to_json(weight), "sparsity": round(weight.sparsity, 4)} for weight in found.sparse]


def _contents(path: Path, target: Target | None) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The file's own facts, or why they cannot be read here; and its findings."""
    try:
        report = report_of(path, target)
        facts = _as_json(path, report, modules_of(path))
    except (MissingExtraError, InputError) as error:
        return {"contents": f"not read: {error.message}"}, []
    names = ("ops", "macs", "parameters", "weight_bytes", "largest_activation_bytes")
    found = {name: facts[name] for name in names}
    if sparse := facts.get("sparse_weights"):
        sums = {key: sum(w[key] for w in sparse) for key in ("stored_bytes", "dense_bytes")}
        found["sparse_weights"] = {"count": len(sparse), **sums}
    return found, facts["lint"]
