"""A bundle with streaming graphs, heard by `tinyml listen`: the bits of its graphs, run once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import Done

from tinyml.board_scripts import listen
from tinyml.cli import listen as command
from tinyml.core import bundle as bundles
from tinyml.core.listen_lines import ListenDecision, ListenLine
from tinyml.pipeline.listen import SoundInput
from tinyml.pipeline.listen import listen as listen_to
from tinyml.pipeline.outputs.engines import given_engines
from tinyml.pipeline.predict import RecordingPrediction, predict
from tinyml.runtimes.base import Session

Cli = Callable[..., Done]
RATE_HZ = 4000
SAMPLES = (0.2 * 2**15 * np.random.default_rng(1).standard_normal(8 * RATE_HZ)).astype("<i2")
SHORT = np.float32(SAMPLES[: 6 * RATE_HZ + 2417]) / np.float32(2**15)


def events(folder: Path, runtime: str, size: int) -> list[tuple[int, bytes]]:
    """Of listen.py's own listener, for sound in pieces of ``size``: frames and decisions."""
    manifest = listen.read_manifest(folder)
    listener, start = listen.open_listener(folder, manifest, runtime, 0.5)
    assert start["streaming"]
    pieces = [SHORT[at : at + size] for at in range(0, len(SHORT), size)]
    found = [event for piece in pieces for event in listener.feed(piece)]
    return [(event.end, event[1].tobytes()) for event in [*found, *listener.finish()]]


def opened(folder: Path, runtime: str) -> Session:
    """The model file of the bundle ``folder`` that ``runtime`` runs."""
    engines = given_engines(folder, bundles.read(folder).models)
    return next(own for own in engines if own.name == runtime).open()


def computed_once(folder: Path, runtime: str) -> list[tuple[int, bytes]]:
    """`events`, from the streaming graphs run over the whole sound and the flush."""
    own = bundles.read(folder).facts.streaming
    assert own is not None
    front, head = (opened(folder / part, runtime) for part in own.graphs)
    pairs = bundles.read(folder / own.front_end).signature.states
    states = {p.input: np.zeros(front.signature.input(p.input).shape, "f4") for p in pairs}
    sound, frames = np.concatenate([SHORT, np.zeros(own.flush_samples, "f4")]), []
    for granule in sound[: len(sound) // 80 * 80].reshape(-1, 80):
        outputs = front.run({"samples": granule[None], **states})
        states = {pair.input: outputs[pair.output] for pair in pairs}
        frames.append(outputs["frames"][0, 0])
    frames, found = frames[own.delay_frames :][: len(SHORT) // 80], []
    for made, values in enumerate(frames, 1):
        found.append((80 * made, values.tobytes()))
        if made >= 300 and (made % 25 == 0 or made == len(frames)):
            outputs = head.run({"frames": np.stack(frames[made - 300 : made])[None]})
            found.append((80 * made, outputs["probabilities"][0].tobytes()))
    return found


@pytest.mark.parametrize("runtime", ["litert", "onnxruntime"])
def test_pieces_of_any_size_give_the_bits_of_the_graphs_run_over_the_whole_sound(
    runtime: str, streaming_bundle: Path
) -> None:
    want = computed_once(streaming_bundle, runtime)
    for size in (1, 3, 79, 81, 1000, len(SHORT)):
        assert events(streaming_bundle, runtime, size) == want


def test_a_streaming_bundle_is_heard_as_predicted(
    streaming_bundle: Path, tmp_path: Path, cli: Cli
) -> None:
    """But for the edges of windows: what `tinyml predict` cuts off."""
    wav, lines = tmp_path / "a.wav", list[ListenLine]()
    soundfile.write(wav, SAMPLES, RATE_HZ)
    done = cli("listen", streaming_bundle, wav, "--hop", "1s")
    assert "each frame of the sound is computed once, 240 ms after its sound" in done.stderr
    listen_to(streaming_bundle, SoundInput(file=wav), lines.append)
    streamed = [line for line in lines if isinstance(line, ListenDecision)]
    (want,) = predict(streaming_bundle, [wav], plot=None, runtime=None)
    assert isinstance(want, RecordingPrediction)
    named = [decision.probabilities or {} for decision in (streamed[0], streamed[-1])]
    for label, p in want.probabilities.items():
        assert np.mean([own[label] for own in named]) == pytest.approx(p, abs=0.05)


def test_on_a_terminal_the_picture_is_drawn_over_itself(
    streaming_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wav = tmp_path / "a.wav"
    soundfile.write(wav, SAMPLES, RATE_HZ)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(command, "REDRAW_S", 0.0)
    command.command(streaming_bundle, wav)
    pictures = capsys.readouterr().out.split("\x1b[J")
    last = pictures[-1].splitlines()
    assert len(pictures) > 10
    assert pictures[-2].endswith("\x1b[12F")  # eight rows, three labels and a status
    assert [line[:7] for line in last[:2]] == [" 682 Hz", " 436 Hz"]
    assert any(line.startswith("> ") for line in last[8:11])
    assert last[11] == "    8.00 s"
    assert max(map(len, last)) <= 80
