"""Outputs of the model as JSON: python3 run.py [INPUTS.npz]; inputs that are not given are zeros"""
import json, pathlib, sys
import numpy as np
try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter
if len(sys.argv) > 2:
    sys.exit("usage: run.py [INPUTS.npz]")
here = pathlib.Path(__file__).parent
manifest = json.loads((here / "manifest.json").read_text())
signature = manifest["signature"]
model = next(m["path"] for m in manifest["models"] if m["format"] == "tflite")
run = Interpreter(str(here / model)).get_signature_runner()
given = dict(np.load(sys.argv[1], allow_pickle=False)) if len(sys.argv) == 2 else {}
inputs = {i["name"]: np.zeros(i["shape"], i["dtype"]) for i in signature["inputs"]}
for name, array in given.items():
    if name not in inputs or (array.shape, array.dtype) != (inputs[name].shape, inputs[name].dtype):
        sys.exit(f"{name} {array.dtype}{list(array.shape)} is not among {signature['inputs']}")
outputs = run(**{**inputs, **given})
answer = {o["name"]: outputs[o["name"]].tolist() for o in signature["outputs"]}
file = here / "labels.txt"
labels = file.read_text().splitlines() if file.exists() else []
best = {n: labels[v.argmax()] for n, v in outputs.items() if v.size == len(labels) > 0}
print(json.dumps({"labels": best, "outputs": answer} if labels else {"outputs": answer}))
