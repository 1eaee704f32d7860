"""Sets that are image files: ``train|test/<class>/<name>``, in a folder or in an archive."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyml.core.errors import DataError
from tinyml.core.files import canonical_json
from tinyml.core.spec import Options
from tinyml.models.data import decode
from tinyml.models.data.image_cache import UncachedSet, UncachedSplit
from tinyml.models.data.images import Bytes

TRAIN, TEST = "train", "test"
LAYOUT = "the layout is train/<class>/*.jpg and test/<class>/*.jpg"
DATA = "TINYML_DATA"
# Of every image set: how many images a class; 0 takes all.
LIMITS = {"limit": int, "test_limit": int}


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One file: ``name`` as an error says it."""

    name: str
    read: Callable[[], bytes]


# Part -> class -> files in order.
Files = Mapping[str, Mapping[str, Sequence[ImageFile]]]


def located(name: str, options: Options, below: Sequence[str], hint: str) -> Path:
    """Option ``root``, else the first of ``below`` that exists in ``$TINYML_DATA``."""
    if root := str(options.get("root", "")):
        if not Path(root).exists():
            raise DataError(f"no such file or directory: {root}", hint=hint)
        return Path(root)
    above = os.environ.get(DATA, "")
    if not above:
        raise DataError(
            f"where the data set '{name}' lies is not known: {DATA} is not set", hint=hint
        )
    for candidate in below:
        if (Path(above) / candidate).exists():
            return Path(above) / candidate
    raise DataError(f"no {' or '.join(below)} in {above}", hint=hint)


def files_below(root: Path) -> tuple[Files, list[str]]:
    """The files of a folder, sorted, and a warning for those that are no images.

    Raises `DataError` when ``root`` has no ``train`` or ``test``, or a class is empty.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder", hint=LAYOUT)
    found: dict[str, dict[str, list[ImageFile]]] = {}
    skipped: list[str] = []
    for part in (TRAIN, TEST):
        if not (root / part).is_dir():
            raise DataError(f"no folder {root / part}", hint=LAYOUT)
        found[part] = {}
        for folder in _visible(root / part):
            if folder.is_dir():
                found[part][folder.name] = _images(folder, skipped)
            else:
                skipped.append(str(folder))
    return found, _skipped_files(skipped)


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _images(folder: Path, skipped: list[str]) -> list[ImageFile]:
    files = _visible(folder)
    images = [path for path in files if path.suffix.lower() in decode.SUFFIXES and path.is_file()]
    skipped += [str(path) for path in files if path not in set(images)]
    return [ImageFile(str(path), path.read_bytes) for path in images]


def _skipped_files(skipped: Sequence[str]) -> list[str]:
    if not skipped:
        return []
    return [f"{len(skipped)} files are not jpg, png or bmp and are skipped: {skipped[0]} ..."]


def class_names(files: Files, where: str) -> tuple[str, ...]:
    """The classes in order of name; `DataError` unless both parts have the same, none empty."""
    train, test = files[TRAIN], files[TEST]
    for part in (TRAIN, TEST):
        for name, images in files[part].items():
            if not images:
                raise DataError(f"{where}: class '{name}' of {part} has no image", hint=LAYOUT)
    if len(train) < 2:
        raise DataError(f"{where}: {len(train)} classes to train on, at least 2", hint=LAYOUT)
    for one, other, lacking in ((train, test, TEST), (test, train, TRAIN)):
        for name in one:
            if name not in other:
                raise DataError(
                    f"{where}: class '{name}' is missing from {lacking}/",
                    hint="both parts need every class",
                )
    return tuple(sorted(train))


def limits(name: str, options: Options) -> tuple[int, int]:
    """Options ``limit`` and ``test_limit``; `DataError` for a negative one."""
    found = int(options.get("limit", 0)), int(options.get("test_limit", 0))
    if min(found) < 0:
        raise DataError(f"data set '{name}': a limit of {min(found)} images a class")
    return found


def sample_classes(counts: Mapping[str, int], limit: int, seed: int) -> list[list[int]]:
    """Per class, of ``counts`` images by name, the places of ``limit`` of them (0: all), in order.

    Drawn from the seed, and more of them hold the fewer; `DataError` when a class has less.
    """
    found = []
    for label, (name, count) in enumerate(counts.items()):
        if limit > count:
            raise DataError(f"limit {limit}: class '{name}' has {count} images")
        order = np.random.default_rng((seed, label)).permutation(count)
        found.append(sorted(map(int, order[: limit or count])))
    return found


def decoded_set(
    files: Files,
    where: str,
    shape: tuple[int, int],
    limit: tuple[int, int],
    seed: int,
    warnings: Sequence[str] = (),
) -> UncachedSet:
    """``files`` as a set of (side, channels) ``shape``, at most ``limit`` a class of each part."""
    labels, notes = class_names(files, where), list(warnings)
    parts, digest = [], hashlib.sha256(canonical_json([decode.VERSION, *shape, labels]).encode())
    hashes: dict[str, list[str]] = {}
    for part, most in zip((TRAIN, TEST), limit, strict=True):
        own = [files[part][name] for name in labels]
        places = sample_classes({name: len(files[part][name]) for name in labels}, most, seed)
        pairs = [(label, own[label][at]) for label, among in enumerate(places) for at in among]
        hashes[part] = [hashlib.sha256(file.read()).hexdigest() for _, file in pairs]
        for (label, _), content in zip(pairs, hashes[part], strict=True):
            digest.update(f"{part} {label} {content}\n".encode())
        images = _decoded([file for _, file in pairs], part, shape, notes)
        parts.append(UncachedSplit([label for label, _ in pairs], images))
    if shared := len(set(hashes[TRAIN]) & set(hashes[TEST])):
        notes.append(f"{shared} images are in {TRAIN}/ and in {TEST}/: accuracy will flatter")
    return UncachedSet(labels, parts[0], parts[1], notes, digest.hexdigest())


def _decoded(
    files: Sequence[ImageFile], part: str, shape: tuple[int, int], warnings: list[str]
) -> Iterator[Bytes]:
    side, channels = shape
    others: dict[str, int] = {}
    for file in files:
        image = decode.opened(file.read(), file.name)
        if image.mode != decode.MODES[channels]:
            others[image.mode] = others.get(image.mode, 0) + 1
        yield decode.fit(image, side, channels)
    warnings += [
        f"{count} of {len(files)} images in {part}/ are {mode}: converted to "
        f"{decode.MODES[channels]}"
        for mode, count in sorted(others.items())
    ]
