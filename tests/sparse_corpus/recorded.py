"""What runtimes did with the corpus, recorded by ``python tools/check_sparse --record``."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparse_cases import CASES

from tinyml.runtimes.sparse_support import SparseUse, sparse_use

RECORDED = Path(__file__).with_name("recorded.json")
ARCH = {"litert": "aarch64", "litert-web": "wasm32"}
SIGNS = {"sparse": "sparse", "dense": "dense", "wrong": "**wrong**", "refused": "**refused**"}


def recorded() -> dict[str, dict[str, dict[str, Any]]]:
    """Runtime and version -> case -> the fields of an outcome."""
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return found


def verdict(path: Path, known: str) -> SparseUse:
    """The lint's, of a file in ``known``, a runtime and its version."""
    runtime, _, version = known.rpartition("-")
    return sparse_use(path, runtime, version, ARCH[runtime], avx=False)


def agrees(own: SparseUse, does: str) -> bool:
    """Scalar kernels for blocks run sparse, which the lint does not count: they are slow."""
    if any(reason.condition == "block_kernels" for reason in own.reasons):
        return does == "sparse"
    if own.runs_wrong:
        return does in ("wrong", "refused")
    return does == ("sparse" if own.uses_sparse_kernels else "dense")


def differences(folder: Path, found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Where the lint's verdict on the files in ``folder`` is not what was seen."""
    lines = []
    for known, cases in found.items():
        for name, seen in cases.items():
            own = verdict(folder / f"{name}-sparse.tflite", known)
            if not agrees(own, seen.does):
                lines.append(f"{known} {name}: lint {shown(own)}, runtime {seen.does}")
    return lines


def shown(own: SparseUse) -> str:
    if own.runs_wrong:
        return SIGNS["wrong"]
    if any(reason.condition == "block_kernels" for reason in own.reasons):
        return "sparse, scalar"
    return "sparse" if own.uses_sparse_kernels else "dense"


def page() -> str:
    """The table of docs/sparse-corpus.md."""
    known = recorded()
    head = ["network", "condition", "met"]
    for version in known:
        head += [f"lint, {version}", "seen", "ratio"]
    rows = [head, ["---"] * len(head)]
    with tempfile.TemporaryDirectory() as name:
        for case, own in CASES.items():
            sparse, _ = own.write(Path(name), case)
            row = [f"`{case}`", f"`{own.condition}`", "yes" if own.met else "no"]
            for version, cases in known.items():
                seen = cases[case]
                ratio = f"{seen['dense'] / seen['sparse']:.2f}" if seen["sparse"] else "-"
                row += [shown(verdict(sparse, version)), SIGNS[seen["does"]], ratio]
            rows.append(row)
    return HEAD + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


HEAD = """# The sparse lint against what runtimes do

`python tools/check_sparse --record` writes this page. Each network meets one condition of
XNNPACK's sparse path or just misses it (tests/sparse_corpus/sparse_cases.py); its file with
sparse weights is compared with the same file made dense. *ratio* is dense over sparse:
instructions of a call for LiteRT on an emulated Cortex-A72 (exact), the best of 25 rounds' time
for LiteRT's web build in node. *wrong*: other numbers than the dense file's; *refused*: the
runtime cannot prepare the file. *sparse, scalar* runs sparse with a slow kernel. Sparse kernels
sum in another order: a file whose outputs are bit-identical to the dense file's ran dense.

"""
