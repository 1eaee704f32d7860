"""A trained model in one file: safetensors weights with a JSON header.

The header sits in the file's ``__metadata__`` under one key, so that a checkpoint is
written by one rename, read without torch, and never executes code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.core.errors import CheckpointError
from tinyml.core.files import canonical_json, write_bytes
from tinyml.core.finite import check_finite
from tinyml.core.processor import Processor
from tinyml.core.recipe import Recipe
from tinyml.core.spec import Array, Signature
from tinyml.core.typed_json import from_json, parse_json, to_json
from tinyml.core.upgrade import SCHEMA, upgraded

FILE = "checkpoint.safetensors"
KEY = "tinyml"
DIVERGED = "the training that made it diverged: train again with a smaller learning_rate"
PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


@dataclass(frozen=True, slots=True)
class CheckpointHeader:
    """What the file's header holds, next to its schema number.

    ``facts`` are what training found: metrics, hashes of data and split, the subjects of
    the validation set, threads and instruction set.
    """

    model: str
    signature: Signature
    processor: Processor
    recipe: Recipe
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Checkpoint(CheckpointHeader):
    """Weights by parameter name, and all that is needed to use them."""

    weights: Mapping[str, Array]

    @property
    def weights_sha256(self) -> str:
        """Digest of names, types, shapes and values of the weights."""
        digest = hashlib.sha256()
        for name in sorted(self.weights):
            value = np.asarray(self.weights[name], order="C")
            digest.update(f"{name} {value.dtype} {value.shape} ".encode())
            digest.update(value.tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write the checkpoint to ``path`` atomically; the same content gives the same bytes."""
        from safetensors.numpy import save

        held = {own.name: getattr(self, own.name) for own in fields(CheckpointHeader)}
        header = {"schema": SCHEMA, **to_json(held)}
        weights = {n: np.asarray(self.weights[n], order="C") for n in sorted(self.weights)}
        write_bytes(path, save(weights, {KEY: canonical_json(header)}))


def find(path: Path) -> Path:
    """The checkpoint file that ``path``, a file or a run's folder, stands for."""
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise CheckpointError(
            f"no checkpoint at {path}", hint="give a run's folder or its checkpoint.safetensors"
        )
    return file


def load(path: Path) -> Checkpoint:
    """Read a checkpoint file or a run's folder; `CheckpointError` says what is wrong with it.

    Weights and header hold finite numbers alone.
    """
    file = find(path)
    header, weights = read_safetensors(file)
    if KEY not in header:
        raise CheckpointError(f"{file} is a safetensors file, but not a checkpoint of tinyml")
    what, broken = f"{file}", "copy or train it again"
    data = parse_json(header[KEY], what=what, error=CheckpointError, hint=broken)
    data = upgraded(data, what=what, error=CheckpointError)
    made = from_json(CheckpointHeader, data, what=what, error=CheckpointError, hint=broken)
    check_finite(f"{file}: the weight", weights, error=CheckpointError, hint=DIVERGED)
    held = {own.name: getattr(made, own.name) for own in fields(CheckpointHeader)}
    return Checkpoint(**held, weights=weights)


def read_safetensors(file: Path) -> tuple[dict[str, str], dict[str, Array]]:
    """Metadata and tensors of a safetensors file; never unpickles."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            names = opened.keys()
            return opened.metadata() or {}, {name: opened.get_tensor(name) for name in names}
    except SafetensorError as error:
        # Only now: the length that a safetensors file starts with can look like a pickle.
        if _starts_like_a_pickle(file):
            raise CheckpointError(
                f"{file} is a pickle (torch.save), which could run code when loaded",
                hint="save the state dict with safetensors.torch.save_file",
            ) from error
        raise CheckpointError(
            f"{file} is not a whole safetensors file ({error})",
            hint="it may be truncated: copy or train it again",
        ) from error


def _starts_like_a_pickle(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(4).startswith(PICKLE_STARTS)
