"""Bundles that were changed and hashed again: none of them passes as checked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from short_timing import short

from tinyml.core import bundle as bundles
from tinyml.core.bundle import Parity, StageParity
from tinyml.core.errors import InputError, TinymlError, UsageError, ValidationError
from tinyml.core.files import sha256
from tinyml.export import parity
from tinyml.pipeline.assert_parity import assert_parity
from tinyml.pipeline.compare_metadata import compare_parity
from tinyml.pipeline.declared_rows import check_rows, program_rows
from tinyml.pipeline.inspect import inspect
from tinyml.pipeline.outputs.compare_engines import compare_engines
from tinyml.pipeline.outputs.engines import engines
from tinyml.pipeline.outputs.reference import Reference
from tinyml.pipeline.verify import check_signature, verify

Json = dict[str, Any]
Arrays = dict[str, np.ndarray]


def silent(_: object) -> None:
    """No progress."""


def forge(
    folder: Path,
    manifest: Callable[[Json], object] | None = None,
    reference: Callable[[Arrays], Arrays] | None = None,
) -> None:
    """Change the manifest and the reference of a bundle, and hash its files again."""
    if reference is not None:
        arrays = load_file(folder / "reference.safetensors")
        save_file(reference(arrays), folder / "reference.safetensors")
    path = folder / "manifest.json"
    data = json.loads(path.read_text())
    for name, entry in data["files"].items():
        if (folder / name).is_file():
            size = (folder / name).stat().st_size
            entry.update(size=size, sha256=sha256(folder / name))
    if manifest is not None:
        manifest(data)
    path.write_text(json.dumps(data))


def without(*starts: str) -> Callable[[Arrays], Arrays]:
    """Arrays whose names do not start so."""
    return lambda arrays: {n: a for n, a in arrays.items() if not n.startswith(starts)}


def with_array(name: str, value: np.ndarray) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {**arrays, name: value}


REFERENCES: dict[str, tuple[Callable[[Arrays], Arrays], str]] = {
    "empty": (lambda _: {}, "holds no case: nothing can be compared"),
    "no outputs": (without("output/"), "outputs of case 'full-scale' are none, not probabilities"),
    "no inputs": (without("input/"), "holds no case"),
    "one input lost": (without("input/tiny/"), "inputs of case 'tiny' are none, not waveform"),
    "one output lost": (without("output/tiny/"), "outputs of case 'tiny' are none"),
    "no stages": (without("stage/"), r"are too many \(captured"),
    "other parts": (
        with_array("joined/1/stage/filter_bank", np.zeros(3, np.int32)),
        "'filter_bank' has 3 places in parts along axis 1",
    ),
    "a stage lost": (without("stage/tiny/logits"), "are too many .*case 'tiny', 'logits'"),
    "a case lost": (
        without("input/tiny/", "stage/tiny/", "output/tiny/"),
        "are too many .*case 'tiny'",
    ),
    "another shape": (
        with_array("output/tiny/probabilities", np.zeros((1, 2), np.float32)),
        r"probabilities float32\[1, 2\], not probabilities float32\[1, 3\]",
    ),
    "a stage added": (
        with_array("stage/tiny/none", np.zeros(1, np.float32)),
        "'none', which is not a stage",
    ),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_that_lacks_something_does_not_pass(bundle_copy: Path, name: str) -> None:
    change, message = REFERENCES[name]
    forge(bundle_copy, reference=change)
    with pytest.raises(ValidationError, match=message):
        verify(bundle_copy, silent)


def rows(manifest: Json) -> list[Json]:
    found: list[Json] = manifest["parity"]["stages"]
    return found


def first(manifest: Json, engine: str) -> Json:
    return next(row for row in rows(manifest) if row["engine"] == engine)


def only(keep: Callable[[Json], bool]) -> Callable[[Json], None]:
    """Parity rows for which ``keep`` holds."""

    def change(manifest: Json) -> None:
        manifest["parity"]["stages"] = [row for row in rows(manifest) if keep(row)]

    return change


def every_row(**values: Any) -> Callable[[Json], None]:
    def change(manifest: Json) -> None:
        for row in rows(manifest):
            row |= values

    return change


def null_stages(manifest: Json) -> None:
    for model in manifest["models"]:
        model["stages"] = dict.fromkeys(model["stages"])


def no_stages(manifest: Json) -> None:
    for model in manifest["models"]:
        model["stages"] = {}


def no_model(manifest: Json) -> None:
    manifest["models"] = [m for m in manifest["models"] if m["format"] == "onnx"]


def no_model_nor_file(manifest: Json) -> None:
    no_model(manifest)
    del manifest["files"]["funnelnet-fp32.tflite"]


def reversed_labels(manifest: Json) -> None:
    manifest["processor"]["labels"].reverse()


def other_rate(manifest: Json) -> None:
    manifest["processor"]["rate_hz"] = 8000


def both_rates(manifest: Json) -> None:
    other_rate(manifest)
    manifest["signature"]["inputs"][0]["rate_hz"] = 8000


# The card, which repeats some of it, is forged too.
ROWS: dict[str, tuple[Callable[[Json], object], str]] = {
    "null stages": (null_stages, "are of another verdict .*onnxruntime, case"),
    "rows removed": (only(lambda row: False), "are missing"),
    "an engine's rows removed": (
        only(lambda row: "litert" not in row["engine"]),
        r"are missing \(litert",
    ),
    "a program's rows removed": (
        only(lambda row: row["engine"] != "captured"),
        r"are missing \(captured",
    ),
    "a row removed": (only(lambda row: row["stage"] != "logits"), "are missing"),
    "a row twice": (lambda m: rows(m).append(rows(m)[0]), "1 are too many"),
    "a row added": (lambda m: rows(m).append({**rows(m)[0], "case": "x"}), "1 are too many"),
    "nothing judged": (every_row(verdict="not judged"), "of another verdict"),
    "fused away": (every_row(verdict="fused away"), "of another verdict"),
    "a verdict flipped": (lambda m: first(m, "litert").update(verdict="fail"), "another verdict"),
    "error over its bound": (lambda m: first(m, "litert").update(max_error=9.0), "another verdict"),
    "no error": (lambda m: first(m, "litert").update(max_error=None), "another verdict"),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_that_are_not_all_and_only_those_declared_do_not_pass(
    bundle_copy: Path, name: str
) -> None:
    change, message = ROWS[name]
    card = bundle_copy / "MODEL_CARD.md"
    lines = card.read_text().splitlines()
    card.write_text("\n".join(line for line in lines if "lowest SQNR" not in line))
    forge(bundle_copy, manifest=change)
    with pytest.raises(ValidationError, match=message):
        verify(bundle_copy, silent)


def test_a_stage_may_have_the_name_of_an_output(small_bundle: Path) -> None:
    value = {"random": {"y": np.zeros(1, np.float32)}}
    bundle = replace(bundles.read(small_bundle), stages=("y",))
    declared = [*program_rows(bundle, Reference(value, value, value))]
    made = [
        StageParity(own.engine, own.case, own.name, "pass", "engine", 0.0, 1.0) for own in declared
    ]
    assert len(made) == 4
    check_rows(made, declared, "this test")
    with pytest.raises(ValidationError, match=r"1 are missing \(rewritten, case 'random', 'y'\)"):
        check_rows(made[:-1], declared, "this test")


MANIFESTS: dict[str, tuple[Callable[[Json], object], str]] = {
    "no stages": (no_stages, "do not have the same stages"),
    "fewer stages": (lambda m: m["stages"].remove("logits"), "the same stages: logits"),
    "no model": (no_model, r"funnelnet-fp32\.tflite is among the files, but not among the models"),
    "no models": (lambda m: m["models"].clear(), "models have the formats of none"),
    "reversed labels": (reversed_labels, r"labels\.txt holds 'Present, Unknown, Absent'"),
    "fewer labels": (lambda m: m["processor"]["labels"].pop(), "2 labels for output"),
    "window": (lambda m: m["processor"].update(window=12000), "the window is 12000, 'waveform' is"),
    "rate": (other_rate, "the processor has 8000 Hz, 'waveform' 4000"),
    "both rates": (both_rates, r"MODEL_CARD\.md has '- input `waveform`: .* at 4000 Hz'"),
    "hop 1": (lambda m: m["processor"].update(hop=1), r"MODEL_CARD\.md has 'windows of 24000"),
    "hop": (lambda m: m["processor"].update(hop=24001), "the hop 24001 skips samples"),
    "thresholds": (lambda m: m["processor"].update(thresholds=[0.1, 0.1]), r"MODEL_CARD\.md has"),
    "aggregation": (lambda m: m["processor"].update(aggregation="max"), r"MODEL_CARD\.md has"),
    "precision": (lambda m: m["models"][0].update(precision="w8"), r"MODEL_CARD\.md has '\| fun"),
    "sqnr": (every_row(sqnr_db=200.0), r"MODEL_CARD\.md has '- .*: lowest SQNR"),
    "a size": (lambda m: m["files"]["labels.txt"].update(size=1), "bytes, files give 1"),
    "a model that is not listed": (
        lambda m: m["models"][0].update(path="é"),
        "models give é the sha256 .*, files none",
    ),
    "a model's hash": (lambda m: m["models"][0].update(sha256="0" * 64), "the sha256 0000"),
    "an agreement": (
        lambda m: m["parity"]["agreements"][0].update(count=900, agreeing=900),
        r"MODEL_CARD\.md has '- onnxruntime: 3 of 3 validation",
    ),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_contradicts_something_does_not_pass(bundle_copy: Path, name: str) -> None:
    change, message = MANIFESTS[name]
    forge(bundle_copy, manifest=change)
    with pytest.raises(ValidationError, match=message):
        verify(bundle_copy, silent)


MALFORMED: dict[str, Callable[[Json], object]] = {
    r"stages\[0\]\.verdict: invalid": lambda m: rows(m)[0].update(verdict="good"),
    r"stages\[0\]\.max_error: expected": lambda m: rows(m)[0].update(max_error="0"),
    r"hop: expected `int`": lambda m: m["processor"].update(hop=1.5),
    r"size: expected `int`": lambda m: m["files"]["labels.txt"].update(size="1"),
}


@pytest.mark.parametrize("message", MALFORMED)
def test_a_value_of_another_type_is_not_a_manifest(bundle_copy: Path, message: str) -> None:
    forge(bundle_copy, manifest=MALFORMED[message])
    with pytest.raises(InputError, match=f"manifest.json: .*{message}"):
        bundles.read(bundle_copy)


def test_a_bundle_that_lost_a_model_does_not_pass(bundle_copy: Path) -> None:
    (bundle_copy / "funnelnet-fp32.tflite").unlink()
    forge(bundle_copy, manifest=no_model_nor_file)
    with pytest.raises(ValidationError, match=r"MODEL_CARD\.md has '\| funnelnet-fp32\.tflite"):
        verify(bundle_copy, silent)
    card = bundle_copy / "MODEL_CARD.md"
    lines = [line for line in card.read_text().splitlines() if "litert" not in line.lower()]
    card.write_text("\n".join(line for line in lines if "tflite" not in line))
    forge(bundle_copy)
    with pytest.raises(ValidationError, match=r"are too many \(litert"):
        verify(bundle_copy, silent)


def test_a_file_must_have_the_inputs_and_outputs_of_its_manifest(small_bundle: Path) -> None:
    bundle = bundles.read(small_bundle)
    (given,), (made,) = bundle.signature.inputs, bundle.signature.outputs
    for engine in engines(small_bundle, bundle.models):
        check_signature(engine, bundle.signature)
        for changed in (
            replace(bundle.signature, inputs=(replace(given, name="sound"),)),
            replace(bundle.signature, inputs=(replace(given, shape=(1, 1000), axes=()),)),
            replace(bundle.signature, outputs=(replace(made, dtype="int32"),)),
        ):
            with pytest.raises(ValidationError, match=r"fp32\..* has the (in|out)puts .*manifest"):
                check_signature(engine, changed)


def test_every_row_is_judged_and_the_digest_tells_which_bundle_it_was(small_bundle: Path) -> None:
    digest = sha256(small_bundle / "manifest.json")
    checked = verify(small_bundle, silent, digest[:16].upper())
    assert checked.digest == bundles.read(small_bundle).digest == digest
    declared = bundles.read(small_bundle).parity.stages
    repeated = [row for row in declared if row.engine not in ("captured", "rewritten")]
    assert checked.judged == len(checked.parity.stages) == len(repeated) > 0


def test_another_digest_is_refused_before_anything_is_read(bundle_copy: Path) -> None:
    digest = bundles.read(bundle_copy).digest
    forge(bundle_copy, manifest=lambda m: m["facts"].update(tinyml="9"))
    for given in (digest, digest[:16]):
        with pytest.raises(ValidationError, match="has the digest"):
            verify(bundle_copy, silent, given)
    for given in ("", digest[:15], digest + "0", "g" * 64):
        with pytest.raises(UsageError, match="16 to 64 hexadecimal digits"):
            verify(bundle_copy, silent, given)


def test_nothing_compared_never_passes(small_bundle: Path, tmp_path: Path) -> None:
    bundle = bundles.read(small_bundle)
    shown = parity.only_shown(bundle.parity.stages)
    for nothing in (Parity(()), Parity(shown)):
        assert not nothing.passed
        with pytest.raises(ValidationError, match="parity was not judged"):
            parity.gate(nothing)
    ready = list(engines(small_bundle, bundle.models))
    with pytest.raises(ValidationError, match="no output was compared"):
        compare_engines(ready, Reference({}, {}, {}), bundle.stages, silent)
    with pytest.raises(InputError, match="nothing can be compared"):
        assert_parity(small_bundle / "funnelnet-fp32.onnx", {}, {})
    bare = replace(bundle, parity=Parity(()))
    assert {pair.a and pair.a.verdict for pair in compare_parity(bare, None)} == {"not judged"}


def test_inspect_does_not_call_a_bundle_without_rows_good(bundle_copy: Path) -> None:
    forge(bundle_copy, manifest=only(lambda row: False))
    assert inspect(bundle_copy)["parity"]["verdict"] == "not judged"


def test_a_bundle_without_inputs_is_not_timed(bundle_copy: Path) -> None:
    from tinyml.pipeline.bench import bench

    forge(bundle_copy, reference=lambda _: {})
    with pytest.raises(ValidationError, match="holds no case"):
        bench(bundle_copy, timing=short(1, 1), out=None, report=silent)


@pytest.mark.parametrize("use", ["predict", "eval", "bench", "assert_parity"])
def test_every_use_of_a_bundle_looks_for_contradictions(bundle_copy: Path, use: str) -> None:
    from tinyml.pipeline.bench import bench
    from tinyml.pipeline.evaluate import evaluate
    from tinyml.pipeline.predict import predict

    uses: dict[str, Callable[[Path], object]] = {
        "predict": lambda b: predict(b, [b / "a.wav"], plot=None, runtime=None),
        "eval": lambda b: evaluate(b, part="validation", data=None, runtime=None, report=silent),
        "bench": lambda b: bench(b, timing=short(1, 1), out=None, report=silent),
        "assert_parity": lambda b: assert_parity(b, {}, {}),
    }
    forge(bundle_copy, manifest=reversed_labels)
    with pytest.raises(TinymlError, match=r"labels\.txt holds"):
        uses[use](bundle_copy)


@pytest.mark.parametrize("name", ["funnelnet-fp32.tflite", "labels.txt"])
def test_run_py_refuses_files_that_are_not_those_of_the_manifest(
    bundle_copy: Path, name: str
) -> None:
    (bundle_copy / "a.wav").touch()
    for change in (lambda p: p.write_bytes(p.read_bytes() + b"\0"), Path.unlink):
        change(bundle_copy / name)
        command = [sys.executable, str(bundle_copy / "run.py"), str(bundle_copy / "a.wav")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 5, done.stderr
        assert done.stderr == f"error: {name} is not the file that manifest.json lists\n"
