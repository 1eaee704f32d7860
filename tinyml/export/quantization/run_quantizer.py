"""What the quantizers of all formats share: float32 file and plan in, new file and facts out."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tinyml.core.errors import ExportError
from tinyml.core.files import write_bytes
from tinyml.core.quant_params import QuantParams
from tinyml.export import facts
from tinyml.export.check_names import check_quantized_names
from tinyml.export.facts import Facts
from tinyml.export.quantization import fp16_plan, plan
from tinyml.export.quantization.fp16_plan import Float16Plan
from tinyml.export.quantization.plan import QuantPlan
from tinyml.export.quantization.precision import find_precision


@dataclass(frozen=True, slots=True)
class Quantized:
    """The new file's bytes, and what of its facts differs from the float file's.

    passes           applied here, with their counts
    stages           stage -> its tensor; None where the new file has none
    minimum_runtime  as in `Facts`, as are ``quant_params``
    """

    data: bytes
    passes: Mapping[str, int]
    stages: Mapping[str, str | None]
    minimum_runtime: str
    quant_params: Mapping[str, QuantParams] = field(default_factory=dict)


AnyPlan = QuantPlan | Float16Plan
Quantize = Callable[[Path, AnyPlan, Facts, bool], Quantized]


def run_quantizer(quantize: Quantize, given: list[str]) -> None:
    """A quantizer as a program: ``FLOAT PLAN.json FACTS.json OUT OUT.json [--dense]``.

    FACTS are the float file's, OUT.json those of OUT. ``quantize`` gets the float file, the
    plan, its facts, and whether zeros are to be stored like other values. ``--instrumented
    FLOAT FACTS OUT``: the instrumented model of the float file becomes that of the new one.
    """
    parser = argparse.ArgumentParser()
    for name in ("float", "plan", "facts", "out", "out_facts"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--dense", action="store_true")
    parser.add_argument("--instrumented", type=Path, nargs=3)
    asked = parser.parse_args(given)
    planned, known = load_plan(asked.plan), facts.load(asked.facts)
    made = quantize(asked.float, planned, known, asked.dense)
    write_bytes(asked.out, made.data)
    check_quantized_names(asked.float, asked.out, made.stages)
    written = replace(
        known,
        precision=planned.precision,
        passes={**known.passes, **made.passes},
        stages=made.stages,
        minimum_runtime=made.minimum_runtime,
        quant_params=made.quant_params,
        made={},
        instrumented=(),
        instrumented_note="",
    )
    if asked.instrumented is not None:
        shown, note = _instrumented(quantize, planned, known, asked)
        written = replace(written, instrumented=shown, instrumented_note=note)
    written.save(asked.out_facts)


def _instrumented(
    quantize: Quantize, planned: AnyPlan, known: Facts, asked: argparse.Namespace
) -> tuple[tuple[str, ...], str]:
    """The stages that the instrumented model shows, and why it does not show them."""
    if not known.instrumented:
        return (), known.instrumented_note
    path, its_facts, out = asked.instrumented
    try:
        made = quantize(path, planned, facts.load(its_facts), asked.dense)
    except ExportError as error:
        return (), f"no instrumented model shows {', '.join(known.instrumented)}: {error.message}"
    write_bytes(out, made.data)
    check_quantized_names(path, out, made.stages)
    return known.instrumented, ""


def load_plan(path: Path) -> AnyPlan:
    """The plan at ``path``, of the kind that its precision has."""
    name = json.loads(path.read_text(encoding="utf-8"))["precision"]
    return fp16_plan.load(path) if find_precision(name).half else plan.load(path)
