"""The TFLite format: written by LiteRT's converter, run by LiteRT."""

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
class Tflite:
    """See `tinyml.export.formats.base.Format`."""

    name: str = "tflite"
    suffix: str = ".tflite"
    runtime: str = "litert"
    extra: str = "tflite"
    needs: tuple[tuple[str, str], ...] = (("torch", "torch"), ("litert_torch", "litert-torch"))
    refusal: str = "LiteRT cannot convert {}"
    writer: str = "tinyml.export.formats.tflite.write"
    quantizer: str = "tinyml.export.formats.tflite.quantize"
    computes_float16: bool = False
    stores_sparse: bool = True
    has_script: bool = True
    minimum_runtime: str = ""

    def write(
        self,
        captured: Captured,
        path: Path,
        *,
        sparse: bool = True,
    ) -> Facts:
        from tinyml.export.formats.tflite.write import write

        return write(captured, path, sparse=sparse)

    def read_graph(self, path: Path) -> Graph:
        from tinyml.modelfile.tflite_graph import read_tflite_graph

        return read_tflite_graph(path)

    def rewrite(self, model: Any, *, sparse: bool = True) -> Mapping[str, int]:
        from tinyml.export.formats.tflite.rewrites import rewrite

        return rewrite(model, sparse=sparse)

    def quantize(self, path: Path, plan: Any) -> bytes:
        from tinyml.export.formats.tflite.quantize import quantized_bytes

        return quantized_bytes(path, plan)

    def newest_part(self, path: Path) -> str:
        from tinyml.export.formats.tflite.minimum_runtime import newest_operator, operators_of
        from tinyml.modelfile import tflite_file

        name, version = newest_operator(operators_of(tflite_file.unpack(path.read_bytes())))
        return f"{name} version {version}"

    def bias_editor(self) -> BiasEditor:
        from tinyml.export.formats.tflite import correct_biases

        return correct_biases

    def cut(self, path: Path, tensor: str, out: Path) -> tuple[str, ...]:
        from tinyml.modelfile.tflite_cut import cut_tflite

        return cut_tflite(path, tensor, out)


TFLITE: Format = Tflite()
