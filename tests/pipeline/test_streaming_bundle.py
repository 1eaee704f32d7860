"""``tinyml export --streaming``: two more graphs, checked, and equal to the model on a stream."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from stored_bytes import assert_all_is_read

from tinyml.core import bundle as bundles
from tinyml.core import checkpoint
from tinyml.core.bundle import Bundle
from tinyml.core.device import Device
from tinyml.core.errors import InputError, TinymlError, ValidationError
from tinyml.core.events import silent
from tinyml.core.export_job import ExportJob, export_job
from tinyml.core.files import sha256
from tinyml.core.plan_record import QuantRecord
from tinyml.core.spec import Array, zeros
from tinyml.core.streaming import FRAMES, SAMPLES
from tinyml.models.funnelnet import FUNNELNET, FunnelNet
from tinyml.models.training.run import load_module
from tinyml.pipeline.export import export
from tinyml.pipeline.inspect import inspect
from tinyml.pipeline.model_sources.streaming_part import check_streaming
from tinyml.pipeline.model_sources.trained import TrainedSource, named_model
from tinyml.pipeline.outputs.engines import engines
from tinyml.pipeline.verify import verify
from tinyml.pipeline.verify_on_devices import verify_on_devices

SOUND = 0.2 * np.random.default_rng(4).standard_normal(4000 * 7, np.float32)
ENGINES = ("onnxruntime", "litert")
CHUNKS = (1, 3, 79, 81, 1000)
# In log10 of power; measured: 8e-6.
ENGINE_BOUND = 5e-5


class Stream:
    """A stream through the two graphs of a bundle in one engine, as little as it takes."""

    def __init__(self, folder: Path, engine: str) -> None:
        bundle = bundles.read(folder)
        assert bundle.facts.streaming is not None
        self.own = bundle.facts.streaming
        front_end, head = (bundles.read(folder / part) for part in self.own.graphs)
        self.step, self.head = self._session(front_end, engine), self._session(head, engine)
        self.pairs = front_end.signature.states
        self.states: dict[str, Array] = zeros(front_end.signature)
        self.buffer, self.frames = np.zeros(0, np.float32), np.zeros((0, 32), np.float32)

    @staticmethod
    def _session(bundle: Bundle, engine: str) -> Any:
        (found,) = [e for e in engines(bundle.folder, bundle.models) if e.name == engine]
        return found.open()

    def push(self, samples: Array) -> None:
        """Every granule that is whole by now."""
        self.buffer = np.concatenate([self.buffer, samples])
        size, found = self.own.granule_samples, [self.frames]
        while len(self.buffer) >= size:
            granule, self.buffer = self.buffer[:size], self.buffer[size:]
            outputs = self.step.run({**self.states, SAMPLES: granule[None]})
            self.states = {pair.input: outputs[pair.output] for pair in self.pairs}
            found.append(outputs[FRAMES][0])
        self.frames = np.concatenate(found)

    def decisions(self) -> Array:
        """[decisions, classes] of all that was pushed, after the flush."""
        self.push(np.zeros(self.own.flush_samples, np.float32))
        self.frames = self.frames[self.own.delay_frames :]
        starts = range(0, len(self.frames) - self.own.ring_frames + 1, self.own.hop_frames)
        rings = (self.frames[start : start + self.own.ring_frames] for start in starts)
        found = [self.head.run({FRAMES: ring[None]})["probabilities"][0] for ring in rings]
        return np.array(found)


def pieces(samples: Array, size: int) -> Iterator[Array]:
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


def listened(folder: Path, engine: str, size: int) -> tuple[Array, Array]:
    """Frames and decisions of `SOUND` in pieces of ``size``."""
    stream = Stream(folder, engine)
    for piece in pieces(SOUND, size):
        stream.push(piece)
    decisions = stream.decisions()
    return stream.frames, decisions


@pytest.fixture
def changed(streaming_bundle: Path, tmp_path: Path) -> Callable[[Callable[[Any], object]], Path]:
    """A copy of the bundle with its manifest changed."""

    def make(change: Callable[[Any], object]) -> Path:
        folder = Path(shutil.copytree(streaming_bundle, tmp_path / "copy"))
        path = folder / bundles.MANIFEST
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))
        return folder

    return make


def test_the_bundle_holds_two_more_graphs_in_both_formats(streaming_bundle: Path) -> None:
    bundle = bundles.read(streaming_bundle)
    own = bundle.facts.streaming
    assert own is not None
    assert (own.granule_samples, own.delay_frames, own.ring_frames) == (80, 12, 300)
    for folder, states in zip(own.graphs, (9, 0), strict=True):
        part = bundles.read(streaming_bundle / folder)
        assert [model.format for model in part.models] == ["onnx", "tflite"]
        assert len(part.signature.states) == states
        assert part.parity.passed
        assert {f"{folder}/{model.path}" for model in part.models} <= bundle.files.keys()
        assert f"{folder}/{bundles.MANIFEST}" in bundle.files
        assert not {bundles.CARD, bundles.RUN} & part.files.keys()
        assert_all_is_read(streaming_bundle / folder)
    card = (streaming_bundle / bundles.CARD).read_text()
    assert "streaming/front-end: the front end on a stream, 80 samples a call at 4000 Hz" in card


@pytest.mark.parametrize("engine", ENGINES)
def test_pieces_of_any_size_give_the_same_bits_in_an_engine(
    streaming_bundle: Path, engine: str
) -> None:
    frames, decisions = listened(streaming_bundle, engine, len(SOUND))
    assert len(frames) == len(SOUND) // 80
    assert decisions.shape == (1, 3)
    for size in CHUNKS:
        same_frames, same_decisions = listened(streaming_bundle, engine, size)
        assert np.array_equal(same_frames, frames), size
        assert np.array_equal(same_decisions, decisions), size


def test_engines_follow_pytorch_over_a_whole_stream(
    streaming_bundle: Path, small_run: Path
) -> None:
    saved = checkpoint.load(small_run)
    assert FUNNELNET.streaming is not None
    form = FUNNELNET.streaming(load_module(FUNNELNET, saved))
    with torch.no_grad():
        frames = form.frames(torch.from_numpy(SOUND)[None])[:, 12:-12]  # without edges
        want = form.head.module(frames[:, :300])["probabilities"].numpy()
    for engine in ENGINES:
        found, _ = listened(streaming_bundle, engine, 777)
        assert np.abs(found[12:-12] - frames[0].numpy()).max() <= ENGINE_BOUND
        head = Stream(streaming_bundle, engine).head
        got = head.run({FRAMES: frames[:, :300].numpy()})["probabilities"]
        assert np.abs(got - want).max() <= 1e-5


def test_verify_checks_the_streaming_graphs(streaming_bundle: Path, tmp_path: Path) -> None:
    checked = verify(streaming_bundle, silent)
    assert list(checked.parts) == ["streaming/front-end", "streaming/head"]
    assert all(part.judged for part in checked.parts.values())
    folder = Path(shutil.copytree(streaming_bundle, tmp_path / "copy"))
    model = next((folder / "streaming" / "head").glob("*.tflite"))
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(ValidationError, match=r"streaming/head/.*\.tflite was changed"):
        verify(folder, silent)


CHANGES: dict[str, tuple[Callable[[Any], object], str]] = {
    "ring": (
        lambda data: data["facts"]["streaming"].update(ring_frames=200),
        r"the ring of the streaming graphs is \(1, 300, 32\), not \(1, 200, 32\)",
    ),
    "hop": (
        lambda data: data["facts"]["streaming"].update(hop_frames=1),
        "the hop of the streaming graphs is 80, not 12000",
    ),
    "swapped": (
        lambda data: data["facts"]["streaming"].update(head="streaming/front-end"),
        "no input is called 'frames'",
    ),
    "elsewhere": (
        lambda data: data["facts"]["streaming"].update(head="streaming"),
        "streaming graphs are in streaming, files have no manifest.json there",
    ),
    "forgotten": (
        lambda data: data["facts"].pop("streaming"),
        "is among the files, but not among the models",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_record_that_the_graphs_contradict_is_refused(
    changed: Callable[[Callable[[Any], object]], Path], what: str
) -> None:
    change, message = CHANGES[what]
    with pytest.raises(TinymlError, match=message):
        verify(changed(change), silent)


def test_a_graph_that_was_exchanged_and_hashed_again_is_refused(
    changed: Callable[[Callable[[Any], object]], Path], streaming_bundle: Path
) -> None:
    name = "streaming/head/reference.safetensors"
    folder = changed(lambda _: None)
    arrays = {"input/random/frames": np.zeros((1, 300, 32), np.float32)}
    save_file(arrays, folder / name)
    for manifest in (folder / "streaming" / "head", folder):
        path = manifest / bundles.MANIFEST
        data = json.loads(path.read_text())
        for listed, entry in data["files"].items():
            own = manifest / listed
            entry.update(size=own.stat().st_size, sha256=sha256(own))
        path.write_text(json.dumps(data))
    with pytest.raises(ValidationError, match="outputs of case 'random' are none"):
        verify(folder, silent)


@pytest.mark.slow
def test_a_device_computes_the_streaming_graphs_too(streaming_bundle: Path) -> None:
    bundle = bundles.read(streaming_bundle)
    board = Device(name="board", link="emulated", target=bundle.target, python=sys.executable)
    (found,) = verify_on_devices(streaming_bundle, [board], silent).devices
    assert found.passes, found.errors
    assert len(bundle.facts.graphs) == 2
    for folder in bundle.facts.graphs:
        files = [own for own in found.files if own.path.startswith(f"{folder}/")]
        assert {own.runtime for own in files} == set(ENGINES)
        assert all(own.rows for own in files)


def test_inspect_lists_the_streaming_graphs(streaming_bundle: Path) -> None:
    found = inspect(streaming_bundle)
    assert found["streaming"]["flush_samples"] == 960
    model = found["streaming/front-end/funnelnet-front-end-fp32.tflite"]
    assert model["macs"] > 0


def named_job(name: str, folder: Path, **options: Any) -> ExportJob:
    """A registered model whose weights are never read."""
    (folder / "w.safetensors").write_bytes(b"")
    weights = folder / "w.safetensors"
    return export_job(name, "rpi", folder / "out", weights=weights, streaming=True, **options)


@pytest.mark.parametrize(
    ("name", "why", "hint"),
    [
        (
            "funnelnet-paper",
            "takes a whole recording, squeezed to 1000 points",
            "a model of windows",
        ),
        ("lenet-300-100", "lenet-300-100 takes images, not sound", "omit `streaming`"),
    ],
)
def test_a_model_without_a_form_for_a_stream_is_refused(
    name: str, why: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=why) as refused:
        export(named_job(name, tmp_path), silent)
    assert refused.value.exit_code == 3
    assert hint in refused.value.hint
    assert not (tmp_path / "out").exists()


def test_a_model_of_windows_without_such_graphs_is_refused_and_can_still_listen() -> None:
    entry = replace(FUNNELNET, streaming=None)
    empty, _ = named_model("funnelnet")
    with pytest.raises(InputError, match="declares no front end that computes frame by") as refused:
        check_streaming(TrainedSource(empty, entry))
    assert "tinyml listen computes a sliding window" in refused.value.hint


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp16", "w8a8-static", "w8-dynamic", "w8"])
def test_the_head_has_the_precision_and_the_front_end_stays_in_float32(
    precision: str, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    weights = {name: value.numpy() for name, value in FunnelNet().state_dict().items()}
    save_file(weights, tmp_path / "w.safetensors")
    np.savez(tmp_path / "sample.npz", waveform=SOUND[None, :24000])
    job = export_job(
        "funnelnet",
        "rpi",
        tmp_path / "out",
        weights=tmp_path / "w.safetensors",
        sample=tmp_path / "sample.npz",
        precision=precision,
        streaming=True,
    )
    made = export(job, silent)
    assert made.facts.streaming is not None
    front_end, head = (bundles.read(made.folder / own) for own in made.facts.streaming.graphs)
    assert {model.precision for model in front_end.models} == {"fp32"}
    of_head = "fp32" if precision == "fp16" else precision
    assert {model.precision for model in head.models} == {of_head}
    if precision == "w8a8-static":
        plans = [model.plan for model in head.models]
        assert all(isinstance(plan, QuantRecord) for plan in plans)
        assert all("normalization" in plan.exact for plan in plans if isinstance(plan, QuantRecord))
    assert verify(made.folder, silent).parity.passed
