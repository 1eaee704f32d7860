"""Times of parts become differences with an error; where a file is cut."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tinyml.core.errors import DeviceError
from tinyml.core.measurement import Conditions, Discarded, Measurement, Process
from tinyml.modelfile.operator_list import ListedOperator
from tinyml.pipeline.profile_by_difference import MOST_PARTS, _counting, _ends, _layers


def measured(*turns_ns: int) -> Measurement:
    """A process a turn, of three calls that take as long."""
    processes = tuple(
        Process((ns,) * 3, 1, 1, 1, None, (ns - 1,) * 3, turn=turn)
        for turn, ns in enumerate(turns_ns)
    )
    return Measurement(
        "m.onnx", "0", "start", "openvino", "1", processes, Conditions(threads=1), "host"
    )


def listed(name: str, macs: int = 0, *, fixed: bool = False) -> ListedOperator:
    return ListedOperator(name, "Conv", (name,), macs, is_fixed=fixed, is_cut=not fixed)


OPERATORS = (listed("w", fixed=True), listed("a", 5), listed("b", 7), listed("c", 1))
MODULES = {"w": "z", "a": "one", "b": "two", "c": "three"}


def test_a_part_is_what_its_start_takes_more_than_the_one_before() -> None:
    found = [measured(100, 120), measured(150, 150), measured(140, 160)]
    layers = _layers(found, OPERATORS, [1, 2, 3], MODULES)
    rows = [(own.module, own.ns, own.error_ns, own.macs) for own in layers]
    assert rows == [
        ("one", 110.0, 10.0, 5),
        ("two", 40.0, 10.0, 7),
        ("three", 0.0, 10.0, 1),
    ]
    (whole,) = _layers(found[:1], OPERATORS, [3], MODULES)
    assert (whole.module, whole.op, whole.macs) == ("one to three", "3 operators", 13)


def test_on_a_busy_machine_cpu_time_counts_and_on_one_that_changed_none() -> None:
    own = measured(100, 120)
    busy = tuple(Discarded(process, "busy", "others") for process in own.processes)
    spoilt = replace(own, processes=(), discarded=busy)
    found = _counting([own, spoilt])
    assert [one.clock for one in found] == ["cpu", "cpu"]
    assert found[1].p50_ns == 109.0
    changed = replace(spoilt, discarded=tuple(replace(one, kind="changed") for one in busy))
    with pytest.raises(DeviceError, match="changed while its parts were timed"):
        _counting([own, changed])


def test_a_file_is_cut_behind_each_submodule_and_evenly_where_there_are_many() -> None:
    assert _ends(OPERATORS, MODULES) == [1, 2]
    many = [listed(f"o{place}") for place in range(60)]
    modules = {own.name: f"m{place // 2}" for place, own in enumerate(many)}
    ends = _ends(many, modules)
    assert len(ends) == MOST_PARTS - 1
    assert all(place % 2 for place in ends)
