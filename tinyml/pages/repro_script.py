"""``repro.py``: shows a divergence from the files beside it, with numpy and the runtime alone.

Beside it lie ``repro.json`` (what to read, and how much it may differ), ``repro.npz`` (inputs,
and PyTorch's answer as ``__want__``), and the model: cut at the stage that diverges first, where a
file can be cut.
"""

from __future__ import annotations

_SCRIPT = '''\
"""{what}: python3 repro.py"""
import json, pathlib
import numpy as np
{imports}
here = pathlib.Path(__file__).parent
job = json.loads((here / "repro.json").read_text())
inputs = dict(np.load(here / "repro.npz"))
want, model = inputs.pop("__want__"), str(here / job["model"])
{run}
got = np.asarray(got) if job["order"] is None else np.transpose(got, job["order"])
same = got.shape == want.shape
error = np.abs(got.astype(float) - want.astype(float)) if same else np.array([np.inf])
worst = np.unravel_index(np.argmax(np.nan_to_num(error, nan=np.inf)), error.shape)
print(f"{{job['stage']}} in {{job['engine']}} on {{job['case']}}, allowed: {{job['bound']:.3g}}")
print(f"largest error {{error[worst]:.3g}} at {{tuple(map(int, worst))}}")
if same:
    print(f"PyTorch {{want[worst]:.9g}}, here {{got[worst]:.9g}}")
agrees = bool(error[worst] <= job["bound"])
raise SystemExit("it agrees here" if agrees else 1)
'''
_RUN = {
    "litert": (
        "from ai_edge_litert.interpreter import Interpreter, OpResolverType as Resolver",
        'kind = Resolver.AUTO if job["optimised"] else Resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES\n'
        "run = Interpreter(model, experimental_op_resolver_type=kind).get_signature_runner()\n"
        'got = run(**inputs)[job["tensor"]]',
    ),
    "onnxruntime": (
        "import onnxruntime",
        "options, level = onnxruntime.SessionOptions(), onnxruntime.GraphOptimizationLevel\n"
        'plain = level.ORT_ENABLE_ALL if job["optimised"] else level.ORT_DISABLE_ALL\n'
        "options.graph_optimization_level = plain\n"
        'got = onnxruntime.InferenceSession(model, options).run([job["tensor"]], inputs)[0]',
    ),
    "torch": (
        "import torch",
        "class Reader(torch.fx.Interpreter):\n"
        "    def run_node(self, node):\n"
        "        seen[node.name] = value = super().run_node(node)\n"
        "        return value\n"
        "seen, given = {}, [torch.from_numpy(inputs[name]) for name in job['inputs']]\n"
        "reader = Reader(torch.export.load(model).module())\n"
        "reader.run(*given, enable_io_processing=False)\n"
        "got = seen[job['tensor']].detach().numpy()",
    ),
}


def repro_script(runtime: str, what: str) -> str:
    """The script for ``litert``, ``onnxruntime`` or ``torch``; ``what`` is its title."""
    imports, run = _RUN[runtime]
    return _SCRIPT.format(what=what, imports=imports, run=run)
