"""``repro.py``: shows a divergence from the files next to it, with numpy and the runtime alone.

Next to it lie ``repro.json`` (what to read, and how much it may differ), ``repro.npz`` (inputs,
and PyTorch's output as ``__want__``), and the model: cut at the stage that diverges first, where a
file can be cut. At most 22 lines, so that it can be pasted into a report as it is. Its own folder
is taken off Python's path: no module is imported from there.
"""

from __future__ import annotations

_SCRIPT = '''\
"""{what}: python3 repro.py"""
import os, sys; here = os.path.dirname(os.path.realpath(__file__))
sys.path = [p for p in sys.path if os.path.realpath(p) != here]; import json, numpy as np
{imports}
job = json.load(open(here + "/repro.json"))
inputs, model = dict(np.load(here + "/repro.npz")), here + "/" + job["model"]
want = inputs.pop("__want__")
{run}
error = np.abs(np.float64(got) - want) if got.shape == want.shape else np.array([np.inf])
if job["part"] and got.shape == want.shape:  # the others are judged apart
    error *= np.isin(np.indices(error.shape)[job["part"][0]], job["part"][1])
at = np.unravel_index(np.argmax(np.nan_to_num(error, nan=np.inf)), error.shape)
print("{{stage}} in {{engine}} on {{case}}, allowed: {{bound:.3g}}".format(**job))
print(f"largest error {{error[at]:.3g}} at {{tuple(map(int, at))}}: PyTorch {{want[at]:.9g}}, here "
      f"{{got[at]:.9g}}" if got.shape == want.shape else f"shape {{got.shape}}, not {{want.shape}}")
raise SystemExit("it agrees here" if error[at] <= job["bound"] else 1)
'''
# A file may keep a stage in another order of axes (-1: one of length one that it lacks).
_ORDER = """
axes = [axis for axis in job["order"] or () if axis >= 0]
if axes:
    got = got.transpose(axes + [a for a in range(got.ndim) if a not in axes]).reshape(want.shape)"""
_RUN = {
    "litert": (
        "from ai_edge_litert.interpreter import Interpreter, OpResolverType as Resolver",
        'kind = Resolver.AUTO if job["optimised"] else Resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES\n'
        "run = Interpreter(model, experimental_op_resolver_type=kind).get_signature_runner()\n"
        'got = run(**inputs)[job["tensor"]]' + _ORDER,
    ),
    "onnxruntime": (
        "from onnxruntime import GraphOptimizationLevel as Level, InferenceSession, SessionOptions",
        'options, whole = SessionOptions(), b"QuantizeLinear" in open(model, "rb").read()\n'
        'if not job["optimised"]: options.graph_optimization_level = Level.ORT_DISABLE_ALL\n'
        'options.add_session_config_entry("session.x64quantprecision", str(int(whole)))\n'
        'got = InferenceSession(model, options).run([job["tensor"]], inputs)[0]' + _ORDER,
    ),
    "torch": (
        "import torch",
        "class Reader(torch.fx.Interpreter):\n"
        "    def run_node(self, node):\n"
        "        return seen.setdefault(node.name, super().run_node(node))\n"
        'seen, given = {}, [torch.from_numpy(inputs[name]) for name in job["inputs"]]\n'
        "Reader(torch.export.load(model).module()).run(*given, enable_io_processing=False)\n"
        'got = seen[job["tensor"]].detach().numpy()',
    ),
}


def repro_script(runtime: str, what: str) -> str:
    """The script for ``litert``, ``onnxruntime`` or ``torch``; ``what`` is its title."""
    imports, run = _RUN[runtime]
    return _SCRIPT.format(what=what, imports=imports, run=run)
