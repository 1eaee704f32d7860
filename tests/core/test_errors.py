from __future__ import annotations

from tinyml.core.errors import InputError


def test_a_message_with_a_name_that_is_no_line_is_one() -> None:
    error = InputError("no tensor 'a\nb\x08' of ü", hint="look")
    assert str(error) == error.message == r"no tensor 'a\nb\x08' of ü"
