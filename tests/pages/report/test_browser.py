"""The page in a browser: headless Chromium, driven by Playwright; skipped where one is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from data_sample import results
from report_sample import HOSTILE, material, sample_bundle
from test_latency import discarded, measured, two_bundles

from tinyml.pages.report.material import Material, Taken
from tinyml.pages.report.page import html
from tinyml.pages.report.sections.overview import page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LEAST_CONTRAST = 4.5  # Web Content Accessibility Guidelines 2.2, level AA
# Of every element with text of its own: the lowest ratio, and whose it is.
CONTRAST = """() => {
  const rgba = c => [...c.match(/[\\d.]+/g).map(Number), 1].slice(0, 4)
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1)
  const back = e => {
    const own = rgba(getComputedStyle(e).backgroundColor)
    return own[3] === 1 || !e.parentElement ? own : over(own, back(e.parentElement))
  }
  const light = c => [0, 1, 2].map(i => c[i] / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
  let least = [99, '']
  for (const e of document.querySelectorAll('body *:not(svg *)')) {
    const text = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())
    if (!text || !e.offsetParent) continue
    const b = back(e), f = over(rgba(getComputedStyle(e).color), b)
    const [x, y] = [light(f), light(b)].sort((p, q) => q - p)
    const ratio = (x + 0.05) / (y + 0.05)
    if (ratio < least[0]) least = [ratio, e.outerHTML.slice(0, 120)]
  }
  return least
}"""
CUT = """() => [...document.querySelectorAll('.tile, figure, .badge')]
  .filter(own => own.scrollWidth > own.clientWidth + 1).map(own => own.textContent)"""
# A badge that is wider than its cell lies over the next one.
OVER = """() => [...document.querySelectorAll('td .badge')]
  .filter(own => own.offsetParent && own.getBoundingClientRect().right
    > own.closest('td').getBoundingClientRect().right + 1).map(own => own.textContent)"""
COLOURS = """() => ['--paper', '--good', '--one', '--heat']
  .map(name => getComputedStyle(document.documentElement).getPropertyValue(name)).join()"""
BROKEN = "[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.alt)"
SILENT = "[...document.querySelectorAll('audio')].filter(a => !(a.duration > 0)).length"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium is installed: apt install chromium")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


def everything() -> Material:
    """Two bundles with measurements, discarded processes and images."""
    made = two_bundles()
    taken = (*made.taken, Taken(discarded(measured(1500))))
    return replace(made, taken=taken, results=results(), data_option="auto")


def hostile() -> Material:
    """Names that attack, and recordings."""
    made = material(sample_bundle(HOSTILE), caveat=HOSTILE)
    return replace(made, results=results(HOSTILE, sounds=True))


@pytest.mark.slow
@pytest.mark.parametrize("make", [everything, hostile, material])
def test_it_is_whole_and_readable_at_both_widths_and_in_both_themes(
    browser: Any, tmp_path: Path, make: Any
) -> None:
    path = tmp_path / "report.html"
    path.write_text(html(page(make())), encoding="utf-8")
    backgrounds, printed = set(), set()
    for width in (360, 1440):
        for scheme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": width, "height": 800}, color_scheme=scheme
            )
            tab, said = context.new_page(), []
            tab.on("console", lambda message, said=said: said.append(message.text))
            tab.on("pageerror", lambda error, said=said: said.append(str(error)))
            tab.on("dialog", lambda dialog, said=said: said.append(dialog.message))
            tab.on("request", lambda request, said=said: said.append(_outside(request.url)))
            tab.goto(path.as_uri())
            for one in tab.query_selector_all("details"):
                one.evaluate("own => own.open = true")
            tab.wait_for_function(f"{SILENT} === 0")
            assert not [line for line in said if line]
            assert tab.evaluate(BROKEN) == []
            assert tab.evaluate("document.documentElement.scrollWidth") == width
            assert tab.evaluate(CUT) == []
            assert tab.evaluate(OVER) == []
            contrast, where = tab.evaluate(CONTRAST)
            assert contrast >= LEAST_CONTRAST, (width, scheme, where)
            backgrounds.add(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
            tab.keyboard.press("Tab")
            assert tab.evaluate("document.activeElement.className") == "skip"
            tab.emulate_media(media="print")
            printed.add(tab.evaluate(COLOURS))
            context.close()
    assert len(backgrounds) == 2
    assert len(printed) == 1, "paper is white, whatever the screen is"


def _outside(url: str) -> str:
    return "" if url.startswith(("file:", "data:")) else url
