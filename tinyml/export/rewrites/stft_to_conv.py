"""``stft(x)`` and what is taken of it -> a convolution with windowed sines and cosines.

The real part of a short-time Fourier transform is a convolution with
``window * cos(2 pi f t / n)``, the imaginary one with ``-window * sin(...)``, both strided
by the hop. Its magnitude is ``sqrt(re^2 + im^2)``, its power the same without the root.

Refused when the window is computed, when the result is used as a complex number (anything
but ``abs``, ``real``, ``imag``, ``view_as_real``) or is none at all, and for windows
aligned otherwise. Neither format has complex numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

from tinyml.export.capture.constants import add_constant, value_of
from tinyml.export.nodes import Writer, argument, is_fixed, shape_of
from tinyml.export.outcome import Outcome

FIRES_IN = "spectrogram"

_aten = torch.ops.aten
_TAKEN = (
    _aten.abs.default,
    _aten.real.default,
    _aten.imag.default,
    _aten.view_as_real.default,
)


@dataclass(frozen=True, slots=True)
class _Transform:
    """Constants of one transform: its hop and its kernels [2 * bins, 1, n]."""

    hop: int
    kernels: Tensor


def stft_to_conv(program: ExportedProgram, stages: dict[str, str | None]) -> Outcome:
    """Replace transforms; a stage that was complex is fused away."""
    replaced, refused = 0, {}
    for node in list(program.graph.nodes):
        if node.target is not _aten.stft.default:
            continue
        transform = _transform(program, node)
        if isinstance(transform, str):
            refused[node.name] = transform
            continue
        _replace(program, node, transform)
        stages.update({s: None for s, held in stages.items() if held == node.name})
        replaced += 1
    return Outcome(replaced, refused)


def _transform(program: ExportedProgram, node: Any) -> _Transform | str:
    """What the transform becomes, or why it stays."""
    if not node.users:
        return "nothing uses it"
    n, onesided = int(node.args[1]), argument(node, 6, "onesided", None)
    if not argument(node, 7, "return_complex", False) or argument(node, 8, "align_to_window", None):
        return "its result is not complex, or its windows are aligned otherwise"
    if any(user.target not in _TAKEN for user in node.users):
        return "its result is used as a complex number"
    window = _window(program, node, n)
    if window is None:
        return "its window is computed"
    scale = 1.0 / math.sqrt(n) if argument(node, 5, "normalized", False) else 1.0
    hop = argument(node, 2, "hop_length", None)
    bins = n // 2 + 1 if onesided is None or onesided else n
    return _Transform(int(hop or n // 4), _kernels(window * scale, bins))


def _window(program: ExportedProgram, node: Node, n: int) -> Tensor | None:
    """[n] in float64, zeros around a shorter one; ``None`` when it is computed."""
    length, given = argument(node, 3, "win_length", None) or n, argument(node, 4, "window", None)
    value = torch.ones(length) if given is None else value_of(program, given)
    if value is None and _is_made(given):
        value = given.target(*given.args, **given.kwargs)
    if value is None:
        return None
    left = (n - length) // 2
    return torch.nn.functional.pad(value.double(), (left, n - length - left))


def _is_made(node: Node) -> bool:
    """Whether a node makes a constant, as ``hann_window(64)`` does."""
    return (
        node.op == "call_function"
        and not node.all_input_nodes
        and is_fixed(node.kwargs)
        and "_window" in str(node.target)
    )


def _kernels(window: Tensor, bins: int) -> Tensor:
    n = len(window)
    turns = torch.outer(torch.arange(bins), torch.arange(n)) % n
    angles = 2.0 * math.pi * turns.double() / n
    kernels = torch.cat([torch.cos(angles), -torch.sin(angles)]) * window
    return kernels.float().unsqueeze(1)


def _replace(program: ExportedProgram, node: Node, transform: _Transform) -> None:
    write, x = Writer(program, node), node.args[0]
    constant = add_constant(program, f"{node.name}_kernels", transform.kernels)
    batch, samples = shape_of(x)[:-1], shape_of(x)[-1]
    row = write.call(_aten.view.default, x, [math.prod(batch), 1, samples])
    both = write.call(_aten.conv1d.default, row, constant, None, [transform.hop])
    bins = len(transform.kernels) // 2
    parts = []
    for start in (0, bins):
        part = write.call(_aten.slice.Tensor, both, 1, start, start + bins)
        parts.append(part if batch else write.call(_aten.squeeze.dim, part, 0))
    for user in list(node.users):
        _take(program, user, *parts)
    program.graph.erase_node(node)


def _take(program: ExportedProgram, user: Node, real: Node, imag: Node) -> None:
    write = Writer(program, user)
    if user.target is _aten.abs.default:
        squares = [write.call(_aten.mul.Tensor, part, part) for part in (real, imag)]
        power = write.call(_aten.add.Tensor, *squares)
        write.replace(write.call(_aten.sqrt.default, power))
    elif user.target is _aten.view_as_real.default:
        write.replace(write.call(_aten.stack.default, [real, imag], -1))
    else:
        part = real if user.target is _aten.real.default else imag
        name = user.name
        if any(other.op == "output" for other in user.users):
            write.replace(write.call(_aten.clone.default, part))
            return
        user.replace_all_uses_with(part)
        program.graph.erase_node(user)
        part.name = name
