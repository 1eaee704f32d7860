"""Run this bundle's model and print its outputs as JSON: python3 run.py FILE...

``manifest.json`` next to this script tells which kind of file the model takes:

    recordings  one .wav, PCM or float, at the model's rate; tinyml predict resamples any other
    images      files that Pillow reads; or .npy of uint8 [side, side, channels], without Pillow
    arrays      one .npz with arrays by input name; an input that is not given is zero

Needs numpy, LiteRT (or tflite-runtime) and Python 3.9 or newer. Exit codes: 3 for a file that the
model cannot take and for a setting that is NaN or infinite, 5 for such an output, and for a file
of the bundle that is not the one that the manifest lists. Recordings are refused as by tinyml
predict, in the same words.
"""

import os
import sys

# Python would import from the bundle's own folder first.
sys.path = [p for p in sys.path if os.path.realpath(p + "/run.py") != os.path.realpath(__file__)]

import hashlib
import json
from pathlib import Path
from typing import Any, Callable, NoReturn

import numpy as np

INPUT, OUTPUT = 3, 5
# Sizes of a data chunk whose recorder streamed, and what may follow a chunk that is really empty.
STREAMED_SIZES = (0, 0xFFFFFFFF)
CHUNKS_AFTER = (b"", b"LIST", b"id3 ", b"ID3 ", b"cue ", b"bext", b"smpl", b"fact")
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
WAV_FORMAT = np.dtype("<u2, <u2, <u4, <u4, <u2, <u2")
# (encoding, bits) of a sample -> its type and the value that is full scale.
SAMPLES = {
    (PCM, 8): ("u1", 2**7),
    (PCM, 16): ("<i2", 2**15),
    (PCM, 24): ("<i4", 2**31),
    (PCM, 32): ("<i4", 2**31),
    (FLOAT, 32): ("<f4", 1),
    (FLOAT, 64): ("<f8", 1),
}


def fail(code: int, text: str) -> NoReturn:
    print(f"error: {text}", file=sys.stderr)
    sys.exit(code)


def check_finite(what: str, values: Any, code: int, of: str = "values") -> None:
    if not np.all(np.isfinite(values)):
        fail(code, f"{what} holds NaN or infinite {of}")


def litert(path: str) -> Callable[..., dict[str, Any]]:
    """A function of the inputs by name, from a .tflite file."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tflite_runtime.interpreter import Interpreter
    run: Callable[..., dict[str, Any]] = Interpreter(path).get_signature_runner()
    return run


class Model:
    """A model file of the bundle; it takes and gives real numbers where the file has integers."""

    def __init__(
        self, folder: Path, manifest: dict[str, Any], form: str = "tflite", engine: Any = litert
    ) -> None:
        entry = next(model for model in manifest["models"] if model["format"] == form)
        self.file: str = entry["path"]
        self.quantized: dict[str, Any] = entry.get("quant_params") or {}
        self.labels: list[str] = []
        check_file(folder, self.file, manifest)
        if "labels.txt" in manifest["files"]:
            check_file(folder, "labels.txt", manifest)
            self.labels = (folder / "labels.txt").read_text(encoding="utf-8").splitlines()
        self.run = engine(str(folder / self.file))

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
    size = processor["window"]
    check_finite("processor.thresholds in manifest.json", processor["thresholds"], INPUT)
    samples = read_recording(files[0], processor)
    last = len(samples) - size
    starts = sorted({*range(0, last + 1, processor["hop"]), last})
    name, out = (manifest["signature"][kind][0]["name"] for kind in ("inputs", "outputs"))
    windows = [model({name: samples[None, s : s + size]})[out][0] for s in starts]
    largest = processor["aggregation"] == "max"
    p = np.max(windows, 0) if largest else np.mean(windows, 0, dtype=float)
    check_finite(f"the output {out!r} of {model.file}", p, OUTPUT)
    print(json.dumps({"label": label_of(processor, p), "probabilities": by_label(labels, p)}))


def label_of(processor: dict[str, Any], p: Any) -> str:
    """The first label whose probability reaches its threshold, else the last or likeliest."""
    labels: list[str] = processor["labels"]
    thresholds = processor["thresholds"]
    reached = [i for i, threshold in enumerate(thresholds) if p[i] >= threshold]
    otherwise = len(labels) - 1 if thresholds else int(np.argmax(p))
    return labels[reached[0] if reached else otherwise]


def read_recording(file: str, processor: dict[str, Any]) -> Any:
    """Samples as the model takes them: at its rate, not silent, at least one window."""
    samples, rate_hz = read_wav(file)
    wanted, slowest, size = processor["rate_hz"], processor["min_rate_hz"], processor["window"]
    where = f"recording {file}: "
    if rate_hz < slowest:
        fail(
            INPUT,
            f"{where}recorded at {rate_hz} Hz, the model's band needs at least {slowest} Hz",
        )
    if not np.any(samples):
        fail(INPUT, f"{where}the recording is silent: every sample is zero")
    if rate_hz != wanted:
        fail(INPUT, f"{where}recorded at {rate_hz} Hz, not {wanted} Hz; tinyml predict resamples")
    if len(samples) < size:
        lasts, takes = told_apart(len(samples) / rate_hz, size / wanted)
        fail(INPUT, f"{where}the recording lasts {lasts} s, one window takes {takes} s")
    return samples


def told_apart(one: float, other: float) -> tuple[str, str]:
    """Two numbers with as many decimals as it takes to see that they differ, two at least."""
    digits = 2
    while f"{one:.{digits}f}" == f"{other:.{digits}f}" and digits < 9:
        digits += 1
    return f"{one:.{digits}f}", f"{other:.{digits}f}"


def read_wav(file: str) -> tuple[Any, int]:
    """Float32 samples at full scale 1, the mean of one or two channels; and their rate in Hz."""
    encoding, channels, rate_hz, bits, data = wav_parts(file, read_file(file))
    if (encoding, bits) not in SAMPLES:
        fail(INPUT, f"{file} is not a wav of PCM or float samples; tinyml predict reads more")
    if channels not in (1, 2):
        fail(INPUT, f"{file} has {channels} channels, mono or stereo is taken")
    kind, full_scale = SAMPLES[encoding, bits]
    count = len(data) // (channels * bits // 8) * channels
    if count == 0:
        fail(INPUT, f"{file} holds no samples")
    raw = np.frombuffer(data[: count * bits // 8], "u1").reshape(count, bits // 8)
    if bits == 24:  # as the upper three bytes of four
        raw = np.concatenate([np.zeros((count, 1), "u1"), raw], axis=1)
    values = np.ascontiguousarray(raw).view(kind).astype(np.float64)
    with np.errstate(over="ignore"):  # what overflows is refused with what is not finite
        samples = ((values - (128 if bits == 8 else 0)) / full_scale).astype(np.float32)
        mono = samples.reshape(-1, channels).mean(axis=1, dtype=np.float32)
    check_finite(f"{file}", mono, INPUT, "samples")
    return mono, rate_hz


def read_file(file: str) -> bytes:
    """All of it; it is there."""
    content = Path(file).read_bytes()
    if not content:
        fail(INPUT, f"{file} is empty")
    return content


def wav_parts(file: str, content: bytes) -> tuple[int, int, int, int, bytes]:
    """Encoding, channels, rate in Hz, bits of a sample, and the samples of a RIFF file."""
    at, form = 12, b""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        fail(INPUT, f"{file} is not audio that can be read; tinyml predict reads flac too")
    while at + 8 <= len(content) and content[at : at + 4] != b"data":
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        if content[at : at + 4] == b"fmt ":
            form = content[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    if len(form) < 16 or at + 8 > len(content):
        fail(INPUT, f"{file} is broken: it starts like audio and cannot be decoded")
    data, length = content[at + 8 :], int.from_bytes(content[at + 4 : at + 8], "little")
    if length not in STREAMED_SIZES or data[:4] in CHUNKS_AFTER:
        if length > len(data):
            more = length - len(data)
            fail(INPUT, f"{file} is truncated: its header declares {more} bytes more")
        data = data[:length]
    encoding, channels, rate_hz, _, _, bits = np.frombuffer(form[:16], WAV_FORMAT)[0].tolist()
    if encoding == EXTENSIBLE and len(form) >= 26:
        encoding = int.from_bytes(form[24:26], "little")
    return encoding, channels, rate_hz, bits, data


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
            fail(INPUT, f"{file} is {image.dtype}{list(image.shape)}, not uint8{needed}")
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
            fail(INPUT, f"{name} {array.dtype}{list(array.shape)} is not among {taken}")
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
    for file in files:
        if not os.path.isfile(file):
            fail(INPUT, f"{file} is a folder" if os.path.isdir(file) else f"{file} does not exist")
    function(Model(folder, manifest), manifest, files)


if __name__ == "__main__":
    main(sys.argv[1:])
