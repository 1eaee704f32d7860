"""Layers by what their integers cost: what is not finite is the worst, never the best."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tinyml.core.bundle import Parity, StageParity
from tinyml.core.diagnosis import (
    LayerSensitivity,
    SensitivityAnalysis,
    decibels,
    ranked,
    sensitivity,
)
from tinyml.core.errors import ValidationError
from tinyml.core.export_settings import ExportSettings
from tinyml.core.settings import complete
from tinyml.core.spec import Signature, TensorSpec
from tinyml.core.typed_json import Unbounded, from_json, to_json
from tinyml.export.parity import gate
from tinyml.export.quantization.findings.biased_error import biased_error
from tinyml.export.quantization.findings.evidence import Bias, Evidence
from tinyml.export.quantization.plan import QuantPlan
from tinyml.export.quantization.sensitivity import lines
from tinyml.pages.summary import parity_rows, sensitivity_rows
from tinyml.pipeline.model_sources.source import ExportedModel
from tinyml.pipeline.quantization import diagnose, write_quantized
from tinyml.pipeline.quantization.sensitivity import next_layer
from tinyml.pipeline.steps.export_plan import accepted_loss, remedies

INF = Unbounded(math.inf)
Layer = LayerSensitivity
# As a log-mel front end in integers was: NaN by itself, and what is left without it is good.
NAN = Layer("fe", -INF, 38.0, 9)
FC, B2, EXACT = (
    Layer("fc", 40.6, -4.7, 1),
    Layer("b2", 46.4, -2.8, 2),
    Layer("relu", INF, -2.8, 1),
)
KEYWORD = SensitivityAnalysis((EXACT, B2, FC, NAN), -2.8)


def test_the_layer_that_makes_nan_comes_first_and_the_exact_one_last() -> None:
    assert [layer.layer for layer in ranked(KEYWORD)] == ["fe", "fc", "b2", "relu"]
    assert next_layer({"tflite": KEYWORD}, {}, ["fc", "fe", "b2", "relu"]) == "fe"


def test_a_layer_that_makes_the_others_finite_comes_before_those_that_are_noisy_alone() -> None:
    """None of them gives NaN alone; two do together."""
    found = SensitivityAnalysis(
        (
            Layer("noisy", 3.0, -INF, 1),
            Layer("log", 50.0, 40.0, 1),
            Layer("mel", 60.0, 20.0, 1),
        ),
        -INF,
    )
    assert [layer.layer for layer in ranked(found)] == ["log", "mel", "noisy"]


def test_harm_that_shows_only_beside_others_counts() -> None:
    """Alone both leave as much; leaving the second in float32 mends the file."""
    first, second = (
        Layer("first", 30.0, 5.0, 1),
        Layer("second", 30.0, 25.0, 1),
    )
    assert ranked(SensitivityAnalysis((first, second), 5.0)) == [second, first]
    assert sensitivity(second, 5.0) > sensitivity(first, 5.0)


def test_formats_are_ranked_together_each_by_its_own_file() -> None:
    other = SensitivityAnalysis((Layer("fe", 50.0, 31.0, 1), Layer("b2", 20.0, 40.0, 1)), 30.0)
    assert [layer.layer for layer in ranked(KEYWORD, other)][:2] == ["fe", "b2"]
    assert next_layer({"tflite": KEYWORD, "onnx": other}, {"fe": ""}, ["fe", "b2"]) == "b2"


def test_what_changes_nothing_is_not_kept_in_float() -> None:
    exact = SensitivityAnalysis((EXACT, Layer("t", INF, INF, 1)), INF)
    assert next_layer({"tflite": exact}, {}, ["relu", "t"]) is None
    worse_without = SensitivityAnalysis((Layer("relu", INF, -5.0, 1),), -2.8)
    assert next_layer({"tflite": worse_without}, {}, ["relu"]) is None
    assert next_layer({"tflite": KEYWORD}, {"fe": ""}, ["fe"]) is None


def test_infinities_come_back_from_json_which_has_none() -> None:
    found = SensitivityAnalysis((*KEYWORD.layers, Layer("t", INF, -INF, 1)), -INF)
    text = json.dumps(to_json(found), allow_nan=False)
    assert '"whole_db": "-inf"' in text
    assert from_json(SensitivityAnalysis, json.loads(text)) == found


def test_the_hint_of_a_refusal_does_not_advise_what_was_used() -> None:
    plain = complete(ExportSettings())
    assert "`auto_precision` keeps" in remedies(plain)
    assert "`explain` ranks" in remedies(plain)
    assert "`explain`" not in remedies(replace(plain, explain=True))
    searched = replace(plain, auto_precision=True)
    assert "`auto_precision` keeps" not in remedies(searched)
    assert (accepted_loss(plain), accepted_loss(searched)) == (None, 0.005)
    failed = StageParity("litert", "sample", "fe", "fail", "int8")
    for used, hint in ((plain, "`auto_precision` keeps"), (searched, "another `ranges`")):
        with pytest.raises(ValidationError) as caught:
            gate(Parity((failed,)), accepted_loss(used), remedies(used))
        assert hint in caught.value.hint
        assert caught.value.hint == remedies(used)


def test_a_row_that_is_not_finite_is_the_worst_of_its_stage_and_never_exact() -> None:
    def rows(*cases: StageParity) -> tuple[object, ...]:
        return parity_rows(Parity(cases))[1][0][2:]

    exact = StageParity("litert", "a", "fe", "pass", "int8", 0.0, 1.0)
    noisy = StageParity("litert", "b", "fe", "pass", "int8", 0.5, 1.0, 20.0)
    lost = StageParity("litert", "c", "fe", "fail", "int8")
    on_silence = StageParity("litert", "d", "fe", "pass", "int8", 0.5, 1.0)
    assert rows(exact) == ("pass", "a", "0.00e+00", "1.00e+00", "exact")
    assert rows(exact, noisy, lost) == ("fail", "c", "-", "-", "-inf")
    assert rows(exact, noisy) == ("pass", "b", "5.00e-01", "1.00e+00", "20.0")
    assert rows(exact, on_silence)[-1] == "-"


def test_an_output_that_is_not_finite_on_the_data_is_a_proof_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that the search goes on, and the last file's error is raised."""

    def refuse(*_: object) -> Parity:
        raise ValidationError("litert on input 3 of the persons: not finite")

    monkeypatch.setattr(write_quantized, "check_files", refuse)
    found = write_quantized._parity()
    assert not write_quantized._holds(found, 0.5)
    with pytest.raises(ValidationError, match="input 3"):
        write_quantized._or_raise(found)


def test_classes_of_outputs_that_are_not_finite_are_not_counted() -> None:
    signature = Signature((TensorSpec("x", (1, 2)),), (TensorSpec("y", (1, 2)),))
    exported = ExportedModel("net", signature, (), None, (), {})
    samples = [{"x": np.ones((1, 2), np.float32)}]

    class Session:
        def __init__(self, value: float) -> None:
            self.value = value

        def run(self, _: object) -> dict[str, Any]:
            return {"y": np.array([[0.1, self.value]], np.float32)}

    assert diagnose._classes(Session(0.9), samples, exported) == [1]  # type: ignore[arg-type]
    assert diagnose._classes(Session(math.nan), samples, exported) is None  # type: ignore[arg-type]


def test_no_bias_is_blamed_for_what_is_not_finite() -> None:
    bias = Bias(1.0, math.nan, 0.9, 0.1, {"t1": np.ones(8)})
    plan = QuantPlan("w8a8-static", "tflite", "min-max", 16, "noise")
    assert list(biased_error(Evidence(plan, bias=bias))) == []


def test_a_person_reads_exact_and_minus_infinity() -> None:
    assert (decibels(INF), decibels(-INF), decibels(3.14)) == ("exact", "-inf dB", "3.1 dB")
    head, *rest = lines(KEYWORD)
    assert head.startswith("all layers quantized: -2.8 dB")
    assert rest[0] == "  fe: alone -inf dB; all the others without it 38.0 dB"
    assert rest[-1] == "  relu: alone exact; all the others without it -2.8 dB"
    _, rows = sensitivity_rows({"tflite": KEYWORD})
    assert rows[0] == ("tflite", "fe", "-inf", "38.0", 9)
    assert rows[-1] == ("tflite", "relu", "exact", "-2.8", 1)
