"""CirCor as downloaded: subjects merged, labels by location, contradictions reported."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tinyml.core.errors import DataError
from tinyml.models.data.circor import load
from tinyml.models.data.recordings import RecordingSet, folds_by_subject, subject_labels

HEAD = "Patient ID,Locations,Murmur,Murmur locations,Additional ID"
ROWS = [
    "10,AV+MV,Present,MV,nan",
    "11,AV,Absent,nan,12",
    "12,AV,Unknown,nan,11",
    "13,AV,Absent,nan,14",
    "14,AV,Absent,nan,15.0",
    "15,AV,Absent,nan,nan",
    "16,PV,Present,TV,nan",
]
FILES = ["10_AV", "10_MV", "10_MV_2", "11_AV", "12_AV", "13_AV", "14_AV", "15_AV", "16_PV"]


def write_set(root: Path, kind: str = "wav", rows: list[str] = ROWS) -> Path:
    (root / "training_data").mkdir(parents=True)
    (root / "training_data.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    for place, name in enumerate(FILES):
        samples = np.full(400, 0.01 * (place + 1), np.float32)
        soundfile.write(root / "training_data" / f"{name}.{kind}", samples, 4000)
        (root / "training_data" / f"{name}.tsv").write_text("0 1 1\n")
    return root


def labels_of(data: RecordingSet) -> dict[str, str]:
    return {recording.id: data.labels[recording.label] for recording in data.recordings}


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_a_murmur_is_present_only_where_it_was_heard(tmp_path: Path, kind: str) -> None:
    data = load({"root": str(write_set(tmp_path / "c", kind))}, 0)
    labels = labels_of(data)
    assert data.labels == ("Present", "Unknown", "Absent")
    assert (labels["10_AV"], labels["10_MV"], labels["10_MV_2"]) == ("Absent", "Present", "Present")
    assert labels["12_AV"] == "Unknown"
    samples, rate_hz = data.recordings[1].load()
    assert rate_hz == 4000
    np.testing.assert_allclose(samples, 0.02, atol=2**-15)


def test_ids_of_one_subject_are_merged_over_any_chain(tmp_path: Path) -> None:
    data = load({"root": str(write_set(tmp_path / "c"))}, 0)
    subjects = {recording.id: recording.subject for recording in data.recordings}
    assert subjects["11_AV"] == subjects["12_AV"]
    assert subjects["13_AV"] == subjects["14_AV"] == subjects["15_AV"]
    assert len(set(subjects.values())) == 4


def test_ids_that_disagree_are_reported_and_the_worst_is_taken(tmp_path: Path) -> None:
    root = str(write_set(tmp_path / "c"))
    data = load({"root": root}, 0)
    assert any("11 Absent, 12 Unknown" in warning for warning in data.warnings)
    assert subject_labels(data)["11"] == 1
    with pytest.raises(DataError, match="disagree"):
        load({"root": root, "strict": True}, 0)


def test_a_murmur_without_a_recording_of_its_place_is_reported(tmp_path: Path) -> None:
    data = load({"root": str(write_set(tmp_path / "c"))}, 0)
    assert any(warning.startswith("patient 16") for warning in data.warnings)
    assert labels_of(data)["16_PV"] == "Present"


def test_strict_takes_a_set_without_contradictions(tmp_path: Path) -> None:
    rows = [row.replace("Unknown", "Absent") for row in ROWS]
    root = write_set(tmp_path / "c", rows=rows)
    assert len(load({"root": str(root), "strict": True}, 0).recordings) == len(FILES)


def test_the_digest_follows_the_content_and_not_the_folder(tmp_path: Path) -> None:
    one = load({"root": str(write_set(tmp_path / "a"))}, 0).sha256
    assert load({"root": str(write_set(tmp_path / "b"))}, 1).sha256 == one
    soundfile.write(tmp_path / "b" / "training_data" / "10_AV.wav", np.ones(400) / 3, 4000)
    assert load({"root": str(tmp_path / "b")}, 0).sha256 != one
    other = write_set(tmp_path / "c", rows=[ROWS[0].replace(",MV,nan", ",AV,nan"), *ROWS[1:]])
    assert load({"root": str(other)}, 0).sha256 != one


def test_a_folder_that_is_not_the_set_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TINYML_DATA", raising=False)
    with pytest.raises(DataError, match="TINYML_DATA is not set"):
        load({}, 0)
    monkeypatch.setenv("TINYML_DATA", "")
    with pytest.raises(DataError, match="TINYML_DATA is not set"):
        load({}, 0)
    monkeypatch.setenv("TINYML_DATA", str(tmp_path))
    with pytest.raises(DataError, match=f"no folder {tmp_path / 'circor'}"):
        load({}, 0)
    (tmp_path / "circor").mkdir()
    with pytest.raises(DataError, match=f"{tmp_path / 'circor'} is not the CirCor set"):
        load({}, 0)
    (tmp_path / "circor").rmdir()
    write_set(tmp_path / "circor")
    assert len(load({}, 0).recordings) == len(FILES)


def test_a_table_or_file_that_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no option 'rooot'"):
        load({"rooot": "x"}, 0)
    root = write_set(tmp_path / "a", rows=["10,AV,Maybe,nan,nan"])
    with pytest.raises(DataError, match="Murmur 'Maybe'"):
        load({"root": str(root)}, 0)
    root = write_set(tmp_path / "b", rows=ROWS[1:])
    with pytest.raises(DataError, match="10_AV"):
        load({"root": str(root)}, 0)
    (root / "training_data.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no column 'Patient ID'"):
        load({"root": str(root)}, 0)
    for path in (root / "training_data").glob("*.wav"):
        path.unlink()
    (root / "training_data.csv").write_text("\n".join([HEAD, *ROWS]))
    with pytest.raises(DataError, match="no wav or flac"):
        load({"root": str(root)}, 0)


@pytest.mark.skipif(
    not os.environ.get("TINYML_DATA"), reason="TINYML_DATA does not say where CirCor lies"
)
def test_the_real_set_keeps_every_subject_in_one_fold() -> None:
    data = load({}, 0)
    labels = subject_labels(data)
    folds = folds_by_subject(data, 5, 0)
    assert sorted(p for fold in folds for p in fold) == sorted(labels)
    assert len({recording.id.split("_")[0] for recording in data.recordings}) > len(labels)
    assert set(labels.values()) == {0, 1, 2}
    assert {recording.load()[1] for recording in data.recordings[:10]} == {4000}
