"""Every precision against fp32, time and size: ``python benchmarks/precisions.py [MODEL]``.

MODEL is a registered one, ``funnelnet`` without. It is exported untrained, calibrated on
noise: time does not depend on the weights. Fresh, interleaved, one-thread processes, as
`tinyml bench` times. Two bundles or more in place of MODEL are compared with the first.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from tinyml.core import bundle, registry
from tinyml.core.bundle import Bundle
from tinyml.core.process import python_module, tied
from tinyml.core.spec import zeros
from tinyml.device.measure import Job, measure, measurements
from tinyml.export.quantization.precision import find_precision
from tinyml.pipeline.devices.links import open_link
from tinyml.pipeline.formats import named

SEED = 0
SAMPLES = 4


def main(given: list[str]) -> None:
    """Print milliseconds a run and bytes, and the ratios to the first bundle, per runtime."""
    with tempfile.TemporaryDirectory() as scratch, open_link() as link:
        folders = given if len(given) > 1 else exported(Path(scratch), *given)
        rows = [(found, model) for found in map(_read, folders) for model in found.models]
        jobs = [_job(found, model) for found, model in rows]
        measured = measurements(measure(link, jobs, 5))
        sizes = [found.file(model).stat().st_size for found, model in rows]
    first: dict[str, tuple[float, int]] = {}
    for (_, model), result, size in zip(rows, measured, sizes, strict=True):
        p50_ns = result.p50_ns or nan
        base_ns, base_size = first.setdefault(result.runtime, (p50_ns, size))
        print(
            f"{result.runtime:<12} {model.precision:<12} {p50_ns / 1e6:8.3f} ms "
            f"{size:10,} bytes   {p50_ns / base_ns:5.2f} of the time, "
            f"{size / base_size:.2f} of the bytes"
        )


def _read(folder: str) -> Bundle:
    return bundle.read(Path(folder))


def _job(found: Bundle, model: Any) -> Job:
    inputs = {name: array + array.dtype.type(1) for name, array in zeros(found.signature).items()}
    runtime = named(model.format).runtime
    return Job(found.file(model), runtime, inputs, model.precision)


def exported(folder: Path, name: str = "funnelnet") -> list[str]:
    """A bundle a precision; a refusal is said on stderr."""
    torch.manual_seed(SEED)
    entry = registry.load("model", name)
    classes = len(entry.processor.labels)
    save_file(entry.build(classes).state_dict(), folder / "w.safetensors")
    (spec,) = entry.signature(classes).inputs
    noise = np.random.default_rng(SEED).standard_normal((SAMPLES, *spec.shape)).astype(np.float32)
    np.savez(folder / "samples.npz", **{spec.name: noise})
    np.savez(folder / "sample.npz", **{spec.name: noise[0]})
    made = []
    for precision in registry.PRECISIONS:
        out = str(folder / precision)
        command = ["export", name, "--target", "rpi"]
        command += ["--weights", str(folder / "w.safetensors"), "--precision", precision]
        command += ["--sample", str(folder / "sample.npz"), "--out", out]
        if find_precision(precision).calibrated:
            command += ["--calibration", str(folder / "samples.npz")]
        ran = subprocess.run(
            tied(python_module("tinyml.cli.main", command)), capture_output=True, text=True
        )
        if ran.returncode:
            print(f"{precision}: {ran.stderr.strip().splitlines()[-2]}", file=sys.stderr)
        else:
            made.append(out)
    return made


if __name__ == "__main__":
    main(sys.argv[1:])
