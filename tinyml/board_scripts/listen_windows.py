"""How listen.py makes decisions of a stream of samples: by sliding windows, or by streaming graphs.

Needs numpy alone, Python 3.9 or newer.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Callable, Iterator, NamedTuple, Optional

import numpy as np

Events = Iterator[Any]


class Ring:
    """The last ``size`` rows of all that was pushed, oldest first; zeros before them."""

    def __init__(self, size: int, *shape: int, dtype: Any = np.float32) -> None:
        self.size, self.end = size, size
        self.rows = np.zeros((2 * size, *shape), dtype)

    def push(self, rows: Any) -> None:
        rows = np.asarray(rows)[-self.size :]
        if self.end + len(rows) > len(self.rows):
            self.rows[: self.size] = self.last()
            self.end = self.size
        self.rows[self.end : self.end + len(rows)] = rows
        self.end += len(rows)

    def last(self) -> Any:
        return self.rows[self.end - self.size : self.end].copy()


class Frame(NamedTuple):
    """A column of the scalogram; it ends ``end`` samples after the start."""

    end: int
    values: Any


class Heard(NamedTuple):
    """Probabilities of a window that ends ``end`` samples after the start; None: all were zero."""

    end: int
    probabilities: Any


class SlidingListener:
    """``classify`` computes a window of ``size`` samples as a whole at every ``hop``."""

    delay = 0

    def __init__(self, classify: Callable[[Any], Any], size: int, hop: int) -> None:
        self.classify, self.size, self.hop = classify, size, hop
        self.ring, self.seen, self.next, self.decided = Ring(size), 0, size, -1

    def feed(self, samples: Any) -> Events:
        while len(samples):
            count = self.next - self.seen
            part, samples = samples[:count], samples[count:]
            self.ring.push(part)
            self.seen += len(part)
            if self.seen == self.next:
                self.next += self.hop
                yield self._decide()

    def finish(self) -> Events:
        """The window that ends with the sound."""
        if self.seen >= self.size and self.decided != self.seen:
            yield self._decide()

    def _decide(self) -> Heard:
        self.decided, window = self.seen, self.ring.last()
        return Heard(self.seen, self.classify(window[None]) if window.any() else None)


class StreamingListener:
    """``step`` makes the frames of each granule once; ``classify`` looks at a ring of them.

    ``record`` is ``facts.streaming`` of the manifest: the frame of a time comes out ``delay``
    samples later. ``hop`` is in frames.
    """

    def __init__(
        self,
        step: Callable[[Any], Any],
        classify: Callable[[Any], Any],
        record: dict[str, Any],
        hop: int,
    ) -> None:
        self.step, self.classify, self.hop = step, classify, hop
        self.granule, self.flush = record["granule_samples"], record["flush_samples"]
        self.per_granule = round(self.granule * record["frame_rate_hz"] / record["rate_hz"])
        self.frame, self.size = self.granule // self.per_granule, record["ring_frames"]
        self.early, self.delay = record["delay_frames"], record["delay_frames"] * self.frame
        self.seen, self.rest = 0, np.zeros(0, np.float32)
        self.made, self.next, self.decided = 0, self.size, -1
        self.ring: Optional[Ring] = None
        # Which frames are of sound other than zeros: of the ring, and of those that come.
        self.is_loud = Ring(self.size, dtype=bool)
        self.coming: deque[bool] = deque()

    def feed(self, samples: Any) -> Events:
        self.seen += len(samples)
        samples = np.concatenate([self.rest, samples])
        whole = len(samples) - len(samples) % self.granule
        self.rest = samples[whole:]
        for granule in samples[:whole].reshape(-1, self.granule):
            yield from self._frames(granule)

    def finish(self) -> Events:
        """The last frames of the sound, which zeros bring out, and the window that ends with it."""
        zeros = self.flush + -(len(self.rest) + self.flush) % self.granule
        last = np.concatenate([self.rest, np.zeros(zeros, np.float32)])
        for granule in last.reshape(-1, self.granule):
            yield from self._frames(granule)
        if self.made >= self.size and self.decided != self.made:
            yield self._decide()

    def _frames(self, granule: Any) -> Events:
        self.coming.extend(granule.reshape(self.per_granule, -1).any(axis=1))
        for values in self.step(granule[None])[0]:
            if self.early:
                self.early -= 1
            elif (self.made + 1) * self.frame <= self.seen:
                self.made += 1
                yield Frame(self.made * self.frame, values)
                yield from self._push(values)

    def _push(self, values: Any) -> Events:
        self.ring = self.ring or Ring(self.size, len(values))
        self.ring.push(values[None])
        self.is_loud.push([self.coming.popleft()])
        if self.made == self.next:
            self.next += self.hop
            yield self._decide()

    def _decide(self) -> Heard:
        assert self.ring is not None
        self.decided = self.made
        loud = self.is_loud.last().any()
        return Heard(
            self.made * self.frame, self.classify(self.ring.last()[None]) if loud else None
        )


class FrontEnd:
    """The stateful graph of a stream: samples [1, granule] -> frames [1, frames, scales]."""

    def __init__(self, model: Any, signature: dict[str, Any]) -> None:
        self.model = model
        self.next = {pair["input"]: pair["output"] for pair in signature["states"]}
        specs = [spec for spec in signature["inputs"] if spec["name"] in self.next]
        self.states = {spec["name"]: np.zeros(spec["shape"], spec["dtype"]) for spec in specs}

    def __call__(self, samples: Any) -> Any:
        outputs = self.model({"samples": samples, **self.states})
        self.states = {name: outputs[after] for name, after in self.next.items()}
        return outputs["frames"]
