"""Ranges that were found once: the same file, samples and method on the same kind of machine.

In ``calibration/`` of the cache folder, one JSON file a key. The key is the hash of all that
ranges depend on, the code that finds them included, so that an entry is never out of date; what
cannot be read is made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from tinyml.core.code_digest import code_digest
from tinyml.core.errors import InputError, MachineError
from tinyml.core.events import Message, Report
from tinyml.core.files import cache_folder, canonical_json, sha256, write_json
from tinyml.core.typed_json import read_json
from tinyml.export.quantization.ranges import Range
from tinyml.pipeline.formats import format_of
from tinyml.pipeline.model_sources.calibration import Calibration

FOLDER = "calibration"
# Whose code ranges depend on, in the package.
CODE = ("export", "runtimes", "pipeline/quantization")


def cached(
    path: Path,
    calibration: Calibration,
    conditions: Mapping[str, str | int],
    find: Callable[[], dict[str, Range]],
    report: Report,
) -> dict[str, Range]:
    """The ranges of the file ``path`` from the cache, else ``find()``, which is kept.

    ``conditions``: whatever they depend on besides the file and the samples.
    """
    place = cache_folder() / FOLDER / f"{key(path, calibration, conditions)}.json"
    known = _read(place)
    if known is not None:
        report(Message(f"{format_of(path).name}: ranges were found before, in {place.parent}"))
        return known
    found = find()
    try:
        write_json(place, {name: [own.low, own.high] for name, own in found.items()})
    except MachineError as error:
        report(Message(f"the ranges are not kept for the next time: {error.message}"))
    return found


def key(path: Path, calibration: Calibration, conditions: Mapping[str, str | int]) -> str:
    """Hex digest of file, samples, conditions and code."""
    samples = hashlib.sha256()
    for name, array in sorted(calibration.arrays.items()):
        samples.update(f"{name} {array.dtype} {array.shape} ".encode())
        samples.update(np.ascontiguousarray(array).tobytes())
    conditions_of_all = {
        "code": code_digest(*CODE),
        "numpy": np.__version__,
        "file": sha256(path),
        "samples": samples.hexdigest(),
        **conditions,
    }
    return hashlib.sha256(canonical_json(conditions_of_all).encode()).hexdigest()


def _read(place: Path) -> dict[str, Range] | None:
    """What was kept; ``None`` for nothing, or for what is no longer whole."""
    try:
        kept = read_json(dict[str, tuple[float, float]], place)
    except (OSError, InputError):
        return None
    return {name: Range(low, high) for name, (low, high) in kept.items()}
