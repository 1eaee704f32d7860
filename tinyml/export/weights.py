"""A state dict from a file into a module, and what to do when their names differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tinyml.core.errors import CheckpointError, ExportError, TinymlError, raise_refusal
from tinyml.core.finite import check_finite
from tinyml.export.capture.program import one_line

SHOWN = 4
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
    wrong = _mismatches(wanted, given)
    if wrong:
        raise CheckpointError(
            f"{path.name} does not fit the module: {'; '.join(wrong)}", hint=_cure(wanted, found)
        )
    module.load_state_dict(dict(given))
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


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` or a torch file, by name; never runs code from it.

    Mappings inside a torch file are flattened: ``{"state_dict": {"a": ...}}`` is
    ``state_dict.a``. Raises `CheckpointError` for anything else.
    """
    if path.suffix == ".safetensors":
        return _safetensors(path)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickles fail in as many ways as there are opcodes
        raise_refusal(error, f"reading {path.name}")
        raise CheckpointError(
            f"{path.name} cannot be read as weights alone: {one_line(error)}",
            hint="save the state dict: torch.save(module.state_dict(), 'W.pt')",
        ) from error
    tensors = dict(_flat(loaded, ""))
    if not tensors:
        raise CheckpointError(
            f"{path.name} holds no tensors by name",
            hint="save the state dict: torch.save(module.state_dict(), 'W.pt')",
        )
    return tensors


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(
            f"{path.name} is not a whole safetensors file ({error})",
            hint="it may be truncated, or of another kind: copy or save it again",
        ) from error


def _flat(value: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor) and prefix:
        yield prefix.removesuffix("."), value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, f"{prefix}{name}.")


def _stripped(found: Tensors, prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): value for n, value in found.items() if n.startswith(prefix)}


def _mismatches(wanted: Mapping[str, tuple[int, ...]], given: Tensors) -> list[str]:
    """One phrase for each kind of mismatch."""
    missing = [name for name in wanted if name not in given]
    foreign = [name for name in given if name not in wanted]
    shapes = [
        f"{name} is {list(given[name].shape)} instead of {list(shape)}"
        for name, shape in wanted.items()
        if name in given and tuple(given[name].shape) != shape
    ]
    kinds = (("missing", missing), ("unexpected", foreign), ("other shapes", shapes))
    return [f"{len(names)} {kind} ({_some(names)})" for kind, names in kinds if names]


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:SHOWN]) + (", ..." if len(listed) > SHOWN else "")


def _cure(wanted: Mapping[str, tuple[int, ...]], found: Tensors) -> str:
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
