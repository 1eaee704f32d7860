"""One page per claim: the command, the lengths, a table, a plot, what it says."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from length import Length

from tinyml.core import checkpoint
from tinyml.core.files import write_text

DOCS = Path(__file__).parents[2] / "docs" / "evidence"


@dataclass(frozen=True, slots=True)
class Page:
    """What a claim's file gives; ``rows`` begin with the head."""

    title: str
    claim: str
    rows: Sequence[Sequence[str]]
    findings: Sequence[str]
    commands: Sequence[str]
    plot: str = ""


def accuracy(out: Path) -> float:
    """Accuracy on the test part of a finished job."""
    return float(checkpoint.load(out).trained.validation.accuracy)


def write(page: Page, name: str, length: Length, folder: Path = DOCS) -> Path:
    """Write ``docs/evidence/NAME.md``."""
    where = f"python tools/reproduce {name} --budget {length.minutes:g} --set {length.set}"
    parts = [
        f"# {page.title}\n",
        page.claim + "\n",
        f"Made by `make reproduce-{name}` (`{where}`): {length.seeds} seeds, {length.epochs} "
        f"epochs each on the set `{length.set}`"
        + (f" ({length.per_class} images a class)" if length.per_class else "")
        + f", one-thread processes on {length.workers} cores ({platform.machine()}). Intervals are "
        "95%, over seeds (Student's t). Accuracy is of the whole test part, in percent.\n",
    ]
    if length.short:
        parts.append(
            f"**Too short to judge** (at least 2 seeds and {length.enough_epochs} epochs are "
            "needed): the figures are shown, no verdict follows from them.\n"
        )
    parts.append(_table(page.rows))
    if not length.short:
        parts.extend(f"- {finding}" for finding in page.findings)
    if page.plot:
        parts.append(f"\n![{page.title}]({page.plot})")
    parts.append("\nThe commands of the first seed:\n\n```sh")
    parts.extend(page.commands)
    parts.append("```\n")
    path = folder / f"{name}.md"
    write_text(path, "\n".join(parts))
    return path


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in body)]) + "\n"
