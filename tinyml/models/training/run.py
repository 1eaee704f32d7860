"""What every run of training has, whatever its data: one owner, one state, one seed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tinyml.core import checkpoint
from tinyml.core.bundle_folder import check_outside
from tinyml.core.checkpoint import Checkpoint
from tinyml.core.errors import CheckpointError, RecipeError, UsageError, machine_errors
from tinyml.core.events import Finished, Mismatch, Report, Resumed
from tinyml.core.files import resolved, sweep_files
from tinyml.core.finite import LOUD, check_outputs
from tinyml.core.folders import lock
from tinyml.core.processor import Floats
from tinyml.core.recipe import Recipe
from tinyml.models.protocol import ModelEntry, check_module
from tinyml.models.training.fit import seed_of
from tinyml.models.training.state import Identity, TrainState, load_state

STATE = "state.safetensors"


def new_module(entry: ModelEntry, recipe: Recipe, classes: int, part: str) -> Any:
    """The model in an initial state that follows from the recipe's seed and the part.

    Raises `TypeError` where it is not what `tinyml.models.protocol` asks of a module.
    """
    torch.manual_seed(seed_of(recipe.seed, part, "weights"))
    module = entry.build(classes)
    check_module(entry, module)
    return module


@contextlib.contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """``threads`` threads and deterministic algorithms, until the block ends."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])


@contextlib.contextmanager
def owned_folder(out: Path) -> Iterator[None]:
    """Make ``out``, be its only writer, and remove what a killed writer left half-written.

    Raises `UsageError` when it is a file, lies in a bundle, or another process works in it.
    """
    out = resolved(out)
    check_outside(out / STATE)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file", hint="choose another folder")
    with machine_errors(f"making {out.name}", out.parent):
        out.mkdir(parents=True, exist_ok=True)
    with lock(out):
        sweep_files(out)
        yield


def load_module(entry: ModelEntry, saved: Checkpoint) -> nn.Module:
    """``entry``'s module with the checkpoint's weights, in eval mode.

    Raises `CheckpointError` naming some of what does not fit.
    """
    module: nn.Module = entry.build(len(saved.processor.labels))
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in saved.weights.items()}
    wrong = [f"{name} is missing" for name in wanted if name not in found]
    wrong += [f"{name} is not its" for name in found if name not in wanted]
    wrong += [
        f"{name} is {list(found[name])} instead of {list(shape)}"
        for name, shape in wanted.items()
        if found.get(name, shape) != shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise CheckpointError(
            f"the weights are not those of model '{entry.name}': {'; '.join(wrong[:3])}{more}",
            hint="give the checkpoint of this model, or name the model that it is of",
        )
    check_module(entry, module)
    module.load_state_dict({n: torch.from_numpy(v.copy()) for n, v in saved.weights.items()})
    return module.eval()


def classify_windows(module: nn.Module) -> Callable[[Floats], Floats]:
    """A function windows [n, window] -> probabilities [n, classes] that runs ``module``.

    It raises `ValidationError` where a probability is not finite.
    """

    def classify(windows: Floats) -> Floats:
        with torch.no_grad():
            probabilities: Floats = module(torch.from_numpy(windows))["probabilities"].numpy()
        check_outputs("PyTorch", {"probabilities": probabilities}, hint=LOUD)
        return probabilities

    return classify


def finished(
    out: Path,
    recipe: Recipe,
    data_sha256: str,
    report: Report,
    parent: Checkpoint | None = None,
) -> Checkpoint | None:
    """The checkpoint that ``out`` holds already, if it is this run's."""
    if not (out / checkpoint.FILE).is_file():
        return None
    saved = checkpoint.load(out)
    facts = saved.facts
    if saved.recipe.id != recipe.id or facts is None or facts.data_sha256 != data_sha256:
        what = "recipe" if saved.recipe.id != recipe.id else "data"
        raise CheckpointError(
            f"{out / checkpoint.FILE} was trained with another {what}",
            hint="choose another --out, or delete that folder",
        )
    if facts.parent_sha256 != (parent.weights_sha256 if parent else None):
        raise CheckpointError(
            f"{out / checkpoint.FILE} began with another checkpoint",
            hint="choose another --out, or delete that folder",
        )
    (out / STATE).unlink(missing_ok=True)
    report(Finished(f"{out} is finished already: nothing to train"))
    return saved


def job_of(name: str, parent: Checkpoint | None) -> str:
    """What a state calls its job: which parent it began with belongs to it."""
    return f"{name} of {parent.weights_sha256[:16]}" if parent else name


def check_teacher(recipe: Recipe, parent: Checkpoint | None) -> None:
    """Raise `RecipeError` for a distillation without a teacher."""
    if recipe.train.distill_weight and parent is None:
        raise RecipeError(
            "distill_weight needs a teacher", hint="tinyml prune CHECKPOINT --distill 0.5"
        )


def teacher_of(
    entry: ModelEntry, recipe: Recipe, parent: Checkpoint | None
) -> Callable[[Tensor], Tensor] | None:
    """The parent's logits, if the recipe distils: inputs as trained on -> logits."""
    if parent is None or not recipe.train.distill_weight:
        return None
    module: Any = load_module(entry, parent)
    classify: Callable[[Tensor], Tensor] = module.classify
    return classify


def open_state(
    path: Path, job: str, recipe: Recipe, data_sha256: str, report: Report
) -> TrainState:
    """Read or begin the state of ``job`` at ``path``, and say where it continues."""
    identity = Identity(job, recipe.id, data_sha256, torch.get_num_threads(), instruction_set())
    state, differences = load_state(path, identity)
    for text in differences:
        report(Mismatch(f"continuing where {text}: other last digits"))
    if state.finished or state.epoch:
        report(Resumed(f"continuing {path.parent}"))
    state.save(path)
    return state


def instruction_set() -> str:
    """What torch's kernels use of this CPU."""
    return str(torch.backends.cpu.get_cpu_capability())
