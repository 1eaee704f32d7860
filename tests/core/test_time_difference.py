"""The time of a network is a difference of two measurements that took turns."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_measurement import measurement, process

from tinyml.core.errors import DeviceError
from tinyml.core.measurement import Measurement, Process
from tinyml.core.time_difference import TimeDifference


def in_turns(*processes: Process, **changes: object) -> Measurement:
    own = [replace(process, turn=turn) for turn, process in enumerate(processes)]
    return measurement(*own, **changes)


def test_the_network_is_the_difference_turn_by_turn() -> None:
    whole = in_turns(process(10, 11, 12), process(30, 31, 32), process(10, 10, 10))
    front = in_turns(process(4), process(24), process(5), part="front end")
    network = TimeDifference(whole, front)
    assert network.per_turn_ns == (7, 7, 5)
    assert network.p50_ns == 7
    assert network.range_ns == (5, 7)


def test_turns_in_which_both_count_make_the_difference() -> None:
    whole = in_turns(process(10), process(30), process(50))
    front = in_turns(process(4), process(24), process(45), part="front end")
    some = TimeDifference(
        replace(whole, processes=whole.processes[1:]), replace(front, processes=front.processes[:2])
    )
    assert some.per_turn_ns == (6,)
    none = TimeDifference(
        replace(whole, processes=whole.processes[2:]), replace(front, processes=front.processes[:2])
    )
    assert (none.p50_ns, none.range_ns) == (None, None)


@pytest.mark.parametrize(
    "front",
    [
        measurement(process(1), runtime="litert"),
        measurement(process(1), label="device"),
    ],
)
def test_refuses_the_difference_of_what_did_not_take_turns(front: Measurement) -> None:
    with pytest.raises(DeviceError):
        TimeDifference(measurement(process(2)), front)
