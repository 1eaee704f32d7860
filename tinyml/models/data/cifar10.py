"""CIFAR-10 as JPEG files: 50,000 + 10,000 colour images of 32 x 32 in ten classes.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. The files are
compressed with loss, so accuracies are not comparable with those of the original pixels.
"""

from __future__ import annotations

import functools
import gzip
import re
import tarfile
import zlib
from pathlib import Path

from tinyml.core.errors import DataError, machine_errors, raise_refusal
from tinyml.core.events import Report
from tinyml.core.files import sha256
from tinyml.core.spec import Options
from tinyml.models.data.entry import DataSetEntry
from tinyml.models.data.image_cache import UncachedSet, cached_set
from tinyml.models.data.image_files import (
    TEST,
    TRAIN,
    Files,
    ImageFile,
    decoded_set,
    limits,
    located,
)
from tinyml.models.data.image_folder import OPTIONS, load_folder
from tinyml.models.data.images import ImageSet
from tinyml.models.data.options import check_options

SIDE, CHANNELS = 32, 3
PLACES = ("cifar10-jpeg.tar.gz", "cifar10-jpeg", "cifar10")
HINT = "set TINYML_DATA to the folder that holds cifar10-jpeg.tar.gz, or give it with --data"
MEMBER = re.compile(r"(?:\./)?(train|test)/([A-Za-z0-9_-]+)/([A-Za-z0-9_-]+\.(?:jpg|png))")


def load(
    options: Options,
    seed: int,
    *,
    side: int | None = None,
    channels: int | None = None,
    report: Report | None = None,
) -> ImageSet:
    """The archive or the extracted folder at option ``root``, else in ``$TINYML_DATA``.

    ``limit`` and ``test_limit`` take so many images a class, drawn from ``seed``. Nothing
    is extracted to the disk. Raises `DataError` when it is missing, cut or something else.
    """
    check_options("cifar10", options, OPTIONS)
    root = located("cifar10", options, PLACES, HINT)
    if root.is_dir() and (root / PLACES[0]).is_file() and not (root / TRAIN).exists():
        root /= PLACES[0]
    if root.is_dir():
        return load_folder("cifar10", root, options, seed, side or SIDE, channels, report)
    shape, limit = (side or SIDE, channels or CHANNELS), limits("cifar10", options)
    with machine_errors(f"reading {root}"):
        key = ["archive", sha256(root), limit, seed if any(limit) else 0]
    return cached_set(
        "cifar10", key, shape, lambda: _from_archive(root, shape, limit, seed), report
    )


def _from_archive(
    path: Path, shape: tuple[int, int], limit: tuple[int, int], seed: int
) -> UncachedSet:
    return decoded_set(read_archive(path), str(path), shape, limit, seed)


def _read_to_the_end(unpacked: gzip.GzipFile) -> None:
    """Tar readers stop quietly at a header that is cut; gzip's checksum knows better."""
    while unpacked.read(1 << 20):
        pass


def read_archive(path: Path) -> Files:
    """Every image of a .tar.gz in memory; `DataError` when it is cut, or a member is no image."""
    found: dict[str, dict[str, dict[str, bytes]]] = {TRAIN: {}, TEST: {}}
    try:
        with gzip.open(path) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as archive:
            for member in archive:
                if member.isdir():
                    continue
                name = MEMBER.fullmatch(member.name)
                stream = archive.extractfile(member) if member.isfile() else None
                if name is None or stream is None:
                    raise DataError(
                        f"{path}: '{member.name}' is not train|test/<class>/<name>.jpg", hint=HINT
                    )
                part, label, file = name.groups()
                found[part].setdefault(label, {})[file] = stream.read()
            _read_to_the_end(unpacked)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise_refusal(error, f"reading {path.name}")
        raise DataError(
            f"{path} is truncated or not a .tar.gz file: {error}", hint="copy or download it again"
        ) from error
    return {
        part: {
            label: [
                ImageFile(f"{path}:{part}/{label}/{name}", functools.partial(bytes, content))
                for name, content in sorted(own.items())
            ]
            for label, own in sorted(classes.items())
        }
        for part, classes in found.items()
    }


ENTRY = DataSetEntry(
    name="cifar10",
    kind="images",
    load=load,
    caveat="stored as JPEG with loss: not comparable with accuracies on the original pixels",
)
