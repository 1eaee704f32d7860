"""Late rewinding: ResNet-20 on CIFAR-10 (Frankle et al. 2019, arXiv 1903.01611)."""

from __future__ import annotations

from pathlib import Path

from claim import recipe
from intervals import difference, mean, verdict
from jobs import Job
from length import Cost, Length
from page import Page, accuracy

SET = "cifar10"
COST = Cost(epoch_s=62.0, epochs=30, least_seeds=2, most_seeds=3)
PER_CLASS = 1000
SHARE = 0.04


def rewind_step(length: Length) -> int:
    """A twenty-fifth of the training, at least one step."""
    steps = length.epochs * -(-10 * length.per_class // 128)
    return max(1, round(SHARE * steps))


def jobs(folder: Path, length: Length) -> list[Job]:
    """Per seed: dense, then one-shot pruning to a fifth, rewound to 0 and to step k."""
    found = []
    for seed in range(length.seeds):
        home = folder / f"seed{seed}"
        path = recipe(
            home,
            model="resnet-20",
            seed=seed,
            length=length,
            train={
                "batch_size": 128,
                "optimizer": "sgd",
                "learning_rate": 0.1,
                "schedule": "cosine",
                "warm_up_epochs": 1.0,
                "weight_decay": 5e-4,
                "flip": True,
                "shift": 4,
            },
        )
        dense = home / "dense"
        found.append(Job(dense, ("train", str(path))))
        for step in (0, rewind_step(length)):
            asked = ("--method", "lottery", "--rate", "0.8", "--sparsity", "0.8")
            asked += ("--scope", "global", "--rewind-step", str(step))
            arguments = ("prune", str(dense), *asked)
            found.append(Job(home / f"rewind-{step}", arguments, 1.0, (dense,)))
    return found


def page(folder: Path, length: Length, docs: Path) -> Page:
    """Rewound to step k against rewound to the start."""

    def of(name: str) -> list[float]:
        return [accuracy(folder / f"seed{s}" / name) for s in range(length.seeds)]

    step = rewind_step(length)
    dense, start, later = of("dense"), of("rewind-0"), of(f"rewind-{step}")
    gain = difference(later, start)
    return Page(
        title="Rewinding on CIFAR-10",
        claim=f"ResNet-20, 10,000 images, one-shot magnitude pruning to 20% of the weights over "
        f"all layers together, the survivors rewound to initialisation or to step {step}. "
        "Claim: the ticket from a little later trains to a higher accuracy.",
        rows=[
            ("network", "accuracy"),
            ("dense", mean(dense).points()),
            ("20%, rewound to 0", mean(start).points()),
            (f"20%, rewound to {step}", mean(later).points()),
        ],
        findings=[
            f"Step {step} minus step 0, within seeds: {gain.points(sign=True)} points: "
            f"{verdict(gain)}."
        ],
        commands=[job.command for job in jobs(folder, length) if "seed0" in str(job.out)],
    )
