"""What a model file holds, as the data that both formats have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinyml.modelfile.graph import Graph
from tinyml.modelfile.ops import Shape


@dataclass(frozen=True, slots=True)
class TensorSummary:
    """An input or output; a size that is not fixed is its name or ``?``."""

    name: str
    shape: Shape
    dtype: str


@dataclass(frozen=True, slots=True)
class SignatureContents:
    """One of the functions that a .tflite offers, and the graphs that it runs."""

    name: str
    inputs: tuple[TensorSummary, ...]
    outputs: tuple[TensorSummary, ...]
    graphs: tuple[Graph, ...]


@dataclass(frozen=True, slots=True)
class FileContents:
    """What a file holds.

    graphs    the main one; of a .tflite also those of its branches and loops, which an .onnx
              file has in the first one
    ops       every operator by name
    versions  operator -> its version (TFLite); operator set -> its version (ONNX)
    custom    what no standard runtime has: Flex, custom, foreign domains
    inputs, outputs  of the first signature; of a file without one, of the main graph
    """

    format: str
    graphs: tuple[Graph, ...]
    inputs: tuple[TensorSummary, ...]
    outputs: tuple[TensorSummary, ...]
    ops: tuple[str, ...]
    versions: Mapping[str, int]
    custom: tuple[str, ...]
    signatures: tuple[SignatureContents, ...] = ()
