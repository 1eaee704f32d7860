"""The scratch folder of an export: what its steps, most of them child processes, leave each other.

Every file in it has one name, here. Who writes one calls ``save_x``, who reads it ``load_x``; a
property is the path of a file that another package writes or reads. Model files lie in it too,
while they are float32 and become quantized ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save_file

from tinyml.core import checkpoint
from tinyml.core.array_files import read_npz, write_npz
from tinyml.core.bundle import REFERENCE, StageParity
from tinyml.core.checkpoint import Checkpoint
from tinyml.core.diagnosis import SensitivityAnalysis
from tinyml.core.export_settings import NCHW
from tinyml.core.files import write_json
from tinyml.core.spec import Array, Arrays, Signature
from tinyml.core.typed_json import read_json, to_json
from tinyml.export import facts
from tinyml.export.facts import Facts
from tinyml.pipeline.outputs import reference
from tinyml.pipeline.outputs.reference import Reference

if TYPE_CHECKING:
    from tinyml.export.capture.program import Captured

# Of `tinyml.export.capture.program`, which imports torch; a test holds them equal.
PROGRAM, NAMES = "program.pt2", "capture.json"
LOGS = "logs"


@dataclass(frozen=True, slots=True)
class CaptureJob:
    """What the capturing child makes.

    factory  ``PATH.py:NAME`` or ``package.module:NAME``; empty: the checkpoint's model
    weights  a file that is loaded instead of the checkpoint's own; empty: none
    states   input -> output that is that input at the next call
    layout   ``nhwc``: 4-D inputs come channels last
    labels   how many were given for a user's model; 0: none
    keep_float  stages that a user's model must have
    precision   of the export: how far its engines may differ
    part     of the checkpoint's model on a stream: ``front-end`` or ``head``; empty: all of it
    """

    factory: str = ""
    weights: str = ""
    strip_prefix: str = ""
    states: Mapping[str, str] = field(default_factory=dict)
    layout: str = NCHW
    labels: int = 0
    keep_float: tuple[str, ...] = ()
    precision: str = "fp32"
    part: str = ""


@dataclass(frozen=True, slots=True)
class Peak:
    """See `tinyml.export.capture.activation_peak`: bytes in float32, and the submodule at work."""

    bytes: int = 0
    at: str = ""


@dataclass(frozen=True, slots=True)
class CaptureRecord:
    """What the capturing child found.

    passes      rewrite -> how often it changed the program
    parity      rows of the captured program and of the rewritten one
    peak        of the activations of the rewritten one
    signature   of a user's model, as are ``stages``; of others it is known before
    not_judged  case or stage -> why it is not compared
    """

    passes: Mapping[str, int]
    parity: tuple[StageParity, ...]
    peak: Peak = Peak()
    signature: Signature | None = None
    stages: tuple[str, ...] = ()
    not_judged: Mapping[str, str] = field(default_factory=dict)

    @property
    def user_signature(self) -> Signature:
        """``signature``, of a user's model."""
        assert self.signature is not None, "only a user's model is recorded with its signature"
        return self.signature


@dataclass(frozen=True, slots=True)
class MetricJob:
    """The user's function, and whose predictions it judges, in the order of their files."""

    function: str
    engines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Workspace:
    """An export's scratch folder."""

    folder: Path

    @property
    def program(self) -> Path:
        """The captured program; its nodes' names are in `names`."""
        return self.folder / PROGRAM

    @property
    def names(self) -> Path:
        """Stages and signature of the captured program."""
        return self.folder / NAMES

    def load_program(self) -> Captured:
        from tinyml.export.capture import program

        return program.load(self.program, self.names)

    def save_program(self, captured: Captured) -> None:
        captured.save(self.folder)

    def save_capture_job(self, job: CaptureJob) -> None:
        write_json(self.folder / "job.json", to_json(job))

    def load_capture_job(self) -> CaptureJob:
        return read_json(CaptureJob, self.folder / "job.json")

    @property
    def capture_record(self) -> Path:
        """It is missing where a user's code ended the child."""
        return self.folder / "captured.json"

    def save_capture_record(self, record: CaptureRecord) -> None:
        write_json(self.capture_record, to_json(record))

    def load_capture_record(self) -> CaptureRecord:
        return read_json(CaptureRecord, self.capture_record)

    @property
    def reference(self) -> Path:
        """What PyTorch computes, as it is in a bundle."""
        return self.folder / REFERENCE

    def save_reference(self, expected: Reference) -> None:
        expected.save(self.reference)

    def load_reference(self) -> Reference:
        return reference.load(self.reference)

    def save_cases(self, cases: Mapping[str, Arrays]) -> None:
        """Inputs by parity case, for which the child computes the reference."""
        flat = {f"input/{case}/{n}": a for case, given in cases.items() for n, a in given.items()}
        save_file(flat, self.folder / "cases.safetensors")

    def load_cases(self) -> Mapping[str, Arrays]:
        return reference.load(self.folder / "cases.safetensors").inputs

    @property
    def checkpoint(self) -> Path:
        return self.folder / checkpoint.FILE

    def save_checkpoint(self, saved: Checkpoint) -> None:
        saved.save(self.checkpoint)

    def load_checkpoint(self) -> Checkpoint:
        return checkpoint.load(self.checkpoint)

    @property
    def evaluation_set(self) -> Path:
        """Inputs of the validation set, which `tinyml.pipeline.outputs.evaluation_set` reads."""
        return self.folder / "evaluation_set.npy"

    @property
    def probabilities(self) -> Path:
        """PyTorch's, of `evaluation_set`."""
        return self.folder / "probabilities.npy"

    def save_probabilities(self, probabilities: Array) -> None:
        np.save(self.probabilities, probabilities)

    def save_sample(self, sample: Arrays) -> None:
        self._save_arrays("sample", sample)

    def load_sample(self) -> dict[str, Array]:
        return self._load_arrays("sample")

    def save_data(self, data: Arrays) -> None:
        """Inputs and targets of the user's metric."""
        self._save_arrays("data", data)

    def load_data(self) -> dict[str, Array]:
        """Empty without a metric."""
        return self._load_arrays("data") if (self.folder / "data.npz").exists() else {}

    def save_predictions(self, predictions: Arrays) -> None:
        """PyTorch's, of the metric's data."""
        self._save_arrays("predictions", predictions)

    def load_predictions(self) -> dict[str, Array]:
        return self._load_arrays("predictions")

    def save_metric_job(
        self, job: MetricJob, predictions: Mapping[str, Arrays], targets: Array
    ) -> None:
        for place, engine in enumerate(job.engines):
            self._save_arrays(f"predictions-{place}", predictions[engine])
        self._save_arrays("targets", {"targets": targets})
        write_json(self.folder / "metric.json", to_json(job))

    def load_metric_job(self) -> tuple[MetricJob, dict[str, dict[str, Array]], Array]:
        """The job, predictions by engine, and targets."""
        job = read_json(MetricJob, self.folder / "metric.json")
        predictions = {
            engine: self._load_arrays(f"predictions-{place}")
            for place, engine in enumerate(job.engines)
        }
        return job, predictions, self._load_arrays("targets")["targets"]

    @property
    def measured(self) -> Path:
        """It is missing where a user's function ended the child."""
        return self.folder / "measured.json"

    def save_measured(self, values: Mapping[str, float]) -> None:
        write_json(self.measured, dict(values))

    def load_measured(self) -> dict[str, float]:
        values: dict[str, float] = json.loads(self.measured.read_text(encoding="utf-8"))
        return values

    def plan(self, fmt: str) -> Path:
        """What is decided for the ``fmt`` file, tensor by tensor."""
        return self.folder / f"plan-{fmt}.json"

    def facts(self, fmt: str) -> Path:
        """What the writer or the quantizer of the ``fmt`` file found out."""
        return self.folder / f"{fmt}.json"

    def load_facts(self, fmt: str) -> Facts:
        return facts.load(self.facts(fmt))

    def float_facts(self, fmt: str) -> Path:
        """`facts` of the float32 file that is quantized."""
        return self.folder / f"float-{fmt}.json"

    def load_float_facts(self, fmt: str) -> Facts:
        return facts.load(self.float_facts(fmt))

    def keep_float_facts(self, fmt: str) -> None:
        """The file that was written last is the float32 one."""
        self.facts(fmt).rename(self.float_facts(fmt))

    def instrumented(self, fmt: str) -> Path:
        """A model file whose outputs are stages that the ``fmt`` file has no tensor for."""
        return self.folder / f"instrumented.{fmt}"

    def float_instrumented(self, fmt: str) -> Path:
        """`instrumented` of the float32 file, before a plan is performed on both."""
        return self.folder / f"float-instrumented.{fmt}"

    def save_samples(self, samples: Arrays) -> None:
        """Inputs with a leading axis, on which layers are quantized alone."""
        self._save_arrays("calibration", samples)

    def load_samples(self) -> dict[str, Array]:
        return self._load_arrays("calibration")

    def save_sensitivity(self, fmt: str, found: SensitivityAnalysis) -> None:
        write_json(self.folder / f"sensitivity-{fmt}.json", to_json(found))

    def load_sensitivity(self, fmt: str) -> SensitivityAnalysis:
        return read_json(SensitivityAnalysis, self.folder / f"sensitivity-{fmt}.json")

    def failure(self, fmt: str) -> Path:
        """Where the smallest part that the ``fmt`` writer refuses is; missing: not found yet."""
        return self.folder / f"failure-{fmt}.json"

    def tried(self, fmt: str) -> Path:
        """Parts that the search for `failure` has tried, with what came of it."""
        return self.folder / f"tried-{fmt}.json"

    def forget_failure(self, fmt: str) -> None:
        """Before a new search."""
        self.failure(fmt).unlink(missing_ok=True)
        self.tried(fmt).unlink(missing_ok=True)

    def evidence(self, formats: Iterable[str]) -> tuple[Path, ...]:
        """Files that show how an export came to its result; some may be missing."""
        found = (self.program, self.names, self.checkpoint, self.capture_record)
        return (*found, *(self.instrumented(fmt) for fmt in formats))

    @property
    def logs(self) -> Path:
        """What the child processes print, a file each."""
        return self.folder / LOGS

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def _save_arrays(self, name: str, arrays: Arrays) -> None:
        write_npz(self.folder / f"{name}.npz", arrays)

    def _load_arrays(self, name: str) -> dict[str, Array]:
        return read_npz(self.folder / f"{name}.npz")
