"""A format and its engine that no part of the package knows: one linear layer in an .npz."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from optional_runtimes import Agreeing

from tinyml.core.files import write_bytes
from tinyml.export.capture.program import Captured
from tinyml.export.facts import Facts
from tinyml.modelfile.graph import Graph, Operator, Tensor
from tinyml.runtimes.base import Reader


def write(captured: Captured, path: Path, plan: Any = None, *, sparse: bool = True) -> Facts:
    weight, bias = (value.detach().numpy() for value in captured.program.state_dict.values())
    stream = io.BytesIO()
    np.savez(stream, weight=weight, bias=bias)
    write_bytes(path, stream.getvalue())
    return Facts("npz", "fp32", {}, dict.fromkeys(captured.stages, "output"), {}, "numpy>=2")


@dataclass(frozen=True, slots=True)
class Npz:
    """See `tinyml.export.formats.base.Format`."""

    name: str = "npz"
    suffix: str = ".npz"
    runtime: str = "matmul"
    extra: str = "npz"
    needs: tuple[tuple[str, str], ...] = (("numpy", "numpy"),)
    refusal: str = "npz cannot hold {}"
    writer: str = "throwaway_format"
    quantizer: str = ""
    computes_float16: bool = False
    stores_sparse: bool = False
    has_script: bool = False
    minimum_runtime: str = ""

    def write(
        self, captured: Captured, path: Path, plan: Any = None, *, sparse: bool = True
    ) -> Facts:
        return write(captured, path)

    def read_graph(self, path: Path) -> Graph:
        weight = np.load(path)["weight"]
        shapes = {"x": (1, weight.shape[1]), "w": weight.shape, "output": (1, weight.shape[0])}
        tensors = {name: Tensor(name, shape, "float32") for name, shape in shapes.items()}
        tensors["w"] = replace(tensors["w"], constant=lambda: weight)
        operator = Operator("output", "MatMul", ("x", "w"), ("output",))
        size = path.stat().st_size
        return Graph((operator,), ("output",), ("x",), tensors, format="npz", file_bytes=size)

    def rewrite(self, model: Any, *, sparse: bool = True) -> Mapping[str, int]:
        return {}

    def quantize(self, path: Path, plan: Any) -> bytes:
        raise NotImplementedError

    def cut(self, path: Path, tensor: str, out: Path) -> tuple[str, ...]:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Matmul(Agreeing):
    """The format's own engine, which shows stages too."""

    name: str = "matmul"
    optimised: str = "matmul+nothing"
    package: str = "numpy"
    extra: str = "npz"
    reads_inside: bool = True
    precision: str = ""

    def reader(self, path: Path, names: Sequence[str]) -> Reader:
        return lambda inputs: {name: self.open(path).run(inputs)[name] for name in names}


NPZ, MATMUL = Npz(), Matmul()

if __name__ == "__main__":
    from tinyml.export.formats.instrumented import run_writer

    run_writer(write, sys.argv[1:])
