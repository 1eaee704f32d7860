"""Show one divergence from PyTorch, with numpy and the runtime alone: python3 repro.py

Next to this script lie ``repro.json`` (what to read, and how much it may differ), ``repro.npz``
(inputs, and PyTorch's value as ``/want``) and the model, cut at the stage that diverges first
where a file can be cut. Exit code 1 where it still differs.
"""

import os
import sys

# Python would import from the report's own folder first.
FOLDER = os.path.dirname(os.path.realpath(__file__))
sys.path = [p for p in sys.path if os.path.realpath(p) != FOLDER]

import json
from typing import Any

import numpy as np


def litert(model: str, job: dict[str, Any], inputs: dict[str, Any]) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    kind = OpResolverType.AUTO if job["optimised"] else plain
    run = Interpreter(model, experimental_op_resolver_type=kind).get_signature_runner()
    return run(**inputs)[job["tensor"]]


def onnxruntime(model: str, job: dict[str, Any], inputs: dict[str, Any]) -> Any:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions

    options = SessionOptions()
    if not job["optimised"]:
        options.graph_optimization_level = GraphOptimizationLevel.ORT_DISABLE_ALL
    with open(model, "rb") as file:
        quantized = b"QuantizeLinear" in file.read()
    # Exact sums of int8 products on x86 without VNNI.
    options.add_session_config_entry("session.x64quantprecision", str(int(quantized)))
    return InferenceSession(model, options).run([job["tensor"]], inputs)[0]


def torch(model: str, job: dict[str, Any], inputs: dict[str, Any]) -> Any:
    import torch

    seen: dict[str, Any] = {}

    class Reader(torch.fx.Interpreter):
        def run_node(self, n: Any) -> Any:
            return seen.setdefault(n.name, super().run_node(n))

    given = [torch.from_numpy(inputs[name]) for name in job["inputs"]]
    Reader(torch.export.load(model).module()).run(*given, enable_io_processing=False)
    return seen[job["tensor"]].detach().numpy()


RUNTIMES = {"litert": litert, "onnxruntime": onnxruntime, "torch": torch}


def in_order(got: Any, job: dict[str, Any], want: Any) -> Any:
    """A file may keep a stage in another order of axes (-1: one of length one that it lacks)."""
    axes = [axis for axis in job["order"] or () if axis >= 0]
    if not axes:
        return got
    return got.transpose(axes + [a for a in range(got.ndim) if a not in axes]).reshape(want.shape)


def main() -> None:
    with open(os.path.join(FOLDER, "repro.json")) as file:
        job = json.load(file)
    inputs = dict(np.load(os.path.join(FOLDER, "repro.npz")))
    want = inputs.pop("/want")
    got = RUNTIMES[job["runtime"]](os.path.join(FOLDER, job["model"]), job, inputs)
    got = in_order(got, job, want)
    print("{stage} in {engine} on {case}, allowed: {bound:.3g}".format(**job))
    if got.shape != want.shape:
        print(f"shape {got.shape}, not {want.shape}")
        sys.exit(1)
    error = np.abs(np.float64(got) - want)
    if job["part"]:  # the others are judged apart
        error *= np.isin(np.indices(error.shape)[job["part"][0]], job["part"][1])
    at = np.unravel_index(np.argmax(np.nan_to_num(error, nan=np.inf)), error.shape)
    values = f"PyTorch {want[at]:.9g}, here {got[at]:.9g}"
    print(f"largest error {error[at]:.3g} at {tuple(map(int, at))}: {values}")
    sys.exit("it agrees here" if error[at] <= job["bound"] else 1)


if __name__ == "__main__":
    main()
