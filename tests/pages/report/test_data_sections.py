"""What data shows: metrics, curves, samples to look at or listen to, the stages of one."""

from __future__ import annotations

import io
import wave
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from data_sample import results
from report_sample import HOSTILE, Tags, material, sample_bundle

from tinyml.core.bundle_facts import Scalogram
from tinyml.core.evaluation_results import Estimate, RocCurve
from tinyml.pages.report.content import Gallery, Missing, ReportSection, Sound, Stages, Table
from tinyml.pages.report.material import Material
from tinyml.pages.report.page import html
from tinyml.pages.report.raster import map_png
from tinyml.pages.report.sections import accuracy, examples, inside
from tinyml.pages.report.sections.overview import page
from tinyml.pages.report.sound import wav
from tinyml.pages.report.svg import Chart


def shown(**changes: Any) -> Material:
    return replace(material(), results=results(**changes), data_option="auto")


def table(section: ReportSection, start: str) -> Table:
    return next(b for b in section.blocks if isinstance(b, Table) and b.caption.startswith(start))


def chart(section: ReportSection) -> Chart:
    (found,) = (b for b in section.blocks if isinstance(b, Chart))
    return found


def stages(section: ReportSection) -> dict[str, Any]:
    (found,) = (b for b in section.blocks if isinstance(b, Stages))
    return {own.name: own for own in found.stages}


def pixels(png: bytes) -> Any:
    from matplotlib.image import imread

    return imread(io.BytesIO(png), format="png")


@pytest.mark.parametrize("section", [accuracy.section, examples.section, inside.section])
def test_without_data_each_names_the_option(section: Any) -> None:
    (known,) = section(replace(material(), data_option="FOLDER")).blocks
    assert isinstance(known, Missing)
    assert known.command == "tinyml report demo --data FOLDER"
    (unknown,) = section(material()).blocks
    assert isinstance(unknown, Missing)
    assert "--metric" in unknown.text


def test_metrics_have_their_intervals_and_confusion_is_shaded_by_row() -> None:
    found = accuracy.section(shown())
    assert getattr(table(found, "Metrics").rows[0][1], "text", "") == "0.750 (0.600 to 0.850)"
    first = table(found, "Confusion").rows[0]
    assert [(own.text, own.level, own.right) for own in first[1:]] == [  # type: ignore[union-attr]
        ("30", 7, True),
        ("10", 2, False),
    ]
    assert "cat 0.750" in chart(found).alt
    assert "0.050" in chart(found).note
    assert "not the data" in repr(accuracy.section(shown(same_data=False)))


def test_of_many_classes_the_largest_confusions_are_listed() -> None:
    labels = tuple(f"class {at}" for at in range(30))
    counts = np.eye(30, dtype=int) * 5
    counts[3, 4] = 2
    found = accuracy.section(shown(labels=labels, confusion=tuple(map(tuple, counts.tolist()))))
    assert table(found, "Largest").rows == [("class 3", "class 4", "2")]


@pytest.mark.parametrize(("count", "lines"), [(9, 9), (100, 2)])
def test_of_many_curves_the_best_and_the_worst_are_coloured(count: int, lines: int) -> None:
    curves = [
        RocCurve((0.0, 1.0), (0.0, 1.0), Estimate(f"c{at}", at / count, 0, 1, 9))
        for at in range(count)
    ]
    drawn = chart(accuracy.section(shown(roc=tuple(curves)))).wide
    assert f"c{count - 1} {1 - 1 / count:.3f}" in drawn
    assert "c0 0.000" in drawn
    assert "c4 0." not in drawn
    assert drawn.count('stroke-width="1.2"') + 2 == lines
    assert len(chart(accuracy.section(shown(roc=tuple(curves)))).alt) < 1000


def test_wrong_samples_come_first_with_their_labels() -> None:
    found = examples.section(shown())
    galleries = [b for b in found.blocks if isinstance(b, Gallery)]
    assert [len(own.examples) for own in galleries] == [2, 1]
    first = galleries[0].examples[0]
    assert (first.text, first.mark.tone) == ("is cat; predicted dog, 0.70", "bad")
    assert "labelled cat" in first.medium.alt  # type: ignore[union-attr]
    assert "predicted right" in repr(examples.section(shown(wrong=())))


def test_recordings_can_be_played() -> None:
    found = examples.section(shown(sounds=True))
    assert "6 seconds" in found.lead
    (first, _) = (b for b in found.blocks if isinstance(b, Gallery))
    medium = first.examples[0].medium
    assert isinstance(medium, Sound)
    with wave.open(io.BytesIO(medium.wav)) as file:
        assert (file.getframerate(), file.getnframes(), file.getnchannels()) == (4000, 4000, 1)
        samples = np.frombuffer(file.readframes(4000), "<i2")
    assert np.abs(samples).max() == pytest.approx(0.9 * 32767, abs=1)


@pytest.mark.parametrize(("rate", "kept"), [(44_100, 16_000), (8_000, 8_000)])
def test_sounds_are_short_and_not_finer_than_needed(rate: int, kept: int) -> None:
    with wave.open(io.BytesIO(wav(np.zeros(10 * rate), rate))) as file:
        assert file.getframerate() == kept
        assert file.getnframes() == 6 * kept


def test_each_stage_is_a_picture() -> None:
    found = stages(inside.section(shown()))
    assert list(found) == [
        "Input",
        "cat map",
        "rows",
        "one",
        "constant",
        "not finite",
        "Prediction",
    ]
    assert len(found["cat map"].pictures) == 12
    assert "vary most" in found["cat map"].text
    assert pixels(found["cat map"].pictures[0].png).shape[:2] == (5, 6)
    assert [found[name].pictures[0].shape for name in ("rows", "one")] == ["band", "strip"]
    assert pixels(found["rows"].pictures[0].png).shape[:2] == (8, 9)
    assert found["Prediction"].table.rows[0][0] == "cat"


def test_the_channel_that_varies_most_is_first() -> None:
    value = np.stack([np.zeros((4, 4)), np.arange(16.0).reshape(4, 4)])
    walk = results().walk
    assert walk is not None
    given = shown(walk=replace(walk, stages={"s": value}))
    assert stages(inside.section(given))["s"].pictures[0].alt == "s, channel 1"


def test_a_map_is_dark_to_bright_and_never_larger_than_it_can_be_seen() -> None:
    ramp = pixels(map_png(np.arange(100.0).reshape(10, 10))).sum(axis=2)
    assert ramp[0, 0] < ramp[5, 5] < ramp[9, 9]
    walk = results().walk
    assert walk is not None
    given = shown(walk=replace(walk, stages={"s": np.zeros((3, 2000))}))
    assert pixels(stages(inside.section(given))["s"].pictures[0].png).shape[1] <= 320


def test_a_recording_shows_its_waveform_and_its_scalogram() -> None:
    bundle = sample_bundle()
    facts = replace(bundle.facts, scalogram=Scalogram("rows", tuple(range(80, 0, -10)), 4.0))
    given = replace(
        material(replace(bundle, facts=facts)), results=results(sounds=True), data_option="auto"
    )
    found = stages(inside.section(given))
    assert found["Input"].text == "400 samples at 4,000 Hz"
    assert "<image" in found["rows"].chart.wide
    assert "10 to 80 Hz" in found["rows"].chart.alt


@pytest.mark.parametrize("sounds", [False, True])
def test_hostile_names_of_data_stay_text(sounds: bool) -> None:
    made = html(page(replace(shown(), results=results(HOSTILE, sounds=sounds))))
    found = Tags(made)
    assert "script" not in {tag for tag, _ in found.tags}
    assert not [key for _, own in found.tags for key in own if key.startswith("on")]
    assert all(own["src"].startswith("data:") for own in [*found.all("img"), *found.all("audio")])
    assert len(found.all("audio")) == (3 if sounds else 0)
