"""What a file is by its first bytes, for the error where its name promises something else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

READ_BYTES = 512
HTML = (b"<!doctype html", b"<html")
LFS = b"version https://git-lfs.github.com/spec/"
# What follows the version of the format in an ONNX file: producer, domain, graph or opset.
AFTER_IR_VERSION = b"\x12\x1a\x22\x28\x32\x3a\x42"


@dataclass(frozen=True, slots=True)
class FileKind:
    """``name`` with its article; ``hint``: what to do where such a file is not wanted.

    suffix  what names of such files end in; empty: of no model or weights
    """

    name: str
    suffix: str = ""
    hint: str = ""


LFS_POINTER = FileKind(
    "a Git LFS pointer, not the file that it stands for",
    hint="git lfs pull fetches the file itself",
)
HTML_PAGE = FileKind(
    "an HTML page, not a model",
    hint="download it again: a page about an error or a login was saved under this name",
)
TFLITE = FileKind("a TFLite model", ".tflite")
ONNX = FileKind("an ONNX model", ".onnx")
SAFETENSORS = FileKind("a safetensors file", ".safetensors")
TORCH = FileKind("a PyTorch file", ".pt")
ZIP = FileKind("a ZIP archive", hint="unpack it first")
GZIP = FileKind("a gzip archive", hint="unpack it first")
HDF5 = FileKind("an HDF5 file, as Keras writes it", hint="convert it to .tflite or .onnx")


def kind_of(path: Path) -> FileKind | None:
    """``None`` where nothing is recognized; raises `OSError` where it cannot be read."""
    with path.open("rb") as stream:
        start = stream.read(READ_BYTES)
    return recognized(start, path.stat().st_size)


def recognized(start: bytes, size: int) -> FileKind | None:
    """The kind of a file of ``size`` bytes that begins with ``start``."""
    if start.startswith(LFS):
        return LFS_POINTER
    if start.lstrip().lower().startswith(HTML):
        return HTML_PAGE
    if start[4:8] == b"TFL3":
        return TFLITE
    if start.startswith(b"PK\x03\x04"):
        return TORCH if b"/data.pkl" in start or b"/data/" in start else ZIP
    if start.startswith(b"\x1f\x8b"):
        return GZIP
    if start.startswith(b"\x89HDF"):
        return HDF5
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size:
        return SAFETENSORS
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return TORCH
    is_onnx = start[:1] == b"\x08" and start[1:2] < b"\x80" and start[2:3] in AFTER_IR_VERSION
    return ONNX if is_onnx and len(start) > 2 else None
