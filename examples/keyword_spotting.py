"""A keyword spotter of one's own, from module to bundle to board: keyword_spotting.py OUT"""

import subprocess
import sys

import numpy as np
import torch
from torch import nn

import tinyml

LABELS = ("rising", "falling", "noise")  # stand-ins for words: half a second at 8 kHz


def words(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng, time = np.random.default_rng(seed), np.arange(4000) / 8000
    kinds = rng.integers(0, 3, count)
    hertz = 1000 + np.array([2400, -2400, 0])[kinds, None] * (time - 0.25)
    tones = (kinds[:, None] < 2) * np.sin(2 * np.pi * np.cumsum(hertz, 1) / 8000)
    return (tones + 0.3 * rng.standard_normal((count, 4000))).astype(np.float32), kinds


class KeywordNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Conv1d(1, 24, 100, stride=80)  # a learned filter bank, 10 ms frames
        self.block = nn.Sequential(nn.BatchNorm1d(24), nn.Conv1d(24, 32, 9, stride=2), nn.ReLU())
        self.scores = nn.Linear(32, 3)

    def forward(self, audio: torch.Tensor) -> dict[str, torch.Tensor]:
        power = torch.log(self.filters(audio[:, None]).square() + 1e-5)
        return {"scores": self.scores(self.block(power).mean(-1))}


def accuracy(predictions: np.ndarray, targets: np.ndarray) -> float:
    return float(np.mean(predictions.argmax(-1) == targets))


def trained() -> KeywordNet:
    torch.manual_seed(0)
    net, (audio, kinds) = KeywordNet(), map(torch.from_numpy, words(256, seed=1))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for batch in [part for _ in range(8) for part in torch.randperm(256).split(32)]:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(audio[batch])["scores"], kinds[batch]).backward()
        optimizer.step()
    return net


def main(out: str) -> None:
    heard, targets = words(100, seed=2)
    sample, data = {"audio": heard[:1]}, {"audio": heard, "targets": targets}
    options = {"labels": LABELS, "metric": accuracy, "data": data, "force": True}
    bundle = tinyml.build_bundle(trained(), sample, target="rpi", out=out, **options)
    for metric in bundle.parity.metrics:
        print(f"{metric.engine}: {metric.name} {metric.value:.2f} on {metric.samples} words")
    np.savez(f"{out}.sample.npz", **sample)  # what a microphone would give on the board
    subprocess.run([sys.executable, f"{out}/run.py", f"{out}.sample.npz"], check=True)


if __name__ == "__main__":
    main(sys.argv[1])
