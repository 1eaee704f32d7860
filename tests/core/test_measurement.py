from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tinyml.core.errors import DeviceError
from tinyml.core.measurement import Difference, Measurement, Process

CONDITIONS = {"device": "this machine", "threads": 1, "governor": None}


def process(*samples_ns: int, rss: int | None = 100) -> Process:
    return Process(samples_ns, warmups=1, load_ns=50, first_ns=40, peak_rss_kb=rss)


def measurement(*processes: Process, **changes: object) -> Measurement:
    whole = Measurement(
        "m.onnx", "0" * 64, "whole", "onnxruntime", "1.32", processes, CONDITIONS, "host"
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def test_statistics_are_those_of_the_pooled_samples() -> None:
    found = measurement(process(1, 2, 3), process(4, 10, rss=300))
    assert found.samples_ns == (1, 2, 3, 4, 10)
    assert (found.p50_ns, found.min_ns, found.mean_ns) == (3, 1, 4)
    assert found.p90_ns == pytest.approx(7.6)
    assert found.cv == pytest.approx(np.std([1, 2, 3, 4, 10], ddof=1) / 4)
    assert found.peak_rss_kb == 300
    assert (found.load_ns, found.first_ns) == (50, 40)


def test_p99_needs_a_thousand_samples() -> None:
    assert measurement(process(*range(1, 1000))).p99_ns is None
    assert measurement(process(*range(1, 1001))).p99_ns == pytest.approx(990.01)


def test_one_sample_has_no_spread() -> None:
    assert measurement(process(5)).cv is None


def test_what_is_unknown_stays_unknown() -> None:
    assert measurement(process(5, rss=None)).peak_rss_kb is None


def test_refuses_to_be_empty() -> None:
    with pytest.raises(DeviceError, match="no call was timed"):
        measurement(process())


def test_survives_json_unchanged() -> None:
    found = measurement(replace(process(1, 2), loadavg=(0.5, None)), process(3))
    assert Measurement.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_no_statistic_is_stored() -> None:
    assert not {"p50_ns", "mean_ns", "cv"} & set(measurement(process(1)).to_json())


def test_versus_is_the_speed_up_of_the_median() -> None:
    assert measurement(process(2, 2, 2)).versus(measurement(process(6))) == 3


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"conditions": CONDITIONS | {"threads": 2}}, r"threads \(1 and 2\)"),
        ({"conditions": {"device": "this machine", "threads": 1, "pinned": True}}, "pinned"),
        ({"label": "emulated"}, r"label \(host and emulated\)"),
    ],
)
def test_refuses_to_compare_different_conditions(changes: dict[str, object], word: str) -> None:
    with pytest.raises(DeviceError, match=word):
        measurement(process(2)).versus(measurement(process(2), **changes))


def test_the_network_is_the_difference_turn_by_turn() -> None:
    whole = measurement(process(10, 11, 12), process(30, 31, 32), process(10, 10, 10))
    front = measurement(process(4), process(24), process(5), part="front end")
    network = Difference(whole, front)
    assert network.per_turn_ns == (7, 7, 5)
    assert network.p50_ns == 7
    assert network.range_ns == (5, 7)


@pytest.mark.parametrize(
    "front",
    [
        measurement(process(1), runtime="litert"),
        measurement(process(1), process(1)),
        measurement(process(1), label="device"),
    ],
)
def test_refuses_the_difference_of_what_did_not_take_turns(front: Measurement) -> None:
    with pytest.raises(DeviceError):
        Difference(measurement(process(2)), front)
