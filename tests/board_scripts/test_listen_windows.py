"""Decisions of a stream: the same however it is cut, and those of windows that are cut by hand."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listening import RECORD, classify, front_end

from tinyml.board_scripts.listen_windows import (
    Frame,
    FrontEnd,
    Heard,
    Ring,
    SlidingListener,
    StreamingListener,
)

NOISE = np.random.default_rng(5).normal(size=4000).astype(np.float32)
NOISE[1000:1900] = 0
SIGNATURE = {
    "inputs": [{"name": "samples"}, {"name": "held", "shape": [1, 30], "dtype": "float32"}],
    "states": [{"input": "held", "output": "kept"}],
}


def sliding(hop: int) -> SlidingListener:
    return SlidingListener(classify, 400, 10 * hop)


def streaming(hop: int) -> StreamingListener:
    return StreamingListener(
        FrontEnd(lambda inputs: front_end(**inputs), SIGNATURE), classify, RECORD, hop
    )


def events(listener: Any, samples: Any, cuts: list[int]) -> list[tuple[Any, ...]]:
    """All events, with the bytes of what they hold."""
    places = [0, *sorted(cut for cut in cuts if cut < len(samples)), len(samples)]
    found = [e for a, b in pairwise(places) for e in listener.feed(samples[a:b])]
    found += listener.finish()
    return [(type(e).__name__, e.end, None if e[1] is None else e[1].tobytes()) for e in found]


@given(
    length=st.integers(0, 3000),
    hop=st.integers(1, 90),
    cuts=st.lists(st.integers(0, 3000), max_size=30),
)
@settings(deadline=None, max_examples=60)
def test_however_sound_is_cut_events_are_the_same(length: int, hop: int, cuts: list[int]) -> None:
    for make in (sliding, streaming):
        whole = events(make(hop), NOISE[:length], [])
        assert events(make(hop), NOISE[:length], cuts) == whole


@pytest.mark.parametrize("size", [1, 3, 79, 81, 1000])
@pytest.mark.parametrize("make", [sliding, streaming])
def test_pieces_of_one_size_give_the_same_bits(size: int, make: Any) -> None:
    whole = events(make(20), NOISE, [])
    assert events(make(20), NOISE, list(range(0, len(NOISE), size))) == whole


@pytest.mark.parametrize("length", [399, 400, 401, 599, 600, 605, 1399])
@pytest.mark.parametrize("make", [sliding, streaming])
def test_windows_are_those_of_predict_and_the_last_one_ends_with_the_sound(
    length: int, make: Any
) -> None:
    listener = make(20)
    found = [*listener.feed(NOISE[:length]), *listener.finish()]
    ends = [event.end for event in found if isinstance(event, Heard)]
    last = length if make is sliding else length // 10 * 10
    want = sorted({*range(400, last + 1, 200), last}) if last >= 400 else []
    assert ends == want


def test_a_sliding_window_is_computed_as_it_was_recorded() -> None:
    found = list(sliding(20).feed(NOISE))
    for event in found:
        window = NOISE[None, event.end - 400 : event.end]
        if window.any():
            np.testing.assert_array_equal(event.probabilities, classify(window))
    assert [event.end for event in found if event.probabilities is None] == [1400, 1600, 1800]


def test_frames_are_those_of_the_whole_sound_and_each_is_computed_once() -> None:
    calls = []

    def step(samples: Any) -> Any:
        calls.append(samples)
        return front(samples)

    front = FrontEnd(lambda inputs: front_end(**inputs), SIGNATURE)
    listener = StreamingListener(step, classify, RECORD, 20)
    found = [*listener.feed(NOISE[:1015]), *listener.finish()]
    frames = [event for event in found if isinstance(event, Frame)]
    whole = front_end(NOISE[None, :1010], np.zeros((1, 0), np.float32))["frames"][0]
    np.testing.assert_array_equal([frame.values for frame in frames], whole)
    assert [frame.end for frame in frames] == list(range(10, 1011, 10))
    assert len(calls) == -(-(1015 + 30) // 20)
    for event in found:
        if isinstance(event, Heard):
            ring = whole[event.end // 10 - 40 : event.end // 10]
            np.testing.assert_array_equal(event.probabilities, classify(ring[None]))


def test_a_streamed_window_of_zeros_has_no_probabilities() -> None:
    found = [event for event in streaming(10).feed(NOISE) if isinstance(event, Heard)]
    silent = [event.end for event in found if event.probabilities is None]
    assert silent == [1400, 1500, 1600, 1700, 1800, 1900]


def test_a_decision_comes_no_later_than_the_delay_of_the_front_end() -> None:
    listener = streaming(20)
    assert listener.delay == 30
    found = [(fed, e.end) for fed in range(1000) for e in listener.feed(NOISE[fed : fed + 1])]
    late = {fed + 1 - end for fed, end in found if end >= 400}
    assert late <= set(range(30, 30 + 20))


@given(sizes=st.lists(st.integers(0, 25), max_size=20))
def test_a_ring_holds_the_last_rows(sizes: list[int]) -> None:
    ring, pushed = Ring(7, 2), np.zeros((7, 2), np.float32)
    for number, size in enumerate(sizes):
        rows = (
            np.full((size, 2), number, np.float32)
            + 100 * np.arange(size, dtype=np.float32)[:, None]
        )
        ring.push(rows)
        pushed = np.concatenate([pushed, rows])
        np.testing.assert_array_equal(ring.last(), pushed[-7:])
