"""Ctrl-C reaches the main thread alone: how the threads that work for it hear of it.

A thread that runs in `watching` looks at its event while it waits, and stops as the main thread
would: with a `KeyboardInterrupt`, once, so that what it cleans up afterwards is not interrupted.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

# How often a thread that waits looks.
LOOK_S = 0.2
_stop: ContextVar[threading.Event | None] = ContextVar("stop", default=None)


@contextmanager
def watching(stop: threading.Event) -> Iterator[None]:
    """Within the block, this thread is interrupted when ``stop`` is set."""
    token = _stop.set(stop)
    try:
        yield
    finally:
        _stop.reset(token)


def check_interrupted() -> None:
    """Raise `KeyboardInterrupt` where this thread is to stop and was not told before."""
    stop = _stop.get()
    if stop is not None and stop.is_set():
        _stop.set(None)
        raise KeyboardInterrupt


def pause(seconds: float) -> None:
    """Sleep, unless this thread is interrupted meanwhile."""
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        time.sleep(min(LOOK_S, left))
        check_interrupted()


@contextmanager
def ended_by_signal(stop: Callable[[], None]) -> Iterator[list[int]]:
    """The first Ctrl-C or SIGTERM calls ``stop`` and is listed; the next one interrupts."""
    found: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield found
        return

    def once(number: int, frame: FrameType | None) -> None:
        if found:
            raise KeyboardInterrupt
        found.append(number)
        stop()

    before = {number: signal.signal(number, once) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
