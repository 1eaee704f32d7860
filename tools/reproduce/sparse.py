"""Sparse against dense and narrow: a small MobileNet-v1 on CIFAR-10 (arXiv 1911.09723)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from claim import recipe
from intervals import Mean, difference, mean, verdict
from jobs import Job
from length import Cost, Length
from page import Page, accuracy

from tinyml.core import checkpoint, registry
from tinyml.models.cost import macs_by_layer

SET = "cifar10"
COST = Cost(epoch_s=85.0, epochs=80, least_seeds=2, most_seeds=5)
PER_CLASS = 0
DENSE = {"width": 0.5, "resolution": 32}
PRUNED: dict[str, dict[str, Any]] = {
    "sparse75": {"sparsity": 0.75},
    "sparse90": {"sparsity": 0.9},
    "sparse90-block4": {"sparsity": 0.9, "block": 4},
}
ALL = ("dense", *PRUNED, "narrow")
# What the claim is judged by is trained with every seed, the rest with the first alone.
JUDGED = ("dense", "sparse90", "narrow")
TRAIN = {
    "batch_size": 128,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "schedule": "cosine",
    "warm_up_epochs": 1.0,
    "weight_decay": 5e-4,
    "flip": True,
    "shift": 4,
}


def jobs(folder: Path, length: Length) -> list[Job]:
    """Five trainings of the same number of steps; from the second seed on those of `JUDGED`."""
    found = []
    for seed in range(length.seeds):
        for name in JUDGED if seed else ALL:
            wide = DENSE if name != "narrow" else {**DENSE, "width": narrow_width()}
            asked = PRUNED.get(name)
            path = recipe(
                folder / f"seed{seed}",
                model="mobilenet-v1",
                seed=seed,
                length=length,
                train=TRAIN,
                architecture=wide,
                prune={"method": "gradual", **asked} if asked else None,
                name=name,
            )
            found.append(Job(folder / f"seed{seed}" / name, ("train", str(path))))
    return found


@cache
def narrow_width() -> float:
    """Of the dense networks' widths, the one whose MACs are nearest the 90% network's."""
    widths = [number / 1000 for number in range(100, 500, 5)]
    want = _macs(DENSE["width"], 0.9)
    return min(widths, key=lambda width: abs(_macs(width, 0.0) - want))


@cache
def _macs(width: float, sparsity: float) -> int:
    """Effective MACs: pointwise convolutions count their share that is left."""
    entry = registry.load("model", "mobilenet-v1").configured({**DENSE, "width": width})
    module, counts = entry.build(10), {}
    counts = macs_by_layer(module, entry.signature(10))
    pointwise = {
        name
        for name, child in module.named_modules()
        if getattr(child, "kernel_size", None) == (1, 1) and child.groups == 1
    }
    return sum(
        round(count * (1 - sparsity)) if name in pointwise else count
        for name, count in counts.items()
        if name
    )


def page(folder: Path, length: Length, docs: Path) -> Page:
    """Accuracy lost by sparsity, and sparse against narrow at equal effective MACs."""

    def of(name: str) -> list[float]:
        seeds = range(length.seeds if name in JUDGED else 1)
        return [accuracy(folder / f"seed{seed}" / name) for seed in seeds]

    def minus_dense(name: str) -> Mean:
        own = of(name)
        return difference(own, dense[: len(own)])

    dense = of("dense")
    rows = [("network", "effective MACs", "nonzero weights", "accuracy", "minus dense")]
    for name in ALL:
        width = narrow_width() if name == "narrow" else DENSE["width"]
        values, share = of(name), float(PRUNED.get(name, {}).get("sparsity", 0.0))
        first = folder / "seed0" / name
        rows.append(
            (
                f"narrower dense, width {width:g}" if name == "narrow" else name,
                f"{_macs(width, share):,}",
                f"{_nonzero(first):,}",
                mean(values).points(),
                "" if name == "dense" else minus_dense(name).points(sign=True),
            )
        )
    gain = difference(of("sparse90"), of("narrow"))
    reached = mean(dense).value
    lost = {name: minus_dense(name).value for name in PRUNED}
    return Page(
        title="Sparse MobileNet-v1 on CIFAR-10",
        claim="MobileNet-v1, width 0.5 at 32 x 32 px, gradual magnitude "
        "pruning of the 1x1 convolutions from the start, the same number of steps for all. "
        "Claim of Fast Sparse ConvNets: at equal effective MACs a large sparse network is more "
        "accurate than a small dense one. CIFAR-10 is from a JPEG-compressed copy: accuracies "
        "do not compare with published ones.",
        rows=rows,
        findings=[
            f"Dense reaches {100 * reached:.1f}%: "
            + ("long enough to judge (80%)." if reached >= 0.8 else "too short to judge (80%)."),
            f"75% within 1.0 point of dense: {'yes' if lost['sparse75'] >= -0.01 else 'no'}; "
            f"90% within 3.0 points: {'yes' if lost['sparse90'] >= -0.03 else 'no'}.",
            f"90% unstructured minus the narrower dense network: {gain.points(sign=True)} points: "
            + (f"{verdict(gain)}." if reached >= 0.8 else "too short to judge."),
        ],
        commands=[job.command for job in jobs(folder, length) if "seed0" in str(job.out)],
    )


def _nonzero(out: Path) -> int:
    saved = checkpoint.load(out)
    pruned = saved.trained.pruning
    zeros = sum(row.zeros for row in pruned.layers) if pruned else 0
    return saved.trained.parameters - zeros
