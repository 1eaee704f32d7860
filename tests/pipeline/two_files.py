"""Small ONNX files in float and in integers, and bundles of them, made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser

from tinyml.core.bundle import (
    LABELS,
    MANIFEST,
    REFERENCE,
    Bundle,
    ListedFile,
    ModelFile,
    Parity,
    StageParity,
)
from tinyml.core.bundle_facts import BundleFacts
from tinyml.core.files import sha256, write_json
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.spec import Signature, TensorSpec
from tinyml.pipeline.outputs.reference import Reference

HEADER = '<ir_version: 8, opset_import: ["" : 18]>\n'
FLOATS = (
    HEADER
    + """
g (float[1, 4] x) => (float[1, 2] y)
<float[4, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, float[3, 2] v = {1, 2, 3, 4, 5, 6}>
{ first = MatMul(x, w) a = Relu(first) y = MatMul(a, v) }"""
)
# The first product in integers, the second still in floats, and no Relu.
INTEGERS = (
    HEADER
    + """
g (float[1, 4] x) => (float[1, 2] y)
<int8[4, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, float s = {0.5}, uint8 z = {3},
 int8 zw = {0}, float[3, 2] v = {1, 2, 3, 4, 5, 6}>
{
    q = QuantizeLinear(x, s, z)
    d = DequantizeLinear(q, s, z)
    u = DequantizeLinear(w, s, zw)
    product = MatMul(d, u)
    y = MatMul(product, v)
}"""
)
PROCESSOR = RecordingProcessor(labels=("sick", "well"), window=4, hop=2, rate_hz=4000)
SIGNATURE = Signature((TensorSpec("x", (1, 4), rate_hz=4000),), (TensorSpec("y", (1, 2)),))


def write_onnx(path: Path, text: str) -> Path:
    """The model that ``text`` describes."""
    path.write_bytes(onnx.parser.parse_model(text).SerializeToString())
    return path


def row(stage: str, sqnr_db: float | None, **told: Any) -> StageParity:
    """A judged stage of onnxruntime."""
    given: dict[str, Any] = {
        "engine": "onnxruntime",
        "case": "sample",
        "verdict": "pass",
        "policy": "engine",
    }
    given |= {"max_error": 0.1, "bound": 1.0}
    return StageParity(stage=stage, sqnr_db=sqnr_db, **(given | told))


def write_bundle(folder: Path, text: str, precision: str = "fp32", **told: Any) -> Path:
    """A bundle of one ONNX file; ``told`` replaces what its manifest says."""
    folder.mkdir()
    path = write_onnx(folder / "net.onnx", text)
    model = ModelFile(
        path.name, sha256(path), "onnx", precision, {"fold_constants": 3}, {}, {}, "onnxruntime>=1"
    )
    ones = {"sample": {"x": np.ones((1, 4), np.float32)}}
    Reference(ones, {}, {"sample": {"y": np.ones((1, 2), np.float32)}}).save(folder / REFERENCE)
    processor = told.get("processor", PROCESSOR)
    if processor is not None:
        (folder / LABELS).write_text("".join(f"{label}\n" for label in processor.labels))
    files = {own.name: ListedFile(own.stat().st_size, sha256(own)) for own in folder.iterdir()}
    facts = BundleFacts(tinyml="0.1.0", recipe_id="a")
    says: dict[str, Any] = {
        "model": "net",
        "target": "rpi4",
        "signature": SIGNATURE,
        "processor": PROCESSOR,
        "parity": Parity((row("y", 90.0),)),
        "facts": facts,
    }
    bundle = Bundle(
        folder=folder, models=(model,), stages=(), front_end=None, files=files, **(says | told)
    )
    write_json(folder / MANIFEST, bundle.manifest())
    return folder
