"""Charts as parts of a page: no styles, colours of the theme, ids of their own."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tinyml.core.errors import InternalError
from tinyml.pages.report.svg import NARROW, SERIES, WIDE, Chart


def lines(color: str) -> Any:
    def draw(figure: Any, width: int) -> None:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1.23456789], color=color, label="<a> & $x$ \u4f60")
        axes.set_title(f"{width} px")
        axes.legend()

    return draw


def test_it_is_drawn_twice_in_classes_of_the_theme() -> None:
    made = Chart("one", lines(SERIES[0]), title="t", alt="a", height=200)
    for svg, width in ((made.wide, WIDE), (made.narrow, NARROW)):
        assert svg.startswith("<svg viewBox=")
        assert f'viewBox="0 0 {width} 200"' in svg
        assert f"{width} px" in svg
        assert "stroke-one" in svg
        assert "&lt;a&gt; &amp; $x$ \u4f60" in svg
        assert not re.search("style|xmlns|font-family|<metadata", svg)


def test_ids_of_two_charts_differ_and_only_those_that_are_used_stay() -> None:
    one, two = (Chart(n, lines(SERIES[0]), title="", alt="", height=200) for n in ("one", "two"))
    ids = [set(re.findall('id="([^"]*)"', own.wide)) for own in (one, two)]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert all(f"#{name}" in one.wide for name in ids[0])


def test_a_colour_without_a_dark_value_is_a_bug() -> None:
    with pytest.raises(InternalError, match="#123456"):
        _ = Chart("one", lines("#123456"), title="", alt="", height=200).wide
