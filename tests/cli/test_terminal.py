"""What the verbs print for people."""

from __future__ import annotations

from tinyml.cli.terminal import metric_lines


def test_metrics_have_three_digits_and_a_confusion_its_rows() -> None:
    metrics = {
        "images": 12,
        "accuracy": 0.75,
        "interval": [0.46666, 0.91],
        "recall": {"cat": 1.0, "dog": None},
        "confusion": [[10, 0], [2, 0]],
        "empty": [],
    }
    assert metric_lines(metrics).splitlines() == [
        "images               12",
        "accuracy             0.750",
        "interval             0.467 to 0.910",
        "recall               cat 1.000  dog -",
        "confusion            a row for each true label, a column for each prediction",
        "  10  0",
        "   2  0",
        "empty                ",
    ]
