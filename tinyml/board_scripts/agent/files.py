"""Files of a board, as texts and as hashes."""

from __future__ import annotations

import hashlib
from typing import Any

PIECE = 1 << 16


def read_text(path: str) -> str:
    """The file's text, or an empty one: what cannot be read is unknown."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip("\0\n ")
    except OSError:
        return ""


def write_text(path: str, text: str) -> bool:
    """Whether this user may write it, and the kernel takes it."""
    try:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError:
        return False
    return True


def sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for piece in iter(lambda: stream.read(PIECE), b""):
            digest.update(piece)
    return digest.hexdigest()


def hash_files(*paths: str) -> dict[str, Any]:
    """The sha256 of each file, in the order given."""
    return {"sha256": [sha256(path) for path in paths]}
