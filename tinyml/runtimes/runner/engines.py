"""The runtimes that open a model file: one class for each, and how each is imported."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import numpy as np

from tinyml.runtimes.runner import machine
from tinyml.runtimes.runner.errors import NotInstalledError, RunnerError
from tinyml.runtimes.runner.openvino_model import OpenVinoModel, import_openvino

DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}
# kOrtSessionOptionsAvx2PrecisionMode of onnxruntime_session_options_config_keys.h: its kernels
# for x86 without VNNI add two products of eight bits in 16, which overflows where activations
# and weights are both large. With this it takes slower ones that do not; others do not change.
# Not with VNNI, where sums are exact anyway: onnxruntime 1.32 does not see that of a CPU with AMX,
# and takes 2.5 times as long. Only for files that round activations: of a weight that is
# dequantized for a float operator it makes one that onnxruntime 1.32 cannot run.
WHOLE_SUMS = ("session.x64quantprecision", "1")
# Parts of the names of all ONNX operators that round activations or compute with rounded ones.
ROUNDING = (b"QuantizeLinear", b"QLinear")
RUNTIMES = ("litert", "tflite_runtime", "onnxruntime", "openvino")
NO_DELEGATE = "none"
Arrays = dict[str, Any]


class LiteRtModel:
    """A .tflite file in LiteRT or tflite-runtime, with the default delegate or with none.

    ``precision`` of each class: what it really computes in; empty where the runtime does not tell.
    """

    precision = ""

    def __init__(
        self, module: Any, path: str, threads: int, rounds: bool, delegate: str | None
    ) -> None:
        self.delegate = delegate
        settings: dict[str, Any] = {"num_threads": threads}
        if delegate == NO_DELEGATE:
            kinds = module.OpResolverType
            settings["experimental_op_resolver_type"] = kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self.interpreter = module.Interpreter(model_path=path, **settings)
        self.interpreter.allocate_tensors()
        signatures = self.interpreter.get_signature_list()
        if len(signatures) > 1:
            raise RunnerError("{} has several signatures: {}".format(path, sorted(signatures)))
        if signatures:
            runner = self.interpreter.get_signature_runner(next(iter(signatures)))
            inputs, outputs = runner.get_input_details(), runner.get_output_details()
        else:
            inputs = {d["name"]: d for d in self.interpreter.get_input_details()}
            outputs = {d["name"]: d for d in self.interpreter.get_output_details()}
        self.inputs = {name: np.dtype(d["dtype"]).name for name, d in inputs.items()}
        self.input_indices = {name: d["index"] for name, d in inputs.items()}
        self.output_indices = {name: d["index"] for name, d in outputs.items()}

    def run(self, feeds: Arrays) -> Arrays:
        for name, array in feeds.items():
            self.interpreter.set_tensor(self.input_indices[name], array)
        self.interpreter.invoke()
        return {n: self.interpreter.get_tensor(i) for n, i in self.output_indices.items()}


class OrtModel:
    """An .onnx file in onnxruntime on the CPU, with all graph optimisations; it has no delegate."""

    precision = ""

    def __init__(
        self,
        module: Any,
        path: str,
        threads: int,
        rounds: bool,
        delegate: str | None,
        profile: str = "",
    ) -> None:
        """``profile``: the start of the path of a trace that the session writes at its end."""
        self.delegate = None
        options = module.SessionOptions()
        if profile:
            options.enable_profiling, options.profile_file_prefix = True, profile
        options.log_severity_level = 4
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        if rounds and not machine.has_dot_products():
            options.add_session_config_entry(*WHOLE_SUMS)
        self.session = module.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.inputs = {i.name: _ort_dtype(i.type) for i in self.session.get_inputs()}
        self.names = [o.name for o in self.session.get_outputs()]

    def run(self, feeds: Arrays) -> Arrays:
        return dict(zip(self.names, self.session.run(self.names, feeds)))  # noqa: B905 (3.9)


def _ort_dtype(kind: str) -> str:
    return DTYPES.get(kind) or kind[len("tensor(") : -1]


def import_runtime(name: str) -> tuple[Any, Any, str]:
    """The class that opens a model, the runtime's module and its version.

    ``litert`` is its predecessor where only that one is installed; the version says so.
    """
    if name == "onnxruntime":
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        if name == "onnxruntime":
            import onnxruntime as module

            return OrtModel, module, module.__version__
        if name == "openvino":
            module = import_openvino()
            return OpenVinoModel, module, module.__version__.partition("-")[0]
        if name == "tflite_runtime" or (name == "litert" and not installed("ai_edge_litert")):
            import tflite_runtime as package
            from tflite_runtime import interpreter as module
        else:
            import ai_edge_litert as package
            from ai_edge_litert import interpreter as module
    except ImportError as error:
        kind = NotInstalledError if isinstance(error, ModuleNotFoundError) else RunnerError
        raise kind("{} cannot be imported here: {}".format(name, error)) from error
    version = getattr(package, "__version__", "unknown")
    fallen_back = name == "litert" and package.__name__ == "tflite_runtime"
    return LiteRtModel, module, "tflite-runtime " + version if fallen_back else version


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
