"""Listen to sound with this bundle's model: arecord -t raw -f S16_LE -r 4000 | python3 listen.py

Sound is mono PCM without a header, at the model's rate: from standard input, a FILE, or a recorder
that --capture starts. A .wav is read as run.py reads it. Each line of the output is a JSON object:

    {"kind": "start"}     how this bundle listens, and what that costs
    {"kind": "frame"}     a column of the scalogram, with --frames
    {"kind": "decision"}  time in the sound, label, probabilities; null for a window of zeros alone
    {"kind": "overrun"}   sound came faster than it was computed, for longer than the buffer lasts
    {"kind": "summary"}   the last line: what was measured

A bundle with streaming graphs computes each frame of the sound once. Any other computes a window
of the model's length at every --hop. However the sound is cut, decisions are the same.

Needs run.py, listen_sound.py and listen_windows.py next to it, numpy, LiteRT (or tflite-runtime) or
onnxruntime, and Python 3.9 or newer. Exit codes: 1 for a recorder that fails, 2 for wrong usage, 3
for sound that the model cannot take, 5 as run.py, 130 after Ctrl-C; the summary comes first.
"""

from __future__ import annotations

import os
import sys

# Python would import from the bundle's own folder first.
FOLDER = os.path.dirname(os.path.realpath(__file__))
sys.path = [p for p in sys.path if os.path.realpath(p) != FOLDER]

import argparse
import importlib.util
import json
import signal
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator, Optional


def load_sibling(name: str) -> Any:
    """The script ``name``, which lies next to this one."""
    spec = importlib.util.spec_from_file_location(name, os.path.join(FOLDER, f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


run, sound, windows = map(load_sibling, ("run", "listen_sound", "listen_windows"))
INTERRUPTED = 130
HOP_S, BUFFER_S, POLL_S = 0.5, 2.0, 0.1


def onnxruntime(path: str) -> Callable[..., dict[str, Any]]:
    """A function of the inputs by name, from an .onnx file."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = 1
    with open(path, "rb") as file:
        quantized = b"QuantizeLinear" in file.read()
    # Exact sums of int8 products on x86 without VNNI.
    options.add_session_config_entry("session.x64quantprecision", str(int(quantized)))
    session = InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda **inputs: dict(zip(names, session.run(names, inputs)))  # noqa: B905 (Python 3.9)


RUNTIMES = {"litert": ("tflite", run.litert), "onnxruntime": ("onnx", onnxruntime)}


class Stop:
    """Set by a signal, or by the end of standard input with --until-eof; a second signal kills."""

    code: Optional[int] = None

    def __call__(self, number: int, frame: Any) -> None:
        self.code = INTERRUPTED if number == signal.SIGINT else 0
        signal.signal(number, signal.SIG_DFL)

    def at_eof(self) -> None:
        while os.read(sound.STDIN, 1 << 16):
            pass
        self.code = 0


def check_listens(manifest: dict[str, Any]) -> None:
    """Refuse a model that does not take pieces of sound."""
    processor = manifest["processor"]
    if processor is None or processor.get("kind", "recording") != "recording":
        run.fail(sound.INPUT, "this model does not take sound: nothing describes its sample rate")
    if processor["whole"]:
        run.fail(sound.INPUT, "this model takes a whole recording at once, and cannot listen")
    run.check_finite("processor.thresholds in manifest.json", processor["thresholds"], sound.INPUT)


def read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not path.is_file():
        run.fail(sound.INPUT, f"{folder} is not a bundle: it has no manifest.json")
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return manifest


def inner_manifest(folder: Path, name: str, manifest: dict[str, Any]) -> dict[str, Any]:
    """Of the streaming graph in the folder ``name`` of the bundle."""
    run.check_file(folder, f"{name}/manifest.json", manifest)
    return read_manifest(folder / name)


def classifier(
    folder: Path, manifest: dict[str, Any], runtime: tuple[str, Any]
) -> Callable[[Any], Any]:
    """The first output of the model for its only input."""
    signature = manifest["signature"]
    name, out = (signature[kind][0]["name"] for kind in ("inputs", "outputs"))
    model = run.Model(folder, manifest, *runtime)

    def classify(window: Any) -> Any:
        p = model({name: window})[out][0]
        run.check_finite(f"the output {out!r} of {model.file}", p, run.OUTPUT)
        return p

    return classify


def chosen_runtime(manifest: dict[str, Any], name: str) -> str:
    """``name``, or LiteRT where the bundle has a file for it."""
    found = [model["format"] for model in manifest["models"]]
    name = name or ("litert" if "tflite" in found else "onnxruntime")
    if RUNTIMES[name][0] not in found:
        run.fail(sound.USAGE, f"this bundle has no .{RUNTIMES[name][0]} file for {name}")
    return name


def units(hop_s: Optional[float], unit_s: float, unit: str) -> int:
    """``hop_s``, or about `HOP_S`, in whole units of ``unit_s``, one at least."""
    count = max(1, round((hop_s or HOP_S) / unit_s))
    if hop_s is not None and abs(count * unit_s - hop_s) > 1e-9:
        run.fail(sound.USAGE, f"--hop {hop_s:g}s is not a multiple of {unit_s:g}s, one {unit}")
    return count


def open_listener(
    folder: Path, manifest: dict[str, Any], runtime: str, hop_s: Optional[float]
) -> Any:
    """What listens with this bundle, and how: the line ``start``."""
    processor, record = manifest["processor"], manifest["facts"].get("streaming")
    rate_hz, engine = processor["rate_hz"], RUNTIMES[runtime]
    listener: Any
    if record is None:
        hop = units(hop_s, 1 / rate_hz, "sample")
        listener = windows.SlidingListener(
            classifier(folder, manifest, engine), processor["window"], hop
        )
        window = listener.size
    else:
        (front, front_manifest), (head, head_manifest) = (
            (folder / name, inner_manifest(folder, name, manifest))
            for name in (record["front_end"], record["head"])
        )
        step = windows.FrontEnd(
            run.Model(front, front_manifest, *engine), front_manifest["signature"]
        )
        frames = units(hop_s, 1 / record["frame_rate_hz"], "frame")
        listener = windows.StreamingListener(
            step, classifier(head, head_manifest, engine), record, frames
        )
        window, hop = (n * listener.frame for n in (listener.size, frames))
    return listener, {
        "streaming": record is not None,
        "runtime": runtime,
        "rate_hz": rate_hz,
        "window_s": window / rate_hz,
        "hop_s": hop / rate_hz,
        "front_end_delay_s": listener.delay / rate_hz,
        "computations_per_s": rate_hz / hop,
        "repeated_share": 0.0 if record else max(0.0, 1 - hop / window),
    }


class Listening:
    """One run: what comes from ``source`` goes through ``listener``, and lines go to ``put``."""

    def __init__(self, listener: Any, processor: dict[str, Any], source: Any, options: Any) -> None:
        self.listener, self.processor, self.source = listener, processor, source
        self.rate_hz, self.frames, self.put = processor["rate_hz"], options.frames, options.put
        self.decode = sound.Pcm(source.form)
        self.bytes_per_s = self.rate_hz * self.decode.kind.itemsize
        self.buffer = sound.Buffer(int(options.buffer * self.bytes_per_s))
        self.reader = sound.SoundReader(source, self.buffer, self.bytes_per_s)
        self.metrics = sound.ListenMetrics(self.rate_hz, source.live)
        self.window_s, self.stop = options.window_s, options.stop

    def run(self) -> int:
        """The exit code; whatever happens, the recorder ends and the summary is printed."""
        self.reader.start()
        try:
            self._compute()
            if self.stop.code is not None:
                return int(self.stop.code)
            self._show(self.listener.finish(), live=False)
            self._check_end()
            return 0
        finally:
            self.buffer.end()
            if self.source.capture is not None:
                self.source.capture.end(self.reader)
            self.put({"kind": "summary", **self._summary()})

    def _compute(self) -> None:
        reported = 0
        while not self.buffer.is_done and self.stop.code is None:
            taken = self.buffer.take(POLL_S)
            if taken is None:
                continue
            start = time.perf_counter_ns()
            samples = self.decode(taken[0])
            self.metrics.arrived(len(samples), taken[1])
            self._show(self.listener.feed(samples), live=self.source.live)
            self.metrics.computed(start)
            if self.buffer.overruns > reported:
                reported = self.buffer.overruns
                waiting_s = self.buffer.overrun_waiting / self.bytes_per_s
                time_s = self.metrics.samples / self.rate_hz
                self.put({"kind": "overrun", "time_s": time_s, "waiting_s": waiting_s})

    def _show(self, found: Iterator[Any], live: bool) -> None:
        for event in found:
            line: dict[str, Any] = {"kind": "decision", "time_s": event.end / self.rate_hz}
            if isinstance(event, windows.Frame):
                if self.frames:
                    self.put({**line, "kind": "frame", "values": list(map(float, event.values))})
                continue
            self.metrics.decisions += 1
            p, label, named = event.probabilities, None, None
            if p is not None:
                label = run.label_of(self.processor, p)
                named = run.by_label(self.processor["labels"], p)
            latency_ms = self.metrics.latency_ms(event.end) if live else None
            line.update(label=label, probabilities=named, latency_ms=latency_ms)
            self.put(line)

    def _check_end(self) -> None:
        """Raise `SoundError` where the sound ended too early, or its recorder failed."""
        if self.reader.error is not None:
            raise self.reader.error
        if self.source.capture is not None and (failure := self.source.capture.failure()):
            raise sound.SoundError(sound.MACHINE, failure)
        if not self.metrics.decisions:
            lasts_s = self.metrics.samples / self.rate_hz
            text = f"the sound lasted {lasts_s:g} s, one window takes {self.window_s:g} s"
            raise sound.SoundError(sound.INPUT, text if lasts_s else "no sound came: it is empty")

    def _summary(self) -> dict[str, Any]:
        return {
            **self.metrics.summary(),
            "longest_input_wait_s": self.reader.longest_wait_ns / 1e9,
            "overruns": self.buffer.overruns,
            "most_waiting_s": self.buffer.most_waiting / self.bytes_per_s,
            "ignored_bytes": len(self.decode.rest),
        }


def seconds(text: str) -> float:
    """``0.5``, ``0.5s`` or ``500ms``."""
    value = float(text.rstrip("ms")) * (1e-3 if text.endswith("ms") else 1.0)
    if not 0 < value < float("inf"):
        raise ValueError(text)
    return value


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="listen.py", description="Listen with a bundle's model.")
    parser.add_argument("file", nargs="?", default="", help=".wav or raw PCM; default: stdin")
    parser.add_argument("--bundle", default=FOLDER, help="its folder; default: this script's")
    parser.add_argument("--capture", default="", help="command of a recorder, such as arecord")
    parser.add_argument("--format", default="s16le", choices=sorted(sound.FORMATS))
    parser.add_argument("--hop", type=seconds, help="between two decisions; default: 0.5s")
    parser.add_argument("--runtime", default="", choices=sorted(RUNTIMES))
    parser.add_argument("--buffer", type=seconds, default=BUFFER_S, help="sound that may wait; 2s")
    parser.add_argument("--frames", action="store_true", help="print the frames too")
    parser.add_argument("--can-wait", action="store_true", help="stdin is not live sound")
    parser.add_argument("--until-eof", action="store_true", help="end with standard input")
    return parser.parse_args(arguments)


def listen(options: Any) -> int:
    if options.file and options.capture:
        raise sound.SoundError(sound.USAGE, "give a file or --capture, not both")
    folder = Path(options.bundle)
    manifest = read_manifest(folder)
    check_listens(manifest)
    runtime = chosen_runtime(manifest, options.runtime)
    try:
        listener, start = open_listener(folder, manifest, runtime, options.hop)
    except ImportError as error:
        raise sound.SoundError(sound.MACHINE, f"{runtime} cannot be imported: {error}") from error
    source = sound.open_source(options, manifest["processor"]["rate_hz"], run.read_wav)
    options.put({"kind": "start", **start})
    if options.until_eof:
        threading.Thread(target=options.stop.at_eof, daemon=True).start()
    options.window_s = start["window_s"]
    return Listening(listener, manifest["processor"], source, options).run()


def main(arguments: list[str], out: Any, stop: Any) -> int:
    """Print the lines to ``out``; the exit code. ``stop.code`` ends it, once it is one."""
    options = parse(arguments)
    options.stop = stop
    options.put = lambda line: print(json.dumps(line, allow_nan=False), file=out, flush=True)
    try:
        return listen(options)
    except sound.SoundError as error:
        return int(run.fail(error.code, str(error)))
    except BrokenPipeError:  # whoever read the lines is gone; let nothing be written at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        return int(sound.MACHINE)


if __name__ == "__main__":
    stop = Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    # What native code prints goes to stderr.
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.exit(main(sys.argv[1:], own, stop))
