"""Decisions about sound in real time: board_scripts/listen.py runs, here or on a device."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from tinyml import board_scripts
from tinyml.board_scripts.listen_sound import SoundError, SoundSource, open_source
from tinyml.core import bundle as bundles
from tinyml.core.bundle import MANIFEST, REFERENCE, Bundle
from tinyml.core.bundle_folder import check_outside
from tinyml.core.check_listens import check_listens
from tinyml.core.device import THIS_MACHINE, Device
from tinyml.core.errors import (
    DataError,
    DeviceError,
    InternalError,
    MachineError,
    TinymlError,
    UsageError,
    ValidationError,
    machine_errors,
)
from tinyml.core.events import Report, silent
from tinyml.core.interruption import ended_by_signal
from tinyml.core.listen_lines import (
    ListenFrame,
    ListenLine,
    ListenSummary,
    line_json,
    parse_line,
)
from tinyml.core.recording_processor import recording_processor
from tinyml.core.scratch import scratch
from tinyml.device.link import LINK_FAILED, CommandResult, Link
from tinyml.device.piped import PipedProcess
from tinyml.device.program import check_end, push_program
from tinyml.models.data.audio import read_audio
from tinyml.pipeline.cross_check import check_bundle
from tinyml.pipeline.devices.opened import opened

ARCHIVE = "listen.zip"
# Unpacks the archive next to it, and runs the script in there.
START = f"""import runpy, sys, zipfile

folder = sys.argv[0] + "-files"
with zipfile.ZipFile(sys.argv[0]) as archive:
    archive.extractall(folder)
script = folder + "/{board_scripts.LISTEN[0].name}"
sys.argv = [script, "--bundle", folder + "/bundle", *sys.argv[1:]]
runpy.run_path(script, run_name="__main__")
"""
ERROR = re.compile(r"(?:listen\.py: )?error: (.*)")
ERRORS: dict[int, type[TinymlError]] = {
    1: MachineError,
    2: UsageError,
    3: DataError,
    5: ValidationError,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundInput:
    """Where sound comes from: a file, a recorder, or else standard input.

    file           .wav, or PCM without a header
    capture        the command of a recorder, which is started without a shell
    capture_there  it runs on the device
    format         of PCM: ``s16le`` or ``f32le``
    """

    file: Path | None = None
    capture: str = ""
    capture_there: bool = True
    format: str = "s16le"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    """``None`` and empty: listen.py chooses; ``frames``: those of the scalogram are shown too."""

    hop_s: float | None = None
    runtime: str = ""
    buffer_s: float | None = None
    frames: bool = False


@dataclass(frozen=True, slots=True)
class Listened:
    """The end: what was measured, and whether Ctrl-C ended it."""

    summary: ListenSummary
    interrupted: bool


def listen(
    folder: Path,
    sound: SoundInput,
    show: Callable[[ListenLine], None],
    *,
    device: Device = THIS_MACHINE,
    settings: ListenSettings = ListenSettings(),
    out: Path | None = None,
    report: Report = silent,
) -> Listened:
    """Call ``show`` with every line, until the sound ends or Ctrl-C; the lines also go to ``out``.

    Raises `InputError` for a model that does not take pieces of sound and for sound that it cannot
    take, `MachineError` for a recorder that fails, `DeviceError` for a device that cannot listen
    or is lost, `UsageError` for an ``out`` that exists.
    """
    check_outside(out)
    bundle = bundles.read(folder)
    check_listens(bundle)
    check_bundle(bundle)
    with _log(out) as log, opened(device, bundle, "listen", report) as link:
        return _listen(bundle, sound, _logged(show, log), device, link, settings)


def _listen(
    bundle: Bundle,
    sound: SoundInput,
    show: Callable[[ListenLine], None],
    device: Device,
    link: Link,
    settings: ListenSettings,
) -> Listened:
    local = device.link == THIS_MACHINE.link
    start = _start(bundle, link, local)
    source = _source(sound, bundle, local)
    arguments = [*_settings(settings), *_input(sound, source)]
    process = PipedProcess(link.command([*start, *arguments]), source)
    summary, title = None, f"{bundle.model} on {link.name}"
    try:
        with ended_by_signal(process.stop) as stopped:
            for text in process.lines():
                line = parse_line(text, title)
                summary = line if isinstance(line, ListenSummary) else summary
                show(line)
            result = process.result()
        if not stopped:
            _check(process, source, result, title, device)
        if summary is None:
            raise DeviceError(f"{title}: it ended without a summary: {result.last_line}")
        return Listened(summary, bool(stopped))
    finally:
        process.close()
        if source is not None and source.capture is not None:
            source.capture.end()


def _start(bundle: Bundle, link: Link, local: bool) -> list[str]:
    """The command that starts the script, here or in what is copied to the device."""
    if local:
        script = str(board_scripts.LISTEN[0])
        return [sys.executable, script, "--bundle", str(bundle.folder.absolute())]
    with scratch("listen") as folder:
        _write_archive(folder / ARCHIVE, bundle)
        return push_program(link, folder / ARCHIVE, ARCHIVE).command(link, [])


def _write_archive(path: Path, bundle: Bundle) -> None:
    """The scripts, and what they read of the bundle, as a program of `push_program`."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__main__.py", START)
        for script in (board_scripts.RUN, *board_scripts.LISTEN):
            archive.write(script, script.name)
        for name in (MANIFEST, *bundle.files):
            if not name.endswith(REFERENCE):
                archive.write(bundle.folder / name, f"bundle/{name}")


def _source(sound: SoundInput, bundle: Bundle, local: bool) -> SoundSource | None:
    """What is sent from here; ``None`` where the script opens it itself."""
    there = local or sound.capture_there
    if (sound.capture and there) or (sound.file is not None and local):
        return None
    assert bundle.processor is not None
    wanted = SimpleNamespace(
        file=str(sound.file or ""), capture=sound.capture, format=sound.format, can_wait=False
    )
    rate_hz = recording_processor(bundle.processor).rate_hz
    try:
        return open_source(wanted, rate_hz, lambda file: read_audio(Path(file)))
    except SoundError as error:
        raise ERRORS[error.code](str(error)) from error


def _input(sound: SoundInput, source: SoundSource | None) -> list[str]:
    """Options of the script about where its sound comes from."""
    if source is not None:
        return [f"--format={source.form}", *([] if source.live else ["--can-wait"])]
    found = [f"--format={sound.format}", "--until-eof"]
    if sound.capture:
        return [*found, f"--capture={sound.capture}"]
    return [*found, os.path.abspath(f"{sound.file}")]


def _settings(settings: ListenSettings) -> list[str]:
    found = {"hop": settings.hop_s, "buffer": settings.buffer_s, "runtime": settings.runtime}
    options = [f"--{name}={value}" for name, value in found.items() if value]
    return [*options, *(["--frames"] if settings.frames else [])]


def _check(
    process: PipedProcess,
    source: SoundSource | None,
    result: CommandResult,
    title: str,
    device: Device,
) -> None:
    """Raise what ended it too early, if anything did."""
    if process.failure is not None:
        raise ERRORS[process.failure.code](str(process.failure))
    if source is not None and source.capture is not None and (text := source.capture.failure()):
        raise MachineError(text)
    if result.code == 0:
        return
    found = ERROR.fullmatch(result.last_line)
    if found and result.code in ERRORS:
        raise ERRORS[result.code](found[1])
    if device.link == THIS_MACHINE.link and result.code == 1:
        raise InternalError("listen.py failed", result.stderr)
    if result.code == LINK_FAILED:
        raise DeviceError(
            f"{title}: the connection was lost",
            hint="is the board still on and connected? Then run the command again",
        )
    check_end(result, title, device.name)


@contextlib.contextmanager
def _log(path: Path | None) -> Iterator[Callable[[str], None]]:
    """Writes lines to ``path``, each at once; `UsageError` for a file that exists."""
    if path is None:
        yield lambda text: None
        return
    if path.is_file():
        raise UsageError(f"{path} exists", hint="choose another name, or remove it")
    doing = f"writing {path.name}"
    with machine_errors(doing, path.parent):
        stream = path.open("wb" if path.exists() else "xb", buffering=0)  # or a device

    def write(text: str) -> None:
        with machine_errors(doing, path.parent):
            stream.write(f"{text}\n".encode())

    with stream:
        yield write


def _logged(
    show: Callable[[ListenLine], None], log: Callable[[str], None]
) -> Callable[[ListenLine], None]:
    """``show``, and all lines but frames to ``log`` first."""

    def both(line: ListenLine) -> None:
        if not isinstance(line, ListenFrame):
            log(json.dumps(line_json(line)))
        show(line)

    return both
