"""Bytes of dense and sparse files: ``python benchmarks/sparse_size.py [MODEL...]``.

MODEL is a registered one; ``mbv1-1.0-sparse90`` and ``funnelnet`` without. It is exported
untrained through the command line, calibrated on noise for integers. A sparse preset's
layers get their share of zeros by magnitude; of another model, nine in ten weights of every
1x1 convolution. Bytes depend on which weights are zero, not on what the others are.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from tinyml.core import registry
from tinyml.core.process import python_module, tied
from tinyml.export.quantization.precision import find_precision
from tinyml.models.protocol import LayerSparsity, ModelEntry
from tinyml.models.pruning.mask import apply, block_scores, expand, lowest
from tinyml.models.sparsity import count_zeros, sparse_layers

MODELS = ("mbv1-1.0-sparse90", "funnelnet")
PRECISIONS = ("fp32", "fp16", "w8", "w8a8-static")
SHARE = 0.9
SEED = 0
SAMPLES = 2


def main(names: list[str]) -> None:
    """Print one row for each model and precision."""
    print("| model | precision | dense, bytes | sparse, bytes | ratio |")
    print("|---|---|---|---|---|")
    for name in names or MODELS:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            _prepare(registry.load("model", name), folder)
            for precision in PRECISIONS:
                dense, sparse = (_size(folder, name, precision, way) for way in ("off", "auto"))
                ratio = f"{sparse / dense:.2f}"
                print(f"| `{name}` | {precision} | {dense:,} | {sparse:,} | {ratio} |", flush=True)


def _prepare(entry: ModelEntry, folder: Path) -> None:
    """Pruned weights, a sample and samples to calibrate on."""
    torch.manual_seed(SEED)
    classes = len(entry.processor.labels)
    network = entry.build(classes)
    _prune(network, _rules(entry, network))
    save_file(network.state_dict(), folder / "weights.safetensors")
    (spec,) = entry.signature(classes).inputs
    noise = np.random.default_rng(SEED).standard_normal((SAMPLES, *spec.shape)).astype(np.float32)
    np.savez(folder / "samples.npz", **{spec.name: noise})
    np.savez(folder / "sample.npz", **{spec.name: noise[0]})


def _rules(entry: ModelEntry, network: nn.Module) -> tuple[LayerSparsity, ...]:
    """Of a sparse preset its own, else every 1x1 convolution of one group."""
    if entry.sparsity:
        return entry.sparsity
    return tuple(
        LayerSparsity(name, SHARE)
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.groups == 1
    )


def _prune(network: nn.Module, rules: tuple[LayerSparsity, ...]) -> None:
    """The smallest weights of each layer, in its blocks, become zeros."""
    weights, masks = {}, {}
    for name, rule in sparse_layers(network, rules).items():
        weight = network.get_parameter(f"{name}.weight")
        zeros = count_zeros(weight.numel(), rule) // rule.block
        (kept,) = lowest([block_scores(weight.detach().abs(), rule.block, "output")], zeros)
        weights[name], masks[name] = weight.data, expand(kept, rule.block, "output")
    apply(masks, weights)


def _size(folder: Path, name: str, precision: str, sparse: str) -> int:
    """Bytes of the .tflite file; one that fails parity, untrained as it is, is as large."""
    out, failed = folder / f"{precision}-{sparse}", folder / f"{precision}-{sparse}-failed"
    command = ["export", name, "--target", "rpi"]
    command += ["--weights", str(folder / "weights.safetensors"), "--formats", "tflite"]
    command += ["--sample", str(folder / "sample.npz"), "--precision", precision]
    command += ["--sparse", sparse, "--out", str(out), "--keep-failed", str(failed)]
    if find_precision(precision).calibrated:
        command += ["--calibration", str(folder / "samples.npz")]
    ran = subprocess.run(
        tied(python_module("tinyml.cli.main", command)), capture_output=True, text=True
    )
    files = [path for made in (out, failed) for path in made.glob(f"*{precision}.tflite")]
    if len(files) != 1:
        raise SystemExit(f"{name} {precision}: {ran.stderr}")
    return files[0].stat().st_size


if __name__ == "__main__":
    main(sys.argv[1:])
