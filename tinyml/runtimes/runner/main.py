"""Run and time one model file in a process of its own; one line of JSON on stdout.

    python runner.zip MODEL --runtime litert|tflite_runtime|onnxruntime|openvino --inputs IN.npz

The local benchmark starts it, and a board gets this same file. A call is timed from handing the
inputs over until the outputs are numpy arrays. With ``--state IN=OUT`` the output OUT of a call is
the input IN of the next. ``--outputs`` keeps the outputs of the first call, ``--also IN OUT`` those
of one more call, which is not timed. ``python runner.zip conditions`` prints what it depends on and
what can disturb it, at this moment. On failure the line is ``{"error": ...}`` and the exit code is
not 0.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
import zipfile
from typing import Any

import numpy as np

from tinyml.runtimes.runner.engines import NO_DELEGATE, ROUNDING, RUNTIMES, Arrays, import_runtime
from tinyml.runtimes.runner.errors import RunnerError
from tinyml.runtimes.runner.machine import allowed, machine, state
from tinyml.runtimes.runner.timing import Caller, measure

LONGEST_NAME = max(map(len, ROUNDING)) - 1
PIECE = 1 << 16
CONDITIONS = "conditions"


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


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run and time one model file.")
    parser.add_argument("model")
    parser.add_argument("--runtime", required=True, choices=RUNTIMES)
    parser.add_argument("--inputs", required=True, help=".npz of arrays by input name")
    parser.add_argument("--outputs", help="write the first call's outputs to this .npz")
    parser.add_argument("--also", nargs=2, action="append", default=[], metavar=("IN", "OUT"))
    parser.add_argument("--warmup", type=int, help="calls before; default: until stable")
    parser.add_argument("--runs", type=int, default=100, help="timed calls, at least")
    parser.add_argument("--min-time", type=float, default=0.5, help="seconds of them, at least")
    parser.add_argument("--max-time", type=float, default=10.0, help="seconds of them, at most")
    parser.add_argument("--period", type=float, help="seconds from call to call")
    parser.add_argument("--between", choices=("sleep", "evict"), help="what to do meanwhile")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu", type=int, help="use this core alone")
    parser.add_argument("--delegate", choices=(NO_DELEGATE,), help="default: the runtime's own")
    parser.add_argument("--state", action="append", default=[], metavar="IN=OUT")
    return parser.parse_args(arguments)


def pin(cpu: int) -> None:
    """Use one core alone."""
    if not hasattr(os, "sched_setaffinity"):
        raise RunnerError("--cpu {}: this system cannot pin a process to a core".format(cpu))
    try:
        os.sched_setaffinity(0, {cpu})
    except (OSError, ValueError) as error:
        known = " ".join(map(str, allowed()))
        reason = "--cpu {}: the cores that may be used here are {}".format(cpu, known)
        raise RunnerError(reason) from error


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
        return opener(module, options.model, options.threads, rounds, options.delegate)
    except (RunnerError, MemoryError):
        raise
    except Exception as error:
        reason = "{}: {} refuses it: {}".format(options.model, options.runtime, error)
        raise RunnerError(reason) from error


def run_once(model: Any, feeds: Arrays) -> Arrays:
    check_feeds(feeds, model)
    outputs: Arrays = model.run(feeds)
    return outputs


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that is asked for, as the dict that is printed."""
    if options.cpu is not None:
        pin(options.cpu)
    feeds = read_inputs(options.inputs)
    digest, rounds = read_file(options.model)
    opener, module, version = import_runtime(options.runtime)
    start = time.perf_counter_ns()
    model = open_model(opener, module, options, rounds)
    load_ns = time.perf_counter_ns() - start
    check_feeds(feeds, model)
    states = parse_states(options.state, model)
    try:
        timed, first = measure(Caller(model, feeds, states, options.threads), options)
        for given, out in options.also:
            write_outputs(out, run_once(model, read_inputs(given)))
    except (RunnerError, MemoryError):
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise RunnerError("{} fails on these inputs: {}".format(options.model, reason)) from error
    if options.outputs:
        write_outputs(options.outputs, first)
    return {
        "runtime": options.runtime,
        "version": version,
        "model_sha256": digest,
        "threads": options.threads,
        "delegate": model.delegate,
        "precision": model.precision,
        "load_ns": load_ns,
        **timed,
        "machine": machine(),
    }


def main(arguments: list[str] | None = None) -> int:
    """Print the line; file descriptor 1 is kept clean of what native code prints."""
    if (sys.argv[1:] if arguments is None else arguments) == [CONDITIONS]:
        print(json.dumps({"state": state(), "machine": machine()}))
        return 0
    options = parse(arguments)
    stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answer: dict[str, Any]
    try:
        answer, code = run(options), 0
    except RunnerError as error:
        answer, code = {"error": " ".join(str(error).split())}, 1
    except MemoryError:
        reason = "{} needs more memory than there is".format(options.model)
        answer, code = {"error": reason}, 1
    stdout.write(json.dumps(answer) + "\n")
    stdout.close()
    return code
