"""What each measure of training on few cores is worth: python benchmarks/image_training.py

Interleaved steps of MobileNet-v1 0.25 at 32 px on batches of 128, one thread each: plain
layout against channels_last, with and without augmentation, averaging, and pruning. Ratios
of medians; "two threads" is one process with two against one with one.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from tinyml.core import registry
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.recipe import PruneRecipe
from tinyml.models.data.augment import augment
from tinyml.models.pruning.gradual import GRADUAL, cubic
from tinyml.models.pruning.hooks import Scheduled
from tinyml.models.pruning.plan import plan_pruning
from tinyml.models.training.average import Average

ROUNDS = 25
BATCH = 128
STEPS = 1000


def main() -> None:
    entry = registry.load("model", "mobilenet-v1").configured(
        {"width": 0.25, "resolution": 32, "stem_stride": 1}
    )
    variants = {
        "channels_last": _step(entry),
        "plain layout": _step(entry, layout=torch.contiguous_format),
        "+ augmentation": _step(entry, augmented=True),
        "+ averaging": _step(entry, averaged=True),
        "+ gradual pruning": _step(entry, pruned=True),
        "two threads": _step(entry, threads=2),
    }
    times: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(ROUNDS + 2):
        order = list(variants)
        random.Random(number).shuffle(order)
        for name in order:
            start = time.perf_counter()
            variants[name]()
            if number >= 2:
                times[name].append(time.perf_counter() - start)
    base = statistics.median(times["channels_last"])
    for name, own in times.items():
        median = statistics.median(own)
        print(f"{name:<20} {1e3 * median:7.1f} ms a step  {median / base:5.2f} of channels_last")


def _step(
    entry: Any,
    *,
    layout: torch.memory_format = torch.channels_last,
    augmented: bool = False,
    averaged: bool = False,
    pruned: bool = False,
    threads: int = 1,
) -> Callable[[], None]:
    """One optimizer step of a module of its own."""
    torch.manual_seed(0)
    module = entry.build(10).to(memory_format=layout).train()
    processor = entry.processor
    assert isinstance(processor, ImageProcessor)
    random_bytes = np.random.default_rng(0).integers(0, 256, (BATCH, 32, 32, 3), np.uint8)
    images, labels = torch.from_numpy(random_bytes), torch.arange(BATCH) % 10
    fixed = torch.from_numpy(processor.preprocess(random_bytes)).to(memory_format=layout)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9)
    average = Average(module, 0.999) if averaged else None
    hook = _hook(module) if pruned else None
    counter = iter(range(1, STEPS))

    def step() -> None:
        torch.set_num_threads(threads)
        inputs = augment(images, processor, flip=True, shift=4) if augmented else fixed
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module.classify(inputs), labels).backward()
        if hook is not None:
            hook.before_update()
        optimizer.step()
        if hook is not None:
            hook.after_update(next(counter))
        if average is not None:
            average.update(module)

    return step


def _hook(module: Any) -> Scheduled:
    asked = PruneRecipe("gradual", 0.9, begin=0.0, end=1.0)
    chosen = plan_pruning(module, asked, GRADUAL)
    return Scheduled(
        module,
        chosen.layers,
        chosen.method.score,
        lambda step: cubic(asked, step, STEPS),
        every=asked.every,
        steps=STEPS,
    )


if __name__ == "__main__":
    main()
