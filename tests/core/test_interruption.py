from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from tinyml.core.interruption import check_interrupted, pause, watching
from tinyml.device.local import LocalLink


def test_a_thread_is_interrupted_once() -> None:
    stop = threading.Event()
    with watching(stop):
        check_interrupted()
        stop.set()
        with pytest.raises(KeyboardInterrupt):
            check_interrupted()
        check_interrupted()  # what it cleans up
    check_interrupted()


def test_a_thread_that_watches_nothing_is_never_interrupted() -> None:
    start = time.monotonic()
    check_interrupted()
    pause(0.01)
    assert time.monotonic() - start >= 0.01


@pytest.mark.parametrize("waits", ["pause", "command"])
def test_a_thread_that_waits_stops_soon(waits: str, tmp_path: Path) -> None:
    stop, seen = threading.Event(), []

    def work() -> None:
        try:
            with watching(stop):
                if waits == "pause":
                    pause(60)
                else:
                    LocalLink(tmp_path).run(["sleep", "60"], timeout_s=60)
        except KeyboardInterrupt:
            seen.append(waits)

    thread = threading.Thread(target=work)
    start = time.monotonic()
    thread.start()
    stop.set()
    thread.join()
    assert seen == [waits]
    assert time.monotonic() - start < 30
