"""``run.py`` of a bundle: the whole use of the model on a board, in numpy and LiteRT.

`RUN_SCRIPT` is written into every bundle whose input is a waveform at a fixed rate, and
run by a test against ``tinyml predict``. It takes recordings at the model's own rate:
resampling is left to ``tinyml predict``, since a second resampler would be a second
answer. `IMAGES_SCRIPT` is for images: of the model's own size as .npy, or any that Pillow reads.
`ARRAYS_SCRIPT` is for models that nothing surrounds: arrays in, arrays out.
Python would import from the bundle's own folder first: each takes it off the path.
`board_script` puts into one the check that its files are those of the manifest, and makes it
take and give real numbers where the file has integers.
"""

from __future__ import annotations

# Exit codes as everywhere: 3 where an input or setting is not finite, 5 where an output is not.
FINITE = """\
def finite(what, values, code):
    if not np.all(np.isfinite(values)):
        print(f"error: {what} holds NaN or infinite values", file=sys.stderr)
        sys.exit(code)
"""

RUN_SCRIPT = (
    '''\
"""Probabilities of a 16-bit wav at the model's rate: python3 run.py FILE.wav"""
import os, sys
sys.path = [p for p in sys.path if os.path.realpath(p + "/run.py") != os.path.realpath(__file__)]
import json, pathlib, wave
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
'''
    + FINITE
    + """\
finite("decision.thresholds in manifest.json", decision["thresholds"], 3)
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
finite(f"the output {out!r} of {model}", p, 5)
over = [i for i, least in enumerate(decision["thresholds"]) if p[i] >= least]
best = over[0] if over else len(labels) - 1 if decision["thresholds"] else int(np.argmax(p))
print(json.dumps({"label": labels[best], "probabilities": dict(zip(labels, map(float, p)))}))
"""
)

IMAGES_SCRIPT = (
    '''\
"""Probabilities of images: python3 run.py FILE...; .npy: uint8 [side, side, channels], no Pillow"""
import os, sys
sys.path = [p for p in sys.path if os.path.realpath(p + "/run.py") != os.path.realpath(__file__)]
import json, pathlib
import numpy as np
try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter
if len(sys.argv) < 2:
    sys.exit("usage: run.py FILE...")
here = pathlib.Path(__file__).parent
manifest = json.loads((here / "manifest.json").read_text())
decision, signature = manifest["decision"], manifest["signature"]
model = next(m["path"] for m in manifest["models"] if m["format"] == "tflite")
run = Interpreter(str(here / model)).get_signature_runner()
side, std, labels = decision["side"], np.asarray(decision["std"]), decision["labels"]
scale, offset = 1 / (255 * std), -np.asarray(decision["mean"]) / std
'''
    + FINITE
    + """\
finite("mean or std of decision in manifest.json", [scale, offset], 3)
def pixels(file):
    if file.endswith((".npy", ".npz")):
        loaded = np.load(file, allow_pickle=False)
        return loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]
    from PIL import Image, ImageOps
    image = ImageOps.exif_transpose(Image.open(file))
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    image = image.convert("L" if len(std) == 1 else "RGB")
    least = min(image.size)
    if least != side:
        size = [round(n * side / least) for n in image.size]
        image = image.resize(size, Image.Resampling.BILINEAR)
    x, y = (image.width - side) // 2, (image.height - side) // 2
    return np.asarray(image.crop((x, y, x + side, y + side))).reshape(side, side, -1)
name, out = signature["inputs"][0]["name"], signature["outputs"][0]["name"]
for file in sys.argv[1:]:
    image = pixels(file)
    if (image.shape, image.dtype) != ((side, side, len(std)), np.uint8):
        sys.exit(f"{file} is {image.dtype}{list(image.shape)}, not uint8{[side, side, len(std)]}")
    x = image * scale.astype(np.float32) + offset.astype(np.float32)
    p = run(**{name: np.ascontiguousarray(x.transpose(2, 0, 1)[None])})[out][0]
    finite(f"{file}: the output {out!r} of {model}", p, 5)
    shares = dict(zip(labels, map(float, p)))
    print(json.dumps({"file": file, "label": labels[int(np.argmax(p))], "probabilities": shares}))
"""
)

ARRAYS_SCRIPT = (
    '''\
"""Outputs of the model as JSON: python3 run.py [INPUTS.npz]; inputs that are not given are zeros"""
import os, sys
sys.path = [p for p in sys.path if os.path.realpath(p + "/run.py") != os.path.realpath(__file__)]
import json, pathlib
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
'''
    + FINITE
    + """\
given = dict(np.load(sys.argv[1], allow_pickle=False)) if len(sys.argv) == 2 else {}
inputs = {i["name"]: np.zeros(i["shape"], i["dtype"]) for i in signature["inputs"]}
for name, array in given.items():
    if name not in inputs or (array.shape, array.dtype) != (inputs[name].shape, inputs[name].dtype):
        sys.exit(f"{name} {array.dtype}{list(array.shape)} is not among {signature['inputs']}")
    finite(f"the input {name!r} of {sys.argv[1]}", array, 3)
outputs = run(**{**inputs, **given})
for name, array in outputs.items():
    finite(f"the output {name!r} of {model}", array, 5)
answer = {o["name"]: outputs[o["name"]].tolist() for o in signature["outputs"]}
listed = "labels.txt" in manifest["files"]
labels = (here / "labels.txt").read_text().splitlines() if listed else []
best = {n: labels[v.argmax()] for n, v in outputs.items() if v.size == len(labels) > 0}
print(json.dumps({"labels": best, "outputs": answer} if labels else {"outputs": answer}))
"""
)

RUNNER = "run = Interpreter(str(here / model)).get_signature_runner()\n"
REAL_RUNNER = """\
runner = Interpreter(str(here / model)).get_signature_runner()
ends = next(m["ends"] for m in manifest["models"] if m["format"] == "tflite")
def run(**given):
    for name in ends.keys() & given.keys():
        end, kind = ends[name], np.iinfo(ends[name]["dtype"])
        steps = np.round(given[name] / np.float32(end["scale"])) + end["zero_point"]
        given[name] = np.clip(steps, kind.min, kind.max).astype(end["dtype"])
    made = runner(**given)
    for name in ends.keys() & made.keys():
        steps = made[name].astype(np.float32) - ends[name]["zero_point"]
        made[name] = steps * np.float32(ends[name]["scale"])
    return made
"""

# Before the model file is loaded; a file that was changed or lost is exit code 5.
CHECK = """\
import hashlib
for name in [model] + [name for name in manifest["files"] if name == "labels.txt"]:
    file, listed = here / name, manifest["files"].get(name, {}).get("sha256")
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != listed:
        print(f"error: {name} is not the file that manifest.json lists", file=sys.stderr)
        sys.exit(5)
"""


def board_script(script: str, *, quantized_io: bool) -> str:
    """``script`` as it lies in a bundle; ``quantized_io``: inputs and outputs are integers."""
    return script.replace(RUNNER, CHECK + (REAL_RUNNER if quantized_io else RUNNER))
