"""What is exported and asked: the model of every fold, and the MobileNet of examples/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from tinyml.core import checkpoint
from tinyml.core.events import Report
from tinyml.core.files import write_text
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.processor import Floats, Processor
from tinyml.models.training.cross_validation import fold_file
from tinyml.pipeline.outputs.data import image_set
from tinyml.pipeline.outputs.evaluation_set import EvaluationSet, Images, load_evaluation_set

ROOT = Path(__file__).parents[2]
MOBILENET = ROOT / "examples" / "checkpoints" / "sparse-dense.safetensors"
FOLD_COUNT = 5
# A subject near a threshold goes either way: of each, three models are asked that have not seen it.
SEEDS = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class Questions:
    """The data that judges a case."""

    evaluation_set: EvaluationSet

    @property
    def truths(self) -> Mapping[str, int]:
        """What each subject or image is: name -> label."""
        return self.evaluation_set.truths

    def __len__(self) -> int:
        return len(self.evaluation_set)

    @property
    def processor(self) -> Processor:
        """What surrounds the graph, the float model's thresholds with it."""
        return self.evaluation_set.processor

    def inputs(self, start: int, end: int) -> Floats:
        """Some of the graph's inputs, along a first axis."""
        return self.evaluation_set.inputs(start, end)

    def of_unit(self, outputs: Sequence[Sequence[float]]) -> dict[str, Floats]:
        """[inputs, classes] -> name of a subject or image -> [classes]."""
        return self.evaluation_set.of_unit(np.asarray(outputs, np.float32))


@dataclass(frozen=True, slots=True)
class Case:
    """One checkpoint; ``fold``: 0 where there are none; ``seed`` of split and training."""

    model: str
    fold: int
    checkpoint: Path
    seed: int = 0

    @property
    def id(self) -> str:
        """Other weights have another one, so that no answer of theirs is taken for these."""
        weights = checkpoint.load(self.checkpoint).weights_sha256[:8]
        return f"{self.model}-{self.fold}-{weights}" if self.fold else f"{self.model}-{weights}"

    def questions(self, report: Report) -> Questions:
        """What the checkpoint has not seen; `DataError` without its data set."""
        saved = checkpoint.load(self.checkpoint)
        if isinstance(saved.processor, ImageProcessor):
            # The gate takes 2,000 of them; here it is all.
            test = image_set(saved.recipe, None, saved.processor, report).test
            labels = tuple(map(int, test.labels))
            return Questions(
                Images(saved.processor, test.images, tuple(range(len(labels))), labels)
            )
        return Questions(load_evaluation_set(saved, None, report))


def cases(runs: Path) -> dict[str, list[Case]]:
    """Every case by model, in the order of the page."""
    funnelnet = [
        Case("funnelnet", number, folds_of(runs, seed) / fold_file(number), seed)
        for seed in SEEDS
        for number in range(1, FOLD_COUNT + 1)
    ]
    return {"funnelnet": funnelnet, "mobilenet-v1": [Case("mobilenet-v1", 0, MOBILENET)]}


def folds_of(runs: Path, seed: int) -> Path:
    """Where the cross-validation of ``seed`` lies."""
    return runs / (f"circor-folds-{seed}" if seed else "circor-folds")


def recipe_of(runs: Path, seed: int) -> str:
    """The shipped recipe, or one beside the runs that differs in its seed alone."""
    if not seed:
        return "circor"
    text = (resources.files("tinyml") / "recipes" / "circor.toml").read_text(encoding="utf-8")
    path = runs / f"circor-{seed}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text.replace("\nseed = 0\n", f"\nseed = {seed}\n"))
    return str(path)
