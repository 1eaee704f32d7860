"""A captured program that a writer refuses -> the smallest part of it that it refuses.

Every call of a submodule is a part, and so is every operation. The parts of one are halved until
a single one is left that the writer refuses alone; that one is entered. The file of tries notes
each try before it is made: when it kills the converter, the next run takes it as refused and goes
on. The answer is the smallest so far, at any time.
"""

from __future__ import annotations

import json
import operator
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node

from tinyml.core.errors import ExportError, InputError, InternalError
from tinyml.core.files import write_json
from tinyml.core.scratch import scratch
from tinyml.core.spec import Signature, TensorSpec
from tinyml.core.typed_json import to_json
from tinyml.export.capture import program
from tinyml.export.capture.failure_location import FailureLocation, reason
from tinyml.export.capture.known_errors import KNOWN_ERRORS, UNSUPPORTED, Cause, find_cause
from tinyml.export.capture.module_stack import module_stack
from tinyml.export.capture.node_text import call_of
from tinyml.export.capture.program import Captured
from tinyml.export.capture.user_code import from_node

Write = Callable[[Captured, Path], object]
KILLED = "it kills the converter"


@dataclass(frozen=True, slots=True)
class Subgraph:
    """A call of a submodule, or one operation: ``nodes`` in the graph's order."""

    name: str
    kind: str
    nodes: tuple[Node, ...]
    depth: int
    single: bool = False

    @property
    def label(self) -> str:
        """Its name in the list of tries."""
        return f"{self.nodes[0].name}..{self.nodes[-1].name}"


class Search:
    """One search for what ``write`` refuses; remembers what it tried, and writes what it finds."""

    def __init__(self, write: Write, root: GraphModule, tried: Path, found: Path) -> None:
        self._write = write
        self._root = root
        self._tried_path, self._found = tried, found
        self._tried: dict[str, str] = {}
        if tried.exists():
            self._tried = json.loads(tried.read_text(encoding="utf-8"))

    def smallest(self) -> None:
        """Descend from the whole module; the answer is in the file for it."""
        nodes = tuple(n for n in self._root.graph.nodes if n.op == "call_function")
        part, message = Subgraph("", _class_of(nodes[0], 1), nodes, 1), ""
        self._note(part, message)
        while not part.single and (inside := self._halve(_parts(part))) is not None:
            message = self.refused([inside])
            if inside.single:  # it is named after the submodule it is in
                inside = Subgraph(part.name, part.kind, inside.nodes, part.depth, single=True)
            part = inside
            self._note(part, message)
        self._explain(part, message)

    def refused(self, parts: Sequence[Subgraph]) -> str:
        """The writer's error for ``parts`` together; empty when it takes them."""
        label = f"{parts[0].label}+{parts[-1].label}"
        if label not in self._tried:
            self._remember(label, KILLED)
            self._remember(label, self._convert([n for part in parts for n in part.nodes]))
            print(f"tried {label}: {self._tried[label] or 'passes'}", flush=True)
        return self._tried[label]

    def _halve(self, parts: list[Subgraph]) -> Subgraph | None:
        """The one of ``parts`` that is refused alone, or ``None`` if only several are."""
        while len(parts) > 1:
            half = parts[: len(parts) // 2]
            parts = half if self.refused(half) else parts[len(parts) // 2 :]
        return parts[0] if parts and self.refused(parts) else None

    def _convert(self, nodes: list[Node]) -> str:
        extracted = _extract(self._root, sorted(nodes, key=_order(self._root)))
        if extracted is None:
            return ""
        module, signature = extracted
        try:
            captured = program.capture(module, signature)
        except ExportError:
            return ""  # the whole was captured: what stands alone is another question
        try:
            with scratch("part") as folder:
                self._write(captured, folder / "part")
        except ExportError as error:
            traceback.print_exc()
            return reason(error.message)
        except InternalError:
            # of a part that is no model alone: not what the whole was refused for
            traceback.print_exc()
        return ""

    def _remember(self, label: str, answer: str) -> None:
        self._tried[label] = answer
        write_json(self._tried_path, self._tried)

    def _note(self, part: Subgraph, message: str) -> None:
        self._write_found(part, Cause(_telling(part), message, ""))

    def _explain(self, part: Subgraph, message: str) -> None:
        """Note of the smallest part why it is refused, and what helps."""
        # Of several nodes that are refused together only, those that could not be tried alone.
        nodes = part.nodes if part.single else tuple(n for n in part.nodes if not _stands_alone(n))
        cause = find_cause(nodes, KNOWN_ERRORS)
        if cause is None and part.single:
            cause = Cause(part.nodes[0], f"{call_of(part.nodes[0])}: {message}", UNSUPPORTED)
        if cause is not None:
            self._write_found(part, cause)

    def _write_found(self, part: Subgraph, cause: Cause) -> None:
        kind, where = part.kind.rpartition(".")[2], from_node(cause.node)
        located = FailureLocation(part.name, kind, where, cause.reason, cause.fix)
        write_json(self._found, to_json(located))


def _parts(part: Subgraph) -> list[Subgraph]:
    """What ``part`` calls and computes itself, in order."""
    groups: dict[str, list[Node]] = {}
    key_of: dict[Node, str] = {}
    for node in part.nodes:
        key = _call(node, part.depth + 1) or f"={node.name}"
        # A list's items belong to what makes the list: no format has lists.
        if node.target is operator.getitem and node.all_input_nodes[0] in key_of:
            key = key_of[node.all_input_nodes[0]]
        key_of[node] = key
        groups.setdefault(key, []).append(node)
    return [_part(key, nodes, part) for key, nodes in groups.items()]


def _part(key: str, nodes: list[Node], outer: Subgraph) -> Subgraph:
    if key.startswith("="):
        return Subgraph(outer.name, outer.kind, tuple(nodes), outer.depth, single=True)
    kind = _class_of(nodes[0], outer.depth + 1)
    return Subgraph(key, kind, tuple(nodes), outer.depth + 1)


def _call(node: Node, depth: int) -> str:
    stack = module_stack(node)
    return stack[depth][0] if len(stack) > depth else ""


def _class_of(node: Node, depth: int) -> str:
    stack = module_stack(node)
    return stack[depth][1] if len(stack) > depth else ""


def _telling(part: Subgraph) -> Node:
    """The first node whose value no format can hold, else the first."""
    return next((node for node in part.nodes if not _stands_alone(node)), part.nodes[0])


def _stands_alone(node: Node) -> bool:
    return _spec("value", node) is not None


def _extract(root: GraphModule, nodes: list[Node]) -> tuple[nn.Module, Signature] | None:
    """A module of ``nodes`` alone; ``None`` when a value at its border fits no signature."""
    graph, copies, inside = Graph(), {}, set(nodes)
    inputs: list[TensorSpec] = []
    for node in nodes:
        for source in node.all_input_nodes:
            if source in copies or source in inside:
                continue
            if source.op == "get_attr":
                copies[source] = graph.node_copy(source)
                continue
            spec = _spec(source.name, source)
            if spec is None:
                return None
            inputs.append(spec)
            copies[source] = graph.placeholder(source.name)
        copies[node] = graph.node_copy(node, lambda used: copies[used])
    leaving = [node for node in nodes if any(user not in inside for user in node.users)]
    outputs = [_spec(f"output_{i}", node) for i, node in enumerate(leaving)]
    if not inputs or not outputs or None in outputs:
        return None
    graph.output(tuple(copies[node] for node in leaving))
    # Placeholders first: torch wants them before anything else.
    _hoist(graph)
    signature = Signature(tuple(inputs), tuple(spec for spec in outputs if spec is not None))
    return GraphModule(root, graph).eval(), signature


def _hoist(graph: Graph) -> None:
    first = next(iter(graph.nodes))
    for node in [n for n in graph.nodes if n.op == "placeholder"]:
        if node is not first:
            first.prepend(node)


def _spec(name: str, node: Node) -> TensorSpec | None:
    value: Any = node.meta.get("val")
    if not isinstance(value, Tensor):
        return None
    try:
        return TensorSpec(name, tuple(value.shape), dtype=str(value.dtype).removeprefix("torch."))
    except InputError:
        return None


def _order(root: GraphModule) -> Any:
    places = {node: place for place, node in enumerate(root.graph.nodes)}
    return places.__getitem__
