"""Two bundles or files beside each other: what differs is shown, what does not is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from two_files import FLOATS, HEADER, INTEGERS, PROCESSOR, SIGNATURE, row, write_bundle, write_onnx

from tinyml.core.bundle import Agreement, Metric, Parity
from tinyml.core.bundle_facts import BundleFacts
from tinyml.core.errors import BundleError, InputError, MissingExtraError
from tinyml.core.paired_difference import Difference
from tinyml.core.spec import TensorSpec
from tinyml.pipeline import compare_files
from tinyml.pipeline.compare import Comparison, compare
from tinyml.pipeline.compare_text import sections


def silent(_: object) -> None:
    """Nobody listens."""


def compared(a: Path, b: Path) -> Comparison:
    """Without running anything; what is found is also JSON and text."""
    found = compare(a, b, None, silent)
    json.dumps(found.to_json(), allow_nan=False)
    assert sections(found)
    return found


def sizes(found: Comparison, index: int = 0) -> dict[str, tuple[Any, Any]]:
    return {own.name: (own.a, own.b) for own in found.files[index].sizes}


def differing(rows: Any) -> dict[str, tuple[Any, Any]]:
    return {own.name: (own.a, own.b) for own in rows if own.differs}


def text(found: Comparison) -> str:
    return "\n".join(
        " ".join(map(str, line))
        for part in sections(found)
        for line in ((part.title,), *part.rows, *((own,) for own in part.lines))
    )


@pytest.fixture
def floats(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "floats", FLOATS)


@pytest.fixture
def integers(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "integers", INTEGERS, "w8a8-static")


def test_a_bundle_does_not_differ_from_itself(floats: Path) -> None:
    found = compared(floats, floats)
    assert found.files[0].identical
    for rows in (found.about, found.signature, found.processor, found.files[0].operators):
        assert rows
        assert not differing(rows)
    said = text(found)
    assert "net.onnx: the same" in said
    assert "signature: the same" in said
    assert "only in" not in said


def test_integers_against_floats_by_size_operator_and_layer(floats: Path, integers: Path) -> None:
    found = compared(floats, integers)
    (pair,) = found.files
    assert sizes(found)["precision"] == ("fp32", "w8a8-static")
    assert sizes(found)["parameters"] == (18, 18)
    assert sizes(found)["MACs"] == (18, 18)
    assert sizes(found)["weight bytes"] == (4 * 18, 12 + 4 * 6)
    assert sizes(found)["file bytes"][0] == (floats / "net.onnx").stat().st_size
    assert differing(pair.operators) == {
        "Relu": (1, None),
        "DequantizeLinear": (None, 2),
        "QuantizeLinear": (None, 1),
    }
    layers = [(own.name_a, own.name_b, own.stored_a, own.stored_b) for own in pair.layers]
    assert layers == [
        ("first", "product", "float32/float32", "int8/uint8"),
        ("y", "y", "float32/float32", "float32/float32"),
    ]
    said = text(found)
    assert "Relu 1 - only in A" in said
    assert "float32/float32 int8/uint8 1 67% first" in said


def test_a_layer_that_only_one_has_is_told_and_does_not_shift_the_others(tmp_path: Path) -> None:
    longer = FLOATS.replace("a = Relu(first)", "b = Relu(first) a = MatMul(b, e)").replace(
        "<float", "<float[3, 3] e = {1, 0, 0, 0, 1, 0, 0, 0, 1}, float"
    )
    a, b = write_onnx(tmp_path / "a.onnx", FLOATS), write_onnx(tmp_path / "b.onnx", longer)
    found = [(own.name_a, own.name_b) for own in compared(a, b).files[0].layers]
    assert found == [("first", "first"), (None, "a"), ("y", "y")]


def test_layers_are_paired_by_their_place_where_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_files, "MOST_ALIGNED", 1)
    a = write_onnx(tmp_path / "a.onnx", FLOATS)
    b = write_onnx(
        tmp_path / "b.onnx",
        HEADER + "g (float[1, 3] x) => (float[1, 2] y) <float[3, 2] v = {1, 2, 3, 4, 5, 6}> "
        "{ y = MatMul(x, v) }",
    )
    layers = compared(a, b).files[0].layers
    assert [(own.name_a, own.name_b) for own in layers] == [("first", "y"), ("y", None)]


def test_without_macs_layers_are_paired_by_their_parameters(tmp_path: Path) -> None:
    free = FLOATS.replace("float[1, 4] x", "float[1, n] x").replace("float[1, 2] y", "float[] y")
    a, b = write_onnx(tmp_path / "a.onnx", free), write_onnx(tmp_path / "b.onnx", FLOATS)
    found = compared(a, b)
    assert sizes(found)["MACs"] == (None, 18)
    assert [own.name_b for own in found.files[0].layers] == ["first", "y"]


def test_the_lowest_decibels_are_those_of_what_was_judged(tmp_path: Path, floats: Path) -> None:
    rows = (
        row("squeeze", 31.0, policy="int8"),
        row("head", 24.5, policy="int8"),
        row("head", 40.0, policy="int8", case="other"),
        row("bank", 3.0, verdict="not judged"),
        row("y", None, engine="captured", max_error=0.0),
        row("y", None, engine="rewritten"),  # noise on a silent stage is not exact
        row("bank", None, engine="litert", verdict="fused away"),
    )
    other = write_bundle(tmp_path / "other", INTEGERS, parity=Parity(rows))
    of = {own.engine: own for own in compared(floats, other).parity}
    runtime = of["onnxruntime"]
    assert runtime.a is not None
    assert runtime.b is not None
    assert (runtime.a.verdict, runtime.a.lowest_db, runtime.a.stage) == ("pass", 90.0, "y")
    assert (runtime.b.verdict, runtime.b.lowest_db, runtime.b.stage) == ("pass", 24.5, "head")
    assert of["captured"].a is None
    assert of["captured"].b is not None
    assert (of["captured"].b.verdict, of["captured"].b.lowest_db) == ("pass", None)
    assert of["litert"].b is not None
    assert of["litert"].b.verdict == "not judged"
    said = text(compared(floats, other))
    assert "captured - -  pass exact" in said
    assert "rewritten - -  pass -" in said
    assert "litert - -  not judged -" in said


def test_a_failed_stage_is_a_failed_engine(tmp_path: Path, floats: Path) -> None:
    rows = (row("y", 9.0, verdict="fail"), row("x", 50.0))
    failed = write_bundle(tmp_path / "failed", FLOATS, parity=Parity(rows))
    engine, outputs = compared(floats, failed).parity
    assert engine.b is not None
    assert engine.b.verdict == "fail"
    assert outputs.engine == "onnxruntime+fusion"
    assert outputs.b is not None
    assert outputs.b.verdict == "not judged"


def test_labels_that_moved_and_metrics_stand_beside_each_other(
    tmp_path: Path, floats: Path
) -> None:
    parity = Parity(
        (row("y", 20.0),),
        (
            Agreement(
                *("onnxruntime", "images", 2000, 1973, 0.1, (), "accuracy"),
                Difference(0.807, 0.806, -0.003, 0.001),
            ),
        ),
        metrics=(Metric("pytorch", "accuracy", 0.9125, 800),),
    )
    other = write_bundle(tmp_path / "other", INTEGERS, parity=parity)
    assert differing(compared(floats, other).agreements) == {
        "onnxruntime, label agreement of images": (None, "1,973 of 2,000"),
        "onnxruntime, accuracy in points of PyTorch's": (None, "-0.10 (-0.30 to +0.10)"),
        "pytorch, accuracy": (None, "0.9125 on 800 samples"),
    }


def test_what_surrounds_the_graph_is_compared_setting_by_setting(
    tmp_path: Path, floats: Path
) -> None:
    other = write_bundle(
        tmp_path / "other",
        FLOATS,
        processor=replace(PROCESSOR, hop=4, thresholds=(0.25,)),
        signature=replace(SIGNATURE, inputs=(TensorSpec("x", (1, 4), rate_hz=2000),)),
        target="rpi5",
        facts=BundleFacts(tinyml="0.1.0", recipe_id="b"),
    )
    found = compared(floats, other)
    assert differing(found.processor) == {"hop": ("2", "4"), "thresholds": ("none", "0.25")}
    assert differing(found.signature) == {
        "input x": ("float32 1 x 4, 4000 Hz", "float32 1 x 4, 2000 Hz"),
    }
    assert differing(found.about) == {"target": ("rpi4", "rpi5"), "recipe": ("a", "b")}


def test_a_bundle_without_a_decision_has_none(tmp_path: Path) -> None:
    a = write_bundle(tmp_path / "a", FLOATS, processor=None)
    b = write_bundle(tmp_path / "b", INTEGERS, processor=None)
    assert "processor: none" in text(compared(a, b))


def test_a_file_alone_has_no_evidence_and_that_is_said(tmp_path: Path, floats: Path) -> None:
    file = write_onnx(tmp_path / "own.onnx", INTEGERS)
    found = compared(floats, floats / "net.onnx")
    assert found.files[0].identical
    said = text(found)
    assert "processor: a file alone has none" in said
    assert "parity: a file alone has none" not in said  # The bundle's is shown.
    assert "parity: a file alone has none" in text(compared(floats / "net.onnx", file))


def test_inputs_of_other_names_are_not_the_same(tmp_path: Path) -> None:
    a = write_onnx(tmp_path / "a.onnx", FLOATS)
    b = write_onnx(tmp_path / "b.onnx", FLOATS.replace(" x)", " given)").replace("(x,", "(given,"))
    assert differing(compared(a, b).signature) == {
        "input x": ("float32 1 x 4", None),
        "input given": (None, "float32 1 x 4"),
    }


def test_a_file_that_was_changed_in_its_bundle_is_named(floats: Path, integers: Path) -> None:
    write_onnx(integers / "net.onnx", FLOATS)
    found = compared(floats, integers)
    contradiction, changed = found.notes
    assert contradiction.startswith("B's bundle contradicts itself: net.onnx has ")
    assert changed == "net.onnx was changed after its export: its parity is that of another file"


def test_a_bundle_that_lost_its_model_file_is_refused(floats: Path, integers: Path) -> None:
    (integers / "net.onnx").unlink()
    with pytest.raises(BundleError, match=r"integers lacks its model file net\.onnx"):
        compared(floats, integers)


@pytest.mark.parametrize("name", ["nowhere", "text.txt", "broken.onnx", "broken.tflite", "empty"])
def test_what_is_neither_a_bundle_nor_a_model_file_is_refused(
    tmp_path: Path, floats: Path, name: str
) -> None:
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "broken.onnx").write_bytes((floats / "net.onnx").read_bytes()[:40])
    (tmp_path / "broken.tflite").write_bytes(b"\x00" * 40)
    (tmp_path / "empty").mkdir()
    for pair in ((floats, tmp_path / name), (tmp_path / name, floats)):
        with pytest.raises(InputError, match=name):
            compared(*pair)


def test_without_a_reader_a_bundles_manifest_is_still_compared(
    floats: Path, integers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnx.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = compared(floats, integers)
    assert sizes(found)["precision"] == ("fp32", "w8a8-static")
    assert sizes(found)["MACs"] == (None, None)
    assert "net.onnx is not read: onnx is not installed" in found.notes[0]
    assert "operators: not known" in text(found)
    with pytest.raises(MissingExtraError):
        compared(floats / "net.onnx", integers)


def test_two_formats_of_one_network_have_the_same_layers(small_bundle: Path) -> None:
    a, b = (next(small_bundle.glob(f"*.{fmt}")) for fmt in ("onnx", "tflite"))
    found = compared(a, b)
    (pair,) = found.files
    assert len(pair.layers) > 20
    assert all(own.name_a and own.name_b for own in pair.layers)
    assert "they are of different formats: operators have other names in each" in found.notes
    against = compared(small_bundle, b)
    assert [own.a.format for own in against.files] == ["tflite"]
    assert f"A's {a.name} has no counterpart in B" in against.notes


def test_what_a_tflite_file_stores_sparse_is_shown(small_bundle: Path, tmp_path: Path) -> None:
    from tinyml.export.formats.tflite.rewrites.share_buffers import share_buffers
    from tinyml.export.formats.tflite.rewrites.store_sparse import store_sparse
    from tinyml.modelfile import tflite_file

    dense = next(small_bundle.glob("*.tflite"))
    model = tflite_file.unpack(dense.read_bytes())
    for tensor in model.subgraphs[0].tensors:
        held = model.buffers[tensor.buffer]
        if list(tensor.shape)[1:3] == [1, 1] and held.data is not None and len(tensor.shape) == 4:
            values = np.array(held.data).view(np.float32).copy()
            values[np.arange(values.size) % 20 != 0] = 0
            held.data = values.view(np.uint8)
    stored = store_sparse(model).count
    share_buffers(model)
    sparse = tmp_path / "sparse.tflite"
    sparse.write_bytes(tflite_file.pack(model))
    found = compared(dense, sparse)
    told = sizes(found)
    assert stored > 2
    assert told["weights stored sparse"] == (0, stored)
    assert told["sparse bytes"][1] < 0.5 * told["the same, dense"][1]
    saved = told["the same, dense"][1] - told["sparse bytes"][1]
    assert told["weight bytes"][0] - told["weight bytes"][1] == saved
    assert told["parameters"][0] == told["parameters"][1]
    assert differing(found.files[0].operators) == {"DENSIFY": (None, stored)}
