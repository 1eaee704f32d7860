"""What the quantizers of all formats share: float file and plan in, integers and facts out."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tinyml.core.files import write_bytes
from tinyml.core.quant_params import QuantParams
from tinyml.export import facts
from tinyml.export.facts import Facts
from tinyml.export.quantization import plan
from tinyml.export.quantization.plan import QuantPlan


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


Quantize = Callable[[Path, QuantPlan, Facts, bool], Quantized]


def run_quantizer(quantize: Quantize, given: list[str]) -> None:
    """A quantizer as a program: ``FLOAT PLAN.json FACTS.json OUT OUT.json [--dense]``.

    FACTS are the float file's, OUT.json those of OUT. ``quantize`` gets the float file, the
    plan, its facts, and whether zeros are to be stored like other values.
    """
    parser = argparse.ArgumentParser()
    for name in ("float", "plan", "facts", "out", "out_facts"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--dense", action="store_true")
    asked = parser.parse_args(given)
    planned, known = plan.load(asked.plan), facts.load(asked.facts)
    made = quantize(asked.float, planned, known, asked.dense)
    write_bytes(asked.out, made.data)
    written = replace(
        known,
        precision=planned.precision,
        passes={**known.passes, **made.passes},
        stages=made.stages,
        minimum_runtime=made.minimum_runtime,
        quant_params=made.quant_params,
        instrumented=(),
        instrumented_note="",
    )
    written.save(asked.out_facts)
