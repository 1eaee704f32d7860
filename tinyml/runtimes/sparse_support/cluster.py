"""What the nodes around a sparse convolution must be: ``xnn_subgraph_rewrite_for_nchw``.

A cluster is what hangs together between nodes that take NHWC and give NCHW (the entry)
and nodes that take NCHW and give NHWC (a mean). It is switched to NCHW, where the sparse
kernels are, as a whole or not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tinyml.runtimes.sparse_support.conditions import ENTRY, EXIT, INSIDE, Reason, check
from tinyml.runtimes.sparse_support.nodes import Node
from tinyml.runtimes.sparse_support.versions import Version

MOVE = "move what reads it behind the average, or compute it again there"


@dataclass(slots=True)
class _State:
    """One node while the algorithm runs."""

    layouts: set[str]
    leader: int
    broken: list[Reason] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Nodes by place; ``broken``: why it stays as it is, empty if it can be switched.

    open_ends  members that take NCHW and give NHWC without being made for it: of a cluster
               that is switched XNNPACK computes them on values in the wrong order
    """

    members: tuple[int, ...]
    broken: tuple[Reason, ...]
    open_ends: tuple[int, ...]
    parameters: int
    zeros: int

    @property
    def sparse_enough(self) -> bool:
        """More than two thirds of its weights are zero."""
        return self.zeros * 3 > self.parameters * 2


@dataclass(frozen=True, slots=True)
class Clusters:
    """Those with at least one 1x1 conv.

    refusals      node -> why it can be in none
    broken_exits  where there is none at all: why those nodes that could have ended one do not
    """

    found: tuple[Cluster, ...]
    refusals: dict[int, Reason]
    broken_exits: tuple[Reason, ...] = ()


def clusters(nodes: Sequence[Node], outputs: Sequence[str], version: Version) -> Clusters:
    """The clusters of a network that gives out ``outputs``."""
    refusals = {}
    states = []
    for place, node in enumerate(nodes):
        verdict = check(node, version)
        states.append(_State(set(verdict.layouts), place))
        if verdict.refusal is not None:
            refusals[place] = verdict.refusal
    graph = _Graph(nodes, states, set(outputs), refusals)
    if graph.connect(only_exits=True):
        while graph.connect(only_exits=False):
            pass
    else:
        return Clusters((), refusals, graph.broken_exits())
    graph.check_readers()
    return Clusters(graph.gathered(), refusals)


@dataclass(slots=True)
class _Graph:
    nodes: Sequence[Node]
    states: list[_State]
    outputs: set[str]
    refusals: dict[int, Reason]
    makers: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.makers = {out: i for i, node in enumerate(self.nodes) for out in node.outputs}

    def connect(self, *, only_exits: bool) -> bool:
        """Whether a node joined the cluster of one that reads it."""
        joined = False
        wanted = {EXIT} if only_exits else {INSIDE, EXIT}
        for place, node in enumerate(self.nodes):
            state = self.states[place]
            if not wanted & state.layouts or (state.broken and not only_exits):
                continue
            for name in node.inputs:
                joined |= self._join(place, name)
        return joined

    def _join(self, place: int, name: str) -> bool:
        state, node = self.states[place], self.nodes[place]
        if name in self.outputs or name not in self.makers:
            state.broken.append(self._external(node, name))
            return False
        maker = self.states[self.makers[name]]
        if not {ENTRY, INSIDE} & maker.layouts or maker.broken:
            state.broken += maker.broken or [self._refused(self.makers[name])]
            return False
        maker.layouts.discard(EXIT)
        if maker.leader == state.leader:
            return False
        maker.leader = state.leader = max(maker.leader, state.leader)
        return True

    def _external(self, node: Node, name: str) -> Reason:
        if name in self.outputs:
            value = f"what it reads is given out too: {self.nodes[self.makers[name]].name}"
            return Reason("used_outside", node.name, value, "values of the cluster alone", MOVE)
        fix = "begin with a 3x3 convolution of stride 2, padded by 1, of 3 channels"
        return Reason("entry", node.name, f"{node.op} reads the network's input", "an entry", fix)

    def _refused(self, place: int) -> Reason:
        node = self.nodes[place]
        if place in self.refusals:
            reason = self.refusals[place]
            first = any(name not in self.makers for name in node.inputs)
            if first and reason.condition == "convolution":
                return Reason("entry", *(getattr(reason, n) for n in Reason.__slots__[1:]))
            return reason
        fix = "let it be read behind the cluster only"
        return Reason("exit", node.name, f"{node.op} gives NHWC", "NCHW", fix)

    def broken_exits(self) -> tuple[Reason, ...]:
        """Before anything but exits was looked at."""
        return tuple(dict.fromkeys(why for state in self.states for why in state.broken))

    def check_readers(self) -> None:
        """Every value in a cluster is read by the cluster alone."""
        self._share_breaks()
        counts = Counter(name for node in self.nodes for name in node.inputs)
        inside: Counter[str] = Counter()
        members = [i for i in range(len(self.nodes)) if self._switches(i)]
        for place in members:
            inside.update(self.nodes[place].inputs)
        for place in members:
            for name in self.nodes[place].inputs:
                if inside[name] != counts[name]:
                    self.states[place].broken.append(self._read_outside(name, set(members)))
        self._share_breaks()

    def _switches(self, place: int) -> bool:
        state = self.states[place]
        return not self.states[state.leader].broken and bool({INSIDE, EXIT} & state.layouts)

    def _read_outside(self, name: str, members: set[int]) -> Reason:
        reader = next(
            node
            for place, node in enumerate(self.nodes)
            if name in node.inputs and place not in members
        )
        value = f"{reader.op} reads {self.nodes[self.makers[name]].name} too"
        return Reason("used_outside", reader.name, value, "readers in the cluster alone", MOVE)

    def _share_breaks(self) -> None:
        for state in list(self.states):
            leader = self.states[state.leader]
            if leader is not state:
                leader.broken += [why for why in state.broken if why not in leader.broken]

    def _is_open_end(self, place: int, members: list[int]) -> bool:
        node, layouts = self.nodes[place], self.states[place].layouts
        if INSIDE not in layouts or EXIT in layouts:
            return False
        read = {name for i in members for name in self.nodes[i].inputs}
        return not read.intersection(node.outputs)

    def gathered(self) -> tuple[Cluster, ...]:
        members: dict[int, list[int]] = {}
        for place, state in enumerate(self.states):
            members.setdefault(state.leader, []).append(place)
        found = (self._cluster(leader, own) for leader, own in members.items())
        return tuple(cluster for cluster in found if cluster.parameters)

    def _cluster(self, leader: int, members: list[int]) -> Cluster:
        weights = [
            node.weight
            for node in (self.nodes[i] for i in members)
            if node.weight is not None and node.is_counted
        ]
        return Cluster(
            tuple(members),
            tuple(dict.fromkeys(self.states[leader].broken)),
            tuple(i for i in members if self._is_open_end(i, members)),
            sum(weight.values.size for weight in weights),
            sum(weight.zeros for weight in weights),
        )
