"""Which operators of a .tflite file LiteRT's default delegate, XNNPACK, takes.

Seen in the runtime itself, not guessed from a list: once tensors are allocated, the
interpreter's private ``_get_ops_details`` lists the file's operators in their order and
behind them one DELEGATE for each part of the graph that was taken, with the tensors that
the part reads (constants too) and gives. What lies between the two is the part: going back
from what it gives, and no further than what it reads, passes all of its operators and no
other. An operator whose results nobody reads is not counted: no part shows it.

    python -m tinyml.runtimes.delegation MEMORY_MB PARENT FILE
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinyml.core.errors import InputError
from tinyml.core.process import machine_memory_mb
from tinyml.core.subprocesses import Limits, answering
from tinyml.core.typed_json import from_json, parse_json, to_json
from tinyml.modelfile.summary import LayerSummary, read_operators
from tinyml.runtimes import file_process
from tinyml.runtimes.lint.not_delegated import FIX, FIXES, FLOAT_ONLY
from tinyml.runtimes.litert import LITERT

DELEGATE = "DELEGATE"
NAME = "XNNPACK"
SECONDS = 300.0
FIX_16_BITS = "XNNPACK has no kernels for 16-bit activations: `precision=w8a8-static`"
FIX_HYBRID = (
    "XNNPACK has no such kernel of int8 weights and float activations: `precision=w8a8-static`, "
    "or keep the stage in float32 with `keep_float`"
)


@dataclass(frozen=True, slots=True)
class Undelegated:
    """An operator that is left, by its first output; ``macs`` as in `LayerSummary`."""

    op: str
    name: str
    macs: int | None
    fix: str


@dataclass(frozen=True, slots=True)
class Delegation:
    """What the delegate takes of one file, here.

    nodes, delegated      operators of the first subgraph, and how many are taken
    macs, delegated_macs  multiply-accumulates of both; ``None`` when one is not known
    parts                 into how many pieces the graph is cut
    unseen                operators of other subgraphs, of which the runtime tells nothing
    """

    delegate: str
    runtime: str
    machine: str
    nodes: int
    delegated: int
    macs: int | None
    delegated_macs: int | None
    parts: int
    unseen: int
    undelegated: tuple[Undelegated, ...]

    @property
    def node_share(self) -> float | None:
        """Of the operators; ``None`` without any."""
        return _share(self.delegated, self.nodes)

    @property
    def mac_share(self) -> float | None:
        """Of the multiply-accumulates; ``None`` without any, or when one is not known."""
        return _share(self.delegated_macs, self.macs)

    @property
    def whole(self) -> bool:
        """Whether nothing is left."""
        return self.delegated == self.nodes and not self.unseen


def delegation_by_module(found: Delegation | None, modules: Mapping[str, str]) -> Delegation | None:
    """``found`` with the submodule of each operator that is left, where ``modules`` has it."""
    if found is None:
        return None
    left = tuple(replace(own, name=modules.get(own.name, own.name)) for own in found.undelegated)
    return replace(found, undelegated=left)


def measured(path: Path) -> Delegation:
    """Of the .tflite file ``path``, which LiteRT loads in a child.

    Raises `InputError` for a file that LiteRT refuses or dies of, `MissingExtraError` without it.
    """
    limits = Limits(SECONDS, machine_memory_mb())
    answer = file_process.answer_of(__name__, [str(path)], path, LITERT.name, limits)
    try:
        return from_json(Delegation, parse_json(answer, what="it"))
    except InputError as error:
        raise file_process.unreadable(path, LITERT.name, error) from error


def measure(path: Path) -> Delegation:
    """`measured`, in this process: load ``path`` as a user would, and look."""
    operators = read_operators(path)
    engine = LITERT.open(path).engine
    told = engine._get_ops_details()
    own, parts = told[: len(operators)], told[len(operators) :]
    if len(own) < len(operators) or any(part["op_name"] != DELEGATE for part in parts):
        raise InputError(f"{path}: LiteRT lists other operators than the file has")
    outputs = [int(detail["index"]) for detail in engine.get_output_details()]
    live = _live(own, outputs)
    taken = {number for part in parts for number in _between(own, part)}
    return _counted(operators, live, taken & live, len(parts), _unseen(engine, path))


def _between(operators: Sequence[Mapping[str, Any]], part: Mapping[str, Any]) -> set[int]:
    """Places of the operators that ``part`` stands for."""
    return _feeding(operators, part["outputs"], set(map(int, part["inputs"])))


def _live(operators: Sequence[Mapping[str, Any]], outputs: Iterable[int]) -> set[int]:
    """Places of the operators that something depends on, or that have no result at all."""
    ends = {number for number, own in enumerate(operators) if not len(own["outputs"])}
    read = [int(tensor) for number in ends for tensor in operators[number]["inputs"]]
    return ends | _feeding(operators, [*outputs, *read], set())


def _feeding(
    operators: Sequence[Mapping[str, Any]], tensors: Iterable[int], known: set[int]
) -> set[int]:
    """Places of the operators that ``tensors`` depend on, up to those that are ``known``."""
    makers = {int(out): number for number, own in enumerate(operators) for out in own["outputs"]}
    found: set[int] = set()
    left = [int(tensor) for tensor in tensors]
    while left:
        tensor = left.pop()
        maker = makers.get(tensor)
        if tensor in known or maker is None or maker in found:
            continue
        found.add(maker)
        left += map(int, operators[maker]["inputs"])
    return found


def _counted(
    operators: Sequence[LayerSummary], live: set[int], taken: set[int], parts: int, unseen: int
) -> Delegation:
    left = [operators[number] for number in sorted(live - taken)]
    return Delegation(
        delegate=NAME,
        runtime=f"{LITERT.name} {LITERT.version()}",
        machine=platform.machine(),
        nodes=len(live),
        delegated=len(taken),
        macs=_macs(operators[number] for number in live),
        delegated_macs=_macs(operators[number] for number in taken),
        parts=parts,
        unseen=unseen,
        undelegated=tuple(Undelegated(o.op, o.name, o.macs, fix_of(o)) for o in left),
    )


def fix_of(operator: LayerSummary) -> str:
    """What brings an operator that is left into the delegate."""
    if operator.op in FIXES:
        return FIXES[operator.op]
    if operator.activation == "int16" or operator.op == "QUANTIZE":
        return FIX_16_BITS
    if operator.op in FLOAT_ONLY:
        return FLOAT_ONLY[operator.op]
    if operator.weight == "int8" and operator.activation == "float32":
        return FIX_HYBRID
    return FIX


def _macs(operators: Iterable[LayerSummary]) -> int | None:
    counts = [operator.macs for operator in operators]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _share(part: int | None, whole: int | None) -> float | None:
    return round(part / whole, 4) if part is not None and whole else None


def _unseen(engine: Any, path: Path) -> int:
    """Operators of the subgraphs that loops and branches run."""
    if engine.num_subgraphs() == 1:
        return 0
    from tinyml.modelfile.tflite_file import read_tflite

    return sum(len(graph.operators or ()) for graph in read_tflite(path).subgraphs[1:])


def main(arguments: Sequence[str]) -> None:
    """The child."""
    with answering() as answers:
        answers.write(json.dumps(to_json(measure(Path(arguments[0])))).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
