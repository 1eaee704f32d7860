"""Results on data, made by hand: two of a handful of samples are wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tinyml.core.evaluation_results import (
    Estimate,
    EvaluationResults,
    Picked,
    ReliabilityBin,
    RocCurve,
    Walk,
)
from tinyml.core.spec import Array

NOISE = np.random.default_rng(0)


def picked(text: str, truth: str, prediction: str, **changes: Any) -> Picked:
    """A grey image of 4 x 4 pixels."""
    made = Picked(text, truth, prediction, {truth: 0.3, prediction: 0.7})
    return replace(made, **(changes or {"pixels": np.full((4, 4, 1), 99, np.uint8)}))


def recording(text: str, truth: str, prediction: str) -> Picked:
    """A second of noise."""
    samples = NOISE.normal(size=4000).astype(np.float32)
    return picked(text, truth, prediction, samples=samples, rate_hz=4000)


def results(text: str = "cat", *, sounds: bool = False, **changes: Any) -> EvaluationResults:
    """Of two labels, ``text`` and ``dog``, with ``text`` wherever a name stands."""
    make = recording if sounds else picked
    share = Estimate(text, 0.75, 0.6, 0.85, 40)
    stages: dict[str, Array | None] = {
        f"{text} map": NOISE.normal(size=(16, 5, 6)),
        "rows": NOISE.normal(size=(8, 1, 9)),
        "one": NOISE.normal(size=(10,)),
        "constant": np.zeros((2, 3, 3)),
        "not finite": np.full((2, 3, 3), np.nan),
        "fused": None,
    }
    given = NOISE.normal(size=(400,) if sounds else (1, 4, 4)).astype(np.float32)
    made = EvaluationResults(
        count=80,
        labels=(text, "dog"),
        recalls=(share, replace(share, name="dog")),
        confusion=((30, 10), (10, 30)),
        roc=(RocCurve((0.0, 0.2, 1.0), (0.0, 0.9, 1.0), share),),
        reliability=(ReliabilityBin(0.8, share),),
        expected_calibration_error=0.05,
        engine="litert",
        data_set=text,
        metrics=(replace(share, name="accuracy"),),
        wrong=(make(text, text, "dog"), make("two", "dog", text)),
        right=(make("three", "dog", "dog"),),
        walk=Walk(make(text, text, text), given, stages),
    )
    return replace(made, **changes)
