"""What the runner makes of the calls that a profiler lists."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tinyml.runtimes.runner.errors import RunnerError
from tinyml.runtimes.runner.profiling import _means, profile


def call(ns: int) -> list[tuple[str, str, int]]:
    return [("a", "Conv", ns), ("b", "Relu", 1000)]


def test_times_are_means_of_the_fastest_quarter_of_the_calls() -> None:
    calls = [call(1000), call(3000), *[call(900_000)] * 6]
    found = _means(calls, [10, 20, *[900] * 6])
    assert found == [
        {"name": "a", "op": "Conv", "ns": 2000.0},
        {"name": "b", "op": "Relu", "ns": 1000.0},
    ]


@pytest.mark.parametrize("calls", [[[], []], [call(1), call(1)[:1]], [call(1)]])
def test_a_profiler_that_lists_nothing_or_something_else_each_time_is_refused(calls: Any) -> None:
    with pytest.raises(RunnerError, match="lists other operators"):
        _means(calls, [1, 1])


def test_a_runtime_without_a_profiler_is_refused() -> None:
    loaded: Any = SimpleNamespace(options=SimpleNamespace(runtime="openvino"))
    with pytest.raises(RunnerError, match="openvino has no profiler"):
        profile(SimpleNamespace(), loaded)  # type: ignore[arg-type]
