"""A user's module for the time of its export: eval mode, inputs by name, outputs named."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tinyml.core.errors import ExportError, InputError
from tinyml.core.spec import DTYPES, Arrays, Signature, StatePair, TensorSpec

NHWC_AXES = ("batch", "height", "width", "channels")
IMAGE_RANK = 4
# Characters of another library's message in ours.
SHOWN = 120


def input_specs(sample: Arrays, layout: str = "nchw") -> tuple[TensorSpec, ...]:
    """The inputs that ``sample`` fixes; `InputError` for a name or type that no format takes."""
    for name, array in sample.items():
        dtype = str(array.dtype)
        if not name.isidentifier() or keyword.iskeyword(name) or name == "self":
            raise InputError(
                f"the sample's '{name}' cannot be the name of an input",
                hint="an input's name has letters, digits and underscores, as a parameter has",
            )
        if dtype not in DTYPES:
            fix = "float32" if dtype.startswith("float") else "one of " + ", ".join(DTYPES)
            raise InputError(
                f"the sample's '{name}' is {dtype}", hint=f"save it as {fix}: array.astype(...)"
            )
    return tuple(
        TensorSpec(name, array.shape, _axes(array.ndim, layout), str(array.dtype))
        for name, array in sample.items()
    )


def _axes(rank: int, layout: str) -> tuple[str, ...]:
    return NHWC_AXES if layout == "nhwc" and rank == IMAGE_RANK else ()


@contextmanager
def adapted(module: nn.Module, names: Sequence[str], layout: str = "nchw") -> Iterator[nn.Module]:
    """``module`` in eval mode, called with the inputs ``names`` as keywords; restored after.

    A forward of one parameter takes the only input whatever its name, or all of them in a
    dict unless it is annotated as a tensor. With ``nhwc`` 4-D inputs come channels last and are
    permuted at the entry.
    Raises `InputError` when forward does not take these inputs.
    """
    call = _call(module, names)
    own = module.__dict__.get("forward")
    training = [(part, part.training) for part in module.modules()]

    def forward(**inputs: Tensor) -> Any:
        return call({name: _channels_first(value, layout) for name, value in inputs.items()})

    module.eval()
    module.forward = forward
    try:
        yield module
    finally:
        del module.forward
        if own is not None:
            module.forward = own
        for part, flag in training:
            part.training = flag


def _channels_first(value: Tensor, layout: str) -> Tensor:
    """A copy in PyTorch's order of memory too: a module may look at its input as a view."""
    if layout == "nchw" or value.dim() != IMAGE_RANK:
        return value
    return value.permute(0, 3, 1, 2).contiguous()


def _call(module: nn.Module, names: Sequence[str]) -> Callable[[dict[str, Tensor]], Any]:
    forward = module.forward
    parameters = inspect.signature(forward).parameters
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [p for p in parameters.values() if p.default is p.empty and p.kind not in several]
    try:
        inspect.signature(forward).bind(**dict.fromkeys(names))
    except TypeError:
        pass
    else:
        return lambda inputs: forward(**inputs)
    mismatch = (
        f"the sample has the inputs {list(names)}, "
        f"{type(module).__name__}.forward takes {list(parameters)}"
    )
    hint = "name the sample's arrays as forward's parameters"
    alone = len(needed) == 1 and needed[0].kind is not inspect.Parameter.KEYWORD_ONLY
    if not alone or set(names) & set(parameters):
        raise InputError(mismatch, hint=hint)
    if _wants_dict(needed[0]):
        return lambda inputs: forward(inputs)
    if len(names) == 1:
        return lambda inputs: forward(next(iter(inputs.values())))
    if "tensor" in str(needed[0].annotation).lower():
        raise InputError(mismatch, hint=hint)

    def forward_dict(inputs: dict[str, Tensor]) -> Any:
        """The parameter may be a dict: its annotation does not say."""
        try:
            return forward(inputs)
        except (AttributeError, TypeError) as error:
            reason = " ".join(str(error).split())[:SHOWN]
            failed = f"{mismatch}; with all in a dict it fails: {reason}"
            raise InputError(failed, hint=hint) from error

    return forward_dict


def _wants_dict(parameter: inspect.Parameter) -> bool:
    text = str(parameter.annotation).lower()
    return parameter.annotation is not parameter.empty and ("dict" in text or "mapping" in text)


def run(module: nn.Module, inputs: Arrays) -> dict[str, Tensor]:
    """``module``'s outputs by name: a dict's own, ``output``, or ``output_0`` ...

    Raises `ExportError` for anything but tensors.
    """
    with torch.no_grad():
        returned = module(**{name: torch.from_numpy(a.copy()) for name, a in inputs.items()})
    named = _named(returned)
    for name, value in named.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ExportError(
                f"{type(module).__name__} returns a {type(value).__name__} as '{name}'",
                hint="return a tensor, a tuple of tensors or a dict of tensors",
            )
    return named


def _named(returned: Any) -> dict[str, Any]:
    if isinstance(returned, Mapping):
        return dict(returned)
    if isinstance(returned, tuple | list):
        return {f"output_{index}": value for index, value in enumerate(returned)}
    return {"output": returned}


def signature_of(
    inputs: tuple[TensorSpec, ...], outputs: Mapping[str, Tensor], states: Mapping[str, str]
) -> Signature:
    """The signature of what was just run; `InputError` when names or states do not fit."""
    taken = sorted({spec.name for spec in inputs} & set(outputs))
    if taken:
        raise InputError(
            f"'{taken[0]}' is an input and an output",
            hint="return the output under another name: both are names in one file",
        )
    for name in outputs:
        if not name or not name.isprintable():
            raise InputError(f"the output {name!r} has no name that can be printed")
    specs = tuple(
        TensorSpec(name, tuple(value.shape), dtype=str(value.dtype).removeprefix("torch."))
        for name, value in outputs.items()
    )
    pairs = tuple(StatePair(into, out) for into, out in states.items())
    return Signature(inputs, specs, pairs)
