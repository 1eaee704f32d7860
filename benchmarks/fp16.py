"""fp16 against fp32 files, time and size: ``python benchmarks/fp16.py [FP32_BUNDLE FP16_BUNDLE]``.

Without bundles an untrained FunnelNet is exported in both precisions: time does not depend
on the weights. Fresh, interleaved, one-thread processes, as `tinyml bench` times.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from tinyml import bundle, registry
from tinyml.device.local import local_link
from tinyml.device.measure import Job, Plan, measure
from tinyml.models.funnelnet import FunnelNet
from tinyml.spec import zeros


def main(folders: list[str]) -> None:
    """Print milliseconds a run and bytes, and the ratio of fp16 to fp32, per runtime."""
    with tempfile.TemporaryDirectory() as scratch, local_link() as link:
        bundles = [bundle.read(Path(folder)) for folder in folders or exported(Path(scratch))]
        jobs, sizes = [], []
        for found in bundles:
            for model in found.models:
                runtime = registry.RUNTIME_OF_FORMAT[model.format]
                inputs = {n: a + a.dtype.type(1) for n, a in zeros(found.signature).items()}
                jobs.append(Job(found.file(model), runtime, inputs, model.precision))
                sizes.append(found.file(model).stat().st_size)
        measured = measure(link, jobs, 5, plan=Plan(runs=200))
    for result, size in zip(measured, sizes, strict=True):
        print(
            f"{result.runtime:<12} {result.part:<5} {result.p50_ns / 1e6:8.3f} ms {size:9,} bytes"
        )
    half = len(measured) // 2
    for place, (single, cast) in enumerate(zip(measured[:half], measured[half:], strict=True)):
        time, size = cast.p50_ns / single.p50_ns, sizes[half + place] / sizes[place]
        print(f"{single.runtime:<12} fp16 takes {time:.2f} of the time, {size:.2f} of the bytes")


def exported(folder: Path) -> list[str]:
    """The bundle in fp32 and the one in fp16."""
    torch.manual_seed(0)
    save_file(FunnelNet(3).state_dict(), folder / "w.safetensors")
    made = []
    for precision in ("fp32", "fp16"):
        made.append(str(folder / precision))
        command = [sys.executable, "-m", "tinyml.cli.main", "export", "funnelnet"]
        command += ["--weights", str(folder / "w.safetensors"), "--target", "rpi"]
        command += ["--precision", precision, "--out", made[-1]]
        subprocess.run(command, check=True, capture_output=True)
    return made


if __name__ == "__main__":
    main(sys.argv[1:])
