"""A regression only where the interval shows it; no verdict is neither pass nor failure."""

from __future__ import annotations

import pytest

from tinyml.core.errors import DeviceError, ValidationError
from tinyml.core.regression import check_regressions, regression
from tinyml.core.time_ratio import TimeRatio


def ratio(low: float, middle: float, high: float) -> TimeRatio:
    return TimeRatio(middle, low, high, "no difference shown")


BUSY = TimeRatio(None, None, None, "no verdict", "machine too busy: others")


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (ratio(1.07, 1.10, 1.12), "regression"),
        (ratio(0.99, 1.00, 1.02), "no regression"),
        (ratio(1.02, 1.04, 1.09), "no regression"),
        (ratio(0.50, 0.60, 0.70), "no regression"),
        (ratio(1.01, 1.08, 1.20), "no verdict"),
        (BUSY, "no verdict"),
        (TimeRatio(1.5, None, None, "no verdict", "too few"), "no verdict"),
    ],
)
def test_the_interval_decides(found: TimeRatio, verdict: str) -> None:
    assert regression(found, 0.05) == verdict


def test_no_regression_passes() -> None:
    check_regressions({"litert": ratio(0.9, 1.0, 1.1), "onnxruntime": ratio(1, 1.2, 1.3)}, 0.25)


def test_a_regression_is_shown_with_its_interval_whatever_the_others_are() -> None:
    with pytest.raises(ValidationError) as caught:
        check_regressions({"litert": ratio(1.07, 1.1, 1.12), "onnxruntime": BUSY}, 0.05)
    assert caught.value.message == (
        "regression: litert takes 1.100 times as long (99% interval 1.070 to 1.120), "
        "more than 5% longer than the baseline"
    )
    assert caught.value.exit_code == 5


def test_no_verdict_names_the_reason() -> None:
    with pytest.raises(DeviceError) as caught:
        check_regressions({"litert": BUSY, "onnxruntime": ratio(1.01, 1.08, 1.2)}, 0.05)
    assert caught.value.message == (
        "no verdict on a regression: litert: machine too busy: others; onnxruntime takes "
        "1.080 times as long (99% interval 1.010 to 1.200): the interval is too wide"
    )
    assert caught.value.exit_code == 4
    with pytest.raises(DeviceError, match="nothing was measured on both sides"):
        check_regressions({}, 0.05)
