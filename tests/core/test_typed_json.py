"""JSON to typed objects and back: what is malformed is one error that names the place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyml.core.errors import BundleError, DeviceError, InputError, TinymlError
from tinyml.core.typed_json import (
    Unbounded,
    Variants,
    check_values,
    from_json,
    parse_json,
    read_json,
    to_json,
)


@dataclass(frozen=True, slots=True)
class Inner:
    name: str
    sizes: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Outer:
    inner: tuple[Inner, ...]
    pair: tuple[str, float]
    counts: Mapping[str, int]
    macs: int | None
    holds: bool
    kind: Literal["a", "b"] = "a"
    noise_db: Unbounded | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.macs == 13:
            raise DeviceError("13 is not a number of MACs", hint="choose another")


GOOD: dict[str, Any] = {
    "inner": [{"name": "a", "sizes": [1, "n"]}],
    "pair": ["x", 1],
    "counts": {"Conv": 2},
    "macs": None,
    "holds": True,
}
WANT = Outer((Inner("a", (1, "n")),), ("x", 1.0), {"Conv": 2}, None, True)


def test_json_becomes_the_dataclass_that_it_was(tmp_path: Path) -> None:
    assert from_json(Outer, GOOD) == WANT
    assert to_json(WANT)["pair"] == ["x", 1.0]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(to_json(WANT)))
    assert read_json(Outer, path) == WANT


def test_keys_of_a_later_version_are_ignored() -> None:
    assert from_json(Outer, {**GOOD, "later": [1]}) == WANT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inner": [{"name": "a"}]}, "f: inner[0]: object missing required field 'sizes'"),
        ({"inner": [{"name": 1, "sizes": []}]}, "f: inner[0].name: expected `str`, got `int`"),
        ({"inner": [{"name": "a", "sizes": [1.5]}]}, "f: inner[0].sizes[0]: expected `int | str`"),
        ({"inner": {}}, "f: inner: expected `array`, got `object`"),
        ({"pair": ["x"]}, "f: pair: expected `array` of length 2, got 1"),
        ({"counts": {"Conv": True}}, "f: counts[...]: expected `int`, got `bool`"),
        ({"macs": "many"}, "f: macs: expected `int | null`, got `str`"),
        ({"holds": 1}, "f: holds: expected `bool`, got `int`"),
        ({"kind": "c"}, "f: kind: invalid enum value 'c'"),
        ({"noise_db": "much"}, "f: noise_db: expected `number`, `inf` or `-inf`, got `str`"),
        ({"noise_db": True}, "f: noise_db: expected `number`, `inf` or `-inf`, got `bool`"),
        ({"macs": 13}, "f: 13 is not a number of MACs"),
        ({"macs": 2**63}, "f: macs is an integer of more than 64 bits"),
        ({"more": {"a": [0, {"b": float("nan")}]}}, "f: more.a[1].b is nan"),
        ({"more": {"a": "\ud800"}}, "f: more.a is not valid Unicode"),
        ({"more": {"\ud800": 0}}, "f: more has a key that is not valid Unicode"),
    ],
)
def test_json_of_another_form_is_refused_with_its_place(
    change: dict[str, object], message: str
) -> None:
    with pytest.raises(BundleError) as caught:
        from_json(Outer, {**GOOD, **change}, what="f", error=BundleError)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize("data", [None, 1, "a", [], [GOOD]])
def test_what_is_not_an_object_is_refused(data: object) -> None:
    with pytest.raises(InputError, match="f: expected `object`, got `"):
        from_json(Outer, data, what="f")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f is not JSON: Expecting value"),
        (b"\xff\xfe\xff", "f is not JSON: 'utf"),
        ("[1, NaN]", "f: [1] is nan"),
        ('{"a": -1e999}', "f: a is -inf"),
        ('{"a": [1, {"b": Infinity}]}', "f: a[1].b is inf"),
        ("9" * 5000, "f is not JSON: Exceeds the limit"),
        ("9" * 500, "f is an integer of more than 64 bits"),
        ('"\\ud800"', "f is not valid Unicode"),
        ("[" * 100_000, "f: its values are nested too deeply"),
        ("[" * 66 + "]" * 66, "nested too deeply"),
    ],
)
def test_text_that_is_not_json_of_ours_is_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(BundleError) as caught:
        parse_json(text, what="f", error=BundleError)
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_values_that_json_has_are_fine() -> None:
    check_values({"a": [1, "NaN", None, True, 0.5, -(2**63)], "ä": "😀"}, what="f")
    assert parse_json("[" * 64 + "]" * 64, what="f")


def test_infinite_numbers_are_texts_where_they_may_stand() -> None:
    for value, text in ((float("inf"), '"inf"'), (float("-inf"), '"-inf"'), (1.5, "1.5")):
        told = json.dumps(to_json({"x": Unbounded(value)})["x"])
        assert told == text
        assert from_json(Unbounded, json.loads(told)) == value


class Shape(Variants):
    __slots__ = ()

    @classmethod
    def variant(cls, data: Mapping[str, Any]) -> type[Any]:
        return Round if "radius" in data else Square


@dataclass(frozen=True, slots=True)
class Round(Shape):
    radius: float


@dataclass(frozen=True, slots=True)
class Square(Shape):
    side: float


@dataclass(frozen=True, slots=True)
class Drawing:
    shapes: tuple[Shape, ...]
    frame: Shape | None = None


def test_json_shows_which_variant_it_holds() -> None:
    drawing = Drawing((Round(1.0), Square(2.0)))
    assert from_json(Drawing, to_json(drawing)) == drawing
    for data, message in (
        ({"shapes": [{"radius": "x"}]}, r"f: shapes\[0\]\.radius: expected `float`, got `str`"),
        ({"shapes": [{}]}, r"f: shapes\[0\]: object missing required field 'side'"),
        ({"shapes": [3]}, r"f: shapes\[0\]: expected `object`, got `int`"),
    ):
        with pytest.raises(InputError, match=message):
            from_json(Drawing, data, what="f")


def test_what_is_not_json_is_a_bug() -> None:
    for value in (np.float32(1), Path("a"), object()):
        with pytest.raises(TypeError):
            to_json({"x": value})


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
    max_leaves=8,
)


def outcome(make: Callable[[], Outer]) -> Outer | TinymlError:
    try:
        return make()
    except (InputError, DeviceError) as error:
        return error


@given(st.sampled_from(sorted(GOOD)), ANY)
def test_any_value_gives_an_object_or_the_one_error(key: str, value: object) -> None:
    made = outcome(lambda: from_json(Outer, {**GOOD, key: value}, what="f"))
    if isinstance(made, TinymlError):
        assert made.message.startswith("f: ")
    else:
        assert from_json(Outer, to_json(made)) == made


def test_a_number_that_is_not_finite_has_no_json() -> None:
    with pytest.raises(ValueError, match="no word for inf"):
        to_json({"noise": np.inf})
