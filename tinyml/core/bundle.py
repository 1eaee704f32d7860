"""A bundle: model files, their declared metadata, and the evidence. Immutable once written.

    NAME/
      manifest.json           everything below by name, size and sha256 (docs/manifest.md)
      <model>-<precision>.onnx | .tflite
      reference.safetensors   inputs and PyTorch's outputs, per case and stage
      labels.txt  MODEL_CARD.md  run.py

Benchmarks are written next to a bundle, never into it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from tinyml.core.bundle_facts import BundleFacts
from tinyml.core.errors import BundleError, ValidationError
from tinyml.core.files import sha256
from tinyml.core.paired_difference import Difference
from tinyml.core.plan_record import PlanRecord
from tinyml.core.processor import Processor
from tinyml.core.quant_params import QuantParams
from tinyml.core.spec import Array, Signature
from tinyml.core.tolerance import PolicyName
from tinyml.core.training_record import check_record
from tinyml.core.typed_json import from_json, parse_json, read_limited, to_json
from tinyml.core.upgrade import SCHEMA, upgraded

MANIFEST = "manifest.json"
REFERENCE = "reference.safetensors"
LABELS = "labels.txt"
CARD = "MODEL_CARD.md"
RUN = "run.py"

Verdict = Literal["pass", "fail", "fused away", "not judged"]
# The verdicts of rows in which two values were compared.
JUDGED: tuple[Verdict, ...] = ("pass", "fail")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One model file as it was written.

    passes    rewrite -> how often it fired, in the order applied
    stages    stage -> its tensor in this file, or ``None``: fused away
    layouts   stage -> the order that brings its tensor into PyTorch's axes (see `in_order`);
              only for stages that the format keeps in another one
    minimum_runtime  the oldest runtime, or operator set, that has every operator version
    plan      what the precision decided; ``None``: fp32, nothing
    note      what measurement says of such files, one line
    instrumented  stages without a tensor in this file, read in an instrumented model made for it
    instrumented_note  why there was no such model
    quant_params  input or output -> the integers that it is in this file; others are as the
              signature says
    modules   tensor in this file -> the submodule that computes it, where it is known
    float_mac_share  of a file that computes in integers: the share of its multiply-accumulates
              that are in float all the same; ``None``: of floats, or not known
    """

    path: str
    sha256: str
    format: str
    precision: str
    passes: Mapping[str, int]
    stages: Mapping[str, str | None]
    layouts: Mapping[str, tuple[int, ...]]
    minimum_runtime: str
    plan: PlanRecord | None = None
    note: str = ""
    instrumented: tuple[str, ...] = ()
    instrumented_note: str = ""
    quant_params: Mapping[str, QuantParams] = field(default_factory=dict)
    float_mac_share: float | None = None
    modules: Mapping[str, str] = field(default_factory=dict)

    @property
    def mixed(self) -> str:
        """How much of a quantized file computes in float, in words; empty where nothing does."""
        share = self.float_mac_share
        return f"mixed: {100 * share:.3g}% of MACs in float" if share else ""


def in_order(value: Array, order: Sequence[int]) -> Array:
    """``value`` transposed by ``order``; -1 makes an axis of length one, unnamed ones go."""
    taken = [axis for axis in order if axis >= 0]
    rest = [axis for axis in range(value.ndim) if axis not in taken]
    shape = [1 if axis < 0 else value.shape[axis] for axis in order]
    return value.transpose([*taken, *rest]).reshape(shape)


@dataclass(frozen=True, slots=True)
class StageParity:
    """One stage of one engine on one case against PyTorch in eval mode.

    engine     ``captured``, ``onnxruntime``, ``litert+xnnpack``, ``litert+instrumented`` ...
    max_error  largest absolute error; ``bound`` is what the policy allows
    sqnr_db    signal to noise in dB; ``None`` where that is no number: the value is exact
               (``max_error`` is 0), the reference silent, or one of both not finite
    """

    engine: str
    case: str
    stage: str
    verdict: Verdict
    policy: PolicyName
    max_error: float | None = None
    bound: float | None = None
    sqnr_db: float | None = None
    part: str = ""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A subject or image whose label differs between PyTorch and an engine."""

    name: str
    want: str
    got: str
    margin: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Predictions on the validation or test set, PyTorch's against one engine's.

    ``count`` of ``unit``: all validation ``persons``, or up to 2,000 test ``images``;
    ``difference``: of ``metric``, ``UAR`` of subjects or ``accuracy`` of images.
    """

    engine: str
    unit: str
    count: int
    agreeing: int
    largest_probability_error: float
    disagreements: tuple[Disagreement, ...] = ()
    metric: str = ""
    difference: Difference | None = None

    @property
    def shown_unit(self) -> str:
        """``unit`` in the words of messages: the key of written files is older."""
        return "subjects" if self.unit == "persons" else self.unit

    @property
    def text(self) -> str:
        """In words: how many predictions agree, and what becomes of the metric."""
        agree = f"{self.agreeing} of {self.count} {self.shown_unit} agree"
        if self.difference is None:
            return agree
        own = self.difference
        return f"{agree}; {self.metric} {own.want:.4f} becomes {own.got:.4f}, {own.points} points"

    def lost(self, accepted: float) -> bool:
        """Whether the metric is clearly worse: all of its interval is below ``-accepted``."""
        return self.difference is not None and self.difference.high < -accepted


@dataclass(frozen=True, slots=True)
class Metric:
    """The user's own metric of one engine, ``pytorch`` or as users get it.

    holds      whether it is worse than PyTorch's by at most ``bound``
    direction  ``higher`` or ``lower``: which is better; empty: any change is worse
    kind       ``share`` of samples; ``relative``: any other number, whose bound is a part of
               PyTorch's; ``given``: the user gave the bound
    """

    engine: str
    name: str
    value: float
    samples: int
    holds: bool = True
    direction: str = ""
    kind: Literal["share", "relative", "given"] = "share"
    bound: float | None = None

    def worse_by(self, want: float) -> float:
        """How much worse it is than ``want``, PyTorch's; 0 for a better one."""
        change = self.value - want
        signed = {"higher": -change, "lower": change}
        return max(0.0, signed.get(self.direction, abs(change)))

    def points_lost(self, want: float) -> float:
        """`worse_by` in hundredths of a share, or in percent of ``want`` of any other number."""
        worse = self.worse_by(want)
        if self.kind == "share" or worse == 0.0:
            return 100 * worse
        return 100 * worse / abs(want) if want else float("inf")


@dataclass(frozen=True, slots=True)
class Parity:
    """The evidence: every stage of every engine on every case, in network order."""

    stages: tuple[StageParity, ...]
    agreements: tuple[Agreement, ...] = ()
    accuracy_note: str = ""
    metrics: tuple[Metric, ...] = ()

    @property
    def first_divergence(self) -> StageParity | None:
        """The first row out of tolerance: earliest stage of the earliest engine, on any case."""
        failed = [row for row in self.stages if row.verdict == "fail"]
        if not failed:
            return None
        places = {stage: i for i, stage in enumerate(dict.fromkeys(r.stage for r in self.stages))}
        first = [row for row in failed if row.engine == failed[0].engine]
        return min(first, key=lambda row: places[row.stage])

    @property
    def judged(self) -> int:
        """How many rows have a verdict."""
        return sum(row.verdict in JUDGED for row in self.stages)

    @property
    def passed(self) -> bool:
        """Whether something was judged and no stage diverges."""
        return self.judged > 0 and self.first_divergence is None


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file of a bundle: its size in bytes and its content."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What ``manifest.json`` holds, next to its schema number (docs/manifest.md)."""

    model: str
    target: str
    signature: Signature
    processor: Processor | None
    models: tuple[ModelFile, ...]
    stages: tuple[str, ...]
    front_end: str | None
    parity: Parity
    facts: BundleFacts
    files: Mapping[str, ListedFile]

    def __post_init__(self) -> None:
        check_record(self.processor, self.facts.training)


@dataclass(frozen=True, slots=True)
class Bundle(Manifest):
    """A folder and its manifest; ``digest`` is the sha256 of the manifest's bytes."""

    folder: Path
    digest: str = ""

    def file(self, model: ModelFile) -> Path:
        """Where ``model`` lies."""
        return self.folder / model.path

    def manifest(self) -> dict[str, Any]:
        """The manifest as JSON values."""
        held = {own.name: getattr(self, own.name) for own in fields(Manifest)}
        held["files"] = dict(sorted(self.files.items()))
        return {"schema": SCHEMA, **to_json(held)}

    def check_files(self) -> None:
        """Re-hash every file; `ValidationError` names what was changed, lost or added."""
        wrong = [f"{name} is missing" for name in self.files if not self._has(name)]
        for name, entry in self.files.items():
            path = self.folder / name
            if self._has(name) and sha256(path) != entry.sha256:
                wrong.append(f"{name} was changed")
        known = {MANIFEST, *self.files}
        extra = {str(p.relative_to(self.folder)) for p in self.folder.rglob("*") if p.is_file()}
        wrong += [f"{name} does not belong to it" for name in sorted(extra - known)]
        if wrong:
            raise ValidationError(
                f"{self.folder} is not the bundle that was written: {'; '.join(wrong)}",
                hint="copy the bundle again, or export it again",
            )

    def _has(self, name: str) -> bool:
        return (self.folder / name).is_file()


def read(folder: Path, digest: str = "") -> Bundle:
    """Read a bundle's manifest; `BundleError` when there is none or it is newer than this.

    ``digest``: how the sha256 of the manifest must begin; `ValidationError` when it does not.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(
            f"{folder} is not a bundle: it has no {MANIFEST}", hint="give what tinyml export wrote"
        )
    content = read_limited(path, error=BundleError)
    found = hashlib.sha256(content).hexdigest()
    if not found.startswith(digest):
        raise ValidationError(
            f"{path} has the digest {found}, not {digest}",
            hint="this is not the bundle whose digest you noted: copy or export it again",
        )
    data = parse_json(content, what=f"{path}", error=BundleError)
    data = upgraded(data, what=f"{path}", error=BundleError)
    manifest = from_json(Manifest, data, what=f"{path}", error=BundleError)
    _check_inside(folder, manifest)
    held = {own.name: getattr(manifest, own.name) for own in fields(Manifest)}
    return Bundle(**held, folder=folder, digest=found)


def _check_inside(folder: Path, manifest: Manifest) -> None:
    for name in (*manifest.files, *(model.path for model in manifest.models)):
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise BundleError(f"{folder}: the manifest names '{name}', outside the bundle")
