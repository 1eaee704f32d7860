"""Run and time one model file in a process of its own; one line of JSON on stdout.

    python runner.zip MODEL --runtime litert|tflite_runtime|onnxruntime|openvino --inputs IN.npz

The local benchmark starts it, and a board gets this same file. A call is timed from handing the
inputs over until the outputs are numpy arrays. With ``--state IN=OUT`` the output OUT of a call is
the input IN of the next. ``--outputs`` keeps the outputs of the first call. ``python runner.zip
conditions`` prints what it depends on and what can disturb it, at this moment. With ``--profile``
the line has the time of each operator. On failure it is ``{"error": ...}`` and the exit code is not
0.

With ``--serve SECONDS`` nothing is timed: see `tinyml.runtimes.runner.serving`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import zipfile
from typing import Any

import numpy as np

from tinyml.runtimes.runner.engines import NO_DELEGATE, RUNTIMES, Arrays
from tinyml.runtimes.runner.errors import RunnerError
from tinyml.runtimes.runner.loading import Loaded, check_feeds, failed, failure
from tinyml.runtimes.runner.machine import machine, state
from tinyml.runtimes.runner.power import measure_power, read_watts
from tinyml.runtimes.runner.profiling import profile
from tinyml.runtimes.runner.serving import serve
from tinyml.runtimes.runner.timing import Caller, measure

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


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run and time one model file.")
    parser.add_argument("model")
    parser.add_argument("--runtime", required=True, choices=RUNTIMES)
    parser.add_argument("--inputs", help=".npz of arrays by input name")
    parser.add_argument("--outputs", help="write the first call's outputs to this .npz")
    parser.add_argument("--warmup", type=int, help="calls before; default: until stable")
    parser.add_argument("--runs", type=int, default=100, help="timed calls, at least")
    parser.add_argument("--min-time", type=float, default=0.5, help="seconds of them, at least")
    parser.add_argument("--max-time", type=float, default=10.0, help="seconds of them, at most")
    parser.add_argument("--period", type=float, help="seconds from call to call")
    parser.add_argument("--between", choices=("sleep", "evict"), help="what to do meanwhile")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu", type=int, help="use this core alone")
    parser.add_argument("--delegate", choices=(NO_DELEGATE,), help="default: the runtime's own")
    parser.add_argument("--profile", action="store_true", help="time each operator")
    parser.add_argument("--state", action="append", default=[], metavar="IN=OUT")
    parser.add_argument("--power", metavar="pmic|COMMAND", help="also watts, as it prints them")
    parser.add_argument("--serve", type=float, metavar="SECONDS", help="the longest pause")
    options = parser.parse_args(arguments)
    if not options.serve and not options.inputs:
        parser.error("give --inputs or --serve")
    return options


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that is asked for, as the dict that is printed."""
    if options.power:
        read_watts(options.power)  # a meter that does not answer is found before anything is timed
    feeds = read_inputs(options.inputs)
    loaded = Loaded(options)
    model = loaded.model
    check_feeds(feeds, model)
    states = parse_states(options.state, model)
    call = Caller(model, feeds, states, options.threads)
    try:
        if options.profile:
            return {**loaded.facts(), "profile": profile(call, loaded), "machine": machine()}
        timed, first = measure(call, options)
        power = measure_power(call, options.power) if options.power else None
    except (RunnerError, MemoryError):
        raise
    except Exception as error:  # the runtimes' exceptions share no base class
        raise failed(options, error) from error
    if options.outputs:
        write_outputs(options.outputs, first)
    return {**loaded.facts(), **timed, "power": power, "machine": machine()}


def main(arguments: list[str] | None = None) -> int:
    """Print the line, or serve; file descriptor 1 is kept clean of what native code prints."""
    if (sys.argv[1:] if arguments is None else arguments) == [CONDITIONS]:
        print(json.dumps({"state": state(), "machine": machine()}))
        return 0
    options = parse(arguments)
    with os.fdopen(os.dup(1), "wb") as stdout:
        os.dup2(2, 1)
        if options.serve:
            return serve(options, sys.stdin.buffer, stdout)
        answer: dict[str, Any]
        try:
            answer, code = run(options), 0
        except (RunnerError, MemoryError) as error:
            answer, code = failure(error, options), 1
        stdout.write(json.dumps(answer).encode() + b"\n")
    return code
