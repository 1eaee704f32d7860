"""A bundle that is whole, and the outputs of PyTorch that its files are judged by."""

from __future__ import annotations

import re
from pathlib import Path

from tinyml.core import bundle as bundles
from tinyml.core.bundle import Bundle
from tinyml.core.errors import UsageError
from tinyml.pipeline.cross_check import check_bundle
from tinyml.pipeline.outputs import reference
from tinyml.pipeline.outputs.reference import Reference


def read_checked(folder: Path, digest: str | None = None) -> tuple[Bundle, Reference]:
    """The bundle in ``folder`` and its reference.

    ``digest``: the sha256 of the manifest, or how it begins. Raises `BundleError`,
    `ValidationError` for a bundle that is not whole or has another digest, `UsageError` for what
    cannot be a digest.
    """
    bundle = bundles.read(folder, "" if digest is None else _read_digest(digest))
    check_bundle(bundle)
    expected = reference.load(folder / bundles.REFERENCE)
    expected.check(bundle.signature, bundle.stages, bundle.facts.not_judged)
    return bundle, expected


def _read_digest(text: str) -> str:
    """``text`` in lower case; `UsageError` unless it is 16 to 64 hexadecimal digits."""
    if not re.fullmatch(r"[0-9a-fA-F]{16,64}", text):
        raise UsageError(
            f"the digest '{text}' is not 16 to 64 hexadecimal digits",
            hint="tinyml export prints the digest of the bundle that it writes",
        )
    return text.lower()
