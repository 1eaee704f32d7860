"""Errors of ours between processes."""

from __future__ import annotations

import json

import pytest

from tinyml.core.child_errors import error_from_json, error_to_json
from tinyml.core.errors import MachineError, MissingExtraError, TinymlError, UsageError


class _OwnError(UsageError):
    """A subclass that the other side does not know."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MachineError("full", hint="free some"), MachineError),
        (MissingExtraError("onnx", "onnx"), MissingExtraError),
        (_OwnError("no such thing"), UsageError),
    ],
)
def test_an_error_comes_out_as_it_was(error: TinymlError, kind: type[TinymlError]) -> None:
    found = error_from_json(json.loads(json.dumps(error_to_json(error))))
    assert type(found) is kind
    assert vars(found) == vars(error)
    assert found.exit_code == error.exit_code


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"kind": "InputError", "fields": {}},
        {"kind": "contextlib", "fields": {"message": "a", "hint": ""}},
        {"kind": "Iterator", "fields": {"message": "a", "hint": ""}},
        {"kind": "InputError", "fields": {"message": 1, "hint": ""}},
    ],
)
def test_what_is_not_an_error_of_ours_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        error_from_json(data)
