"""Arrays, stages and outputs keep their names, whatever these are, through every file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tinyml.core.array_files import read_npz, write_npz
from tinyml.core.errors import InputError, UsageError
from tinyml.core.spec import Array, Signature, TensorSpec
from tinyml.core.typed_json import from_json, to_json
from tinyml.export.adapt import signature_of
from tinyml.pipeline.model_sources.user_model import Asked
from tinyml.pipeline.model_sources.workspace import MetricJob, Workspace
from tinyml.pipeline.outputs import reference
from tinyml.pipeline.outputs.reference import Reference
from tinyml.pipeline.steps.export_plan import check_name
from tinyml.runtimes.runner import main as runner

NAMES = st.text(min_size=1, max_size=200).filter(str.isprintable)
SEVERAL = st.lists(NAMES, min_size=2, max_size=4, unique=True)
KNOWN = ["file", "self", "allow_pickle", "a.b/c", "../x", "x.npy", "name", "n" * 200, "ünï ;;x"]


def arrays(names: list[str]) -> dict[str, Array]:
    return {name: np.full(2, place, np.float32) for place, name in enumerate(names)}


def same(found: dict[str, Array], wanted: dict[str, Array]) -> bool:
    return [*found] == [*wanted] and all(np.array_equal(found[n], wanted[n]) for n in wanted)


@given(SEVERAL)
@example(KNOWN)
@settings(max_examples=40, deadline=None)
def test_in_the_files_of_an_export_and_of_a_board(names: list[str]) -> None:
    wanted = arrays(names)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arrays.npz"
        write_npz(path, wanted)
        assert same(read_npz(path), wanted)
        assert same(dict(runner.read_inputs(str(path))), wanted)
        runner.write_outputs(str(path), wanted)
        assert same(read_npz(path), wanted)
        work = Workspace(Path(folder))
        work.save_sample(wanted)
        assert same(work.load_sample(), wanted)
        work.save_metric_job(MetricJob("f", ("torch",)), {"torch": wanted}, np.zeros(1))
        assert same(work.load_metric_job()[1]["torch"], wanted)


@given(SEVERAL)
@example(KNOWN)
@settings(max_examples=40, deadline=None)
def test_in_the_reference_and_the_manifest(names: list[str]) -> None:
    wanted = arrays(names)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reference.safetensors"
        Reference({"sample": wanted}, {"sample": wanted}, {"sample": wanted}).save(path)
        read = reference.load(path)
    for found in (read.inputs, read.stages, read.outputs):
        assert found["sample"].keys() == wanted.keys()
        assert all(np.array_equal(found["sample"][name], wanted[name]) for name in wanted)
    specs = [TensorSpec(name, (2,)) for name in names]
    signature = Signature(tuple(specs[:1]), tuple(specs[1:]))
    assert from_json(Signature, to_json(signature)) == signature


@pytest.mark.parametrize("name", ["file", "allow_pickle"])
def test_numpys_own_writer_has_no_room_for_some(name: str, tmp_path: Path) -> None:
    """Why there is another: its parameters are names too."""
    try:
        np.savez(tmp_path / "arrays.npz", **{name: np.zeros(2)})
    except TypeError:
        return
    with np.load(tmp_path / "arrays.npz") as found:
        assert name not in found.files


@pytest.mark.parametrize("label", ["", "a\nb", "a\u2028b"])
def test_a_label_is_one_line(label: str) -> None:
    with pytest.raises(InputError, match="is not one line"):
        Asked({"x": np.zeros(2, np.float32)}, labels=("fine", label))


@pytest.mark.parametrize("name", ["", "a/b", "a\nb", "ü" * 100])
def test_a_models_name_that_cannot_begin_a_files_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of model files"):
        check_name(name)
    check_name("a model")


@pytest.mark.parametrize("name", ["", "a\nb", "\ud800"])
def test_an_output_has_a_name_that_can_be_printed(name: str) -> None:
    with pytest.raises(InputError, match="has no name that can be printed"):
        signature_of((TensorSpec("x", (1,)),), {name: torch.zeros(1)}, {})
