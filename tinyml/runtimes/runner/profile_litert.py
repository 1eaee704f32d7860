"""The time of each operator in LiteRT, by the C profiler in the library of its Python package.

Python's own interface does not offer it. The C interface changes between versions, so it is used
in those alone that a test has run: `TESTED`. What it lists are XNNPACK's operators in the order
that they run in, in whole microseconds; of what XNNPACK leaves, the file's operators.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyml.runtimes.runner.engines import NO_DELEGATE, Arrays
from tinyml.runtimes.runner.errors import RunnerError

TESTED = ("2.3.0",)
LIBRARY = "libLiteRt.so"
Handle = ctypes.c_void_p
CPU = 1  # kLiteRtHwAcceleratorCpu
READ, WRITE = 0, 1  # LiteRtTensorBufferLockMode
# LiteRtProfilerEventType: an operator of the file, those that a delegate runs.
OPERATOR, DELEGATED = 1 << 1, (1 << 2, 1 << 3)
# What counts for an operator, but is the call of the delegate whose operators are listed too.
DELEGATE = "Delegate"


class Layout(ctypes.Structure):
    """LiteRtLayout of litert_layout.h."""

    _fields_ = [
        ("rank", ctypes.c_uint, 7),
        ("has_strides", ctypes.c_uint, 1),
        ("dimensions", ctypes.c_int32 * 8),
        ("strides", ctypes.c_uint32 * 8),
    ]


class TensorType(ctypes.Structure):
    """LiteRtRankedTensorType of litert_model_types.h."""

    _fields_ = [("element", ctypes.c_int), ("layout", Layout)]


class Event(ctypes.Structure):
    """ProfiledEventData of litert_profiler_event.h."""

    _fields_ = [
        ("tag", ctypes.c_char_p),
        ("kind", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("memory", ctypes.c_size_t * 6),
        ("number", ctypes.c_uint64),
        ("more", ctypes.c_uint64),
        ("source", ctypes.c_int),
    ]


class LiteRtProfiler:
    """The file compiled once more, with profiling; its memory is freed with the process."""

    def __init__(
        self, module: Any, path: str, threads: int, rounds: bool, delegate: str | None
    ) -> None:
        library = os.path.join(os.path.dirname(module.__file__), LIBRARY)
        try:
            self.library = ctypes.CDLL(library)
        except OSError as error:
            raise RunnerError("LiteRT's profiler: {}".format(error)) from error
        self.kept: list[Any] = []  # What the library points to.
        self.calls: list[list[tuple[str, str, int]]] = []
        self.environment = self._made("LiteRtCreateEnvironment", ctypes.c_int(0), None)
        self.file = self._made("LiteRtCreateModelFromFile", self.environment, os.fsencode(path))
        options = self._options(threads, delegate)
        self.compiled = self._made(
            "LiteRtCreateCompiledModel", self.environment, self.file, options
        )
        self.profiler = self._made("LiteRtCompiledModelGetProfiler", self.compiled)
        self.signature = self._made("LiteRtGetModelSignature", self.file, ctypes.c_size_t(0))
        self.inputs, self.outputs = self._buffers("Input"), self._buffers("Output")

    def run(self, feeds: Arrays) -> None:
        """One call; `note` keeps its operators."""
        for name, buffer in self.inputs.items():
            self._fill(name, buffer, feeds)
        given, got = ((Handle * len(own))(*own.values()) for own in (self.inputs, self.outputs))
        sizes = ctypes.c_size_t(len(given)), ctypes.c_size_t(len(got))
        self._call("LiteRtStartProfiler", self.profiler)
        first = ctypes.c_size_t(0)
        self._call("LiteRtRunCompiledModel", self.compiled, first, sizes[0], given, sizes[1], got)
        self._call("LiteRtStopProfiler", self.profiler)

    def note(self) -> None:
        """Keep the operators of the last call."""
        count = ctypes.c_int()
        self._call("LiteRtGetNumProfilerEvents", self.profiler, ctypes.byref(count))
        events = (Event * count.value)()
        self._call("LiteRtGetProfilerEvents", self.profiler, count, events)
        self.calls.append([])
        for own in events:
            tag = own.tag.decode(errors="replace")
            if own.kind in DELEGATED:
                self.calls[-1].append(("", tag, 1000 * own.elapsed_us))
            elif own.kind == OPERATOR and DELEGATE not in tag:
                self.calls[-1].append((str(own.number), tag, 1000 * own.elapsed_us))

    def last(self, count: int) -> list[list[tuple[str, str, int]]]:
        """Place in the file, operator and time in nanoseconds, in each of the last calls.

        Of a delegate's operators the place is not known: it is empty.
        """
        return self.calls[-count:]

    def _options(self, threads: int, delegate: str | None) -> Handle:
        options = self._made("LiteRtCreateOptions")
        self._call("LiteRtSetOptionsHardwareAccelerators", options, ctypes.c_int(CPU))
        mode = 'kernel_mode = "builtin"\n' if delegate == NO_DELEGATE else ""
        texts = {
            b"runtime_options_string": "enable_profiling = true\n",
            b"xnnpack": "num_threads = {}\n{}".format(threads, mode),
        }
        keep = ctypes.CFUNCTYPE(None, Handle)(lambda _: None)  # Python frees the texts.
        self.kept.append(keep)
        for name, text in texts.items():
            data = ctypes.create_string_buffer(text.encode())
            self.kept.append(data)
            opaque = self._made("LiteRtCreateOpaqueOptions", name, ctypes.cast(data, Handle), keep)
            self._call("LiteRtAddOpaqueOptions", options, opaque)
        return options

    def _buffers(self, kind: str) -> dict[str, Handle]:
        """Input or output, by ``kind`` -> the memory for it, in the signature's order."""
        count = ctypes.c_size_t()
        self._call("LiteRtGetNumSignature{}s".format(kind), self.signature, ctypes.byref(count))
        found: dict[str, Handle] = {}
        for place in map(ctypes.c_size_t, range(count.value)):
            name = ctypes.c_char_p()
            get = "LiteRtGetSignature{}Name".format(kind)
            self._call(get, self.signature, place, ctypes.byref(name))
            tensor = self._made(
                "LiteRtGetSignature{}TensorByIndex".format(kind), self.signature, place
            )
            own = TensorType()
            self._call("LiteRtGetRankedTensorType", tensor, ctypes.byref(own))
            needs = self._made(
                "LiteRtGetCompiledModel{}BufferRequirements".format(kind),
                *(self.compiled, ctypes.c_size_t(0), place),
            )
            found[(name.value or b"").decode()] = self._made(
                "LiteRtCreateManagedTensorBufferFromRequirements",
                *(self.environment, ctypes.byref(own), needs),
            )
        return found

    def _fill(self, name: str, buffer: Handle, feeds: Arrays) -> None:
        if name not in feeds:
            raise RunnerError("LiteRT's profiler: no input is called '{}'".format(name))
        array = np.ascontiguousarray(feeds[name])
        size = ctypes.c_size_t()
        self._call("LiteRtGetTensorBufferSize", buffer, ctypes.byref(size))
        if size.value < array.nbytes:
            raise RunnerError("LiteRT's profiler: '{}' is larger than its memory".format(name))
        memory = Handle()
        self._call("LiteRtLockTensorBuffer", buffer, ctypes.byref(memory), ctypes.c_int(WRITE))
        ctypes.memmove(memory, array.ctypes.data, array.nbytes)
        self._call("LiteRtUnlockTensorBuffer", buffer)

    def _made(self, name: str, *given: Any) -> Handle:
        """What the function ``name`` gives through its last argument."""
        made = Handle()
        self._call(name, *given, ctypes.byref(made))
        return made

    def _call(self, name: str, *given: Any) -> None:
        try:
            function: Callable[..., int] = getattr(self.library, name)
        except AttributeError as error:
            raise RunnerError("LiteRT's profiler has no {}".format(name)) from error
        status = function(*given)
        if status != 0:
            raise RunnerError("LiteRT's profiler: {} gives {}".format(name, status))
