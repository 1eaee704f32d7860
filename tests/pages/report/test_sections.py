"""What each section shows, and the command that it names where it has nothing to show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from report_sample import FILE, SPARSE, material, rows, sample_bundle

from tinyml.core.bundle import Bundle, Parity
from tinyml.core.bundle_facts import BundleFacts
from tinyml.core.errors import BundleError
from tinyml.pages.report.content import Missing, ReportSection, Table
from tinyml.pages.report.sections import findings, parity, quantization, reproduce
from tinyml.pages.report.sections.overview import page
from tinyml.pages.report.svg import WIDE, Chart


def tables(section: ReportSection) -> list[Table]:
    return [block for block in section.blocks if isinstance(block, Table)]


def charts(section: ReportSection) -> list[Chart]:
    return [block for block in section.blocks if isinstance(block, Chart)]


def missing(section: ReportSection) -> list[str]:
    return [block.command for block in section.blocks if isinstance(block, Missing)]


def text_of(section: ReportSection) -> str:
    return repr(section)


def bare() -> Bundle:
    """A bundle of float files, of which nothing else is known."""
    whole = sample_bundle()
    models = tuple(replace(own, plan=None, precision="fp32") for own in whole.models)
    return replace(whole, models=models, parity=Parity(()), facts=BundleFacts())


def with_facts(**changes: Any) -> Bundle:
    whole = sample_bundle()
    return replace(whole, facts=replace(whole.facts, **changes))


def test_key_figures_are_at_the_top() -> None:
    found = {tile.label: (tile.value, tile.tone) for tile in page(material()).tiles}
    assert found["Parity"] == ("passed", "good")
    assert found["Size"][0] == "45.0 KB"
    assert found["UAR"][0] == "0.880"
    assert found["Findings"][0] == "1"


def test_a_failed_parity_is_not_shown_as_passed() -> None:
    failed = replace(rows()[1], verdict="fail", max_error=1e-3)
    made = page(material(sample_bundle(parity=Parity((*rows(), failed)))))
    assert (made.tiles[0].value, made.tiles[0].tone) == ("failed", "bad")
    (chart,) = charts(next(own for own in made.sections if own.id == "parity"))
    assert "first out of bounds is conv in litert" in chart.alt


def test_a_bundle_of_which_little_is_known_names_the_commands() -> None:
    made = page(material(bare()))
    assert {tile.value for tile in made.tiles} >= {"not checked", "not measured", "none"}
    commands = [line for section in made.sections for line in missing(section)]
    assert any("--precision w8a8-static --explain" in line for line in commands)
    assert any("--data" in line for line in commands)


def test_parity_is_drawn_and_every_row_is_in_the_table() -> None:
    found = parity.section(material())
    (chart,) = charts(found)
    assert "2 stages in 3 engines" in chart.alt
    assert "litert+xnnpack" in chart.alt
    assert len(tables(found)[-1].rows) == 6
    assert "+0.00" not in text_of(found)
    assert "-2.00 (-3.00 to +1.00)" in text_of(found)


def test_of_many_stages_those_nearest_to_their_bounds_are_drawn() -> None:
    many = [replace(rows(f"stage {at}")[1], max_error=1e-6 * (at + 1)) for at in range(60)]
    (chart,) = charts(parity.section(material(sample_bundle(parity=Parity(tuple(many))))))
    assert "40 of 60" in chart.note
    assert "stage 59" in chart.wide
    assert "stage 19<" not in chart.wide
    assert f'viewBox="0 0 {WIDE}' in chart.wide


def test_what_was_not_judged_is_not_drawn() -> None:
    shown = replace(rows()[1], verdict="not judged")
    found = parity.section(material(sample_bundle(parity=Parity((shown,)))))
    assert not charts(found)


def test_sensitivity_is_drawn_and_what_stays_in_float_has_its_reason() -> None:
    found = quantization.section(material())
    (chart,) = charts(found)
    assert "net a" in chart.alt
    assert "18.0 dB with all layers quantized" in chart.alt
    kept = next(own for own in tables(found) if own.caption.startswith("What stays in float32"))
    assert kept.rows[0] == ("why net", "1", "`net`")
    assert any("classes that quantization changes" in own.caption for own in tables(found))


def test_layers_that_were_not_ranked_name_the_option() -> None:
    found = quantization.section(material(with_facts(sensitivity=None)))
    assert not charts(found)
    assert "--explain" in missing(found)[0]


def test_findings_name_options_of_the_command_line() -> None:
    shown = replace(
        material(), in_options=lambda text: text.replace("`keep_float`", "--keep-float")
    )
    found = text_of(findings.section(shown))
    assert "use --keep-float" in found
    assert "8 of 9" in found
    assert "1 of 2" in found


@pytest.mark.parametrize("key", ["sparse", "delegation"])
def test_a_manifest_with_another_kind_of_value_is_bad_input(key: str) -> None:
    wrong = {FILE: {**SPARSE, "layers": 3, "delegate": 4}}
    with pytest.raises(BundleError, match=key):
        findings.section(material(with_facts(**{key: wrong})))


def test_commands_quote_what_a_shell_would_take_apart() -> None:
    named = replace(material().bundles[0], name="my bundle; rm")
    found = text_of(reproduce.section(replace(material(), bundles=(named,))))
    assert "tinyml bench 'my bundle; rm'" in found
    assert f"--digest {'cd' * 32}" in found
