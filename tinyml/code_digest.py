"""A hash of our own source: what was computed by code that has changed since is out of date."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parent


@functools.cache
def code_digest(*folders: str) -> str:
    """Hex digest of every ``.py`` in ``folders`` of the package, and of those at its top.

    ``folders`` are paths as ``models/data``; all that they hold counts. The version of a package
    would not do: it stays the same while its code is worked on.
    """
    files = [*PACKAGE.glob("*.py"), *(p for f in folders for p in (PACKAGE / f).rglob("*.py"))]
    found = hashlib.sha256()
    for path in sorted(files):
        text = path.read_bytes()
        found.update(f"{path.relative_to(PACKAGE).as_posix()} {len(text)} ".encode() + text)
    return found.hexdigest()
