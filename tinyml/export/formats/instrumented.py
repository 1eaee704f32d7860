"""An instrumented model: the same program with stages as extra outputs, for stages fused away.

It is another file, fused differently where a value must come out: it checks the stage, not the
shipped file, and is never shipped itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch.export.graph_signature import OutputKind, OutputSpec, TensorArgument
from torch.fx import Node
from torch.utils import _pytree as pytree

from tinyml.core.errors import ExportError
from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture.program import Captured, load
from tinyml.export.facts import SHOWN_SUFFIX, Facts, facts_of

Write = Callable[[Captured, Path], Facts]
# Every one more is one more value that the runtime holds to the end.
MOST_INSTRUMENTED = 64


def add_outputs(captured: Captured, stages: Sequence[str]) -> Captured:
    """``captured`` with each of ``stages`` as an output of its name; changed in place.

    What is given out is a copy made at once: what follows may write into the original.
    Raises `ExportError` for a stage that has no node: a rewrite took it.
    """
    program, signature = captured.program, captured.signature
    nodes = {node.name: node for node in program.graph.nodes}
    added = []
    for stage in stages:
        name = captured.stages[stage]
        if name is None:
            raise ExportError(
                f"stage '{stage}' is not computed any more: no instrumented model can show it"
            )
        added.append(_copied(nodes[name]))
    output = program.graph.output_node()
    output.args = ((*output.args[0], *added),)
    for node in added:
        argument = TensorArgument(node.name)
        spec = OutputSpec(OutputKind.USER_OUTPUT, argument, None)
        program.graph_signature.output_specs.append(spec)
        program.module_call_graph[0].signature.outputs.append(argument)
    specs = [_spec(stage, node) for stage, node in zip(stages, added, strict=True)]
    wider = Signature(signature.inputs, (*signature.outputs, *specs), signature.states)
    names = {spec.name: 0 for spec in wider.outputs}
    program.module_call_graph[0].signature.out_spec = pytree.tree_structure(names)
    program.graph_module.recompile()
    return Captured(program, captured.stages, wider)


def _copied(node: Node) -> Node:
    with node.graph.inserting_after(node):
        copy = node.graph.create_node(
            "call_function",
            torch.ops.aten.clone.default,
            (node,),
            name=f"{node.name}{SHOWN_SUFFIX}",
        )
    copy.meta = dict(node.meta)
    return copy


def _spec(stage: str, node: Node) -> TensorSpec:
    value = node.meta["val"]
    return TensorSpec(stage, tuple(value.shape), dtype=str(value.dtype).removeprefix("torch."))


def run_writer(write: Write, given: Sequence[str], *, dense: Write | None = None) -> None:
    """A writer as a program: ``PROGRAM.pt2 CAPTURE.json OUT FACTS.json [STAGE...]``.

    Converts what `Captured.save` wrote; the facts are written after the model. Stages
    named after the four files become outputs. ``--instrumented`` takes the file that is to show
    the stages which have no tensor in OUT, `MOST_INSTRUMENTED` of them at most; its facts lie
    next to it. With ``--dense`` it is ``dense`` that writes, where a format has more than one
    way to store a weight.
    """
    parser = argparse.ArgumentParser()
    for name in ("program", "names", "out", "facts", "--instrumented"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--dense", action="store_true")
    parser.add_argument("stages", nargs="*")
    asked = parser.parse_args(given)
    write = dense or write if asked.dense else write
    captured = load(asked.program, asked.names)
    written = write(add_outputs(captured, asked.stages), asked.out)
    if asked.instrumented is not None:
        lost = one_of_each(captured, [s for s, held in written.stages.items() if held is None])
        shown, note = _write_instrumented(write, asked, lost[:MOST_INSTRUMENTED])
        written = replace(written, instrumented=shown, instrumented_note=note)
    written.save(asked.facts)


def one_of_each(captured: Captured, stages: Sequence[str]) -> list[str]:
    """Of the ``stages`` that have a node, the outermost of those that share one.

    A stage and the last one inside of it are one value, and a file has one name for a value.
    """
    found: dict[str, str] = {}
    for stage in sorted(stages, key=lambda stage: stage.count(".")):
        if node := captured.stages[stage]:
            found.setdefault(node, stage)
    return [stage for stage in stages if stage in found.values()]


def _write_instrumented(
    write: Write, asked: argparse.Namespace, stages: list[str]
) -> tuple[tuple[str, ...], str]:
    """The stages that the instrumented model shows, and why it does not show them."""
    if not stages:
        return (), ""
    try:
        wider = add_outputs(load(asked.program, asked.names), stages)
        write(wider, asked.instrumented).save(facts_of(asked.instrumented))
    except ExportError as error:
        return (), f"no instrumented model shows {', '.join(stages)}: {error.message}"
    return tuple(stages), ""
