"""What Adam's fused update and masks over bits are worth: python benchmarks/masked_step.py

Interleaved steps of LeNet-300-100 (batch 60, half of the weights masked) on one thread: this
package's optimizer and masks against PyTorch's unfused Adam and ``masked_fill_``. Ratio of
medians.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from tinyml.core import registry
from tinyml.core.recipe import TrainRecipe
from tinyml.models.pruning.hooks import Masked
from tinyml.models.pruning.mask import Masks
from tinyml.models.training.hook import Hook
from tinyml.models.training.optimize import make_optimizer

ROUNDS = 300
BATCH = 60


class Filled(Hook):
    """The same masks as `Masked` by ``masked_fill_``."""

    def __init__(self, module: nn.Module, masks: Masks) -> None:
        self.masks, self.weights = masks, dict(module.named_parameters())

    def before_update(self) -> None:
        self._fill([(mask, self.weights[name].grad) for name, mask in self.masks.items()])

    def after_update(self, step: int) -> None:
        self._fill([(mask, self.weights[name]) for name, mask in self.masks.items()])

    def _fill(self, pairs: list[tuple[Tensor, Tensor | None]]) -> None:
        with torch.no_grad():
            for mask, values in pairs:
                if values is not None:
                    values.masked_fill_(~mask, 0.0)


def main() -> None:
    torch.set_num_threads(1)
    variants = {"fused, over bits": _step(fused=True), "unfused, filled": _step(fused=False)}
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, step in variants.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(own) for name, own in times.items()}
    for name, median in medians.items():
        print(f"{name:18} {1e3 * median:6.2f} ms")
    print(f"ratio              {medians['unfused, filled'] / medians['fused, over bits']:6.2f}")


def _step(*, fused: bool) -> Callable[[], None]:
    torch.manual_seed(0)
    module: Any = registry.load("model", "lenet-300-100").build(10)
    matrices = {n: w for n, w in module.named_parameters() if w.dim() == 2}
    masks = {name: torch.rand_like(weight) < 0.5 for name, weight in matrices.items()}
    optimizer = (
        make_optimizer(module.parameters(), TrainRecipe(optimizer="adam", weight_decay=0.0))
        if fused
        else torch.optim.Adam(module.parameters(), fused=False)
    )
    hook: Hook = Masked(module, masks) if fused else Filled(module, masks)
    images, labels = torch.rand(BATCH, 1, 28, 28), torch.randint(10, (BATCH,))

    def step() -> None:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(module.classify(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        hook.before_update()
        optimizer.step()
        hook.after_update(1)

    return step


if __name__ == "__main__":
    main()
