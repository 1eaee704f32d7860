"""Runs on an emulated board: calls of a .tflite file, a mark around each.

    python count_calls.py MODEL CALLS

Self-contained: numpy and LiteRT. Inputs are of a fixed seed. Mark k stands before call k,
the last one behind the last call; ``count_instructions.c`` tells the count at each.
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
    for told in interpreter.get_input_details():
        values = random.uniform(-1, 1, told["shape"])
        interpreter.set_tensor(
            told["index"],
            (values * 100).astype(told["dtype"])
            if told["dtype"] == np.int8
            else values.astype(told["dtype"]),
        )
    interpreter.invoke()
    for call in range(calls):
        mark(call)
        interpreter.invoke()
    mark(calls)
    told = interpreter.get_output_details()[0]
    answer = np.asarray(interpreter.get_tensor(told["index"]), np.float64).ravel()
    print(json.dumps({"answer": answer[:16].tolist()}))


main(sys.argv[1], int(sys.argv[2]))
