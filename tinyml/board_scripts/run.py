"""Run this bundle's model and print its outputs as JSON: python3 run.py FILE...

``manifest.json`` next to this script tells which kind of file the model takes:

    recordings  one 16-bit .wav at the model's rate; tinyml predict resamples any other
    images      files that Pillow reads; or .npy of uint8 [side, side, channels], without Pillow
    arrays      one .npz with arrays by input name; an input that is not given is zero

Needs numpy, LiteRT (or tflite-runtime) and Python 3.9 or newer. Exit codes: 1 for a file that the
model cannot take, 3 for an input or setting that is NaN or infinite, 5 for such an output, and for
a file of the bundle that is not the one that the manifest lists.
"""

import os
import sys

# Python would import from the bundle's own folder first.
sys.path = [p for p in sys.path if os.path.realpath(p + "/run.py") != os.path.realpath(__file__)]

import hashlib
import json
import wave
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

INPUT, OUTPUT = 3, 5


def fail(code: int, text: str) -> NoReturn:
    print(f"error: {text}", file=sys.stderr)
    sys.exit(code)


def check_finite(what: str, values: Any, code: int) -> None:
    if not np.all(np.isfinite(values)):
        fail(code, f"{what} holds NaN or infinite values")


class Model:
    """The bundle's .tflite file; it takes and gives real numbers where the file has integers."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        entry = next(model for model in manifest["models"] if model["format"] == "tflite")
        self.file: str = entry["path"]
        self.quantized: dict[str, Any] = entry.get("quant_params") or {}
        self.labels: list[str] = []
        check_file(folder, self.file, manifest)
        if "labels.txt" in manifest["files"]:
            check_file(folder, "labels.txt", manifest)
            self.labels = (folder / "labels.txt").read_text().splitlines()
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError:
            from tflite_runtime.interpreter import Interpreter
        self.run = Interpreter(str(folder / self.file)).get_signature_runner()

    def __call__(self, inputs: dict[str, Any]) -> dict[str, Any]:
        given = dict(inputs)
        for name in self.quantized.keys() & given.keys():
            own, kind = self.quantized[name], np.iinfo(self.quantized[name]["dtype"])
            steps = np.round(given[name] / np.float32(own["scale"])) + own["zero_point"]
            given[name] = np.clip(steps, kind.min, kind.max).astype(own["dtype"])
        outputs: dict[str, Any] = self.run(**given)
        for name in self.quantized.keys() & outputs.keys():
            own = self.quantized[name]
            steps = outputs[name].astype(np.float32) - own["zero_point"]
            outputs[name] = steps * np.float32(own["scale"])
        return outputs


def check_file(folder: Path, name: str, manifest: dict[str, Any]) -> None:
    path, listed = folder / name, manifest["files"].get(name, {}).get("sha256")
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != listed:
        fail(OUTPUT, f"{name} is not the file that manifest.json lists")


def of_recording(model: Model, manifest: dict[str, Any], files: list[str]) -> None:
    """The label of a recording: of its windows' mean or largest probabilities."""
    processor, labels = manifest["processor"], manifest["processor"]["labels"]
    thresholds, size = processor["thresholds"], processor["window"]
    check_finite("processor.thresholds in manifest.json", thresholds, INPUT)
    samples = read_wav(files[0], processor["rate_hz"])
    if len(samples) < size:
        sys.exit(f"the recording is shorter than one window of {size} samples")
    last = len(samples) - size
    starts = sorted({*range(0, last + 1, processor["hop"]), last})
    name, out = (manifest["signature"][kind][0]["name"] for kind in ("inputs", "outputs"))
    windows = [model({name: samples[None, s : s + size]})[out][0] for s in starts]
    largest = processor["aggregation"] == "max"
    p = np.max(windows, 0) if largest else np.mean(windows, 0, dtype=float)
    check_finite(f"the output {out!r} of {model.file}", p, OUTPUT)
    reached = [i for i, threshold in enumerate(thresholds) if p[i] >= threshold]
    otherwise = len(labels) - 1 if thresholds else int(np.argmax(p))
    label = labels[reached[0] if reached else otherwise]
    print(json.dumps({"label": label, "probabilities": by_label(labels, p)}))


def read_wav(file: str, rate_hz: int) -> Any:
    """Float32 samples at full scale 1, the mean of the channels."""
    with wave.open(file) as wav:
        if (wav.getframerate(), wav.getsampwidth()) != (rate_hz, 2):
            sys.exit(f"needs 16-bit at {rate_hz} Hz; tinyml predict takes any wav")
        pcm = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, wav.getnchannels())
    return (pcm / np.float32(32768)).mean(1, dtype=np.float32)


def of_images(model: Model, manifest: dict[str, Any], files: list[str]) -> None:
    """The most probable label of each image, a line for each."""
    processor, side = manifest["processor"], manifest["processor"]["side"]
    std = np.asarray(processor["std"])
    scale, offset = 1 / (255 * std), -np.asarray(processor["mean"]) / std
    check_finite("mean or std of processor in manifest.json", [scale, offset], INPUT)
    name, out = (manifest["signature"][kind][0]["name"] for kind in ("inputs", "outputs"))
    for file in files:
        image = read_pixels(file, side, len(std))
        if (image.shape, image.dtype) != ((side, side, len(std)), np.uint8):
            needed = [side, side, len(std)]
            sys.exit(f"{file} is {image.dtype}{list(image.shape)}, not uint8{needed}")
        x = image * scale.astype(np.float32) + offset.astype(np.float32)
        p = model({name: np.ascontiguousarray(x.transpose(2, 0, 1)[None])})[out][0]
        check_finite(f"{file}: the output {out!r} of {model.file}", p, OUTPUT)
        labels = processor["labels"]
        found = {"label": labels[int(np.argmax(p))], "probabilities": by_label(labels, p)}
        print(json.dumps({"file": file, **found}))


def read_pixels(file: str, side: int, channels: int) -> Any:
    """uint8 [side, side, channels], as `tinyml predict` reads it; an array as it is stored."""
    if file.endswith((".npy", ".npz")):
        loaded = np.load(file, allow_pickle=False)
        return loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]
    from PIL import Image, ImageOps

    image: Any = ImageOps.exif_transpose(Image.open(file))
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    image = image.convert("L" if channels == 1 else "RGB")
    shorter = min(image.size)
    if shorter != side:
        size = [round(n * side / shorter) for n in image.size]
        image = image.resize(size, Image.Resampling.BILINEAR)
    x, y = (image.width - side) // 2, (image.height - side) // 2
    return np.asarray(image.crop((x, y, x + side, y + side))).reshape(side, side, -1)


def of_arrays(model: Model, manifest: dict[str, Any], files: list[str]) -> None:
    """All outputs, and the label of each that has one value for each label."""
    taken = manifest["signature"]["inputs"]
    inputs = {spec["name"]: np.zeros(spec["shape"], spec["dtype"]) for spec in taken}
    given = dict(np.load(files[0], allow_pickle=False)) if files else {}
    for name, array in given.items():
        wanted = inputs.get(name)
        if wanted is None or (array.shape, array.dtype) != (wanted.shape, wanted.dtype):
            sys.exit(f"{name} {array.dtype}{list(array.shape)} is not among {taken}")
        check_finite(f"the input {name!r} of {files[0]}", array, INPUT)
    outputs = model({**inputs, **given})
    for name, array in outputs.items():
        check_finite(f"the output {name!r} of {model.file}", array, OUTPUT)
    names = [spec["name"] for spec in manifest["signature"]["outputs"]]
    answer: dict[str, Any] = {"outputs": {name: outputs[name].tolist() for name in names}}
    if labels := model.labels:
        best = {n: labels[v.argmax()] for n, v in outputs.items() if v.size == len(labels)}
        answer = {"labels": best, **answer}
    print(json.dumps(answer))


def by_label(labels: list[str], probabilities: Any) -> dict[str, float]:
    return dict(zip(labels, map(float, probabilities)))  # noqa: B905 (Python 3.9)


# Per kind of model: its function, what the command line takes, and how many files.
KINDS = {
    "recordings": (of_recording, "FILE.wav", (1, 1)),
    "images": (of_images, "FILE...", (1, sys.maxsize)),
    "arrays": (of_arrays, "[INPUTS.npz]", (0, 1)),
}


def kind_of(manifest: dict[str, Any]) -> str:
    processor = manifest["processor"]
    if processor is None:
        return "arrays"
    return "images" if processor.get("kind") == "image" else "recordings"


def main(files: list[str]) -> None:
    folder = Path(__file__).parent
    manifest = json.loads((folder / "manifest.json").read_text())
    function, taken, (fewest, most) = KINDS[kind_of(manifest)]
    if not fewest <= len(files) <= most:
        sys.exit(f"usage: run.py {taken}")
    function(Model(folder, manifest), manifest, files)


if __name__ == "__main__":
    main(sys.argv[1:])
