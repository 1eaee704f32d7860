"""Pruned weights that the file's runtime multiplies like any others.

onnxruntime has no sparse kernel. LiteRT's XNNPACK has some, but they are taken only for
weights that the file stores as sparse, and only where `tinyml.runtimes.sparse_support` says so.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinyml.core.diagnosis import Finding
from tinyml.core.target import Target
from tinyml.modelfile.graph import Graph, Tensor
from tinyml.modelfile.lint.wording import in_bytes
from tinyml.modelfile.ops import PRODUCTS
from tinyml.runtimes.sparse_support.sparse_use import judged

ZEROS = 0.5
LEAST_WEIGHTS = 256
RUNTIMES = {"onnx": "onnxruntime", "tflite": "LiteRT"}
FIX = {
    "onnx": "expect no speed-up from sparsity in onnxruntime; a narrower dense model is faster",
    "tflite": "expect no speed-up until they are stored sparse (`sparse=auto` stores 1x1 "
    "convolutions and matrices so where that is smaller), and none on x86 with AVX",
}


def pruned_but_dense(graph: Graph, target: Target | None) -> Iterator[Finding]:
    """How many of the file's weights are mostly zero: one finding by how they are stored."""
    yield from _stored_dense(graph)
    if target is not None:
        yield from _stored_sparse(graph, target)


def _stored_sparse(graph: Graph, target: Target) -> Iterator[Finding]:
    """Silent where the target has no LiteRT: of older runtimes nothing is known."""
    version = target.runtimes.get("litert")
    sparse = [value for value in graph.tensors.values() if value.sparse]
    if not sparse or version is None:
        return
    counts = [_counts(value) for value in sparse]
    zeros, total = (sum(own[i] for own in counts) for i in (0, 1))
    share = f"{zeros / max(total, 1):.0%} of their values are zero and not stored: "
    # An x86 target has AVX: what has none is no target.
    found = judged(graph, (), "litert", version, target.arch, avx=True)
    if found.uses_sparse_kernels:
        gain = f", {found.speedup_text}" if found.speedup_text else ""
        cost = f"{share}LiteRT {version} runs them with sparse kernels on {target.name}{gain}"
        fixes = [reason.fix for reason in found.reasons]
        if (found.predicted_speedup or 1) < 1:
            fixes.append("`sparse=off` stores them dense: a larger file that runs faster")
        fix = "; ".join(fixes) or "none is needed"
    else:
        first = found.reasons[0]
        cost = f"{share}LiteRT {version} runs them dense: {first.headed}: {first.value}"
        fix = f"{first.fix}; tinyml inspect --sparse --target {target.name} shows where"
    yield Finding("pruned_but_dense", f"{len(sparse)} sparse weights", cost, fix)


def _stored_dense(graph: Graph) -> Iterator[Finding]:
    # Either operand of a matrix product may be the stored one; a bias has one dimension.
    weights = {
        own.key: own
        for operator in graph.operators
        if operator.op in PRODUCTS
        for own in graph.constants(operator)
        if not own.sparse and len(own.shape or ()) > 1
    }
    counts = {key: _counts(value) for key, value in weights.items()}
    pruned = {key: own for key, own in counts.items() if own[0] > ZEROS * own[1]}
    if not pruned:
        return
    zeros, total = (sum(own[i] for own in pruned.values()) for i in (0, 1))
    stored = in_bytes(sum(weights[key].size for key in pruned))
    yield Finding(
        "pruned_but_dense",
        f"{len(pruned)} of {len(weights)} weights",
        f"{zeros / total:.0%} of their values are zero, stored dense in {stored}: "
        f"{RUNTIMES[graph.format]} runs them as if they were not",
        FIX[graph.format],
    )


def _counts(value: Tensor) -> tuple[int, int]:
    """(zeros, values); none of a tensor that is too small to be a pruned weight."""
    array = value.constant() if value.constant is not None else np.zeros(0)
    if array.ndim < 2 or array.size < LEAST_WEIGHTS:
        return 0, 0
    return array.size - int(np.count_nonzero(array)), array.size
