"""Runs on an emulated board: calls of a model file in its runtime, a mark around each.

    python count_calls.py MODEL CALLS

Self-contained: numpy, and LiteRT or, for an .onnx, onnxruntime. Inputs are of a fixed seed. Mark k
stands before call k, the last one behind the last call; ``count_instructions.c`` writes the count
at each.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

MARK = 0x54494E59
# Types of inputs as onnxruntime names them.
DTYPES = {
    "tensor(float)": "float32",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}


def mark(number: int) -> None:
    try:
        os.getpriority(MARK, number)
    except OSError:
        # No such kind of priority: the call is a sign for the plugin, and its answer is not.
        return


def values_for(random: np.random.Generator, shape: Any, dtype: Any) -> Any:
    """Inputs of ``dtype``; those of eight bits over most of their range."""
    values, kind = random.uniform(-1, 1, shape), np.dtype(dtype)
    if kind.itemsize == 1:
        values = values * 100 if kind == np.int8 else values * 100 + 100
    return values.astype(kind)


def open_tflite(path: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The call that is counted, and one that returns the first output."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    random = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        values = values_for(random, detail["shape"], detail["dtype"])
        interpreter.set_tensor(detail["index"], values)
    index = interpreter.get_output_details()[0]["index"]
    return interpreter.invoke, lambda: interpreter.get_tensor(index)


def open_onnx(path: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """As `open_tflite`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    feeds = {
        own.name: values_for(random, own.shape, DTYPES[own.type]) for own in session.get_inputs()
    }
    return lambda: session.run(None, feeds), lambda: session.run(None, feeds)[0]


def main(path: str, calls: int) -> None:
    call, output = (open_onnx if path.endswith(".onnx") else open_tflite)(path)
    call()
    for number in range(calls):
        mark(number)
        call()
    mark(calls)
    values = np.asarray(output(), np.float64).ravel()
    print(json.dumps({"output": values[:16].tolist()}))


main(sys.argv[1], int(sys.argv[2]))
