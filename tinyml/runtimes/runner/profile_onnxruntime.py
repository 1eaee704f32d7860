"""The time of each node in onnxruntime, by its own profiler: a JSON file of trace events."""

from __future__ import annotations

import bisect
import json
import os
import shutil
import tempfile
from typing import Any

from tinyml.runtimes.runner.engines import Arrays, OrtModel

NODE, RUN = "Node", "model_run"
ENDING = "_kernel_time"


class OrtProfiler:
    """The file opened once more, with profiling; `last` ends it."""

    def __init__(
        self, module: Any, path: str, threads: int, rounds: bool, delegate: str | None
    ) -> None:
        self.folder = tempfile.mkdtemp(prefix="profile-")
        prefix = os.path.join(self.folder, "trace")
        self.model = OrtModel(module, path, threads, rounds, delegate, profile=prefix)

    def run(self, feeds: Arrays) -> Arrays:
        return self.model.run(feeds)

    def note(self) -> None:
        """Nothing: the trace has every call."""

    def last(self, count: int) -> list[list[tuple[str, str, int]]]:
        """Name, operator and time in nanoseconds of each node, in each of the last calls."""
        try:
            with open(self.model.session.end_profiling(), encoding="utf-8") as stream:
                events = json.load(stream)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
        starts = sorted(own["ts"] for own in events if own["name"] == RUN)[-count:]
        calls: list[list[tuple[str, str, int]]] = [[] for _ in starts]
        for own in sorted(events, key=lambda own: int(own["ts"])):
            place = bisect.bisect_right(starts, own["ts"]) - 1
            if own["cat"] == NODE and own["name"].endswith(ENDING) and place >= 0:
                name, op = own["name"][: -len(ENDING)], own["args"].get("op_name", "")
                calls[place].append((name, op, 1000 * own["dur"]))
        return calls
