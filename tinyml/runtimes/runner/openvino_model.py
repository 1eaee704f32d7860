"""OpenVINO on a CPU: how a file is opened in it, here and by the runner."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Imported by OpenVINO's own __init__, which does without where it cannot be: it converts models,
# and reports its use to Intel when it is imported, unless the user opted out.
CONVERTER = "openvino.tools.ovc"
# float32 stays float32 on CPUs with AMX, where OpenVINO computes in bfloat16 of its own accord.
EXACT = "f32"
DTYPES = {
    "f32": "float32",
    "f16": "float16",
    "bf16": "bfloat16",
    "i8": "int8",
    "u8": "uint8",
    "i32": "int32",
    "i64": "int64",
    "boolean": "bool",
}
# The end of a layer's ``primitiveType``: what its kernel reads. Its ``runtimePrecision`` is that of
# its input before a conversion: int8 of a convolution that has no such kernel and runs in float32.
KERNELS = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "i8": "int8", "I8": "int8"}
# What a runtime model calls layers that only hold or move values: they tell of no precision.
MOVES = {"Const", "Input", "Output", "Reorder", "Reshape", "Concatenation", "Convert"}
MOVES |= {"Split", "Transpose", "MemoryInput", "MemoryOutput"}


class OpenVinoModel:
    """An .onnx file, with all optimisations but no fewer bits; it has no delegate."""

    def __init__(
        self, module: Any, path: str, threads: int, rounds: bool, delegate: str | None
    ) -> None:
        self.delegate = None
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": EXACT}
        settings.update(INFERENCE_NUM_THREADS=threads, NUM_STREAMS=1, PERFORMANCE_HINT="LATENCY")
        settings["ENABLE_CPU_PINNING"] = False  # threads may move to an idle core, as others' do
        core = module.Core()
        # As read: a compiled model has several names for what it has merged.
        self.read = core.read_model(path)
        compiled = core.compile_model(self.read, "CPU", settings)
        self.precision = computed(compiled)
        self.inputs = {port.get_any_name(): dtype(port) for port in self.read.inputs}
        self.names = [port.get_any_name() for port in self.read.outputs]
        self.request = compiled.create_infer_request()

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        values = self.request.infer(feeds)
        return {name: values[place] for place, name in enumerate(self.names)}


def dtype(port: Any) -> str:
    """Of an input or output, as numpy calls it."""
    kind = str(port.get_element_type().get_type_name())
    return DTYPES.get(kind, kind)


def computed(compiled: Any) -> str:
    """The precisions that a compiled model's layers compute in, that of the most layers first."""
    counts: Counter[str] = Counter()
    for layer in compiled.get_runtime_model().get_ops():
        found = {key: value.astype(str) for key, value in layer.get_rt_info().items()}
        kind = found.get("primitiveType", "").rpartition("_")[2]
        if kind in KERNELS and found.get("layerType") not in MOVES:
            counts[KERNELS[kind]] += 1
    return " and ".join(name for name, _ in counts.most_common())


def import_openvino() -> Any:
    """The module, which sends nothing: `CONVERTER` is not imported with it."""
    with _without(CONVERTER):
        import openvino

    return openvino


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Nobody can import ``module`` meanwhile; where it is imported already, it stays."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
