"""Runtimes and their versions: which have sparse kernels, and what changed between them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinyml.core.errors import UsageError
from tinyml.core.registry import unknown_name
from tinyml.core.target import Target
from tinyml.core.versions import order

NEWEST = {"litert-web": "2.5.3", "mnn": "3.6"}
# A target's own name of the runtime, where it is another one.
NAMED = {"ort": "onnxruntime"}


@dataclass(frozen=True, slots=True)
class Version:
    """What holds from version ``since`` of ``runtime`` on.

    sparse       whether it has sparse kernels for convolutions
    checked      whether the verdicts were compared with what it does (``make check-sparse``)
    counts_dense_layers  which fully connected layers behind the cluster are of it, and count
                 among its weights: ``none``, ``all``, or those that keep their ``dimensions``
                 (the delegate puts a reshape before the others, which ends the cluster)
    formats      what it reads
    """

    runtime: str
    since: str
    sparse: bool
    checked: bool
    counts_dense_layers: str = "none"
    formats: tuple[str, ...] = ("tflite",)


VERSIONS = (
    # XNNPACK of early 2025 made fully connected nodes compatible, and counts their weights.
    # No older LiteRT has a wheel that the emulated board can take.
    Version("litert", "1.0.0", sparse=True, checked=False),
    Version("litert", "1.2.0", sparse=True, checked=True, counts_dense_layers="all"),
    Version("litert", "1.4.0", sparse=True, checked=True, counts_dense_layers="dimensions"),
    Version("litert-web", "2.5.3", sparse=True, checked=True, counts_dense_layers="dimensions"),
    Version("mnn", "1.0", sparse=False, checked=False, formats=("onnx", "tflite")),
    Version("ort", "1.0", sparse=False, checked=True, formats=("onnx",)),
)
RUNTIMES = tuple(dict.fromkeys(row.runtime for row in VERSIONS))
_DEFAULT = {".tflite": "litert", ".onnx": "ort"}


def default_runtime(path: Path) -> str:
    """The runtime that the file at ``path`` is for."""
    return _DEFAULT.get(path.suffix, RUNTIMES[0])


def newest_for(target: Target, runtime: str) -> str:
    """The version of ``runtime`` that ``target`` gets; `UsageError` where it has none."""
    if runtime not in RUNTIMES:
        raise unknown_name("runtime", runtime, RUNTIMES)
    own = _version_on(target, runtime)
    if own is None:
        known = [name for name in RUNTIMES if _version_on(target, name)]
        raise UsageError(
            f"there is no {runtime} for {target.name}", hint=f"runtimes there: {', '.join(known)}"
        )
    return own


def is_on(target: Target, runtime: str) -> bool:
    """Whether ``target`` gets ``runtime``."""
    return _version_on(target, runtime) is not None


def _version_on(target: Target, runtime: str) -> str | None:
    if runtime == "litert-web":
        return NEWEST[runtime] if target.browser else None
    return target.runtimes.get(NAMED.get(runtime, runtime), NEWEST.get(runtime))


def row(runtime: str, version: str) -> Version:
    """The row that holds for ``version``; `UsageError` for one before the first row."""
    found = [r for r in VERSIONS if r.runtime == runtime and order(r.since) <= order(version)]
    if not found:
        first = next(r.since for r in VERSIONS if r.runtime == runtime)
        raise UsageError(
            f"nothing is known of {runtime} {version}",
            hint=f"from {first} on it is: say such a one",
        )
    return found[-1]
