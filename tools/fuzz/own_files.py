"""Files of tinyml's own kinds to break, and how commands read each of them.

They are read in the user's process, not in a child: whatever is not one line of error, a lack of
memory too, is a finding.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinyml.core import bundle as bundles
from tinyml.core import checkpoint, recipe
from tinyml.core.array_files import read_arrays, read_npz
from tinyml.core.bundle import Agreement, Bundle, ListedFile, ModelFile, Parity, StageParity
from tinyml.core.bundle_facts import BundleFacts, Scalogram
from tinyml.core.checkpoint import Checkpoint
from tinyml.core.diagnosis import Confusion, Finding, LayerSensitivity, SensitivityAnalysis
from tinyml.core.errors import ValidationError
from tinyml.core.machine_state import MachineState
from tinyml.core.measurement import Conditions, Discarded, Measurement, Process
from tinyml.core.paired_difference import Difference
from tinyml.core.plan_record import Float16Record, QuantRecord, TensorPlan, UnheldValue
from tinyml.core.quant_params import QuantParams
from tinyml.core.recipe import Recipe
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.spec import Signature, TensorSpec
from tinyml.core.target import read_target
from tinyml.core.ties import Ties
from tinyml.core.timing_plan import TimingPlan
from tinyml.core.training_record import (
    LayerZeros,
    PruningRecord,
    Split,
    SubjectMetrics,
    TrainingRecord,
)
from tinyml.core.typed_json import Unbounded, to_json
from tinyml.core.upgrade import SCHEMA
from tinyml.pages.card import model_card
from tinyml.pipeline.bench import Benchmark, read_benchmark
from tinyml.pipeline.cross_check import contradictions
from tinyml.pipeline.outputs import reference
from tinyml.pipeline.outputs.reference import Reference

DIGEST = "0" * 64
SIGNATURE = Signature((TensorSpec("x", (1, 4), rate_hz=4),), (TensorSpec("probabilities", (1, 2)),))
PROCESSOR = RecordingProcessor(("yes", "no"), 4, 2, 4, thresholds=(0.5,))
RECIPE = Recipe("r", "funnelnet")
RECORD = TrainingRecord(
    data_set="synthetic",
    data_sha256=DIGEST,
    threads=1,
    instruction_set="AVX2",
    parameters=7,
    validation=SubjectMetrics(2, 0.5, 0.5, None, {"yes": 1.0, "no": None}, ((1, 0), (1, 0))),
    curve=({"epoch": 1, "loss": 0.5},),
    curves={"final": ({"epoch": 1, "loss": 0.5},)},
    split=Split(("a", "b"), DIGEST),
    pruning=PruningRecord("gradual", 0.5, (1,), "output", (LayerZeros("a", (2, 2), 4, 2, 1),)),
)
TEXT = """\
name = "r"
model = "funnelnet"
seed = 3

[data]
set = "synthetic"
options = { limit = 4, ratio = 0.5 }

[decision]
hop_s = 1.5
aggregation = "mean"

[train]
epochs = 2
learning_rate = 1e-3
class_weights = [1.0, 2.0, 1.0]
flip = false

[prune]
method = "gradual"
sparsity = 0.5

[export]
formats = ["onnx", "tflite"]
precision = "w8a8-static"
keep_float = ["head"]
"""
TARGET_TEXT = """\
board = "a board"
arch = "aarch64"
cpu = "cortex-a53"
cpu_features = ["asimd"]
memory_mb = 512
cores = 4
page_kib = 16
formats = ["tflite"]

[systems.bullseye]
python = "3.9"
runtimes = { litert = "2.3.0", onnxruntime = "1.19.2" }
"""


def make(folder: Path) -> list[Path]:
    """One whole file of each kind, by the name of the kind."""
    (folder / "manifest.json").write_text(json.dumps(_bundle(folder).manifest()))
    state = MachineState(load=0.5, governor="performance")
    whole = Process((5, 6, 7), 1, 3, 4, 5, cpu_ns=(5, 6, 6), before=state, is_stable=True)
    measurement = Measurement(
        *("a.onnx", DIGEST, "whole", "onnxruntime", "1.2"),
        processes=(whole,),
        discarded=(Discarded(whole, "busy", "others took part of its time"),),
        plan=TimingPlan(),
        conditions=Conditions(cpu="x", threads=1),
        label="host",
    )
    report = to_json(Benchmark((measurement,), folder, ()).report)
    (folder / "bench.json").write_text(json.dumps({"schema": SCHEMA, **report}))
    weights = {"a.weight": np.ones((2, 2), np.float32), "b": np.arange(3)}
    saved = Checkpoint("funnelnet", SIGNATURE, PROCESSOR, RECIPE, RECORD, weights)
    saved.save(folder / "checkpoint.safetensors")
    inputs = {"random": {"x": np.ones((1, 4), np.float32)}}
    outputs = {"random": {"probabilities": np.ones((1, 2), np.float32)}}
    chosen = np.ones((1, 2), np.float32)
    ties = {"random": {"probabilities": Ties(chosen, chosen, np.ones((1, 2, 1), np.float32), 1)}}
    expected = Reference(inputs, inputs, outputs, ties=ties)
    expected.save(folder / "reference.safetensors")
    (folder / "target.toml").write_text(TARGET_TEXT)
    (folder / "recipe.toml").write_text(TEXT)
    arrays = {"x": np.ones((3, 4), np.float32), "targets": np.arange(3)}
    np.savez(folder / "plain.npz", **arrays)
    np.savez_compressed(folder / "packed.npz", **arrays)
    np.save(folder / "array.npy", arrays["x"])
    return [path for path in folder.iterdir() if path.stem in READERS]


def _bundle(folder: Path) -> Bundle:
    plan = QuantRecord(
        *("w8a8-static", "onnx", "min-max", 4, "given"),
        tensors={"x": TensorPlan("int8", -1.0, 1.0, "seen")},
        kept={"y": "asked for"},
        operations=3,
        stages={"head": "x"},
        exact=("head",),
    )
    unheld = UnheldValue("overflow", "head", "n", "sample", 1e9)
    half = Float16Record("fp16", "tflite", 3, {"n": "overflow"}, {"n": "head"}, (unheld,))
    models = (
        ModelFile(
            *("a.onnx", DIGEST, "onnx", "w8a8-static", {"fold": 1}, {"head": "x"}),
            *({"head": (0, 2, 1)}, "onnxruntime>=1.14", plan),
            quant_params={"x": QuantParams("int8", 0.5, 3)},
            modules={"x": "head"},
        ),
        ModelFile("a.tflite", DIGEST, "tflite", "fp16", {}, {"head": None}, {}, "litert>=1", half),
    )
    noise = LayerSensitivity("head", Unbounded(3.0), Unbounded(float("inf")), 2)
    facts = BundleFacts(
        tinyml="1",
        recipe=RECIPE,
        recipe_id=RECIPE.id,
        training=RECORD,
        scalogram=Scalogram("head", (1.0, 2.0), 5.0),
        not_judged={"silence": "not finite"},
        packages={"numpy": "2", "torch": None},
        lint={"a.onnx": (Finding("rule", "x", "cost", "fix"),)},
        delegation={"a.onnx": {"note": "none"}},
        classes={"a.onnx": Confusion(("yes", "no"), ((0, 1, 3),))},
        sensitivity={"onnx": SensitivityAnalysis((noise,), Unbounded(2.0))},
    )
    agreement = Agreement("onnxruntime", "persons", 3, 2, 0.1, (), "UAR", Difference(1, 0.5, -1, 0))
    rows = (StageParity("onnxruntime", "random", "head", "pass", "int8", 0.1, 0.2, 30.0),)
    bundle = Bundle(
        *("net", "rpi4", SIGNATURE, PROCESSOR, models, ("head",), None),
        *(Parity(rows, (agreement,)), facts, {}),
        folder=folder,
    )
    names = ("a.onnx", "a.tflite", bundles.CARD, bundles.LABELS)
    return _with_files(bundle, {name: ListedFile(5, DIGEST) for name in names})


def _with_files(bundle: Bundle, files: dict[str, ListedFile]) -> Bundle:
    made = replace(bundle, files=files)
    (bundle.folder / bundles.CARD).write_text(model_card(made))
    (bundle.folder / bundles.LABELS).write_text("yes\nno\n")
    return made


def _manifest(path: Path) -> object:
    """Read as `manifest.json` of the folder that it lies in, and compared with itself."""
    own = path.with_name(bundles.MANIFEST)
    own.write_bytes(path.read_bytes())
    try:
        bundle = bundles.read(path.parent)
        found = contradictions(bundle)
        bundle.check_files()
    except ValidationError:
        return []
    finally:
        own.unlink(missing_ok=True)
    return found


def _reference(path: Path) -> object:
    try:
        reference.load(path).check(SIGNATURE, ("x",))
    except ValidationError:
        return []
    return []


# By the start of a file's name.
READERS: dict[str, Callable[[Path], object]] = {
    "manifest": _manifest,
    "bench": lambda path: len(read_benchmark(path).measurements),
    "checkpoint": lambda path: checkpoint.load(path).weights_sha256,
    "reference": _reference,
    "recipe": lambda path: recipe.read(path).id,
    "plain": lambda path: list(read_npz(path)),
    "packed": lambda path: list(read_npz(path)),
    "array": lambda path: [list(array.shape) for array in read_arrays(path)],
    "target": lambda path: read_target(path).name,
}
