from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from tinyml.core.errors import DeviceError
from tinyml.core.machine_state import MachineState
from tinyml.core.measurement import Conditions, Measurement, Process
from tinyml.core.typed_json import from_json, to_json

CONDITIONS = Conditions(device="this machine", threads=1)


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
    assert found.p50_ns == 3
    assert found.p90_ns == pytest.approx(7.6)
    assert found.peak_rss_kb == 300
    assert (found.load_ns, found.first_ns) == (50, 40)


def test_the_tail_is_shown_where_it_is_sampled() -> None:
    found = measurement(process(*range(1, 1001)))
    assert (found.min_ns, found.p99_ns) == (1, pytest.approx(990.01))
    assert measurement(process(*range(1, 1000))).p99_ns is None
    same = measurement(process(2_000_000, 2_000_000))
    assert (same.variation, same.calls_per_s) == (0, 500)


def test_what_is_unknown_stays_unknown() -> None:
    assert measurement(process(5, rss=None)).peak_rss_kb is None


def test_refuses_to_be_empty() -> None:
    with pytest.raises(DeviceError, match="no call was timed"):
        measurement(process())


def test_survives_json_unchanged() -> None:
    found = measurement(replace(process(1, 2), before=MachineState(load=0.5)), process(3))
    assert from_json(Measurement, json.loads(json.dumps(to_json(found)))) == found


def test_no_statistic_is_stored() -> None:
    names = {own.name for own in fields(Measurement)} | {own.name for own in fields(Process)}
    assert not {"p50_ns", "p90_ns", "p99_ns", "variation"} & names


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"conditions": replace(CONDITIONS, threads=2)}, r"threads \(1 and 2\)"),
        ({"conditions": replace(CONDITIONS, cores=2)}, r"cores \(None and 2\)"),
        ({"label": "emulated"}, r"label \(host and emulated\)"),
    ],
)
def test_refuses_to_compare_different_conditions(changes: dict[str, object], word: str) -> None:
    with pytest.raises(DeviceError, match=word):
        measurement(process(2)).check_comparable(measurement(process(2), **changes))
