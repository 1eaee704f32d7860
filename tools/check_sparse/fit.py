"""Instructions of a call by what is counted of a network, fitted to the recorded counts."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from recorded import recorded
from scipy.optimize import nnls
from sparse_cases import CASES

from tinyml.modelfile.read import read_graph
from tinyml.runtimes.sparse_support.cluster import clusters
from tinyml.runtimes.sparse_support.kernels import INSTRUCTIONS, features
from tinyml.runtimes.sparse_support.nodes import nodes
from tinyml.runtimes.sparse_support.versions import row

VERSION = "2.3.0"


def fitted() -> dict[str, float]:
    """Non-negative least squares of the relative error over files stored sparse and dense."""
    rows, seen = [], []
    with tempfile.TemporaryDirectory() as name:
        for case, outcome in recorded()[f"litert-{VERSION}"].items():
            if outcome["does"] not in ("sparse", "dense"):
                continue
            path, _ = CASES[case].write(Path(name), case)
            for switched, count in _counted(path, outcome):
                rows.append(list(features(nodes(read_graph(path)), switched).values()))
                seen.append(count)
    weights, _ = nnls(np.array(rows) / np.array(seen)[:, None], np.ones(len(seen)))
    return dict(zip(INSTRUCTIONS, np.round(weights, 3).tolist(), strict=True))


def _counted(path: Path, outcome: dict[str, float]) -> list[tuple[set[int], float]]:
    graph = read_graph(path)
    found = clusters(nodes(graph), graph.outputs, row("litert", VERSION)).found
    switched = {i for own in found if not own.broken and own.sparse_enough for i in own.members}
    dense: list[tuple[set[int], float]] = [(set(), outcome["dense"])]
    return [*dense, (switched, outcome["sparse"])] if outcome["does"] == "sparse" else dense
