"""What the verbs print for people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from command_line import Done

from tinyml.cli.main import app, guarded
from tinyml.cli.terminal import metric_lines, progress, put
from tinyml.core.bundle import Agreement
from tinyml.core.errors import ValidationError
from tinyml.core.events import Message
from tinyml.core.recipe import shipped
from tinyml.pages.summary import inspection_text


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


@pytest.mark.parametrize(
    "arguments",
    [
        ["\x1b[31mverb"],
        ["export", "model", "--\x1b[2Jno-such"],
        ["verify", "a", "b\x07\nsecond\u202e"],
        ["bench", "a", "--repeats", "x\r\x1b[31m"],
        ["v" * 100_000],
        ["export", "m" * 100_000, "n" * 100_000],
        ["bench", "a", "--repeats", "x" * 100_000],
        ["bench", "a", "--" + "x" * 100_000],
    ],
)
def test_a_usage_error_repeats_its_arguments_in_one_printable_line(
    arguments: list[str], cli: Callable[..., Done]
) -> None:
    done = cli(*arguments)
    assert done.returncode == 2
    for line in done.stderr.splitlines():
        assert line.isprintable(), line[:200]
        assert len(line) <= 300
    (error,) = (line for line in done.stderr.splitlines() if line.startswith("Error: "))
    assert len(error) > 20


FILES_OF = {
    "train": ["{}.toml", "--out", "o"],
    "eval": ["{}"],
    "prune": ["{}", "--method", "gradual", "--sparsity", "0.5", "--out", "o"],
    "scale": ["--fit", "{}.csv"],
    "export": ["{}.pt", "--target", "rpi", "--out", "o"],
    "verify": ["{}"],
    "predict": ["{}", "{}.wav"],
    "listen": ["{}", "{}.wav", "--out", "{}.jsonl"],
    "bench": ["{}"],
    "compare": ["{}", "{}2"],
    "inspect": ["{}.onnx"],
    "report": ["{}"],
}


@pytest.mark.parametrize("verb", FILES_OF)
def test_a_name_of_a_file_moves_no_cursor(
    verb: str, cli: Callable[..., Done], tmp_path: Path
) -> None:
    """Control characters, bytes that are no text, letters that ASCII has not; absent and broken."""
    name = "no\x1b[31msuch\n\x07\u202e\udcffé"
    arguments = [word.format(name) for word in FILES_OF[verb]]
    for is_there in (False, True):
        for word in arguments if is_there else ():
            if name in word:
                (tmp_path / word).write_text("junk\x1b[31m\n")
        done = cli(verb, *arguments, cwd=tmp_path)
        assert done.returncode in (2, 3), done.stderr
        for line in (done.stdout + done.stderr).splitlines():
            assert line.isprintable(), line
            assert len(line) <= 300
        assert r"\x1b" in done.stderr


def test_without_arguments_the_help_text_is_shown_whole(cli: Callable[..., Done]) -> None:
    shown = cli().stdout + cli().stderr
    assert "Five minutes, from training to a Raspberry Pi bundle:" in shown
    assert "doctor" in shown


def test_the_details_of_a_verdict_come_behind_it(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        error = ValidationError("it diverges", hint="choose `precision=fp32`")
        error.details = ["lint: m.onnx: rule at x", "  slow; `keep_float=body`"]
        raise error

    with pytest.raises(typer.Exit):
        guarded(fails)()
    assert capsys.readouterr().err.splitlines() == [
        "error: it diverges",
        "hint: choose --precision fp32",
        "lint: m.onnx: rule at x",
        "  slow; --keep-float body",
    ]


def test_what_a_file_holds_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(as_json=False) as report:
        report(Message("two\nlines \x1b[2J; `states=IN=OUT`"))
    put("a\rb\n")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("a\\rb\n\n", "two\nlines \\x1b[2J; --state IN=OUT\n")
