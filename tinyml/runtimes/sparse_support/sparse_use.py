"""The verdict on a model file: do a runtime's sparse kernels run it, and if not, why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyml.core.errors import InputError
from tinyml.core.target import X86
from tinyml.modelfile.graph import Graph
from tinyml.modelfile.read import read_graph
from tinyml.modelfile.sparse_storage import SparseTensor, read_sparse
from tinyml.runtimes.sparse_support.cluster import Cluster, Clusters, clusters
from tinyml.runtimes.sparse_support.conditions import Reason
from tinyml.runtimes.sparse_support.kernels import DENSE, SCALAR, block_of, kernel, macs, speedup
from tinyml.runtimes.sparse_support.nodes import WEIGHTED, Node, nodes
from tinyml.runtimes.sparse_support.versions import Version, row

STORE = "export with `sparse=auto`, from weights that are pruned to more than two thirds"


@dataclass(frozen=True, slots=True)
class LayerVerdict:
    """A layer with a weight; ``mac_share`` of the whole network, ``block`` in output channels."""

    name: str
    sparsity: float
    block: int
    kernel: str
    mac_share: float


@dataclass(frozen=True, slots=True)
class SparseUse:
    """``uses_sparse_kernels``: sparse kernels run, and their numbers are right.

    runs_wrong  the runtime switches to them and its numbers are wrong, or it ends there
    unchecked   nobody compared such a verdict with what the runtime does
    cluster     the nodes that are switched together
    operators   (name, operator) of all nodes, in the file's order
    """

    uses_sparse_kernels: bool
    runs_wrong: bool
    unchecked: bool
    runtime: str
    version: str
    reasons: tuple[Reason, ...]
    layers: tuple[LayerVerdict, ...]
    cluster: tuple[str, ...]
    operators: tuple[tuple[str, str], ...]
    stored_bytes: int
    dense_bytes: int
    predicted_speedup: float | None

    @property
    def speedup_text(self) -> str:
        """For a person: ``about 3.3 times faster than dense``; empty where nothing is predicted."""
        gain = self.predicted_speedup
        if not gain:
            return ""
        if gain < 1:
            return f"about {1 / gain:.1f} times slower than dense: its images have few pixels"
        return f"about {gain:.1f} times faster than dense"


def sparse_use(path: Path, runtime: str, version: str, arch: str, *, avx: bool) -> SparseUse:
    """Of ``path`` in ``version`` of ``runtime`` on ``arch``; ``avx``: an x86 that has it.

    Raises `InputError` for a file that is not a whole model or that the runtime does not read,
    `UsageError` for a version that nothing is known of.
    """
    formats = row(runtime, version).formats
    if path.suffix[1:] not in formats:
        raise InputError(f"{runtime} does not read {path.name}", hint=f"give a .{formats[0]}")
    graph = read_graph(path)
    stored = read_sparse(path) if graph.format == "tflite" else ()
    return judged(graph, stored, runtime, version, arch, avx=avx)


def judged(
    graph: Graph,
    stored: tuple[SparseTensor, ...],
    runtime: str,
    version: str,
    arch: str,
    *,
    avx: bool,
) -> SparseUse:
    """`sparse_use` of a file that was read, ``stored`` being its sparse tensors."""
    known = row(runtime, version)
    found = tuple(nodes(graph)) if graph.format == "tflite" else ()
    case = _Case(graph, found, stored, known, version, arch)
    outside = _outside(known, arch, avx, found)
    return case.verdict([outside]) if outside is not None else case.inside()


@dataclass(frozen=True, slots=True)
class _Case:
    """A file on a runtime."""

    graph: Graph
    nodes: tuple[Node, ...]
    stored: tuple[SparseTensor, ...]
    known: Version
    version: str
    arch: str

    def inside(self) -> SparseUse:
        """Where the network itself decides."""
        groups = clusters(self.nodes, self.graph.outputs, self.known)
        switched = [group for group in groups.found if not group.broken and group.sparse_enough]
        wrong = [reason for group in switched for reason in _open_ends(self.nodes, group)]
        if wrong:
            wrong += [why for group in groups.found for why in group.broken]
            return self.verdict(tuple(dict.fromkeys(wrong)), runs_wrong=True)
        if switched:
            return self.verdict(_traps(self.nodes, switched, self.arch), switched)
        return self.verdict(_whys(self.nodes, groups))

    def verdict(
        self,
        reasons: Sequence[Reason],
        switched: Sequence[Cluster] = (),
        *,
        runs_wrong: bool = False,
    ) -> SparseUse:
        members = {place for group in switched for place in group.members}
        saved = sum(weight.dense_bytes - weight.stored_bytes for weight in self.stored)
        return SparseUse(
            uses_sparse_kernels=bool(switched),
            runs_wrong=runs_wrong,
            unchecked=not self.known.checked,
            runtime=self.known.runtime,
            version=self.version,
            reasons=tuple(reasons),
            layers=_layers(self.nodes, members, self.arch),
            cluster=tuple(self.nodes[place].name for place in sorted(members)),
            operators=tuple((node.name, node.op) for node in self.nodes),
            stored_bytes=self.graph.file_bytes,
            dense_bytes=self.graph.file_bytes + saved,
            predicted_speedup=speedup(self.nodes, members, self.arch),
        )


def _outside(known: Version, arch: str, avx: bool, found: Sequence[Node]) -> Reason | None:
    """Why no network at all, or none stored like this, runs sparse there."""
    if known.runtime == "mnn":
        value, needed = "made by another converter", "MNN's own, with --detectSparseSpeedUp"
        return Reason("runtime", "", value, needed, "convert the .onnx with MNN's converter")
    if not known.sparse:
        fix = "take LiteRT on ARM or in a browser, or a narrower dense model"
        return Reason("runtime", "", known.runtime, "a runtime with sparse kernels", fix)
    if arch in X86 and avx:
        needed = "ARM, WebAssembly, RISC-V, or x86 without AVX"
        fix = "expect a smaller file here, not a faster one"
        return Reason("arch", "", "x86 with AVX: XNNPACK runs dense", needed, fix)
    if not any(node.weight is not None and node.weight.sparse for node in found):
        return Reason("sparse_weights", "", "none is stored sparse", "one at least", STORE)
    return None


def _open_ends(found: Sequence[Node], group: Cluster) -> list[Reason]:
    """A single pixel has one order only, but not one shape: a matrix product alone takes both.

    An activation of it, given out and read by nothing, happens to come out right on ARM;
    what reads it does not, nor does a browser. It counts as wrong.
    """
    reasons = []
    for node in (found[place] for place in group.open_ends):
        one_pixel = len(node.shapes[0]) != 4 or node.shapes[0][1:3] == (1, 1)
        if node.op == "FULLY_CONNECTED":
            continue
        value = f"{node.op} takes NCHW and gives NHWC: " + (
            "the runtime refuses the file" if one_pixel else "its numbers are wrong"
        )
        fix = "store it dense (`sparse=off`), or end the part before it with an average"
        needed = "every part that is sparse enough ends in MEAN, SUM or DEPTH_TO_SPACE"
        reasons.append(Reason("open_end", node.name, value, needed, fix))
    return reasons


def _traps(found: Sequence[Node], switched: Sequence[Cluster], arch: str) -> list[Reason]:
    """What runs sparse, and slowly."""
    for group in switched:
        for node in (found[place] for place in group.members):
            if node.weight is None or not node.is_pointwise:
                continue
            name = kernel(node.weight, arch)
            if SCALAR in name:
                fix = "prune without blocks for this target (--block 1)"
                needed = "blocks of one: vector kernels for blocks are for AArch64 alone"
                return [Reason("block_kernels", node.name, name, needed, fix)]
    return []


def _whys(found: Sequence[Node], groups: Clusters) -> list[Reason]:
    stored = {i for i, n in enumerate(found) if n.weight is not None and n.weight.sparse}
    concerned = [group for group in groups.found if stored.intersection(group.members)]
    reasons = [reason for group in concerned for reason in group.broken]
    for group in concerned:
        if not group.broken and not group.sparse_enough:
            reasons.append(_too_few_zeros(found, group))
    reasons += groups.broken_exits
    lonely = stored - {place for group in concerned for place in group.members}
    reasons += [groups.refusals[place] for place in sorted(lonely) if place in groups.refusals]
    if not reasons and stored:
        last = found[max(stored)]
        value = "no average over height and width, and no DEPTH_TO_SPACE, reads the sparse part"
        fix = "end it with x.mean((2, 3)) or an adaptive average pool to 1x1"
        reasons.append(Reason("exit", last.name, value, "MEAN, SUM or DEPTH_TO_SPACE", fix))
    return list(dict.fromkeys(reasons))


def _too_few_zeros(found: Sequence[Node], group: Cluster) -> Reason:
    """The layer with most weights that are not zero is the culprit."""
    counted = [found[i] for i in group.members if found[i].is_counted]

    def kept(node: Node) -> int:
        assert node.weight is not None
        return node.weight.values.size - node.weight.zeros

    worst = max(counted, key=kept)
    value = f"{group.zeros:,} of {group.parameters:,} weights of its 1x1 and counted layers"
    fix = f"prune further; {worst.op} {worst.name} keeps the most: {kept(worst):,}"
    return Reason("zero_share", worst.name, value, "more than two thirds zero", fix)


def _layers(found: Sequence[Node], members: set[int], arch: str) -> tuple[LayerVerdict, ...]:
    total = max(1, sum(macs(node) for node in found))
    rows = []
    for place, node in enumerate(found):
        if node.weight is None or node.op not in WEIGHTED:
            continue
        sparse = place in members and node.is_pointwise
        name = kernel(node.weight, arch) if sparse else DENSE
        block = block_of(node.weight) if sparse else 1
        share = round(macs(node) / total, 4)
        rows.append(LayerVerdict(node.name, round(node.weight.sparsity, 4), block, name, share))
    return tuple(rows)
