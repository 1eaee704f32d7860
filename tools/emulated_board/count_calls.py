"""Runs on an emulated board: calls of a .tflite file, a mark around each.

    python count_calls.py MODEL CALLS

Self-contained: numpy and LiteRT. Inputs are of a fixed seed. Mark k stands before call k,
the last one behind the last call; ``count_instructions.c`` writes the count at each.
"""

import json
import os
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter

MARK = 0x54494E59


def mark(number: int) -> None:
    try:
        os.getpriority(MARK, number)
    except OSError:
        # No such kind of priority: the call is a sign for the plugin, and its answer is not.
        return


def main(path: str, calls: int) -> None:
    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    random = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        values = random.uniform(-1, 1, detail["shape"])
        interpreter.set_tensor(
            detail["index"],
            (values * 100).astype(detail["dtype"])
            if detail["dtype"] == np.int8
            else values.astype(detail["dtype"]),
        )
    interpreter.invoke()
    for call in range(calls):
        mark(call)
        interpreter.invoke()
    mark(calls)
    detail = interpreter.get_output_details()[0]
    output = np.asarray(interpreter.get_tensor(detail["index"]), np.float64).ravel()
    print(json.dumps({"output": output[:16].tolist()}))


main(sys.argv[1], int(sys.argv[2]))
