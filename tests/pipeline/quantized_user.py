"""A network of a user's with its sample and calibration data, and its export to integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tinyml.core.export_job import ExportJob, export_job

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.entry = nn.Conv2d(3, 16, 3, 2, 1)
        self.body = nn.Conv2d(16, 32, 3, padding=1)
        self.head = nn.Linear(32, 5)
    def forward(self, image):
        x = torch.relu(self.body(torch.relu(self.entry(image))))
        return torch.softmax(self.head(x.mean((2, 3))), 1)

class Scale(nn.Module):
    def forward(self, image):
        return torch.softmax(image, 1)

class Spread(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.entry = nn.Conv2d(3, 16, 3, 2, 1)
        self.spread = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False)
        self.gather = nn.Conv2d(16, 16, 1)
        self.head = nn.Linear(16, 5)
        scale = torch.where(torch.arange(16) % 2 == 0, 1000.0, 1.0)
        with torch.no_grad():
            self.spread.weight.mul_(scale[:, None, None, None])
            self.gather.weight.div_(scale[None, :, None, None])
            self.gather.weight[:, ::2] *= 0.05
            self.gather.bias.zero_()
            self.head.bias.zero_()
    def forward(self, image):
        x = self.gather(self.spread(torch.relu(self.entry(image))))
        return self.head(torch.relu(x).mean((2, 3)))

class Biased(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.entry = nn.Conv2d(3, 16, 3, 2, 1)
        self.filters = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False)
        self.mixed = nn.Conv2d(16, 24, 1)
        self.head = nn.Linear(24, 5)
        spread = torch.logspace(0, 2, 16)
        with torch.no_grad():
            self.entry.bias.fill_(2.0)
            self.filters.weight.mul_(spread[:, None, None, None])
            self.mixed.weight.div_(spread[None, :, None, None])
            self.head.weight.mul_(4)
    def forward(self, image):
        x = torch.relu(self.filters(torch.relu(self.entry(image))))
        return self.head(torch.relu(self.mixed(x)).mean((2, 3)))

class Inverse(nn.Module):
    def forward(self, x):
        return torch.pow(x * x + 1e-6, -0.25)

class Heard(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fe = Inverse()
        self.body = nn.Conv2d(3, 8, 3, padding=1)
        self.head = nn.Linear(8, 5)
    def forward(self, image):
        x = torch.relu(self.body(self.fe(image)))
        return torch.softmax(self.head(x.mean((2, 3))), 1)

def heard():
    return Heard()

def build():
    return Net()

def biased():
    return Biased()

def spread():
    return Spread()

def square():
    return Scale()
"""
SHAPE = (1, 3, 16, 16)


def silent(event: object) -> None:
    """No progress."""


def write_user(folder: Path) -> None:
    """``net.py``, ``s.npz`` and ``c.npz`` in ``folder``."""
    random = np.random.default_rng(0)
    (folder / "net.py").write_text(NET)
    np.savez(folder / "s.npz", image=random.standard_normal(SHAPE, np.float32))
    np.savez(folder / "c.npz", image=random.standard_normal((16, *SHAPE), np.float32))


def job(user: Path, **asked: Any) -> ExportJob:
    """An int8 export of it."""
    chosen: dict[str, Any] = {
        "model": f"{user / 'net.py'}:build",
        "target": "rpi",
        "out": user / "out",
        "sample": user / "s.npz",
        "calibration": user / "c.npz",
        "precision": "w8a8-static",
    }
    return export_job(**{**chosen, **asked})
