"""The manifest's record of streaming graphs: read whole, refused where it contradicts itself."""

from __future__ import annotations

from typing import Any

import pytest

from tinyml.core.bundle_facts import BundleFacts
from tinyml.core.errors import BundleError
from tinyml.core.streaming import Streaming
from tinyml.core.typed_json import from_json, to_json

HEART = Streaming(
    rate_hz=4000,
    granule_samples=160,
    frame_rate_hz=50.0,
    delay_frames=12,
    flush_samples=960,
    ring_frames=300,
    hop_frames=150,
)


def test_the_record_is_read_as_it_was_written() -> None:
    written = to_json(BundleFacts(streaming=HEART))
    assert from_json(BundleFacts, written).streaming == HEART
    assert (HEART.granule_frames, HEART.frame_samples) == (2, 80)
    assert HEART.graphs == ("streaming/front-end", "streaming/head")


def test_a_bundle_without_streaming_graphs_does_not_mention_them() -> None:
    assert "streaming" not in to_json(BundleFacts())
    assert from_json(BundleFacts, {}).streaming is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"granule_samples": 100}, "100 samples at 4000 Hz are 1.25 frames"),
        ({"flush_samples": 80}, "a flush of 80 samples is not the delay"),
        ({"hop_frames": 0}, "is not positive"),
        ({"frame_rate_hz": 0.0}, "is not positive"),
        ({"delay_frames": -1}, "the delay is -1 frames"),
        ({"front_end": "/etc"}, "'/etc' is not a folder in the bundle"),
        ({"head": "streaming/../.."}, "is not a folder in the bundle"),
        ({"head": ""}, "'' is not a folder in the bundle"),
        ({"ring_frames": 2.5}, "streaming.ring_frames: expected `int`"),
    ],
)
def test_a_record_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    data = {"streaming": {**to_json(HEART), **change}}
    with pytest.raises(BundleError, match=message):
        from_json(BundleFacts, data, error=BundleError)
