"""What stays in float32 in a float16 file: decided on the captured program and its values.

`plan` keeps in float32, by captured node:

1. what meets a value that float16 cannot hold on the samples: above 65504, or a tensor all
   of whose values lie below the smallest normal number, 6.1e-5, where bits get lost one by
   one (a layer scale, the power of a quiet signal); an epsilon only below 6e-8, where it is
   lost. Single small values next to large ones vanish harmlessly: they are noted, no more.
2. stages that differ from PyTorch by more than the policy ``fp16`` when the program is run
   with everything else rounded; where a whole stage in float32 is not enough, what feeds it.

Samples and generated cases decide alike. But a generated case whose inputs float16 itself cannot
hold, such as ``tiny``, is no reason to refuse a network: where it leaves nothing to cast, the
others decide, and the plan names it as not judged.

The formats cast the rest. Inputs and outputs stay float32, every name stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from tinyml.core.errors import ExportError
from tinyml.core.plan_record import CONSTANT, UnheldValue
from tinyml.core.spec import Array, Arrays
from tinyml.export.quantization.fp16_plan import Float16Plan
from tinyml.export.quantization.fp16_values import unheld_values

if TYPE_CHECKING:
    from torch.fx import Node

    from tinyml.core.bundle import StageParity
    from tinyml.core.ties import Ties
    from tinyml.export.capture.program import Captured

    Cases = Mapping[str, Arrays]
    TiesByCase = Mapping[str, Mapping[str, Ties]]

ENGINE = "rounded"
# After so many stages kept one by one, all that feeds the failing one is kept.
ROUNDS = 24
FEW = 8


def plan(
    captured: Captured,
    fmt: str,
    inputs: Cases,
    stages: Cases,
    outputs: Cases,
    *,
    weights_only: bool,
    ties: TiesByCase | None = None,
) -> Float16Plan:
    """The plan of one format, from PyTorch's inputs, stages, outputs and ``ties`` by case.

    ``weights_only``: the format's runtime stores float16 and computes in float32. Raises
    `ExportError` when nothing can be cast.
    """
    planner = _Planner(captured, fmt, inputs, stages, outputs, weights_only, ties or {})
    planner.decide()
    unheld = unheld_cases(inputs)
    if unheld and planner.keeps_everything:
        held = {case: given for case, given in inputs.items() if case not in unheld}
        planner = replace(planner, inputs=held, not_judged=unheld, kept={}, findings={})
        planner.decide()
    return planner.plan()


def unheld_cases(inputs: Cases) -> tuple[str, ...]:
    """The generated cases with an input that float16 cannot hold: no network can make up for it."""
    from tinyml.export.parity import GENERATED

    return tuple(
        case
        for case, given in inputs.items()
        if case in GENERATED
        and any(not found.harmless for value in given.values() for found in unheld_values(value))
    )


@dataclass(slots=True)
class _Planner:
    """The plan as it grows."""

    captured: Captured
    fmt: str
    inputs: Cases
    stages: Cases
    outputs: Cases
    weights_only: bool
    ties: TiesByCase
    not_judged: tuple[str, ...] = ()
    kept: dict[str, str] = field(default_factory=dict)
    findings: dict[tuple[str, str], UnheldValue] = field(default_factory=dict)

    def nodes(self) -> list[Node]:
        """Those that there is a choice for, in order."""
        from tinyml.export.quantization.fp16_program import is_weighted

        found = [n for n in self.captured.program.graph.nodes if n.op == "call_function"]
        return [n for n in found if is_weighted(n)] if self.weights_only else found

    def decide(self) -> None:
        """Both steps."""
        self.keep_unrepresentable()
        self.keep_failing()

    @property
    def keeps_everything(self) -> bool:
        return all(node.name in self.kept for node in self.nodes())

    def plan(self) -> Float16Plan:
        from tinyml.export.capture.module_stack import stage_of

        nodes = self.nodes()
        if self.keeps_everything:
            raise ExportError(
                f"fp16 leaves nothing to cast in the {self.fmt} file: "
                f"{next(iter(self.kept.values()), 'it has no weights of that kind')}",
                hint="choose `precision=fp32`",
            )
        order = [node for node in nodes if node.name in self.kept]
        return Float16Plan(
            precision="fp16",
            format=self.fmt,
            operations=len(nodes),
            kept={node.name: self.kept[node.name] for node in order},
            stages={node.name: stage_of(node, self.captured.stages) for node in order},
            findings=tuple(self.findings.values()),
            not_judged=self.not_judged,
        )

    def keep_unrepresentable(self) -> None:
        """Step 1: every tensor and constant of the float32 program, on every case."""
        chosen = {node.name for node in self.nodes()}
        for finding, node in self._found():
            key = (finding.node, finding.kind)
            worst = self.findings.get(key)
            if worst is None or _is_worse(finding, worst):
                self.findings[key] = finding
            if finding.harmless:
                continue
            around = [node] if finding.case == CONSTANT else [node, *node.users]
            for one in around:
                if one.name in chosen:
                    self.kept.setdefault(one.name, str(finding))
        self._drop_harmless()

    def _drop_harmless(self) -> None:
        """Of the harmless, the smallest value of each stage is enough to know."""
        smallest: dict[str, UnheldValue] = {}
        for finding in self.findings.values():
            known = smallest.get(finding.stage)
            if finding.harmless and (known is None or abs(finding.value) < abs(known.value)):
                smallest[finding.stage] = finding
        self.findings = {
            key: finding
            for key, finding in self.findings.items()
            if not finding.harmless or smallest[finding.stage] is finding
        }

    def _found(self) -> Iterator[tuple[UnheldValue, Node]]:
        from tinyml.export.capture.constants import value_of
        from tinyml.export.capture.module_stack import stage_of
        from tinyml.export.quantization.fp16_program import HalfProgram

        def about(node: Node, case: str, value: Array) -> Iterator[tuple[UnheldValue, Node]]:
            for found in unheld_values(value):
                stage = stage_of(node, self.captured.stages)
                yield replace(found, stage=stage, node=node.name, case=case), node

        for node in self.nodes():
            operands = node.args[1:2] if self.weights_only else (*node.args, *node.kwargs.values())
            for operand in operands:
                constant = value_of(self.captured.program, operand)
                if constant is not None:
                    yield from about(node, CONSTANT, constant.numpy())
                elif isinstance(operand, float) and np.isfinite(operand):
                    yield from about(node, CONSTANT, np.asarray(operand, np.float32))
        if self.weights_only:
            return
        everything = {node.name for node in self.captured.program.graph.nodes}
        program = HalfProgram(self.captured, everything)
        for case, given in self.inputs.items():
            for node, value in program.computed(given):
                if not self._is_constant(node):
                    yield from about(node, case, value)

    def _is_constant(self, node: Node) -> bool:
        """Weights are judged where they are used."""
        from tinyml.export.capture.constants import value_of

        return value_of(self.captured.program, node) is not None

    def keep_failing(self) -> None:
        """Step 2: run with the rest rounded until every stage and output holds."""
        for count in range(ROUNDS + 1):
            row = self._first_failure()
            if row is None:
                return
            why = f"{row.stage} differs on '{row.case}'"
            if row.max_error is not None:
                why += f": error {row.max_error:.3g}, at most {row.bound:.3g} allowed"
            more = self._to_keep(row.stage, last=count == ROUNDS)
            if not more:
                return  # float32 itself is out of tolerance: the gate will say so
            self.kept |= {node.name: why for node in more}

    def _first_failure(self) -> StageParity | None:
        from tinyml.export import parity
        from tinyml.export.quantization.fp16_program import HalfProgram

        program = HalfProgram(self.captured, self.kept, weights_only=self.weights_only)
        stages, ends = self.captured.stages, self.captured.outputs
        names = {name for name in (*stages.values(), *ends.values()) if name}
        rows: list[StageParity] = []
        for case, given in self.inputs.items():
            got = program.values(given, names)
            for named, wanted, ties in (
                (stages, self.stages[case], None),
                (ends, self.outputs[case], self.ties.get(case)),
            ):
                known = [name for name in named if name in wanted and named[name]]
                values = {name: got[named[name] or ""] for name in known}
                rows += parity.compare(ENGINE, case, wanted, values, known, "fp16", ties=ties)
        failed = [row for row in rows if row.verdict == "fail"]
        places = {name: place for place, name in enumerate((*stages, *ends))}
        return min(failed, key=lambda row: places[row.stage], default=None)

    def _to_keep(self, stage: str, *, last: bool) -> list[Node]:
        """The stage's own nodes; where they are kept already, what feeds it, nearest first."""
        from tinyml.export.capture.module_stack import stages_of

        free = [node for node in self.nodes() if node.name not in self.kept]
        inside = [node for node in free if stage in stages_of(node)]
        if inside and not last:
            return inside
        named = self.captured.stages.get(stage) or self.captured.outputs.get(stage)
        feeding = _feeding(self.captured, named)
        above = [node for node in free if node.name in feeding]
        return above if last else above[-max(FEW, len(above) // 2) :]


def _feeding(captured: Captured, name: str | None) -> set[str]:
    """Names of the node ``name`` and of all that it depends on."""
    by_name = {node.name: node for node in captured.program.graph.nodes}
    found: set[str] = set()
    left = [by_name[name]] if name else []
    while left:
        node = left.pop()
        if node.name not in found:
            found.add(node.name)
            left += node.all_input_nodes
    return found


def _is_worse(one: UnheldValue, other: UnheldValue) -> bool:
    if one.harmless != other.harmless:
        return other.harmless
    return one.value > other.value if one.kind == "overflow" else one.value < other.value
