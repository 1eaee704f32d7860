"""Lottery tickets: LeNet-300-100 on MNIST (Frankle & Carbin 2019, arXiv 1803.03635)."""

from __future__ import annotations

from pathlib import Path

from claim import curve_plot, recipe
from intervals import difference, mean, verdict
from jobs import Job
from length import Cost, Length
from page import Page, accuracy

SET = "mnist"
COST = Cost(epoch_s=75.0, epochs=12, least_seeds=2, most_seeds=5)
PER_CLASS = 0
LEFT = (0.512, 0.168, 0.086, 0.039)
CONTROLS = ("reinit", "random-mask")


def levels(length: Length) -> tuple[float, ...]:
    """Shares of the weights that are left; a rehearsal has one."""
    return LEFT[:1] if length.short else LEFT


def jobs(folder: Path, length: Length) -> list[Job]:
    """Per seed: dense, a chain of tickets, and both controls of each."""
    found = []
    for seed in range(length.seeds):
        home = folder / f"seed{seed}"
        path = recipe(
            home,
            model="lenet-300-100",
            seed=seed,
            length=length,
            train={
                "batch_size": 60,
                "optimizer": "adam",
                "learning_rate": 1.2e-3,
                "schedule": "constant",
                "weight_decay": 0.0,
            },
        )
        before = home / "dense"
        found.append(Job(before, ("train", str(path))))
        for left in levels(length):
            ticket = home / f"ticket-{left:g}"
            asked = ("--method", "lottery", "--sparsity", f"{1 - left:.3f}")
            found.append(Job(ticket, ("prune", str(before), *asked), 4.0, (before,)))
            for control in CONTROLS:
                arguments = ("prune", str(ticket), *asked, "--control", control)
                found.append(Job(home / f"{control}-{left:g}", arguments, 1.0, (ticket,)))
            before = ticket
    return found


def page(folder: Path, length: Length, docs: Path) -> Page:
    """The order ticket > re-initialised > random mask, at every level."""

    def of(kind: str, left: float) -> list[float]:
        return [accuracy(folder / f"seed{s}" / f"{kind}-{left:g}") for s in range(length.seeds)]

    dense = [accuracy(folder / f"seed{s}" / "dense") for s in range(length.seeds)]
    kinds = ("ticket", *CONTROLS)
    head = ("weights left", "ticket", "re-initialised", "random mask")
    head += ("ticket - re-init", "re-init - random")
    rows: list[tuple[str, ...]] = [head]
    for left in levels(length):
        values = {kind: of(kind, left) for kind in kinds}
        first = difference(values["ticket"], values["reinit"])
        second = difference(values["reinit"], values["random-mask"])
        own = [mean(values[kind]).points() for kind in kinds]
        rows.append((f"{left:.1%}", *own, first.points(sign=True), second.points(sign=True)))
    findings = [
        f"Dense: {mean(dense).points()}.",
        f"At {levels(length)[-1]:.1%}, ticket above re-initialised: {verdict(first)}.",
        f"At {levels(length)[-1]:.1%}, re-initialised above random mask: {verdict(second)}.",
    ]
    lines = {
        "ticket": [mean(of("ticket", left)) for left in levels(length)],
        "re-initialised": [mean(of("reinit", left)) for left in levels(length)],
        "random mask": [mean(of("random-mask", left)) for left in levels(length)],
    }
    plot = curve_plot(
        docs / "lottery.png", [100 * left for left in levels(length)], lines, mean(dense)
    )
    return Page(
        title="Lottery tickets on MNIST",
        claim="LeNet-300-100, iterative magnitude pruning by layer, a fifth of the survivors a "
        "round and a tenth in the last layer, Adam at 1.2e-3 as in the paper. Claim: a ticket "
        "with its own initial values beats the same mask with new ones, and that beats a "
        "random mask of the same sizes.",
        rows=rows,
        findings=findings,
        commands=[job.command for job in jobs(folder, length) if "seed0" in str(job.out)],
        plot=plot,
    )
