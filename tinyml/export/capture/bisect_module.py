"""A module that torch.export refuses -> the smallest submodule that it refuses, with its line.

The module runs once as it is, with hooks that keep what each submodule is given. Then the
tree is descended: a submodule that is refused for the same reason with its own inputs is
entered; where none of its own submodules is, it is the smallest.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from tinyml.core.errors import ExportError
from tinyml.core.spec import Array, Signature
from tinyml.export.capture import failure_location
from tinyml.export.capture.failure_location import FailureLocation
from tinyml.export.capture.known_exceptions import find_exception
from tinyml.export.capture.program import one_line, refuse_state, sample_inputs
from tinyml.export.capture.user_code import UserLine, from_error, source_file, source_line

BROKEN = "the module fails without tinyml too: call it on the sample, and fix it there"


@dataclass(slots=True)
class _Call:
    """The arguments of a submodule's first call."""

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]


@dataclass(slots=True)
class _Recorder:
    """First calls by qualified name in the order they began, and the calls now running."""

    calls: dict[str, _Call] = field(default_factory=dict)
    running: list[str] = field(default_factory=list)

    def watch(self, name: str, part: nn.Module) -> list[Any]:
        def enter(_: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
            self.running.append(name)
            if name not in self.calls:
                self.calls[name] = _Call(_copied(arguments), _copied(keywords))

        def leave(_: nn.Module, _inputs: Any, _output: Any) -> None:
            self.running.pop()

        return [
            part.register_forward_pre_hook(enter, with_kwargs=True),
            part.register_forward_hook(leave),
        ]


def locate_failure(
    module: nn.Module,
    sample: Signature | Mapping[str, Array],
    error: ExportError,
    *,
    log: Path | None,
    budget_s: float,
) -> ExportError:
    """``error`` of capture, with the smallest submodule that causes it.

    ``sample`` gives the inputs by name; of a `Signature`, zeros. The search ends after
    ``budget_s`` seconds, between two tries, with the smallest submodule found by then.
    ``error`` comes back as it is when it is not about what torch.export can capture (a
    module in training mode, outputs that are not the signature's).
    """
    if error.located:
        return error
    deadline = time.monotonic() + budget_s
    inputs = _inputs(sample)
    recorder = _Recorder()
    failed = _run(module, inputs, recorder)
    if failed is not None:
        name = recorder.running[-1] if recorder.running else ""
        found = replace(_locate(module, name, failed, failed), message=_message(failed), fix=BROKEN)
        return failure_location.refusal(failure_location.EAGER, found, log, cut_short=False)
    whole = _refused(module, _Call((), inputs))
    if whole is None:
        return error
    name, smallest, cut_short = _descend(module, recorder.calls, whole, deadline)
    found = _locate(module, name, smallest, whole)
    return failure_location.refusal(failure_location.CAPTURE, found, log, cut_short=cut_short)


def _descend(
    module: nn.Module, calls: dict[str, _Call], whole: Exception, deadline: float
) -> tuple[str, Exception, bool]:
    """(name, torch's error, whether time ran out) of the smallest submodule that is refused."""
    name, reason = "", whole
    entered = True
    while entered:
        entered = False
        for child in _children(name, calls):
            if time.monotonic() > deadline:
                return name, reason, True
            refused = _refused(module.get_submodule(child), calls[child])
            if refused is not None and _kind(refused) == _kind(whole):
                print(f"refused: {child}: {one_line(refused)}", flush=True)
                name, reason, entered = child, refused, True
                break
    return name, reason, False


def _children(name: str, calls: dict[str, _Call]) -> list[str]:
    """The nearest submodules below ``name`` that are called: lists of modules are not."""
    below = [other for other in calls if other and other != name and _inside(other, name)]
    return [a for a in below if not any(a != b and _inside(a, b) for b in below)]


def _inside(name: str, outer: str) -> bool:
    return not outer or name.startswith(f"{outer}.")


def _refused(part: nn.Module, call: _Call) -> Exception | None:
    """The error of torch.export for ``part``, called as in ``call``; ``None``: it is captured."""
    try:
        with torch.no_grad():
            program = torch.export.export(part, _copied(call.arguments), _copied(call.keywords))
        refuse_state(program)
    except Exception as error:  # a forward may raise anything
        return error
    return None


def _run(module: nn.Module, inputs: dict[str, Tensor], recorder: _Recorder) -> Exception | None:
    hooks = [hook for name, part in module.named_modules() for hook in recorder.watch(name, part)]
    try:
        with torch.no_grad():
            module(**_copied(inputs))
    except Exception as error:  # the user's own code
        traceback.print_exc()
        return error
    finally:
        for hook in hooks:
            hook.remove()
    return None


def _locate(module: nn.Module, name: str, smallest: Exception, whole: Exception) -> FailureLocation:
    """Lines are looked for in the part's own error, then in its source, then in the whole's."""
    kind = type(module.get_submodule(name))
    file = source_file(kind)
    line = from_error(smallest, file)
    where = line.where or source_line(kind) or from_error(whole, file).where
    message, fix = _explained(smallest, line)
    return FailureLocation(name, kind.__name__, where, message, fix)


def _explained(error: Exception, line: UserLine) -> tuple[str, str]:
    """Why, and what helps; without the latter where the cause is not known."""
    if isinstance(error, ExportError):
        return error.message, error.hint
    known = find_exception(error, line)
    if known is None:
        return one_line(error), ""
    return known.reason.format(f"'{line.expression}'" if line.expression else "it"), known.fix


def _message(error: Exception) -> str:
    return error.message if isinstance(error, ExportError) else one_line(error)


def _kind(error: Exception) -> str:
    return type(error).__name__


def _inputs(sample: Signature | Mapping[str, Array]) -> dict[str, Tensor]:
    if isinstance(sample, Signature):
        return sample_inputs(sample)
    return {name: torch.from_numpy(array.copy()) for name, array in sample.items()}


def _copied(values: Any) -> Any:
    """The same structure with tensors of its own: a later operation may write in place."""
    return pytree.tree_map(lambda v: v.detach().clone() if isinstance(v, Tensor) else v, values)
