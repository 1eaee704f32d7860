"""Which values of a program hang on a choice between nearly equal numbers, and what else is right.

The places that topk, sort and argmax choose are not continuous, see `tinyml.core.ties`. Each
choice is made again from numbers that are moved by what an engine may differ by, once in one
direction and once in the other, which turns every such pair around once. Whatever then changes
hangs on near ties. The chosen values are those at the chosen places, not moved.

An output that is computed for each chosen place by itself, as the boxes of the best scores are,
has a table: its value for a choice of each place. It is read by running the program with given
choices, and believed where it explains the output for other choices. An output that a choice
goes into in another way has none, nor has one behind two choices, of which one may turn alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from tinyml.core.spec import Array, Arrays
from tinyml.core.ties import NO_AXIS, Ties
from tinyml.core.tolerance import POLICIES, PolicyName, largest_error
from tinyml.export.capture.program import Captured
from tinyml.export.capture.stage_values import Recorder, captured_values

_aten = torch.ops.aten
# operator -> at which of its arguments the axis stands
_CHOICES = {
    _aten.topk.default: 2,
    _aten.kthvalue.default: 2,
    _aten.sort.default: 1,
    _aten.sort.stable: 9,  # by its name alone
    _aten.argsort.default: 1,
    _aten.argsort.stable: 9,
    _aten.argmax.default: 1,
    _aten.argmin.default: 1,
    _aten.max.dim: 1,
    _aten.min.dim: 1,
    _aten.median.dim: 1,
}
# Without an axis they choose from all values.
_OF_ALL = (_aten.argmax.default, _aten.argmin.default)
_PLACES_ALONE = (*_OF_ALL, _aten.argsort.default, _aten.argsort.stable)
SEEDS = (0, 1)
# A value that changes by more than this share of what an engine may differ by hangs on a choice.
SHARE = 0.25
# Runs of the program that a table may take.
MOST_RUNS = 64

Again = Callable[[Tensor], Tensor]
# (name of the choice, its numbers, what chooses from other numbers) -> the places
Choose = Callable[[str, Tensor, Again], Tensor]


@dataclass(frozen=True, slots=True)
class Undecided:
    """What hangs on near ties.

    stages   those whose value does
    outputs  those that do -> what else they may be; ``None``: that is not known
    """

    stages: set[str]
    outputs: dict[str, Ties | None]


@dataclass(slots=True)
class _Run:
    """One run: values of stages and outputs, and of each choice its numbers and its places."""

    stages: dict[str, Array | None] = field(default_factory=dict)
    outputs: dict[str, Array] = field(default_factory=dict)
    numbers: dict[str, Tensor] = field(default_factory=dict)
    places: dict[str, Tensor] = field(default_factory=dict)


def undecided(captured: Captured, inputs: Arrays, policy: PolicyName = "engine") -> Undecided:
    """What of ``captured`` hangs on near ties for ``inputs``, where engines differ by ``policy``.

    Where rounding is coarser than float32's, outputs that have a table are given even if none
    of their choices turned: which place is right is known by its number alone.
    """
    nodes = {node.name: node for node in captured.program.graph.nodes}
    if not any(map(_is_choice, nodes.values())):
        return Undecided(set(), {})
    search = _Search(captured, inputs, nodes)
    moved = [search.run(partial(_moved, s, sign, policy)) for s in SEEDS for sign in (1.0, -1.0)]
    own = search.run(lambda _name, numbers, again: again(numbers))
    stages = {name for run in moved for name in _changed(own.stages, run.stages, policy)}
    stages = {name for name in stages if search.choices_before(captured.stages[name] or "")}
    changed = {name for run in moved for name in _changed(own.outputs, run.outputs, policy)}
    changed = {name for name in changed if search.choices_before(captured.outputs[name])}
    tables = {
        name: search.ties(name, own, moved)
        for name in own.outputs
        if name in changed or policy != "engine"
    }
    found = {name: ties for name, ties in tables.items() if ties is not None or name in changed}
    return Undecided(stages, found)


def _is_choice(node: Node) -> bool:
    if node.target not in _CHOICES:
        return False
    (numbers, *_) = node.all_input_nodes
    return bool(numbers.meta["val"].is_floating_point())


def _changed(want: Any, got: Any, policy: PolicyName) -> set[str]:
    bounds = {n: POLICIES[policy].bound(value) for n, value in want.items() if value is not None}
    return {n for n, bound in bounds.items() if largest_error(got[n], want[n]) > SHARE * bound}


def _moved(
    seed: int, sign: float, policy: PolicyName, name: str, numbers: Tensor, again: Again
) -> Tensor:
    # equal zeros are exact in every engine, but their order is not PyTorch's to promise
    bound = POLICIES[policy].bound(numbers.numpy()) or 1.0
    generator = np.random.default_rng([seed, *name.encode()])
    noise = torch.from_numpy(generator.uniform(-bound, bound, numbers.shape)).to(numbers.dtype)
    return again(numbers + sign * noise)


class _Choosing(Recorder):
    """Runs a graph in which ``choose`` chooses, and records the choices in ``run``."""

    def __init__(self, run: _Run, choose: Choose, *given: Any) -> None:
        super().__init__(*given)
        self.run_of, self.choose = run, choose
        self.name = ""

    def run_node(self, n: Node) -> Any:
        self.name = n.name
        return super().run_node(n)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if target not in _CHOICES or not args[0].is_floating_point():
            return super().call_function(target, args, kwargs)
        numbers = args[0]

        def again(x: Tensor) -> Tensor:
            made: Tensor | tuple[Tensor, Tensor] = target(x, *args[1:], **kwargs)
            return made if isinstance(made, Tensor) else made[1]

        places = self.choose(self.name, numbers, again)
        self.run_of.numbers[self.name] = numbers.clone()
        self.run_of.places[self.name] = places.clone()
        axis = _axis(target, args, kwargs)
        if target in _PLACES_ALONE or axis is None:
            return places
        return _values_at(numbers, places, axis), places


@dataclass(frozen=True, slots=True)
class _Search:
    """Runs of one program on one case."""

    captured: Captured
    inputs: Arrays
    nodes: dict[str, Node]
    given: dict[str, list[_Run]] = field(default_factory=dict)

    def run(self, choose: Choose) -> _Run:
        made = _Run()
        how = partial(_Choosing, made, choose)
        made.stages, made.outputs = captured_values(self.captured, self.inputs, how)
        return made

    def ties(self, output: str, own: _Run, moved: list[_Run]) -> Ties | None:
        """What else ``output`` may be, if one choice goes into it, place by place."""
        before = self.choices_before(self.captured.outputs[output])
        if len(before) != 1 or (found := _axis(*_call(before[0]))) is None:
            return None
        name, numbers = before[0].name, own.numbers[before[0].name]
        axis = found % numbers.ndim
        places = _with_axis(own.places[name], numbers, axis)
        runs = [own, *moved]
        if self._is_places(output, before[0]):
            values = [turn.numpy() for turn in self._turns(name, own, axis)]
        elif numbers.shape[axis] <= MOST_RUNS * places.shape[axis]:
            *given, at_random = self._given(name, own, axis)
            values, runs = [run.outputs[output] for run in given], [*runs, at_random]
        else:
            return None
        rows = numbers.movedim(axis, -1).reshape(-1, numbers.shape[axis])
        chosen = rows.gather(1, places.movedim(axis, -1).reshape(len(rows), -1))
        for at in _axes(own.outputs[output].shape, tuple(places.shape), axis):
            ties = Ties(rows.numpy(), chosen.numpy(), np.zeros((1, 0, 0)), at).with_table(values)
            if all(_explains(ties, run, output, name, axis) for run in runs):
                return ties
        return None

    def _is_places(self, output: str, choice: Node) -> bool:
        """Whether ``output`` is nothing but the places of ``choice``."""
        node = self.nodes[self.captured.outputs[output]]
        return node is choice or node.args == (choice, 1)

    def choices_before(self, named: str) -> list[Node]:
        """The choices whose places a node is computed from; chosen values are continuous."""
        left, found = [self.nodes[named]], list[Node]()
        seen: set[Node] = set()
        while left:
            node = left.pop()
            if node in seen:
                continue
            seen.add(node)
            of = node.args[0] if node.args else None
            if isinstance(of, Node) and _is_choice(of) and node.args[1:] == (0,):
                left += of.all_input_nodes
                continue
            if _is_choice(node):
                found.append(node)
            left += node.all_input_nodes
        return found

    def _given(self, name: str, own: _Run, axis: int) -> list[_Run]:
        """Runs in which the choice ``name`` is each place in turn; the last: places at random."""
        if name not in self.given:
            places, size = own.places[name], own.numbers[name].shape[axis]
            generator = torch.Generator().manual_seed(0)
            at_random = torch.randint(size, places.shape, generator=generator)
            asked = [*self._turns(name, own, axis), at_random]
            self.given[name] = [self.run(_only(name, one, own)) for one in asked]
        return self.given[name]

    def _turns(self, name: str, own: _Run, axis: int) -> Iterator[Tensor]:
        """Each place once, as choices that look like those of ``name``."""
        places, numbers = own.places[name], own.numbers[name]
        whole, size = _with_axis(places, numbers, axis), numbers.shape[axis]
        count = whole.shape[axis]
        lying = [count if at == axis else 1 for at in range(whole.ndim)]
        for start in range(0, size, count):
            turn = (start + torch.arange(count)) % size
            yield turn.reshape(lying).expand(whole.shape).reshape(places.shape).clone()


def _call(node: Node) -> tuple[Any, Any, Any]:
    return node.target, node.args, node.kwargs


def _only(given: str, asked: Tensor, own: _Run) -> Choose:
    """Choose ``asked`` at the choice ``given``, and at all others what ``own`` chose."""
    return lambda name, _numbers, _again: asked if name == given else own.places[name]


def _axes(shape: tuple[int, ...], places: tuple[int, ...], axis: int) -> list[int]:
    """Along which axes of an output of ``shape`` its chosen places may lie; ``places``: theirs."""
    rest = tuple(size for at, size in enumerate(places) if at != axis)
    is_one_row = int(np.prod(rest, dtype=np.int64)) == 1
    if places[axis] == 1:
        return [NO_AXIS] if is_one_row or shape in (places, rest) else []
    if is_one_row:
        return [at for at, size in enumerate(shape) if size == places[axis]]
    return [axis] if shape == places else []


def _explains(ties: Ties, run: _Run, output: str, name: str, axis: int) -> bool:
    """Whether the table gives ``output`` for the places of ``run``."""
    value, places = run.outputs[output], _with_axis(run.places[name], run.numbers[name], axis)
    at = places.movedim(axis, -1).reshape(ties.chosen.shape).numpy()
    rows = np.arange(len(at))[:, None] if len(ties.table) > 1 else np.zeros_like(at)
    error = largest_error(ties.table[rows, at], ties.by_row(value))
    return error <= SHARE * POLICIES["engine"].bound(value)


def _with_axis(places: Tensor, numbers: Tensor, axis: int) -> Tensor:
    """``places`` with the axis of the choice, where the operator dropped it."""
    return places.unsqueeze(axis) if places.ndim < numbers.ndim else places


def _axis(target: Any, args: Any, kwargs: Any) -> int | None:
    """``None``: argmax and argmin of all values."""
    at = _CHOICES[target]
    default = None if target in _OF_ALL else -1
    found = args[at] if len(args) > at else kwargs.get("dim", default)
    return None if found is None else int(found)


def _values_at(x: Tensor, places: Tensor, axis: int) -> Tensor:
    if places.ndim == x.ndim:
        return x.gather(axis, places)
    return x.gather(axis, places.unsqueeze(axis)).squeeze(axis)
