"""A network through the real line: captured, rewritten, converted by children, compared."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from corpus_entry import SEED, Entry

from tinyml.core.bundle import StageParity, in_order
from tinyml.core.errors import TinymlError
from tinyml.core.parts import OUTPUT, STAGE, Part
from tinyml.core.spec import Array, Arrays, Signature
from tinyml.core.subprocesses import Child, run_child
from tinyml.core.worker import Worker
from tinyml.export import facts, parity
from tinyml.export.blocks import blocks
from tinyml.export.capture.program import NAMES, PROGRAM, capture
from tinyml.export.capture.stage_values import captured_values, eager_values
from tinyml.export.facts import Facts
from tinyml.export.joined import joined
from tinyml.export.rewrites import rewrite
from tinyml.modelfile.summary import summarize
from tinyml.pipeline.outputs.reference import Reference
from tinyml.runtimes.litert import LITERT
from tinyml.runtimes.ort import ONNXRUNTIME

FORMATS = ("onnx", "tflite")
RUNTIMES = {"onnx": ONNXRUNTIME, "tflite": LITERT}
INSPECT = {"onnx": summarize, "tflite": summarize}
TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Result:
    """One network in one format; ``reason`` is empty when every row passes.

    blocks        submodules compared in the file, at least one case each
    instrumented  submodules without a tensor in the file, compared in an instrumented copy
    fused         submodules that neither has
    """

    name: str
    format: str
    reason: str = ""
    lowest_sqnr_db: float | None = None
    lowest_at: str = ""
    rows: int = 0
    blocks: int = 0
    instrumented: int = 0
    fused: int = 0
    ops: int = 0
    bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """Inputs by case, and what PyTorch answers: the stages and outputs of each.

    ``parts`` of them are judged apart, as in an export.
    """

    signature: Signature
    stages: tuple[str, ...]
    inputs: Mapping[str, Arrays]
    inside: Mapping[str, Arrays]
    outputs: Mapping[str, Arrays]
    passes: Mapping[str, int]
    captured: tuple[StageParity, ...]
    parts: Mapping[str, Mapping[str, Sequence[Part]]]


def run(
    entry: Entry,
    folder: Path,
    formats: Sequence[str] = FORMATS,
    worker: Worker | None = None,
) -> tuple[Result, ...]:
    """Every format of ``entry``, converted in ``worker``, or in two processes next to each other.

    Files go to ``folder``.
    """
    try:
        ready = prepare(entry, folder)
    except TinymlError as error:
        return tuple(Result(entry.name, fmt, error.message) for fmt in formats)
    if worker is not None:
        written = {fmt: _convert(fmt, folder, worker) for fmt in formats}
    else:
        with ThreadPoolExecutor() as pool:
            futures = {fmt: pool.submit(_convert, fmt, folder, None) for fmt in formats}
            written = {fmt: future.result() for fmt, future in futures.items()}
    return tuple(_result(entry, fmt, ready, written[fmt], folder) for fmt in formats)


def prepare(entry: Entry, folder: Path) -> Prepared:
    """Capture and rewrite into ``folder``; PyTorch's answers to every case."""
    module = entry.module()
    signature = entry.signature(module)
    stages = blocks(module, entry.sample())
    captured = capture(module, signature, stages)
    inputs = {"sample": entry.sample(), **parity.cases(signature, SEED, entry.sample())}
    values = {case: eager_values(module, x, signature, stages) for case, x in inputs.items()}
    inside = {case: value[0] for case, value in values.items()}
    outputs = {case: value[1] for case, value in values.items()}
    known = Reference(inputs, inside, outputs, joined(captured))
    parts = {kind: known.parts(kind) for kind in (STAGE, OUTPUT)}
    rows: list[StageParity] = []
    rewritten, counts = captured, {}
    for engine in ("captured", "rewritten"):
        if engine == "rewritten":
            rewritten, counts = rewrite(captured)
        for case, given in inputs.items():
            got, answered = captured_values(rewritten, given)
            rows += parity.compare(engine, case, inside[case], got, stages, parts=parts[STAGE])
            rows += parity.compare(
                engine, case, outputs[case], answered, list(answered), parts=parts[OUTPUT]
            )
    rewritten.save(folder)
    return Prepared(signature, stages, inputs, inside, outputs, counts, tuple(rows), parts)


def _convert(fmt: str, folder: Path, worker: Worker | None) -> tuple[float, str]:
    """Seconds of the conversion, and the reason when it refuses."""
    paths = (folder / PROGRAM, folder / NAMES, folder / f"network.{fmt}", folder / f"{fmt}.json")
    arguments = (*map(str, paths), "--instrumented", str(folder / f"instrumented.{fmt}"))
    child = Child(f"tinyml.export.formats.{fmt}.write", arguments, folder / f"{fmt}.log")
    started = time.monotonic()
    try:
        if worker is not None:
            worker.run([child], TIMEOUT_S)
        else:
            run_child(child.module, child.arguments, log=child.log, timeout_s=TIMEOUT_S)
    except TinymlError as error:
        return time.monotonic() - started, error.message
    return time.monotonic() - started, ""


def _result(
    entry: Entry, fmt: str, ready: Prepared, written: tuple[float, str], folder: Path
) -> Result:
    seconds, refused = written
    if refused:
        return Result(entry.name, fmt, refused, seconds=seconds)
    path, noted = folder / f"network.{fmt}", facts.load(folder / f"{fmt}.json")
    try:
        rows = [*ready.captured, *compare(fmt, path, noted, ready)]
        rows += compare_instrumented(fmt, folder, noted, ready)
    except TinymlError as error:
        return Result(entry.name, fmt, error.message, seconds=seconds)
    _save(folder / f"{fmt}.rows.json", rows)
    stages = set(noted.stages)
    inside = [row for row in rows if row.stage in stages and row.engine == RUNTIMES[fmt].name]
    judged = [row for row in rows if row.sqnr_db is not None]
    lowest = min(judged, key=lambda row: row.sqnr_db or 0.0)
    return Result(
        name=entry.name,
        format=fmt,
        reason=_reason(rows),
        lowest_sqnr_db=lowest.sqnr_db,
        lowest_at=f"{lowest.stage} on {lowest.case}",
        rows=len(rows),
        blocks=len({row.stage for row in inside if row.verdict != "fused away"}),
        instrumented=len(noted.instrumented),
        fused=len({r.stage for r in inside if r.verdict == "fused away"} - set(noted.instrumented)),
        ops=sum(INSPECT[fmt](path).ops.values()),
        bytes=path.stat().st_size,
        seconds=seconds,
    )


def compare(fmt: str, path: Path, noted: Facts, ready: Prepared) -> Iterable[StageParity]:
    """Stages out of the file with nothing optimised, outputs with the default delegates."""
    runtime = RUNTIMES[fmt]
    session, parts = runtime.open(path), ready.parts
    for case, given in ready.inputs.items():
        got = _stages(runtime, path, noted, given)
        yield from parity.compare(
            runtime.name, case, ready.inside[case], got, ready.stages, parts=parts[STAGE]
        )
        want = ready.outputs[case]
        answered = session.run(given)
        yield from parity.compare(
            RUNTIMES[fmt].optimised, case, want, answered, list(want), parts=parts[OUTPUT]
        )


def compare_instrumented(
    fmt: str, folder: Path, noted: Facts, ready: Prepared
) -> Iterable[StageParity]:
    """Stages that have no tensor in the file, out of its instrumented copy."""
    runtime, parts = RUNTIMES[fmt], ready.parts
    for case, given in ready.inputs.items() if noted.instrumented else ():
        got = runtime.read_tensors(folder / f"instrumented.{fmt}", noted.instrumented, given)
        yield from parity.compare(
            f"{runtime.name}+instrumented",
            case,
            ready.inside[case],
            got,
            noted.instrumented,
            parts=parts[STAGE],
        )


def _stages(runtime: object, path: Path, noted: Facts, given: Arrays) -> dict[str, Array | None]:
    names = [name for name in noted.stages.values() if name is not None]
    read = runtime.read_tensors(path, names, given)  # type: ignore[attr-defined]
    values: dict[str, Array | None] = {}
    for stage, name in noted.stages.items():
        order = noted.layouts.get(stage)
        value = None if name is None else read[name]
        values[stage] = value if value is None or order is None else in_order(value, order)
    return values


def _reason(rows: Sequence[StageParity]) -> str:
    failed = [row for row in rows if row.verdict == "fail"]
    if not failed:
        return ""
    first = failed[0]
    numbers = "not finite or of another shape"
    if first.max_error is not None and first.bound:
        numbers = f"error {first.max_error / first.bound:.2g} times the bound"
    cases = ", ".join(sorted({row.case for row in failed}))
    return (
        f"{first.engine} at {first.stage} on {first.case}: {numbers}; "
        f"{len(failed)} of {len(rows)} rows, on {cases}"
    )


def _save(path: Path, rows: Iterable[StageParity]) -> None:
    path.write_text(json.dumps([dataclasses.asdict(row) for row in rows]), encoding="utf-8")
