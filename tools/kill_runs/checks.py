"""What must hold of a folder of outputs after a kill, and after the next whole run."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tinyml.core import bundle as bundles
from tinyml.core import checkpoint
from tinyml.core.errors import TinymlError
from tinyml.core.files import sha256, temporaries

LOST, HALF, ORPHAN, SCRATCH, FAILED = "lost", "half-written", "orphan", "scratch", "failed"
KINDS = (LOST, HALF, ORPHAN, SCRATCH, FAILED)
MARK = "TINYML_KILL_RUN"
# Dying takes a busy machine so long; what is to be measured lives longer.
GRACE_S = 1.0
# torch's own cache: one folder a user, of a fixed name, which whole runs use too.
TORCH = "torchinductor_"
PNG = b"\x89PNG", b"IEND\xaeB`\x82"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: ``kind`` is one of `KINDS`."""

    kind: str
    text: str


def outputs(place: Path) -> dict[str, str]:
    """Every output below ``place``, bundles whole, by its name: a digest of what it holds.

    Temporary files and locks are not outputs.
    """
    found = {}
    for path in _walk(place):
        if (path / bundles.MANIFEST).is_file():
            found[str(path.relative_to(place))] = _digest(path)
        elif path.is_file():
            found[str(path.relative_to(place))] = sha256(path)
    return found


def _walk(folder: Path) -> Iterator[Path]:
    """Files, and folders that are bundles; what lies in other folders instead of them."""
    for path in sorted(folder.iterdir()):
        if path in leftovers(folder):
            continue
        if path.is_dir() and not (path / bundles.MANIFEST).is_file():
            yield from _walk(path)
        else:
            yield path


def _digest(folder: Path) -> str:
    """Of the names and contents of all files in ``folder``."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(folder)} {sha256(path)} ".encode())
    return digest.hexdigest()


def leftovers(folder: Path) -> list[Path]:
    """Temporary names and locks directly in ``folder``."""
    old = [*folder.glob(".*.tmp-old"), *folder.glob(".*.lock")]
    return [*temporaries(folder), *old]


def lost(place: Path, before: dict[str, str], written: str) -> list[Finding]:
    """Outputs of ``before`` that are gone, or changed and not part of ``written``."""
    after = outputs(place)
    found = []
    for name, digest in before.items():
        may_change = name.split("/")[0] == written and not Path(name).name.startswith(".")
        if name not in after and not _continued(name, after):
            found.append(Finding(LOST, f"{name} is gone"))
        elif name in after and after[name] != digest and not may_change:
            found.append(Finding(LOST, f"{name} was changed"))
    return found


def _continued(name: str, after: dict[str, str]) -> bool:
    """Whether ``name`` is the state of a training that has ended since then."""
    path = Path(name)
    return path.name == "state.safetensors" and str(path.with_name(checkpoint.FILE)) in after


def half_written(place: Path) -> list[Finding]:
    """Outputs below ``place`` that are not whole, by what their own readers say."""
    found = []
    for name in outputs(place):
        try:
            _read(place / name)
        except (TinymlError, ValueError, OSError) as error:
            found.append(Finding(HALF, f"{name}: {error}"))
    # A bundle without its manifest is not recognized as one: its other files are.
    for card in place.rglob(bundles.CARD):
        if not (card.parent / bundles.MANIFEST).is_file() and ".tmp-" not in str(card):
            found.append(Finding(HALF, f"{card.parent.name} has no manifest"))
    return found


def _read(path: Path) -> None:
    if path.is_dir():
        bundles.read(path).check_files()
    elif path.name == checkpoint.FILE:
        checkpoint.load(path)
    elif path.suffix == ".safetensors":
        checkpoint.read_safetensors(path)
    elif path.suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))
    elif path.suffix == ".html" and not path.read_text(encoding="utf-8").endswith("</html>\n"):
        raise ValueError("the page has no end")
    elif path.suffix == ".png":
        data = path.read_bytes()
        if not (data.startswith(PNG[0]) and data.endswith(PNG[1])):
            raise ValueError("the picture has no end")


def left(place: Path, temporary: Path, cache: Path) -> list[Finding]:
    """What a whole run should have removed: of its own, and of those that were killed."""
    found = [
        str(path.relative_to(temporary.parent))
        for path in temporary.iterdir()
        if not path.name.startswith(TORCH)
    ]
    for folder in (place, *(path for path in place.rglob("*") if path.is_dir())):
        found += [str(path.relative_to(place)) for path in leftovers(folder)]
    for folder in (path for path in cache.rglob("*") if path.is_dir()):
        found += [str(path.relative_to(cache)) for path in leftovers(folder)]
    return [Finding(SCRATCH, f"{name} is left") for name in sorted(found)]


def orphans(mark: str) -> list[Finding]:
    """Processes that carry ``mark`` in their environment and outlive `GRACE_S`; they are killed."""
    until = time.monotonic() + GRACE_S
    while (living := _marked(mark)) and time.monotonic() < until:
        time.sleep(0.02)
    for pid in living:
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            continue
    return [Finding(ORPHAN, " ".join(command[:4])) for command in living.values()]


def _marked(mark: str) -> dict[int, list[str]]:
    """The command line of every living process with ``mark``, by its number."""
    wanted, found = f"{MARK}={mark}".encode(), {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
                if line:  # a process that is already dead has none
                    found[int(entry.name)] = line.split("\0")
        except OSError:
            continue
    return found
