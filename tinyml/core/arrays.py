"""Arrays by name in ``.npz`` files: never a pickle."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinyml.core.errors import InputError
from tinyml.core.finite import check_finite
from tinyml.core.spec import Array, Arrays, Signature, StatePair, TensorSpec

TARGETS = "targets"
# What numpy and zipfile raise for arrays that cannot be read: cut, compressed in another way,
# encrypted, or larger than the memory.
UNREADABLE = (
    *(ValueError, OSError, EOFError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)
FINITE_SAMPLE = "give real inputs; a mask can hold a large negative number, such as -1e4"


def read_npz(path: Path) -> dict[str, Array]:
    """Every array of ``path``; `InputError` when it is no ``.npz``, empty, or holds objects."""
    if not path.is_file():
        raise InputError(f"no arrays at {path}", hint="save them with numpy.savez(path, x=array)")
    try:
        with path.open("rb") as stream:  # np.load leaves a file open that it cannot read
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                raise InputError(
                    f"{path} is one array without a name", hint="numpy.savez(path, x=array)"
                )
            found = {name: loaded[name] for name in loaded.files}
    except UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path} cannot be read as .npz: {reason}",
            hint="save plain arrays with numpy.savez: objects would be pickles",
        ) from error
    if not found:
        raise InputError(f"{path} holds no arrays")
    return found


def write_npz(path: Path, arrays: Arrays) -> None:
    """Write ``arrays`` to ``path``, whatever their names: `numpy.savez` takes some for its own."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def rows_of(signature: Signature, data: Arrays, index: int) -> dict[str, Array]:
    """The inputs of sample ``index``: states that ``data`` lacks are zeros."""
    states = {pair.input for pair in signature.states}
    return {
        spec.name: np.zeros(spec.shape, spec.dtype)
        if spec.name in states and spec.name not in data
        else np.asarray(data[spec.name][index], order="C").reshape(spec.shape)
        for spec in signature.inputs
    }


def check_data(signature: Signature, data: Arrays) -> int:
    """How many samples ``data`` holds; `InputError` naming an array that does not fit.

    Each input has one leading axis of samples before its shape, or in place of a first
    size of 1; ``targets`` has it too.
    """
    if TARGETS not in data:
        raise InputError(f"the data has no '{TARGETS}'", hint=f"it has: {', '.join(data)}")
    count = check_inputs(signature.inputs, signature.states, data, "the data")
    targets = len(data[TARGETS]) if data[TARGETS].ndim else 0
    if count != targets:
        name = next(spec.name for spec in signature.inputs if spec.name in data)
        raise InputError(f"the data's '{name}' has {count} samples, targets {targets}")
    return count


def check_inputs(
    inputs: Sequence[TensorSpec], states: Sequence[StatePair], data: Arrays, what: str
) -> int:
    """As `check_data` without targets; ``what`` is the data's name in errors."""
    optional = {pair.input for pair in states}
    for spec in inputs:
        if spec.name in data:
            _check_input(spec, data[spec.name], what)
        elif spec.name not in optional:
            raise InputError(f"{what} has no '{spec.name}'", hint=f"it has: {', '.join(data)}")
    counts = {spec.name: len(data[spec.name]) for spec in inputs if spec.name in data}
    if not counts or not all(counts.values()):
        raise InputError(f"{what} holds no samples")
    if len(set(counts.values())) > 1:
        each = ", ".join(f"{count} of '{name}'" for name, count in counts.items())
        raise InputError(f"{what} has different numbers of samples: {each}")
    return next(iter(counts.values()))


def _check_input(spec: TensorSpec, array: Array, what: str) -> None:
    shapes = {spec.shape, spec.shape[1:] if spec.shape[:1] == (1,) else spec.shape}
    if array.shape[1:] not in shapes or str(array.dtype) != spec.dtype:
        raise InputError(
            f"{what}'s '{spec.name}' is {array.dtype}{list(array.shape)}, "
            f"the model takes {spec.dtype}{list(spec.shape)} of each sample"
        )
    check_finite(f"{what}'s", {spec.name: array}, hint="remove those samples")
