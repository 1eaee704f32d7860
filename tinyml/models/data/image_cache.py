"""Decoded images, kept between runs as arrays that are mapped into memory.

    <cache>/images/<set>-<key>/
      training.npy  test.npy    uint8 [n, side, side, channels]
      facts.json                labels, warnings, hashes of the arrays

The cache is ``$TINYML_CACHE``, else ``$XDG_CACHE_HOME/tinyml``, else ``~/.cache/tinyml``.
An entry appears by one rename and is hashed whenever it is opened, so that a changed or
cut one is made again. Of two processes that want the same, one waits for the other.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.core.code_digest import code_digest
from tinyml.core.errors import MachineError, machine_errors
from tinyml.core.events import Message, Progress, Report, silent
from tinyml.core.files import CACHE_ENVIRONMENT, cache_folder, canonical_json, sha256, write_json
from tinyml.core.folders import draft_of, lock
from tinyml.models.data import decode
from tinyml.models.data.images import Bytes, ImageSet, ImageSplit

FACTS = "facts.json"
PARTS = ("training", "test")
# Whose code decodes and draws, in the package.
CODE = "models/data"
REPORTED = 100


@dataclass(frozen=True, slots=True)
class UncachedSplit:
    """``labels`` are indices; ``images`` are made while they are written, one per label."""

    labels: Sequence[int]
    images: Iterable[Bytes]


@dataclass(frozen=True, slots=True)
class UncachedSet:
    """A set before it is in the cache; making its images may add to ``warnings``."""

    labels: tuple[str, ...]
    training: UncachedSplit
    test: UncachedSplit
    warnings: list[str]
    sha256: str


def cached_set(
    name: str,
    key: Any,
    shape: tuple[int, int],
    make: Callable[[], UncachedSet],
    report: Report | None = None,
) -> ImageSet:
    """The set ``name`` of (side, channels) ``shape``; ``make`` is called where it is not cached.

    ``key``, JSON values, is all that the pixels and labels follow from in addition to ``shape``
    and the code that makes them.
    Raises `DataError` from ``make``; `MachineError` when the cache cannot be written.
    """
    text = canonical_json([name, key, *shape, decode.VERSION, code_digest(CODE), _pillow()])
    folder = cache_folder() / "images" / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    found = _read(name, folder, shape)
    if found is not None:
        return found
    with _cache_errors(), _alone(folder, report or silent):
        found = _read(name, folder, shape)
        if found is None:
            _write(folder, make(), shape, name, report or silent)
            found = _read(name, folder, shape)
    if found is None:
        raise MachineError(
            f"{folder} does not hold what was just written to it",
            hint=f"set {CACHE_ENVIRONMENT} to a folder on another disk",
        )
    return found


def _pillow() -> str:
    """The version of the package that decodes; empty where it is not installed."""
    try:
        return importlib.metadata.version("pillow")
    except importlib.metadata.PackageNotFoundError:
        return ""


@contextlib.contextmanager
def _cache_errors() -> Iterator[None]:
    """A full or read-only place is the machine's fault, and another one can be named."""
    try:
        with machine_errors("caching decoded images", cache_folder()):
            yield
    except MachineError as error:
        if isinstance(error.__cause__, OSError):
            hint = f"free some space, or set {CACHE_ENVIRONMENT} to a folder that you may write to"
            raise MachineError(error.message, hint=hint) from error
        raise


@contextlib.contextmanager
def _alone(folder: Path, report: Report) -> Iterator[None]:
    """Be the only process that makes ``folder``, after waiting for one that does."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    text = "waiting for another process that decodes the same images"
    with lock(folder, lambda: report(Message(text))):
        yield


def _read(name: str, folder: Path, shape: tuple[int, int]) -> ImageSet | None:
    """The set in ``folder``; ``None`` when it is not there or not as it was written."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if any(sha256(folder / f"{part}.npy") != facts["arrays"][part] for part in PARTS):
            return None
        if facts.pop("check") != _check(facts):
            return None
        # Copy-on-write, since torch warns of arrays that it may not write to.
        arrays = [np.load(folder / f"{part}.npy", mmap_mode="c") for part in PARTS]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if any(array.shape[1:] != (shape[0], *shape) for array in arrays):
        return None
    training, test = (
        ImageSplit(array, np.array(facts["indices"][part], np.int64))
        for part, array in zip(PARTS, arrays, strict=True)
    )
    labels, warnings = tuple(facts["labels"]), tuple(facts["warnings"])
    return ImageSet(name, labels, training, test, warnings, facts["sha256"])


def _write(
    folder: Path, uncached: UncachedSet, shape: tuple[int, int], name: str, report: Report
) -> None:
    """Make ``folder`` from ``uncached`` under a temporary name; what a killed process left goes."""
    with draft_of(folder) as draft:
        parts = {"training": uncached.training, "test": uncached.test}
        total, done = sum(len(part.labels) for part in parts.values()), 0
        for title, part in parts.items():
            counted = _counted(part.images, f"decoding {name}", done, total, report)
            _write_array(draft / f"{title}.npy", (len(part.labels), shape[0], *shape), counted)
            done += len(part.labels)
        facts = {
            "labels": list(uncached.labels),
            "indices": {title: [int(i) for i in part.labels] for title, part in parts.items()},
            "warnings": uncached.warnings,
            "sha256": uncached.sha256,
            "arrays": {title: sha256(draft / f"{title}.npy") for title in parts},
        }
        write_json(draft / FACTS, facts | {"check": _check(facts)})


def _check(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(facts).encode()).hexdigest()


def _write_array(path: Path, shape: tuple[int, ...], images: Iterable[Bytes]) -> None:
    """A .npy written image by image: a full disk is an error here, in a map it kills."""
    with path.open("wb") as stream:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        count = 0
        for image in images:
            if image.dtype != np.uint8 or image.shape != shape[1:]:
                raise ValueError(f"image {count} is {image.dtype}{list(image.shape)}")
            stream.write(np.ascontiguousarray(image).data)
            count += 1
        if count != shape[0]:
            raise ValueError(f"{count} images for {shape[0]} labels")
        stream.flush()
        os.fsync(stream.fileno())


def _counted(
    images: Iterable[Bytes], title: str, before: int, total: int, report: Report
) -> Iterator[Bytes]:
    done = before
    for done, image in enumerate(images, before + 1):
        yield image
        if done % REPORTED == 0 or done == total:
            report(Progress(title, done, total))
