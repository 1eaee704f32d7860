"""What the verbs print for people."""

from __future__ import annotations

import typer

from tinyml.cli.main import app
from tinyml.cli.terminal import metric_lines
from tinyml.core.bundle import Agreement
from tinyml.core.recipe import shipped
from tinyml.pipeline.summary import inspection_text


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


def test_a_metric_of_subjects_and_a_section_that_is_empty_are_shown() -> None:
    assert metric_lines({"persons": 18}) == "subjects             18"
    assert Agreement("litert", "persons", 3, 2, 0.1).text == "2 of 3 subjects agree"
    shown = inspection_text({"processor": {}, "parity": {"rows": 3}}).splitlines()
    assert shown == [f"{'processor':<28} none", "parity:", f"  {'rows':<26} 3"]


def test_help_of_train_lists_the_shipped_recipes() -> None:
    train = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    (recipe,) = (own for own in train.params if own.name == "recipe")
    assert recipe.help.endswith(f": {', '.join(shipped())}.")
