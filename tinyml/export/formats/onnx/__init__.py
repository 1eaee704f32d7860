"""The ONNX format: written by PyTorch's exporter, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyml.export.capture.program import Captured
    from tinyml.export.facts import Facts
    from tinyml.export.formats.base import Format
    from tinyml.export.formats.bias_editor import BiasEditor
    from tinyml.modelfile.graph import Graph


@dataclass(frozen=True, slots=True)
class Onnx:
    """See `tinyml.export.formats.base.Format`."""

    name: str = "onnx"
    suffix: str = ".onnx"
    runtime: str = "onnxruntime"
    extra: str = "onnx"
    needs: tuple[tuple[str, str], ...] = (
        ("torch", "torch"),
        ("onnxscript", "onnxscript"),
        ("onnx_ir", "onnx-ir"),
    )
    refusal: str = "PyTorch cannot write {} as ONNX"
    writer: str = "tinyml.export.formats.onnx.write"
    quantizer: str = "tinyml.export.formats.onnx.quantize"
    computes_float16: bool = True
    stores_sparse: bool = False
    has_script: bool = False
    # The first with opset 18 and IR version 8: docs/Versioning.md of onnxruntime.
    minimum_runtime: str = "onnxruntime>=1.14"

    def write(
        self,
        captured: Captured,
        path: Path,
        *,
        sparse: bool = True,
    ) -> Facts:
        from tinyml.export.formats.onnx.write import write

        return write(captured, path)

    def read_graph(self, path: Path) -> Graph:
        from tinyml.modelfile.onnx_graph import read_onnx_graph

        return read_onnx_graph(path, infer_shapes=True)

    def rewrite(self, model: Any, *, sparse: bool = True) -> Mapping[str, int]:
        from tinyml.export.formats.onnx.rewrites import rewrite

        return rewrite(model)

    def quantize(self, path: Path, plan: Any) -> bytes:
        from tinyml.export.formats.onnx.quantize import quantized_bytes

        return quantized_bytes(path, plan)

    def newest_part(self, path: Path) -> str:
        import onnx

        model = onnx.load(path, load_external_data=False)
        return f"opset {max(own.version for own in model.opset_import)}"

    def bias_editor(self) -> BiasEditor:
        from tinyml.export.formats.onnx import correct_biases

        return correct_biases

    def cut(self, path: Path, tensor: str, out: Path) -> tuple[str, ...]:
        from tinyml.modelfile.onnx_cut import cut_onnx

        return cut_onnx(path, tensor, out)


ONNX: Format = Onnx()
