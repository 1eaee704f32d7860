"""A user's own images: ``train/<class>/*.jpg`` and ``test/<class>/*.jpg`` (png, bmp too)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tinyml.core.errors import DataError
from tinyml.core.events import Report
from tinyml.core.spec import Options
from tinyml.models.data import decode
from tinyml.models.data.entry import DataSetEntry
from tinyml.models.data.image_cache import cached_set
from tinyml.models.data.image_files import (
    LAYOUT,
    LIMITS,
    TRAIN,
    Files,
    class_names,
    decoded_set,
    files_below,
    limits,
)
from tinyml.models.data.images import ImageSet
from tinyml.models.data.options import check_options

OPTIONS = {"root": str, **LIMITS}


def load(
    options: Options,
    seed: int,
    *,
    side: int | None = None,
    channels: int | None = None,
    report: Report | None = None,
) -> ImageSet:
    """The images below option ``root``; ``limit`` and ``test_limit`` take so many a class.

    Without ``side`` the shorter side of the first image is taken. Raises `DataError`
    naming the class or file that cannot be used.
    """
    check_options("image_folder", options, OPTIONS)
    if not options.get("root"):
        raise DataError(
            "data set 'image_folder' has no folder of images",
            hint=f"give the folder with --data or as option 'root'; {LAYOUT}",
        )
    root = Path(str(options["root"]))
    return load_folder("image_folder", root, options, seed, side, channels, report)


def load_folder(
    name: str,
    root: Path,
    options: Options,
    seed: int,
    side: int | None,
    channels: int | None,
    report: Report | None,
) -> ImageSet:
    """The set ``name`` from the folder ``root``."""
    files, warnings = files_below(root)
    labels = class_names(files, str(root))
    if side is None:
        side = min(_first(files, labels[0]))
    shape, limit = (side, channels or 3), limits(name, options)
    key = [_content(files), limit, seed if any(limit) else 0]
    return cached_set(
        name,
        key,
        shape,
        lambda: decoded_set(files, str(root), shape, limit, seed, warnings),
        report,
    )


def _first(files: Files, label: str) -> tuple[int, int]:
    first = files[TRAIN][label][0]
    size: tuple[int, int] = decode.opened(first.read(), first.name).size
    return size


def _content(files: Files) -> str:
    """Hash of every file's part, class, name and bytes."""
    digest = hashlib.sha256()
    for part, classes in files.items():
        for label, class_files in classes.items():
            for file in class_files:
                content = hashlib.sha256(file.read()).hexdigest()
                digest.update(f"{part} {label} {Path(file.name).name} {content}\n".encode())
    return digest.hexdigest()


ENTRY = DataSetEntry(
    name="image_folder",
    kind="images",
    load=load,
)
