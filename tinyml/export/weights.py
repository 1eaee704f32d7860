"""A state dict from a file into a module, and what to do when their names differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from tinyml.core.errors import CheckpointError, ExportError, TinymlError
from tinyml.core.finite import check_finite
from tinyml.export.capture.program import one_line
from tinyml.export.weights_file import read_weights

# Of the names of one kind, in a message.
SHOWN, SHOWN_CHARACTERS = 4, 56
Tensors = Mapping[str, Tensor]
Rename = Callable[[Iterable[str]], Mapping[str, str]]


def load_weights(
    module: nn.Module, path: Path, strip_prefix: str = "", rename: Rename | None = None
) -> None:
    """Load every parameter and buffer of ``module`` from ``path``.

    With ``strip_prefix``, names lose it and those without it are left out (an optimizer,
    a loss, the weights beside the moving average). ``rename`` maps another library's names
    to the module's. Raises `CheckpointError` listing what
    is missing, what is not the module's and what has another shape, with the likely fix.
    """
    found = read_weights(path)
    given = _stripped(found, strip_prefix) if strip_prefix else found
    if not given:
        raise CheckpointError(
            f"{path.name}: no name starts with '{strip_prefix}'", hint=f"it has {_some(found)}"
        )
    if rename is not None:
        names = rename(given)
        given = {names.get(name, name): value for name, value in given.items()}
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    if wrong := _load(module, wanted, given):
        raise CheckpointError(
            f"{path.name} does not fit the module: {'; '.join(wrong)}", hint=_fix(wanted, found)
        )
    check_weights(module, path.name, CheckpointError)


def check_weights(module: nn.Module, what: str, error: type[TinymlError] = ExportError) -> None:
    """Raise ``error`` naming the first parameter or buffer that is not finite.

    -inf in a buffer is allowed: it is what attention masks are made of.
    """
    hint = "the training that made them diverged; or a division by zero in the module"
    buffers = dict(_dense(module.named_buffers()))
    masks = {name: own.masked_fill(own == -torch.inf, 0) for name, own in buffers.items()}
    weights = {**dict(_dense(module.named_parameters())), **masks}
    named = {name: own.float().cpu().numpy() for name, own in weights.items()}
    check_finite(f"{what}: the weight", named, error=error, hint=hint)


def _dense(named: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """Those that are arrays of real numbers."""
    for name, own in named:
        if own.is_floating_point() and own.layout == torch.strided:
            yield name, own.detach()


def _stripped(found: Tensors, prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): value for n, value in found.items() if n.startswith(prefix)}


def _load(module: nn.Module, wanted: Mapping[str, tuple[int, ...]], given: Tensors) -> list[str]:
    """Load, and return one phrase for each kind of mismatch.

    PyTorch decides which names a module can do without (the counter of a batch normalization)
    and which older ones it takes (those of ``weight_norm`` before it was a parametrization).
    """
    other = {
        name: f"{name} is {list(given[name].shape)} instead of {list(shape)}"
        for name, shape in wanted.items()
        if name in given and tuple(given[name].shape) not in (shape, shape or (1,))
    }
    own = module.state_dict()
    fitting = {name: own[name] if name in other else value for name, value in given.items()}
    try:
        loaded = module.load_state_dict(fitting, strict=False)
    except RuntimeError as error:
        return [one_line(error)]
    kinds = {
        "missing": loaded.missing_keys,
        "unexpected": loaded.unexpected_keys,
        "other shapes": list(other.values()),
    }
    return [f"{len(names)} {kind} ({_some(names)})" for kind, names in kinds.items() if names]


def _some(names: Iterable[str]) -> str:
    """The first of ``names``; the first alone may take more than `SHOWN_CHARACTERS`."""
    listed, shown = list(names), 1
    while shown < SHOWN and len(", ".join(listed[: shown + 1])) <= SHOWN_CHARACTERS:
        shown += 1
    return ", ".join(listed[:shown]) + (", ..." if len(listed) > shown else "")


def _fix(wanted: Mapping[str, tuple[int, ...]], found: Tensors) -> str:
    """The prefix that makes most names fit, if there is one on either side."""
    best = max(_prefixes(wanted, found), key=lambda p: (p[1], -len(p[0])), default=("", 0))
    plain = sum(name in wanted for name in found)
    if best[1] > plain:
        return f"{best[1]} of {len(wanted)} names fit with `strip_prefix={best[0]}`"
    outer = max(_prefixes(found, wanted), key=lambda p: (p[1], -len(p[0])), default=("", 0))
    if outer[1] > plain:
        return f"the module's own names start with '{outer[0]}': let the factory return that part"
    return "the weights must be of this very network: the same variant, the same number of classes"


def _prefixes(wanted: Iterable[str], found: Iterable[str]) -> list[tuple[str, int]]:
    """Every prefix of ``found`` before the name of a wanted one, with how many it makes fit.

    ``module.`` (data parallel, averaged), ``_orig_mod.`` (compiled), ``model.``
    (Lightning), ``ema.`` and any other.
    """
    wanted, names = list(wanted), list(found)
    last = {name.rpartition(".")[2] for name in wanted}
    counts: dict[str, int] = {}
    for name in names:
        if name.rpartition(".")[2] in last:
            for own in wanted:
                if name.endswith(f".{own}"):
                    prefix = name.removesuffix(own)
                    counts[prefix] = counts.get(prefix, 0) + 1
    return list(counts.items())
