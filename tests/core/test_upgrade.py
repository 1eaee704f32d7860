"""Files of schema 1 are read; any value in any place of a file is one line of error at most."""

from __future__ import annotations

import copy
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tinyml.core import bundle as bundles
from tinyml.core import checkpoint
from tinyml.core.errors import BundleError, InputError, TinymlError
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.recipe import Recipe
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.typed_json import from_json, to_json
from tinyml.core.upgrade import SCHEMA, upgraded
from tinyml.pages.summary import sensitivity_rows
from tinyml.pipeline.bench import read_benchmark
from tinyml.pipeline.verify import verify

OLD = Path(__file__).parent / "schema_1"
EXAMPLES = Path(__file__).parents[2] / "examples" / "checkpoints"
RUN = OLD / "run"


def manifest_of(name: str, folder: Path) -> Path:
    """A folder with the manifest alone of a bundle of schema 1."""
    text = gzip.decompress((OLD / f"{name}-manifest.json.gz").read_bytes())
    (folder / bundles.MANIFEST).write_bytes(text)
    return folder


@pytest.mark.parametrize("name", ["fp32", "w8"])
def test_a_bundle_is_read_and_written_with_the_names_of_today(name: str, tmp_path: Path) -> None:
    bundle = bundles.read(OLD / name)
    bundle.check_files()
    assert [model.precision for model in bundle.models] == [name, name]
    manifest = bundle.manifest()
    assert manifest["schema"] == SCHEMA == 2
    (tmp_path / bundles.MANIFEST).write_text(json.dumps(manifest))
    again = bundles.read(tmp_path)
    assert (again.parity, again.models, again.facts) == (bundle.parity, bundle.models, bundle.facts)


def test_a_bundle_holds_what_it_promised(tmp_path: Path) -> None:
    checked = verify(Path(shutil.copytree(OLD / "w8", tmp_path / "w8")), lambda event: None)
    assert checked.judged == 7


def test_a_bundle_of_recordings_has_its_processor(tmp_path: Path) -> None:
    processor = bundles.read(manifest_of("recordings", tmp_path)).processor
    assert isinstance(processor, RecordingProcessor)
    assert (processor.window, processor.rate_hz, processor.labels[0]) == (24000, 4000, "Present")


def test_a_quantized_bundle_has_its_integers_and_its_sensitivity(tmp_path: Path) -> None:
    bundle = bundles.read(manifest_of("int8", tmp_path))
    assert {own.quant_params["x"].dtype for own in bundle.models} == {"int8"}
    _, rows = sensitivity_rows(bundle.facts.sensitivity)
    assert ("onnx", "t0", "exact", "62.3", 1) in rows


def test_a_run_is_read() -> None:
    saved = checkpoint.load(RUN)
    assert saved.recipe.id == "381fa62d7460ccda"
    assert isinstance(saved.processor, RecordingProcessor)
    assert saved.facts.validation.persons == 3


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.safetensors")), ids=lambda path: path.stem)
def test_the_examples_are_read(path: Path) -> None:
    assert isinstance(checkpoint.load(path).processor, ImageProcessor)


def test_a_benchmark_is_read() -> None:
    found = read_benchmark(OLD / "w8.bench.json").measurements
    assert [own.runtime for own in found] == ["onnxruntime", "litert"]
    (process, *_) = found[0].processes
    assert (process.before.load, process.after.load) == (12.91, 12.91)
    assert (found[0].plan, process.cpu_ns, process.is_stable) == (None, (), None)


def test_instrumented_models_had_another_name() -> None:
    row = {"engine": "litert+twin", "case": "random"}
    old = {
        "schema": 1,
        "models": [{"twin": ["a"], "twin_note": "why", "ends": {}}, 3],
        "parity": {"stages": [row, {"engine": 4}, None]},
    }
    new = upgraded(old, what="f")
    assert new["models"][0] == {
        "instrumented": ["a"],
        "instrumented_note": "why",
        "quant_params": {},
    }
    assert new["parity"]["stages"][0] == {**row, "engine": "litert+instrumented"}
    assert upgraded(new, what="f") == new


def test_sparse_kernels_were_engaged() -> None:
    old = {"schema": 1, "facts": {"sparse": {"a.tflite": {"engages": True}, "b": 1}}}
    new = upgraded(old, what="f")
    assert new["facts"]["sparse"] == {"a.tflite": {"uses_sparse_kernels": True}, "b": 1}


@pytest.mark.parametrize("data", [None, [], {}, {"schema": "1"}, {"schema": True}, {"schema": 0}])
def test_what_has_no_schema_number_is_not_ours(data: object) -> None:
    with pytest.raises(InputError, match="f has no schema number: tinyml did not write it"):
        upgraded(data, what="f")


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Of all values in ``data``; of a list, those of its first two entries."""
    inside: list[tuple[Any, Any]] = []
    if isinstance(data, dict):
        inside = list(data.items())
    elif isinstance(data, list):
        inside = list(enumerate(data[:2]))
    return [path, *(place for key, own in inside for place in places(own, (*path, key)))]


def changed(data: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    made = copy.deepcopy(data)
    inner = made
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return made


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
    max_leaves=6,
)
HEADER = json.loads(checkpoint.read_safetensors(RUN / checkpoint.FILE)[0][checkpoint.KEY])
FILES: dict[str, Any] = {
    "manifest": json.loads((OLD / "w8" / bundles.MANIFEST).read_text()),
    "quantized": json.loads(gzip.decompress((OLD / "int8-manifest.json.gz").read_bytes())),
    "recordings": json.loads(gzip.decompress((OLD / "recordings-manifest.json.gz").read_bytes())),
    "checkpoint": HEADER,
    "bench": json.loads((OLD / "w8.bench.json").read_text()),
    "recipe": HEADER["recipe"],
}
PLACES = {name: places(data) for name, data in FILES.items()}


def read_manifest(folder: Path, data: Any) -> object:
    (folder / bundles.MANIFEST).write_text(json.dumps(data))
    return bundles.read(folder).manifest()


def read_checkpoint(folder: Path, data: Any) -> object:
    path = folder / "c.safetensors"
    save_file({}, path, {checkpoint.KEY: json.dumps(data)})
    return checkpoint.load(path)


def read_bench(folder: Path, data: Any) -> object:
    path = folder / "a.bench.json"
    path.write_text(json.dumps(data))
    return read_benchmark(path).measurements


def read_recipe(folder: Path, data: Any) -> object:
    return to_json(from_json(Recipe, data, what=f"{folder}"))


READERS: dict[str, Callable[[Path, Any], object]] = {
    "manifest": read_manifest,
    "quantized": read_manifest,
    "recordings": read_manifest,
    "checkpoint": read_checkpoint,
    "bench": read_bench,
    "recipe": read_recipe,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_any_value_in_any_place_is_an_object_or_one_line(
    folder: Path, name: str, data: st.DataObject
) -> None:
    place = data.draw(st.sampled_from(PLACES[name]))
    spoilt = changed(FILES[name], place, data.draw(VALUES))
    try:
        READERS[name](folder, spoilt)
    except TinymlError as error:
        refusal = error
    else:
        return
    assert refusal.exit_code == 3
    assert str(folder) in refusal.message
    assert "\n" not in refusal.message


def test_a_place_is_named(tmp_path: Path) -> None:
    spoilt = changed(FILES["recordings"], ("models", 1, "sha256"), 3)
    with pytest.raises(BundleError, match=r"manifest.json: models\[1\]\.sha256: expected `str`"):
        read_manifest(tmp_path, spoilt)


@pytest.mark.parametrize("name", ["recipe", "training", "delegation", "not_judged"])
def test_a_fact_of_another_type_is_named(tmp_path: Path, name: str) -> None:
    spoilt = changed(FILES["recordings"], ("facts", name), 3)
    with pytest.raises(BundleError, match=rf"manifest.json: facts.{name}: expected `object"):
        read_manifest(tmp_path, spoilt)


def test_findings_call_what_helps_a_fix() -> None:
    found = bundles.read(OLD / "fp32").facts
    rows = [row for rows in found.lint.values() for row in rows]
    left = [row for own in found.delegation.values() for row in own.get("undelegated", [])]
    assert rows
    assert all(row.fix for row in rows)
    assert all("fix" in row and "cure" not in row for row in left)
