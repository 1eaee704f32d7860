"""A small bundle, made by hand, with every kind of fact that the report shows."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from tinyml.core.bundle import (
    Agreement,
    Bundle,
    Disagreement,
    ListedFile,
    Metric,
    ModelFile,
    Parity,
    StageParity,
)
from tinyml.core.bundle_facts import BundleFacts
from tinyml.core.diagnosis import Confusion, Finding, LayerSensitivity, SensitivityAnalysis
from tinyml.core.paired_difference import Difference
from tinyml.core.plan_record import QuantRecord
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.core.spec import Signature, TensorSpec
from tinyml.core.typed_json import Unbounded
from tinyml.pages.report.material import Material, NamedBundle

FILE = "net-w8a8-static.tflite"
SHA = "ab" * 32
# Ends an attribute, a tag, a template and a style; and a control character.
HOSTILE = "\"'`><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}{% x %}&amp;\x1b]$x$"
# What no manifest may hold, but a file name: half a character.
HALF = "\udc80"


def rows(stage: str = "conv") -> tuple[StageParity, ...]:
    """One stage of three engines, within its bound."""
    errors = {"captured": 0.0, "litert": 2e-5, "litert+xnnpack": 3e-5}
    return tuple(
        StageParity(engine, "random", stage, "pass", "engine", error, 1e-4, 80.0 if error else None)
        for engine, error in errors.items()
    )


def sample_bundle(text: str = "net", **changes: Any) -> Bundle:
    """A bundle of one quantized file, with ``text`` wherever a name or a label stands."""
    layers = (
        LayerSensitivity(f"{text} a", Unbounded(20.0), Unbounded(40.0), 2),
        LayerSensitivity(f"{text} b", Unbounded("inf"), Unbounded(20.0), 1),
    )
    plan = QuantRecord(
        "w8a8-static", "tflite", "min-max", 200, text, operations=9, kept={text: f"why {text}"}
    )
    facts = BundleFacts(
        tinyml="0.1.0",
        packages={"torch": "2.13.0", text: None},
        not_judged={text: text},
        lint={FILE: (Finding(text, text, f"cost {text}", "use `keep_float`"),)},
        delegation={
            FILE: {**DELEGATION, "undelegated": [{"op": text, "name": text, "fix": text}]},
            f"whole-{FILE}": {**DELEGATION, "delegated": 9, "mac_share": 1.0},
        },
        classes={FILE: Confusion((text, "b"), ((0, 0, 3), (0, 1, 1)))},
        sensitivity={"tflite": SensitivityAnalysis(layers, Unbounded(18.0))},
        sparse={FILE: SPARSE},
    )
    moved = Disagreement(text, text, "b", 0.01)
    agreement = Agreement(
        "litert", "persons", 20, 19, 0.01, (moved,), "UAR", Difference(0.9, 0.88, -0.03, 0.01)
    )
    model = ModelFile(
        FILE, SHA, "tflite", "w8a8-static", {}, {}, {}, "litert>=2", plan, float_mac_share=0.25
    )
    made = Bundle(
        model=text,
        target="rpi4",
        signature=Signature((TensorSpec(text, (1, 8), rate_hz=4000),), (TensorSpec("p", (1, 2)),)),
        processor=RecordingProcessor((text, "Absent"), 8, 4, 4000),
        models=(model,),
        stages=("conv", text),
        front_end=None,
        parity=Parity(
            (*rows(), *rows(text)), (agreement,), metrics=(Metric("litert", text, 0.5, 9),)
        ),
        facts=facts,
        files={FILE: ListedFile(45_000, SHA)},
        folder=Path("demo"),
        digest="cd" * 32,
    )
    return replace(made, **changes)


DELEGATION = {"delegate": "XNNPACK", "nodes": 9, "delegated": 8, "mac_share": 0.9}
SPARSE = {
    "uses_sparse_kernels": False,
    "runtime": "litert",
    "version": "2.3.0",
    "layers": [{"kernel": "dense"}, {"kernel": "32x1"}],
    "predicted_speedup": None,
}


def material(bundle: Bundle | None = None, **changes: Any) -> Material:
    """The report's material: ``bundle`` alone."""
    made = Material(
        (NamedBundle("demo", bundle or sample_bundle()),), intended_use="Demonstration."
    )
    return replace(made, **changes)


class Tags(HTMLParser):
    """Start tags with their attributes, in order, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """Attributes of every ``tag``."""
        return [attributes for name, attributes in self.tags if name == tag]
