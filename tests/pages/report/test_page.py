"""The page: nothing from outside, everything escaped, and readable without seeing it."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re

import pytest
from report_sample import HALF, HOSTILE, Tags, sample_bundle

from tinyml.core.measurement import Conditions, Measurement, Process
from tinyml.pages.report.content import (
    Badge,
    Bar,
    Commands,
    Example,
    Gallery,
    Heat,
    Missing,
    NamedValues,
    Note,
    Notes,
    Page,
    Picture,
    Prose,
    ReportSection,
    Sound,
    Stage,
    Stages,
    Table,
    Tile,
)
from tinyml.pages.report.material import Material, NamedBundle, Taken
from tinyml.pages.report.page import html
from tinyml.pages.report.sections.overview import page

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def hostile() -> str:
    """The report of a bundle in which every name and label attacks."""
    return html(page(hostile_material()))


def hostile_material() -> Material:
    named = NamedBundle(HOSTILE + HALF, sample_bundle(HOSTILE))
    conditions = Conditions(cpu=HOSTILE)
    process = Process((1000, 2000), 1, 1, 1, None)
    measured = Measurement(HOSTILE, "0", "whole", HOSTILE, "1", (process,), conditions, "host")
    taken = (Taken(measured, HOSTILE + HALF),)
    return Material((named,), taken=taken, intended_use=HOSTILE, caveat=HOSTILE)


def every_block(text: str) -> Page:
    """A page of every kind of block, with ``text`` everywhere."""
    picture, mark = Picture(PNG, text), Badge(text, "good")
    blocks = [
        Prose(text),
        NamedValues([(text, text)]),
        Table(text, (text, text), [(text, Bar(text, 0.5)), (mark, Heat(text, 0.4, True))]),
        Table(text, (text,), [(text,)], fold=True, matrix=True),
        Gallery(
            text, [Example(text, picture, text, mark), Example(text, Sound(b"", text), text, mark)]
        ),
        Stages([Stage(text, text, [picture])]),
        Notes(text, [Note(text, text, text, text)]),
        Missing(text, text),
        Commands([(text, text)]),
    ]
    tiles = [Tile(text, text, text, "one")]
    return Page(text, text, tiles, [ReportSection("one", text, text, blocks)], text)


@pytest.mark.parametrize("kind", ["report", "blocks"])
def test_no_name_or_label_becomes_markup(hostile: str, kind: str) -> None:
    made = hostile if kind == "report" else html(every_block(HOSTILE + HALF))
    found = Tags(made)
    names = {tag for tag, _ in found.tags}
    assert "script" not in names
    assert not {own["src"][:5] for own in found.all("img")} - {"data:"}
    assert not [
        key for _, own in found.tags for key in own if key.startswith("on") or key == "style"
    ]
    assert "{{ 7*7 }}{% x %}" in found.text
    assert "\x1b" not in made
    assert r"\udc80" in made
    made.encode()


def test_code_is_marked_and_what_is_inside_is_escaped() -> None:
    made = html(Page("a", "use `<b>` now", [], [], "`odd"))
    assert "use <code>&lt;b&gt;</code> now" in made
    assert "`odd" in made


def test_nothing_is_loaded_and_the_one_style_sheet_is_named_by_its_hash(hostile: str) -> None:
    found = Tags(hostile)
    outside = [
        value
        for _, own in found.tags
        for key, value in own.items()
        if key in ("src", "href", "srcset", "action") and not value.startswith(("#", "data:"))
    ]
    assert outside == []
    assert not re.search(r"url\((?!#)", hostile)
    assert "@import" not in hostile
    (style,) = re.findall("<style>(.*?)</style>", hostile, re.S)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = (own["content"] for own in found.all("meta") if "http-equiv" in own)
    assert policy.startswith("default-src 'none';")
    assert f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_a_screen_reader_gets_headings_captions_and_alternative_texts(hostile: str) -> None:
    found = Tags(hostile)
    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before < 2 for before, after in itertools.pairwise(levels))
    assert len(found.all("caption")) == len(found.all("table")) > 5
    assert {own.get("scope") for own in found.all("th")} == {"col", "row"}
    pictures = [own for _, own in found.tags if own.get("role") == "img"]
    assert pictures
    assert all(own["aria-label"] for own in pictures)
    assert all(own["alt"] for own in found.all("img"))


def test_every_link_and_label_points_at_one_element(hostile: str) -> None:
    found = Tags(hostile)
    ids = [own["id"] for _, own in found.tags if "id" in own]
    assert len(ids) == len(set(ids))
    wanted = [own["href"][1:] for _, own in found.tags if own.get("href", "").startswith("#")]
    wanted += [own["aria-labelledby"] for own in found.all("section")]
    wanted += re.findall(r"url\(#([^)]*)\)", hostile)
    assert wanted
    assert set(wanted) <= set(ids)


def test_the_same_bundle_gives_the_same_page(hostile: str) -> None:
    assert html(page(hostile_material())) == hostile


def test_light_and_dark_have_the_same_colours_and_charts_no_other(hostile: str) -> None:
    (style,) = re.findall("<style>(.*?)</style>", hostile, re.S)
    themes = re.findall(r":root \{(.*?)\}", style, re.S)[:2]
    light, dark = (set(re.findall(r"(--[a-z-]+): *[#\d.]", own)) for own in themes)
    assert light == dark
    assert len(light) > 10
    charts = "".join(re.findall("<svg.*?</svg>", hostile, re.S))
    assert charts
    assert not re.search("#[0-9a-f]{6}", charts)
    assert "style" not in charts
