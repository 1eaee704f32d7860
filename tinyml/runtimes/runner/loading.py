"""A model file in its runtime, before anything is timed or asked of it."""

from __future__ import annotations

import argparse
import hashlib
import os
import time
from typing import Any

from tinyml.runtimes.runner.engines import ROUNDING, Arrays, import_runtime
from tinyml.runtimes.runner.errors import NotInstalledError, RunnerError
from tinyml.runtimes.runner.machine import allowed

LONGEST_NAME = max(map(len, ROUNDING)) - 1
PIECE = 1 << 16


class Loaded:
    """``model``, what it was loaded with, and ``load_ns``: how long that took."""

    def __init__(self, options: argparse.Namespace) -> None:
        if options.cpu is not None:
            pin(options.cpu)
        self.options = options
        self.digest, self.rounds = read_file(options.model)
        opener, self.module, self.version = import_runtime(options.runtime)
        start = time.perf_counter_ns()
        self.model = open_model(opener, self.module, options, self.rounds)
        self.load_ns = time.perf_counter_ns() - start

    def facts(self) -> dict[str, Any]:
        """Of the line, and of what a serving process says first."""
        return {
            "runtime": self.options.runtime,
            "version": self.version,
            "model_sha256": self.digest,
            "threads": self.options.threads,
            "delegate": self.model.delegate,
            "precision": self.model.precision,
            "load_ns": self.load_ns,
        }


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


def failure(error: BaseException, options: argparse.Namespace) -> dict[str, Any]:
    """What is answered for ``error``: one line, and the name of a runtime that is missing."""
    reason = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        reason = "{} needs more memory than there is".format(options.model)
    answer = {"error": reason}
    if isinstance(error, NotInstalledError):
        answer["missing"] = options.runtime
    return answer


def failed(options: argparse.Namespace, error: Exception) -> RunnerError:
    """The error for a model that loads but fails on its inputs."""
    reason = str(error) or type(error).__name__
    return RunnerError("{} fails on these inputs: {}".format(options.model, reason))
