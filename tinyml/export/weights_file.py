"""A file of weights as tensors by name; code in it is never run."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tinyml.core import file_kind
from tinyml.core.errors import CheckpointError, raise_refusal

SAVE = 'torch.save(module.state_dict(), "weights.pt"), or safetensors'
NO_CODE = "tinyml never runs code from a model file"
ULTRALYTICS = ("ultralytics.", "models.yolo")
LIGHTNING = ("pytorch_lightning.", "lightning.", "lightning_fabric.")
LONGEST_NAME = 80


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors or a torch file, by name; which of both, its bytes say.

    Mappings inside a torch file are flattened: ``{"state_dict": {"a": ...}}`` is
    ``state_dict.a``. Raises `CheckpointError` for anything else.
    """
    kind = file_kind.kind_of(path)
    if kind == file_kind.SAFETENSORS or (kind is None and path.suffix == ".safetensors"):
        return _safetensors(path)
    if kind is not None and kind != file_kind.TORCH:
        hint = kind.hint or f"weights are a torch or a safetensors file: {SAVE}"
        raise CheckpointError(f"{path.name} is {kind.name}", hint=hint)
    if _is_torchscript(path):  # torch warns of it, and reads another kind of file
        hint = f'torch.save(torch.jit.load("{path.name}").state_dict(), "weights.pt")'
        raise CheckpointError(f"{path.name} is a TorchScript program, not only weights", hint=hint)
    try:
        with path.open("rb") as stream:  # of a path, torch goes by the name's ending
            loaded = torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # pickles fail in as many ways as there are opcodes
        raise_refusal(error, f"reading {path.name}")
        raise _refusal(path, error) from error
    tensors = dict(_flat(loaded, ""))
    if not tensors:
        raise CheckpointError(f"{path.name} holds no tensors by name", hint=f"save them: {SAVE}")
    return tensors


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(
            f"{path.name} is not a whole safetensors file ({error})",
            hint="it may be truncated, or of another kind: copy or save it again",
        ) from error


def _flat(value: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor) and prefix:
        yield prefix.removesuffix("."), value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, f"{prefix}{name}.")


def _refusal(path: Path, error: Exception) -> CheckpointError:
    """What ``path`` holds instead of weights alone: torch's own text advises to run its code."""
    classes = _classes(path)
    if not classes:
        return CheckpointError(
            f"{path.name} is not a whole torch file ({type(error).__name__})",
            hint="it may be truncated, or of another kind: copy or save it again",
        )
    own = [name for name in classes if not name.startswith("torch.nn.")]
    shown = (own or classes)[0][:LONGEST_NAME]
    is_module = any(name.startswith("torch.nn.modules.") for name in classes)
    what = "a pickled module" if is_module else "Python objects"
    return CheckpointError(
        f"{path.name} holds {what} ({shown}), not only weights, and {NO_CODE}",
        hint=_hint(path.name, classes),
    )


def _hint(name: str, classes: list[str]) -> str:
    """How the library that wrote the file saves its weights alone."""
    if any(own.startswith(ULTRALYTICS) for own in classes):
        return f'where ultralytics is: torch.save(YOLO("{name}").model.state_dict(), "weights.pt")'
    if any(own.startswith(LIGHTNING) for own in classes):
        load = f'YourModule.load_from_checkpoint("{name}")'
        return f'where Lightning is: torch.save({load}.state_dict(), "weights.pt")'
    return f"where the module is built: {SAVE}"


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


def _classes(path: Path) -> list[str]:
    """Classes and functions that loading ``path`` would call; nothing is called here."""
    try:
        found = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # it reads the pickle that could not be read
        return []
    return [" ".join(name.split()) for name in found if name.isprintable()]
