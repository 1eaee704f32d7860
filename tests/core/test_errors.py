from __future__ import annotations

import pytest

from tinyml.core.errors import (
    LONGEST,
    ExportError,
    InputError,
    InternalError,
    UsageError,
    made_by_us,
)


def test_a_message_with_a_name_that_is_no_line_is_one() -> None:
    error = InputError("no tensor 'a\nb\x08' of ü", hint="look")
    assert str(error) == error.message == r"no tensor 'a\nb\x08' of ü"


def test_a_message_and_a_hint_of_any_length_are_lines_of_300_characters() -> None:
    error = InputError("field " + "\x1b[31m" * 100_000 + " is bad", hint="x" * 1000)
    assert len(f"error: {error.message}") == 300
    assert len(error.hint) == LONGEST
    assert error.message.startswith("field \\x1b[31m")
    assert error.message.endswith(" is bad")
    assert (error.message + error.hint).isprintable()


def test_bad_input_that_we_made_is_a_bug() -> None:
    says = r"model\.onnx: it has no tensor 'y'"
    with pytest.raises(InternalError, match=says) as caught, made_by_us("model.onnx"):
        raise InputError("it has no tensor 'y'")
    assert isinstance(caught.value.__cause__, InputError)


@pytest.mark.parametrize("kind", [ExportError, UsageError])
def test_what_is_about_the_model_or_the_command_is_no_bug(kind: type[Exception]) -> None:
    with pytest.raises(kind), made_by_us("model.onnx"):
        raise kind("no")
