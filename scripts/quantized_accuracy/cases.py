"""What is exported and asked: the model of every fold, and the MobileNet of examples/."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyml import checkpoint
from tinyml.decision import AnyDecision, Floats
from tinyml.image_decision import ImageDecision
from tinyml.models.training.recordings import fold_file
from tinyml.pipeline.answers.data import image_set
from tinyml.pipeline.answers.held_out import HeldOut, Images, held_out

Report = Callable[[Mapping[str, Any]], None]
ROOT = Path(__file__).parents[2]
MOBILENET = ROOT / "examples" / "checkpoints" / "sparse-dense.safetensors"
FOLD_COUNT = 5


@dataclass(frozen=True, slots=True)
class Questions:
    """All that a case held out."""

    held_out: HeldOut

    @property
    def truths(self) -> Mapping[str, int]:
        """What each person or image is: name -> label."""
        return self.held_out.truths

    def __len__(self) -> int:
        return len(self.held_out)

    @property
    def decision(self) -> AnyDecision:
        """What surrounds the graph, the float model's thresholds with it."""
        return self.held_out.decision

    def inputs(self, start: int, end: int) -> Floats:
        """Some of the graph's inputs, along a first axis."""
        return self.held_out.inputs(start, end)

    def of_unit(self, outputs: Sequence[Sequence[float]]) -> dict[str, Floats]:
        """[inputs, classes] -> name of a person or image -> [classes]."""
        return self.held_out.of_unit(np.asarray(outputs, np.float32))


@dataclass(frozen=True, slots=True)
class Case:
    """One checkpoint; ``fold``: 0 where there are none."""

    model: str
    fold: int
    checkpoint: Path

    @property
    def id(self) -> str:
        """Other weights have another one, so that no answer of theirs is taken for these."""
        weights = checkpoint.load(self.checkpoint).weights_sha256[:8]
        return f"{self.model}-{self.fold}-{weights}" if self.fold else f"{self.model}-{weights}"

    def questions(self, report: Report) -> Questions:
        """What the checkpoint has not seen; `DataError` without its data set."""
        saved = checkpoint.load(self.checkpoint)
        if isinstance(saved.decision, ImageDecision):
            # The gate takes 2,000 of them; here it is all.
            test = image_set(saved.recipe, None, saved.decision, report).test
            labels = tuple(map(int, test.labels))
            return Questions(Images(saved.decision, test.images, tuple(range(len(labels))), labels))
        return Questions(held_out(saved, None, report))


def cases(runs: Path) -> dict[str, list[Case]]:
    """Every case by model, in the order of the page."""
    folds = folds_of(runs)
    funnelnet = [
        Case("funnelnet", number, folds / fold_file(number)) for number in range(1, FOLD_COUNT + 1)
    ]
    return {"funnelnet": funnelnet, "mobilenet-v1": [Case("mobilenet-v1", 0, MOBILENET)]}


def folds_of(runs: Path) -> Path:
    """Where the cross-validation lies."""
    return runs / "circor-folds"
