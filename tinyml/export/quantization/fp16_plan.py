"""What stays in float32 in a float16 file, and why: decided before anything is cast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tinyml.core.files import write_json
from tinyml.core.plan_record import Float16Record
from tinyml.core.typed_json import read_json, to_json
from tinyml.export.facts import SHOWN_SUFFIX

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Float16Plan(Float16Record):
    """A plan for one file, with what performing it needs."""

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
        file, not_judged = f"{self.precision} {self.format}", list[str]()
        if self.not_judged:
            unheld = ", ".join(map(repr, self.not_judged))
            not_judged = [f"{file}: not judged on {unheld}, whose inputs float16 cannot hold"]
        if not self.kept:
            return [f"{file}: nothing has to stay in float32", *not_judged]
        where = ", ".join(f"{stage} ({count})" for stage, count in counts.items())
        total = f"{len(self.kept)} of {self.operations} operations"
        harmful = [str(finding) for finding in self.findings if not finding.harmless]
        more = len(harmful) - SHOWN
        return [
            f"{file}: {total} stay in float32: {where}",
            *(f"  {line}" for line in harmful[:SHOWN]),
            *([f"  and {more} more, all in the manifest"] if more > 0 else []),
            *not_judged,
        ]


def load(path: Path) -> Float16Plan:
    """Read what `Float16Plan.save` wrote."""
    return read_json(Float16Plan, path)
