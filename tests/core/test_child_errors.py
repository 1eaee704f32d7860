"""Errors of ours between processes."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from tinyml.core.child_errors import error_from_json, error_to_json
from tinyml.core.errors import MachineError, MissingExtraError, TinymlError, UsageError
from tinyml.core.typed_json import from_json


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


@dataclass(frozen=True)
class Inner:
    name: str
    sizes: tuple[int | str, ...]


@dataclass(frozen=True)
class Outer:
    inner: tuple[Inner, ...]
    pair: tuple[str, float]
    counts: dict[str, int]
    macs: int | None
    holds: bool


GOOD = {
    "inner": [{"name": "a", "sizes": [1, "n"]}],
    "pair": ["x", 1],
    "counts": {"Conv": 2},
    "macs": None,
    "holds": True,
}


def test_json_becomes_the_dataclass_that_it_was() -> None:
    want = Outer((Inner("a", (1, "n")),), ("x", 1.0), {"Conv": 2}, None, True)
    assert from_json(Outer, GOOD) == want


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"inner": [{"name": "a"}]}, r"Outer\.inner\[0\] has"),
        ({"inner": [{"name": 1, "sizes": []}]}, r"Outer\.inner\[0\]\.name is a int"),
        ({"inner": [{"name": "a", "sizes": [1.5]}]}, r"Outer\.inner\[0\]\.sizes\[0\]"),
        ({"inner": {}}, r"Outer\.inner is a dict"),
        ({"pair": ["x"]}, r"Outer\.pair has 1 values"),
        ({"counts": {"Conv": True}}, r"Outer\.counts\.Conv is a bool"),
        ({"macs": "many"}, r"Outer\.macs is a str"),
        ({"holds": 1}, r"Outer\.holds is a int"),
        ({"more": 1}, "Outer has"),
    ],
)
def test_json_of_another_form_is_refused_with_its_place(
    change: dict[str, object], place: str
) -> None:
    with pytest.raises(ValueError, match=place):
        from_json(Outer, {**GOOD, **change})
