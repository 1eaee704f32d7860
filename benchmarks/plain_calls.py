"""Calls of a model file, one after another: ``python plain_calls.py FILE INPUTS.npz SECONDS``.

What anyone would write to time a model, with nothing of tinyml in it: one thread, calls for a
second that do not count, then calls for SECONDS, each on both clocks. Prints one line of JSON with
their wall and CPU times in nanoseconds. `plain_loop.py` compares `tinyml bench` with it.
"""

import json
import os
import sys
import time

import numpy as np

WARM_UP_S = 1.0


def litert(path, feeds):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    details = interpreter.get_signature_runner().get_input_details()
    inputs = [(details[name]["index"], array) for name, array in feeds.items()]
    outputs = [own["index"] for own in interpreter.get_output_details()]

    def call():
        for index, array in inputs:
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return call


def onnxruntime(path, feeds):
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, feeds)


def main(path, inputs, seconds):
    feeds = dict(np.load(inputs))
    call = (litert if path.endswith(".tflite") else onnxruntime)(path, feeds)
    ends = time.perf_counter() + WARM_UP_S
    while time.perf_counter() < ends:
        call()
    walls, cpus = [], []
    ends = time.perf_counter() + float(seconds)
    while time.perf_counter() < ends:
        cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
        call()
        walls.append(time.perf_counter_ns() - wall)
        cpus.append(time.thread_time_ns() - cpu)
    print(json.dumps({"wall": walls, "cpu": cpus}))


if __name__ == "__main__":
    main(*sys.argv[1:])
