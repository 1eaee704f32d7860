"""The section of the report about where the time goes."""

from __future__ import annotations

from profile_sample import sample_profile
from report_sample import HOSTILE, Tags, material

from tinyml.pages.report.content import Bar, Missing, Page, Prose, Table
from tinyml.pages.report.page import html
from tinyml.pages.report.sections import profile
from tinyml.pages.report.svg import Chart


def test_without_a_profile_the_command_is_named() -> None:
    (wanted,) = profile.section(material()).blocks
    assert isinstance(wanted, Missing)
    assert wanted.command == "tinyml bench demo --profile"


def test_the_slowest_submodule_comes_first_with_both_shares() -> None:
    found = profile.section(material(profiles=(sample_profile(),)))
    chart, table, words = found.blocks
    assert isinstance(chart, Chart)
    assert "It is stem: 70% of the time, 25.0% of the MACs" in chart.alt
    assert {"fill-one", "fill-two"} <= set(chart.wide.replace('"', " ").split())
    assert isinstance(table, Table)
    assert table.rows[0] == ("stem", "2", "70.0", Bar("70.0%", 0.7), Bar("25.0%", 0.25))
    assert isinstance(words, Prose)
    assert words.text.startswith(
        "A call takes 80.0 us, with the profiler 120.0 us; its operators add up to 100.0 us. "
    )


def test_a_profile_by_difference_has_its_error() -> None:
    own = sample_profile(method="by difference", profiled_ns=None)
    _, table, words = profile.section(material(profiles=(own,))).blocks
    assert isinstance(table, Table)
    assert table.head == ("submodule", "operators", "us", "+- us", "time", "MACs")
    assert isinstance(words, Prose)
    assert "By difference: " in words.text


def test_a_hostile_name_is_text() -> None:
    own = profile.section(material(profiles=(sample_profile(HOSTILE),)))
    found = Tags(html(Page("t", "s", [], [own], "f")))
    assert "script" not in {tag for tag, _ in found.tags}
    assert "{{ 7*7 }}{% x %}" in found.text


def test_a_long_name_is_broken_where_the_page_is_narrow() -> None:
    assert profile.two_lines("filter_bank") == "filter_bank"
    assert profile.two_lines("stage5.1.pointwise.conv") == "stage5.1.\npointwise.conv"
    assert profile.two_lines("head to head.linear") == "head to \nhead.linear"
    lines = profile.two_lines("a" * 30 + "." + "b" * 30).split("\n")
    assert max(map(len, lines)) <= profile.NARROW_LABEL
