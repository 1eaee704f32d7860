"""Two small MobileNets that collapse in integers, found out and cured: collapse.py OUT

What docs/collapse.md tells. Nothing is trained: seeded layers, scaled so that each answers
with deviation 1, and a head fitted to drawn gratings by least squares.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

CLASSES, CHANNELS, SIDE = 4, 16, 24
FACTOR = 1000.0
# More deviations than any answer is below its mean.
CEILING = 20.0
# What is exported: (bundle, factory, options); no bundle comes of those that fail the gate.
AUTO = "--auto-precision --max-drop-points 1"
EXPORTS = (
    ("weights-int8", "uneven_weights", "--weight-scales per-tensor --explain"),
    ("weights-auto", "uneven_weights", f"--weight-scales per-tensor {AUTO}"),
    ("weights-per-channel", "uneven_weights", ""),
    ("activations-int8", "uneven_activations", "--explain"),
    ("activations-auto", "uneven_activations", AUTO),
    ("activations-equalized", "uneven_activations", "--equalize"),
)


def gratings(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images [count, 3, side, side] of stripes in one of four directions, and which."""
    rng = np.random.default_rng(seed)
    kinds, phases = rng.integers(0, CLASSES, count), rng.uniform(0, 2 * np.pi, count)
    angles = kinds * np.pi / CLASSES
    rows, columns = np.mgrid[:SIDE, :SIDE]
    along = np.cos(angles)[:, None, None] * columns + np.sin(angles)[:, None, None] * rows
    stripes = np.sin(0.9 * along + phases[:, None, None])[:, None]
    images = stripes + 0.3 * rng.standard_normal((count, 3, SIDE, SIDE))
    return images.astype(np.float32), kinds


class Block(nn.Module):
    """Depthwise, then pointwise."""

    def __init__(self, activation: type[nn.Module]) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS)
        self.mixed = activation()
        self.pointwise = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.rectified = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        rectified: Tensor = self.rectified(self.pointwise(self.mixed(self.depthwise(maps))))
        return rectified


class SmallMobileNet(nn.Module):
    def __init__(self, activation: type[nn.Module]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, 3, 2, 1)
        self.start = nn.ReLU()
        self.block1, self.block2, self.block3 = (Block(activation) for _ in range(3))
        self.head = nn.Linear(CHANNELS, CLASSES)

    def features(self, image: Tensor) -> Tensor:
        maps = self.block3(self.block2(self.block1(self.start(self.stem(image)))))
        return torch.mean(maps, (2, 3))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(image))
        return logits


def scaled(activation: type[nn.Module]) -> SmallMobileNet:
    """Seeded; every convolution answers the gratings with mean 0 and deviation 1 by channel."""
    torch.manual_seed(0)
    net = SmallMobileNet(activation).eval()

    def scale(layer: nn.Module, _: object, made: Tensor) -> Tensor:
        mean, deviation = made.mean((0, 2, 3)), made.std((0, 2, 3))
        layer.weight.div_(deviation[:, None, None, None])
        layer.bias.sub_(mean).div_(deviation)
        return (made - mean[:, None, None]) / deviation[:, None, None]

    layers = [part for part in net.modules() if isinstance(part, nn.Conv2d)]
    hooks = [layer.register_forward_hook(scale) for layer in layers]
    with torch.no_grad():
        net(torch.from_numpy(gratings(64, seed=0)[0]))
    for hook in hooks:
        hook.remove()
    return net


def fitted(net: SmallMobileNet) -> SmallMobileNet:
    """With a head that tells the classes apart: least squares on 512 gratings."""
    images, kinds = gratings(512, seed=1)
    with torch.no_grad():
        found = net.features(torch.from_numpy(images)).double()
        padded = torch.cat([found, torch.ones(len(found), 1).double()], 1)
        wanted = torch.from_numpy(np.eye(CLASSES)[kinds])
        solved = torch.linalg.lstsq(padded, wanted).solution.float()
        net.head.weight.copy_(solved[:-1].T)
        net.head.bias.copy_(solved[-1])
    return net


def uneven_weights() -> SmallMobileNet:
    """ReLU6 hides it: every fourth depthwise filter is a thousandfold and always at its ceiling.

    Folded into weights, a normalization whose channel hardly varies does that.
    """
    net = scaled(nn.ReLU6)
    with torch.no_grad():
        large = torch.arange(CHANNELS) % 4 == 0
        net.block2.depthwise.weight[large] *= FACTOR
        net.block2.depthwise.bias[large] = CEILING * FACTOR
        net.block2.pointwise.weight[:, large] /= 6.0
    return fitted(net)


def uneven_activations() -> SmallMobileNet:
    """The pointwise weights undo it: the same answers as before in float32."""
    net = scaled(nn.ReLU)
    with torch.no_grad():
        large = torch.arange(CHANNELS) % 4 == 0
        net.block2.depthwise.weight[large] *= FACTOR
        net.block2.depthwise.bias[large] *= FACTOR
        net.block2.pointwise.weight[:, large] /= FACTOR
    return fitted(net)


def accuracy(logits: np.ndarray, targets: np.ndarray) -> float:
    """Share of the gratings whose direction is told."""
    return float(np.mean(logits.argmax(-1) == targets))


def write_data(out: Path) -> None:
    """What is exported with: a sample, calibration's images, and others with their classes."""
    seen, (images, kinds) = gratings(64, seed=2)[0], gratings(200, seed=3)
    np.savez(out / "sample.npz", image=images[:1])
    np.savez(out / "calibration.npz", image=seen[:, None])
    np.savez(out / "test.npz", image=images[:, None], targets=kinds)


def command(out: Path, name: str, factory: str, options: str) -> list[str]:
    """One export."""
    here = Path(__file__)
    given = f"--sample {out / 'sample.npz'} --calibration {out / 'calibration.npz'} "
    given += f"--metric {here}:accuracy --data {out / 'test.npz'} --target rpi "
    given += f"--formats tflite --precision w8a8-static --keep-failed {out / name}-failed {options}"
    whole = f"export {here}:{factory} --out {out / name} {given}"
    return [sys.executable, "-m", "tinyml.cli.main", *whole.split()]


def main(out: Path) -> None:
    out.mkdir(parents=True)
    write_data(out)
    for name, factory, options in EXPORTS:
        print(f"== {name}: {factory} {options}", flush=True)
        done = subprocess.run(command(out, name, factory, options), check=False)
        print(f"== exit {done.returncode}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
