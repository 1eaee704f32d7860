"""A keyword spotter of one's own, from module to bundle to board: keyword_spotting.py OUT"""

import subprocess
import sys

import numpy as np
import torch
from torch import nn

import tinyml

LABELS = ("rising", "falling", "noise")  # stand-ins for words: half a second at 8 kHz


def words(count, seed):
    rng, time = np.random.default_rng(seed), np.arange(4000) / 8000
    kinds = rng.integers(0, 3, count)
    sweep = np.array([2400, -2400, 0])[kinds, None] * (time - 0.25) + rng.uniform(900, 1100)
    tones = np.where(kinds[:, None] < 2, np.sin(2 * np.pi * np.cumsum(sweep, 1) / 8000), 0)
    return (0.5 * tones + 0.3 * rng.standard_normal((count, 4000))).astype(np.float32), kinds


class KeywordNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.filters = nn.Conv1d(1, 32, 200, stride=80)  # 25 ms every 10 ms, learned
        depthwise = nn.Conv1d(48, 48, 9, padding=4, groups=48)
        self.block = nn.Sequential(nn.Conv1d(32, 48, 1), nn.BatchNorm1d(48), nn.ReLU(), depthwise)
        self.head = nn.Sequential(nn.BatchNorm1d(48), nn.ReLU(), nn.AdaptiveAvgPool1d(1))
        self.classes = nn.Linear(48, 3)

    def forward(self, audio):
        power = torch.log(self.filters(audio[:, None]).square() + 1e-5)
        return {"scores": self.classes(self.head(self.block(power)).flatten(1))}


torch.manual_seed(0)
net, (audio, kinds) = KeywordNet(), words(512, seed=1)
optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
for _ in range(8):
    for part in torch.randperm(512).split(32):
        loss = nn.functional.cross_entropy(
            net(torch.from_numpy(audio[part]))["scores"], torch.from_numpy(kinds[part])
        )
        optimizer.zero_grad(), loss.backward(), optimizer.step()


def accuracy(predictions, targets):
    return np.mean(predictions.argmax(-1) == targets)


held_audio, held_kinds = words(100, seed=2)
held = {"audio": held_audio, "targets": held_kinds}
sample = {"audio": held_audio[:1]}
options = {"labels": LABELS, "metric": accuracy, "data": held, "force": True}
bundle = tinyml.build_bundle(net, sample, target="rpi", out=sys.argv[1], **options)
for metric in bundle.parity.metrics:
    print(f"{metric.engine}: {metric.name} {metric.value:.2f} on {metric.samples} words")
np.savez(f"{sys.argv[1]}.sample.npz", **sample)  # what a microphone would give on the board
run = [sys.executable, f"{sys.argv[1]}/run.py", f"{sys.argv[1]}.sample.npz"]
print(subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip())
print("said:", LABELS[held_kinds[0]])
