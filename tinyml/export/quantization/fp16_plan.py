"""What stays in float32 in a float16 file, and why: decided before anything is cast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tinyml.core.files import write_json
from tinyml.core.typed_json import read_json, to_json
from tinyml.export.facts import SHOWN_SUFFIX

CONSTANT = "constant"
SHOWN = 5


@dataclass(frozen=True, slots=True)
class UnheldValue:
    """A value that the precision cannot hold.

    case      the sample on which ``node`` computes it; ``constant``: one that ``node`` takes
    value     the largest that overflows, or the smallest that underflows
    harmless  an underflow next to values that it vanishes against
    """

    kind: Literal["overflow", "underflow"]
    stage: str
    node: str
    case: str
    value: float
    harmless: bool = False

    def __str__(self) -> str:
        on = "a constant" if self.case == CONSTANT else f"on '{self.case}'"
        stage = self.stage or "outside of any stage"
        return f"{self.kind} in {stage} at {self.node}: {self.value:.3g}, {on}"


@dataclass(frozen=True, slots=True)
class Float16Plan:
    """A plan for one file. Nodes are the captured program's, by name.

    kept        node -> why it stays in float32
    stages      node -> the innermost stage that it is part of, for those in ``kept``
    operations  how many nodes there are to choose from
    """

    precision: str
    format: str
    operations: int = 0
    kept: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[UnheldValue, ...] = ()

    def tensors(self, made: Mapping[str, Iterable[str]]) -> set[str]:
        """The tensors of a file that stay; ``made``: node -> those that it had a part in.

        A value that stays in float32 is also shown in float32 by an instrumented model.
        """
        nodes = [name for node in self.kept for name in (node, f"{node}{SHOWN_SUFFIX}")]
        return {tensor for node in nodes for tensor in made.get(node, ())}

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, to_json(self))

    def lines(self) -> list[str]:
        """For a person: what stays in float32, and the values that are to blame."""
        counts = Counter(self.stages[node] or "outside of any stage" for node in self.kept)
        if not self.kept:
            return [f"{self.precision} {self.format}: nothing has to stay in float32"]
        where = ", ".join(f"{stage} ({count})" for stage, count in counts.items())
        total = f"{len(self.kept)} of {self.operations} operations"
        harmful = [str(finding) for finding in self.findings if not finding.harmless]
        more = len(harmful) - SHOWN
        return [
            f"{self.precision} {self.format}: {total} stay in float32: {where}",
            *(f"  {line}" for line in harmful[:SHOWN]),
            *([f"  and {more} more, all in the manifest"] if more > 0 else []),
        ]


def load(path: Path) -> Float16Plan:
    """Read what `Float16Plan.save` wrote."""
    return read_json(Float16Plan, path)
