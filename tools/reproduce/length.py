"""How long a claim's trainings are, from the minutes that may be spent on them."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

PLAN = "plan.json"


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds that one epoch of all of one seed's trainings takes on one core, and bounds.

    Measured on one core of the machine that the shipped tables come from, quiet.
    """

    epoch_s: float
    epochs: int
    least_seeds: int
    most_seeds: int


@dataclass(frozen=True, slots=True)
class Length:
    """What a budget buys; ``per_class`` images of each class are trained on, 0 for all."""

    minutes: float
    workers: int
    seeds: int
    epochs: int
    per_class: int
    set: str
    enough_epochs: int

    @property
    def short(self) -> bool:
        """Whether nothing can be judged by it: one seed, or less than half of the epochs."""
        return self.seeds < 2 or self.epochs < self.enough_epochs


def planned(folder: Path, minutes: float, cost: Cost, image_set: str, per_class: int) -> Length:
    """The plan that ``folder`` began with, or a new one, written there."""
    path = folder / PLAN
    if path.is_file():
        return Length(**json.loads(path.read_text(encoding="utf-8")))
    workers = os.cpu_count() or 1
    seconds = 60 * minutes * workers
    seeds = int(seconds / (cost.epoch_s * cost.epochs))
    seeds = min(max(seeds, cost.least_seeds), cost.most_seeds)
    epochs = min(int(seconds / (cost.epoch_s * seeds)), cost.epochs)
    if epochs < 2:
        seeds, epochs, per_class = 1, 2, min(per_class or 100, 100)
    length = Length(minutes, workers, seeds, epochs, per_class, image_set, cost.epochs // 2)
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(length), indent=2) + "\n", encoding="utf-8")
    return length
