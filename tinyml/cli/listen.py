"""``tinyml listen``: decisions about sound in real time, here or on a device."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tinyml.cli.device_option import PANEL, OneDevice, one_device
from tinyml.cli.terminal import NOT_MEDICAL, progress, put, put_json, put_table, say
from tinyml.cli.timing import seconds
from tinyml.core.errors import INTERRUPTED, UsageError
from tinyml.core.listen_lines import (
    ListenDecision,
    ListenFrame,
    ListenLine,
    ListenOverrun,
    ListenStart,
    ListenSummary,
    line_json,
)

# Between two redraws.
REDRAW_S = 0.1
LONGEST_S = 3600.0


def command(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    file: Annotated[
        Path | None, typer.Argument(help=".wav or raw PCM; default: standard input.")
    ] = None,
    device: OneDevice = "",
    capture: Annotated[
        str, typer.Option(metavar="COMMAND", help="A recorder that writes raw PCM to stdout.")
    ] = "",
    capture_on: Annotated[
        Literal["device", "host"],
        typer.Option(help="Where --capture runs, with --device.", rich_help_panel=PANEL),
    ] = "device",
    hop: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time between two decisions; default: 0.5s.")
    ] = None,
    form: Annotated[
        Literal["s16le", "f32le"], typer.Option("--format", help="Sample format of raw PCM.")
    ] = "s16le",
    buffer: Annotated[
        str, typer.Option(metavar="TIME", help="The largest backlog of sound before an overrun.")
    ] = "2s",
    runtime: Annotated[
        Literal["litert", "onnxruntime"] | None, typer.Option(help="Default: litert.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="Also write JSON lines to this file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """Listen to sound in real time, and print a decision at every hop.

    Sound is mono PCM at the model's sample rate. At the end, also after Ctrl-C, a summary shows
    real-time factor, latency, CPU share, stalls and overruns. A bundle of `tinyml export
    --streaming` computes each frame once; any other computes a whole window at every hop.

    Examples:

    \b
      arecord -q -t raw -f S16_LE -r 4000 | tinyml listen demo-bundle
      tinyml listen demo-bundle recording.wav --hop 250ms --json
      tinyml listen demo --device pi --capture "arecord -t raw -f S16_LE -r 4000"
    """
    from tinyml.pipeline.listen import ListenSettings, SoundInput, listen

    if file is not None and capture:
        raise UsageError("give a file or --capture, not both")
    shown = _shown(bundle, as_json)
    settings = ListenSettings(
        hop_s=seconds("--hop", hop, LONGEST_S),
        runtime=runtime or "",
        buffer_s=seconds("--buffer", buffer, LONGEST_S),
        frames=isinstance(shown, _Live),
    )
    sound = SoundInput(
        file=file, capture=capture, capture_there=capture_on == "device", format=form
    )
    with progress(as_json=False) as report:
        found = listen(
            bundle,
            sound,
            shown,
            device=one_device(device),
            settings=settings,
            out=out,
            report=report,
        )
    if found.interrupted:
        raise typer.Exit(INTERRUPTED)


def _shown(bundle: Path, as_json: bool) -> Any:
    """A function that shows each line."""
    if as_json:
        return lambda line: put_json(line_json(line), indent=None)
    encoding = (sys.stdout.encoding or "").lower()
    if sys.stdout.isatty() and encoding.startswith("utf"):
        return _Live(bundle)
    return _show_plain


def _show_plain(line: ListenLine) -> None:
    """Print one line per decision; all other messages go to stderr."""
    from tinyml.pages import live_listen

    match line:
        case ListenStart():
            say("\n".join(live_listen.start_lines(line)))
        case ListenDecision():
            put(live_listen.decision_line(line))
        case ListenOverrun():
            say(live_listen.overrun_line(line))
        case ListenSummary():
            put_table(("measured", ""), live_listen.summary_rows(line), whole=("",))
            say(NOT_MEDICAL)
        case ListenFrame():
            pass


class _Live:
    """A live display that is redrawn in place."""

    def __init__(self, bundle: Path) -> None:
        from tinyml.core.bundle import read
        from tinyml.pages.live_listen import LivePicture

        scalogram = read(bundle).facts.scalogram
        self.picture = LivePicture(scalogram.frequencies_hz if scalogram else ())
        self.drawn, self.last = 0, 0.0

    def __call__(self, line: ListenLine) -> None:
        if isinstance(line, ListenStart):
            _show_plain(line)
            return
        if isinstance(line, ListenSummary):
            self._draw()
            _show_plain(line)
            return
        self.picture.add(line)
        if time.monotonic() - self.last >= REDRAW_S:
            self._draw()

    def _draw(self) -> None:
        lines, self.last = self.picture.lines(), time.monotonic()
        back = f"\x1b[{self.drawn}F\x1b[J" if self.drawn else ""
        sys.stdout.write(back + "".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
        self.drawn = len(lines)
