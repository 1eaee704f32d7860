"""Run and time one model file in a process of its own; one line of JSON on stdout.

    python runner.py MODEL --runtime litert|tflite_runtime|onnxruntime --inputs IN.npz

Self-contained: numpy and one runtime wheel, Python 3.9 or newer. The local benchmark
starts it, and a board gets this same file. A call is timed from handing the inputs
over until the outputs are numpy arrays. With ``--state IN=OUT`` the output OUT of a
call is the input IN of the next. ``--outputs`` keeps the answers of the first call.
On failure the line is ``{"error": ...}`` and the exit code is not 0.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import platform
import sys
import time
import zipfile
from typing import Any

import numpy as np

DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}
UNLIMITED = sys.maxsize
# Parts of the names of all ONNX operators that round activations, as in runtimes/ort.py.
ROUNDING = (b"QuantizeLinear", b"QLinear")
LONGEST_NAME = max(map(len, ROUNDING)) - 1
PIECE = 1 << 16
Arrays = dict[str, Any]


class RunnerError(Exception):
    """Something that the caller can fix; becomes the error line."""


class LiteRtModel:
    """A .tflite file in LiteRT or tflite-runtime, with the default delegate."""

    def __init__(self, module: Any, path: str, threads: int, rounds: bool) -> None:
        self.interpreter = module.Interpreter(model_path=path, num_threads=threads)
        self.interpreter.allocate_tensors()
        signatures = self.interpreter.get_signature_list()
        if len(signatures) > 1:
            raise RunnerError("{} has several signatures: {}".format(path, sorted(signatures)))
        if signatures:
            runner = self.interpreter.get_signature_runner(next(iter(signatures)))
            inputs, outputs = runner.get_input_details(), runner.get_output_details()
        else:
            inputs = {d["name"]: d for d in self.interpreter.get_input_details()}
            outputs = {d["name"]: d for d in self.interpreter.get_output_details()}
        self.inputs = {name: np.dtype(d["dtype"]).name for name, d in inputs.items()}
        self.input_indices = {name: d["index"] for name, d in inputs.items()}
        self.output_indices = {name: d["index"] for name, d in outputs.items()}

    def run(self, feeds: Arrays) -> Arrays:
        for name, array in feeds.items():
            self.interpreter.set_tensor(self.input_indices[name], array)
        self.interpreter.invoke()
        return {n: self.interpreter.get_tensor(i) for n, i in self.output_indices.items()}


class OrtModel:
    """An .onnx file in onnxruntime on the CPU, with all graph optimisations."""

    def __init__(self, module: Any, path: str, threads: int, rounds: bool) -> None:
        options = module.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Exact sums of int8 products on x86 without VNNI: see WHOLE_SUMS in runtimes/ort.py.
        if rounds:
            options.add_session_config_entry("session.x64quantprecision", "1")
        self.session = module.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.inputs = {i.name: _ort_dtype(i.type) for i in self.session.get_inputs()}
        self.names = [o.name for o in self.session.get_outputs()]

    def run(self, feeds: Arrays) -> Arrays:
        return dict(zip(self.names, self.session.run(self.names, feeds)))  # noqa: B905 (3.9)


def _ort_dtype(kind: str) -> str:
    return DTYPES.get(kind) or kind[len("tensor(") : -1]


def import_runtime(name: str) -> tuple[Any, Any, str]:
    """The class that opens a model, the runtime's module and its version.

    ``litert`` is its predecessor where only that one is installed; the version says so.
    """
    if name == "onnxruntime":
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        if name == "onnxruntime":
            import onnxruntime as module

            return OrtModel, module, module.__version__
        if name == "tflite_runtime" or (name == "litert" and not installed("ai_edge_litert")):
            import tflite_runtime as package
            from tflite_runtime import interpreter as module
        else:
            import ai_edge_litert as package
            from ai_edge_litert import interpreter as module
    except ImportError as error:
        raise RunnerError("{} cannot be imported here: {}".format(name, error)) from error
    version = getattr(package, "__version__", "unknown")
    fallen_back = name == "litert" and package.__name__ == "tflite_runtime"
    return LiteRtModel, module, "tflite-runtime " + version if fallen_back else version


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def read_inputs(path: str) -> Arrays:
    """Arrays by name from an .npz; never unpickles."""
    try:
        with np.load(path, allow_pickle=False) as opened:
            return {name: opened[name] for name in opened.files}
    except Exception as error:
        raise RunnerError("{} is not an .npz of arrays: {}".format(path, error)) from error


def write_outputs(path: str, arrays: Arrays) -> None:
    """An .npz of arrays by name, whatever the names: ``numpy.savez`` takes some for its own."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(name + ".npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def parse_states(pairs: list[str], model: Any) -> dict[str, str]:
    """``["IN=OUT"]`` -> ``{IN: OUT}``, both known to the model as far as it can be told."""
    states = {}
    for pair in pairs:
        into, equals, out = pair.partition("=")
        if not equals or into not in model.inputs:
            raise RunnerError(
                "--state {}: IN=OUT with IN one of {}".format(pair, list(model.inputs))
            )
        states[into] = out
    return states


def check_feeds(feeds: Arrays, model: Any) -> None:
    """Refuse names or dtypes that the model does not take; a runtime may not say so."""
    if set(feeds) != set(model.inputs):
        raise RunnerError(
            "inputs {} given, the model takes {}".format(sorted(feeds), sorted(model.inputs))
        )
    for name, dtype in model.inputs.items():
        if dtype != "bool" and feeds[name].dtype.name != dtype:
            raise RunnerError(
                "'{}' is {}, the model takes {}".format(name, feeds[name].dtype.name, dtype)
            )


def measure(
    model: Any, feeds: Arrays, states: dict[str, str], options: argparse.Namespace
) -> tuple[int, Arrays, list[int]]:
    """First call, warm-ups, then samples until ``--runs`` or ``--seconds`` is reached."""
    feeds = dict(feeds)
    first_ns, first = timed(model, feeds)
    carry(feeds, first, states)
    for _ in range(options.warmup):
        carry(feeds, timed(model, feeds)[1], states)
    samples: list[int] = []
    ends = time.perf_counter_ns() + int(options.seconds * 1e9) if options.seconds else None
    limit = UNLIMITED if ends else options.runs
    while len(samples) < limit and (ends is None or time.perf_counter_ns() < ends):
        nanoseconds, answers = timed(model, feeds)
        samples.append(nanoseconds)
        carry(feeds, answers, states)
    return first_ns, first, samples


def timed(model: Any, feeds: Arrays) -> tuple[int, Arrays]:
    start = time.perf_counter_ns()
    answers = model.run(feeds)
    return time.perf_counter_ns() - start, answers


def carry(feeds: Arrays, answers: Arrays, states: dict[str, str]) -> None:
    for into, out in states.items():
        if out not in answers:
            raise RunnerError("--state {}={}: outputs are {}".format(into, out, sorted(answers)))
        feeds[into] = answers[out]


def peak_rss_kb() -> int | None:
    """Largest resident set of this program alone, or None where /proc does not say.

    Not ``getrusage``: its value survives exec, so a large parent would be counted.
    """
    for line in read_text("/proc/self/status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return None


def read_text(path: str) -> str:
    """The file's text, or an empty one: what cannot be read is unknown."""
    try:
        with open(path, errors="replace") as stream:
            return stream.read().strip("\0\n ")
    except OSError:
        return ""


def machine() -> dict[str, Any]:
    """What a timing depends on; None is unknown."""
    fields: dict[str, str] = {}
    for line in read_text("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        fields[name.strip()] = value.strip()
    cpu = fields.get("model name") or fields.get("Model") or fields.get("Hardware")
    governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    return {
        "cpu": cpu or platform.processor() or None,
        "board": read_text("/proc/device-tree/model") or None,
        "arch": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "governor": read_text(governor) or None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run and time one model file.")
    parser.add_argument("model")
    runtimes = ("litert", "tflite_runtime", "onnxruntime")
    parser.add_argument("--runtime", required=True, choices=runtimes)
    parser.add_argument("--inputs", required=True, help=".npz of arrays by input name")
    parser.add_argument("--outputs", help="write the first call's outputs to this .npz")
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--runs", type=int, default=100, help="timed calls")
    parser.add_argument("--seconds", type=float, help="time calls for so long, instead of --runs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--state", action="append", default=[], metavar="IN=OUT")
    return parser.parse_args(arguments)


def read_file(path: str) -> tuple[str, bool]:
    """The file's sha256, and whether the name of an ONNX operator that rounds is in it.

    Piece by piece and before the clock starts: neither ``load_ns`` nor ``peak_rss_kb`` counts it.
    """
    digest, rounds, tail = hashlib.sha256(), False, b""
    try:
        with open(path, "rb") as stream:
            for piece in iter(lambda: stream.read(PIECE), b""):
                digest.update(piece)
                rounds = rounds or any(name in tail + piece for name in ROUNDING)
                tail = (tail + piece)[-LONGEST_NAME:]
    except OSError as error:
        raise RunnerError("{}: {}".format(path, error.strerror)) from error
    return digest.hexdigest(), rounds


def open_model(opener: Any, module: Any, options: argparse.Namespace, rounds: bool) -> Any:
    """Load the model; the runtimes' exceptions share no base class but Exception."""
    try:
        return opener(module, options.model, options.threads, rounds)
    except RunnerError:
        raise
    except Exception as error:
        reason = "{}: {} refuses it: {}".format(options.model, options.runtime, error)
        raise RunnerError(reason) from error


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that is asked for, as the dict that is printed."""
    load_before = read_text("/proc/loadavg")
    feeds = read_inputs(options.inputs)
    digest, rounds = read_file(options.model)
    opener, module, version = import_runtime(options.runtime)
    start = time.perf_counter_ns()
    model = open_model(opener, module, options, rounds)
    load_ns = time.perf_counter_ns() - start
    check_feeds(feeds, model)
    states = parse_states(options.state, model)
    try:
        first_ns, first, samples = measure(model, feeds, states, options)
    except RunnerError:
        raise
    except Exception as error:
        raise RunnerError("{} fails on these inputs: {}".format(options.model, error)) from error
    if options.outputs:
        write_outputs(options.outputs, first)
    return {
        "runtime": options.runtime,
        "version": version,
        "model_sha256": digest,
        "threads": options.threads,
        "load_ns": load_ns,
        "first_ns": first_ns,
        "warmups": options.warmup,
        "samples_ns": samples,
        "peak_rss_kb": peak_rss_kb(),
        "machine": machine(),
        "loadavg_before": load_before or None,
        "loadavg_after": read_text("/proc/loadavg") or None,
    }


def main(arguments: list[str] | None = None) -> int:
    """Print the line; file descriptor 1 is kept clean of what native code prints."""
    options = parse(arguments)
    stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answer: dict[str, Any]
    try:
        answer, code = run(options), 0
    except RunnerError as error:
        answer, code = {"error": " ".join(str(error).split())}, 1
    stdout.write(json.dumps(answer) + "\n")
    stdout.close()
    return code


if __name__ == "__main__":
    sys.exit(main())
