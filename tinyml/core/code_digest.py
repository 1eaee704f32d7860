"""A hash of our own source: what was computed by code that has changed since is out of date."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


@functools.cache
def code_digest(*folders: str) -> str:
    """Hex digest of every ``.py`` in ``folders`` of the package, and in ``core``.

    ``folders`` are paths as ``models/data``; all that they hold counts. The version of a package
    would not do: it stays the same while its code is worked on.
    """
    files = {p for f in ("core", *folders) for p in (PACKAGE / f).rglob("*.py")}
    found = hashlib.sha256()
    for path in sorted(files):
        text = path.read_bytes()
        found.update(f"{path.relative_to(PACKAGE).as_posix()} {len(text)} ".encode() + text)
    return found.hexdigest()
