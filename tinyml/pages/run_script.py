"""``run.py`` of a bundle: the whole use of the model on a board, in numpy and LiteRT.

`RUN_SCRIPT` is written into every bundle whose input is a waveform at a fixed rate, and
run by a test against ``tinyml predict``. It takes recordings at the model's own rate:
resampling is left to ``tinyml predict``, since a second resampler would be a second
answer. `ARRAYS_SCRIPT` is for models that nothing surrounds: arrays in, arrays out.
"""

from __future__ import annotations

RUN_SCRIPT = '''\
"""Probabilities of a 16-bit wav at the model's rate: python3 run.py FILE.wav"""
import json, pathlib, sys, wave
import numpy as np
try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter
if len(sys.argv) != 2:
    sys.exit("usage: run.py FILE.wav")
here = pathlib.Path(__file__).parent
manifest = json.loads((here / "manifest.json").read_text())
decision, signature = manifest["decision"], manifest["signature"]
model = next(m["path"] for m in manifest["models"] if m["format"] == "tflite")
run = Interpreter(str(here / model)).get_signature_runner()
with wave.open(sys.argv[1]) as wav:
    if (wav.getframerate(), wav.getsampwidth()) != (decision["rate_hz"], 2):
        sys.exit(f"needs 16-bit at {decision['rate_hz']} Hz; tinyml predict takes any wav")
    pcm = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, wav.getnchannels())
samples = (pcm / np.float32(32768)).mean(1, dtype=np.float32)
size, hop, labels = decision["window"], decision["hop"], decision["labels"]
if len(samples) < size:
    sys.exit(f"the recording is shorter than one window of {size} samples")
starts = sorted({*range(0, len(samples) - size + 1, hop), len(samples) - size})
name, out = signature["inputs"][0]["name"], signature["outputs"][0]["name"]
windows = [run(**{name: samples[None, s : s + size]})[out][0] for s in starts]
p = np.max(windows, 0) if decision["aggregation"] == "max" else np.mean(windows, 0, dtype=float)
over = [i for i, least in enumerate(decision["thresholds"]) if p[i] >= least]
best = over[0] if over else len(labels) - 1 if decision["thresholds"] else int(np.argmax(p))
print(json.dumps({"label": labels[best], "probabilities": dict(zip(labels, map(float, p)))}))
'''

ARRAYS_SCRIPT = '''\
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
'''
