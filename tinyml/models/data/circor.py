"""The CirCor DigiScope set as downloaded: heart sounds of children, murmurs by location.

Oliveira et al., "The CirCor DigiScope Dataset", IEEE JBHI 26(6), 2022; PhysioNet, ODC-By.
A folder holds ``training_data.csv``, one row per patient id, and ``training_data/`` with
``<id>_<location>[_<n>].wav`` (flac too), 4 kHz.

A subject may have two ids, tied by ``Additional ID``: they are one subject here, so that no
split can part them. A recording of a patient whose murmur is present is Present only at
the ``Murmur locations``. Two ids of one subject may disagree; then the worst label stands.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tinyml.core.errors import DataError
from tinyml.core.files import sha256
from tinyml.core.spec import Options
from tinyml.models.data.audio import read_audio
from tinyml.models.data.entry import DataSetEntry
from tinyml.models.data.options import check_options
from tinyml.models.data.recordings import Recording, RecordingSet

LABELS = ("Present", "Unknown", "Absent")
OPTIONS = {"root": str, "strict": bool}
TABLE = "training_data.csv"
FOLDER = "training_data"
COLUMNS = ("Patient ID", "Murmur", "Murmur locations", "Additional ID")
ENVIRONMENT = "TINYML_DATA"
DOWNLOAD = "get it from https://physionet.org/content/circor-heart-sound/"


@dataclass(frozen=True, slots=True)
class _Patient:
    """One row of the table."""

    id: str
    murmur: str
    locations: frozenset[str]
    other_id: str


def load(options: Options, seed: int) -> RecordingSet:
    """Read the set below option ``root``, or ``$TINYML_DATA/circor``; ``seed`` changes nothing.

    Option ``strict`` makes contradicting labels of one subject an error. Raises `DataError`
    when the folder is missing, of another layout, or a file in it cannot be used.
    """
    del seed
    check_options("circor", options, OPTIONS)
    root = _root(options)
    patients = _read_table(root / TABLE)
    subjects = _subjects(patients)
    files = _audio_files(root / FOLDER, patients)
    warnings = _conflicts(patients, subjects)
    if warnings and options.get("strict", False):
        raise DataError(
            f"{root / TABLE}: {'; '.join(warnings)}", hint="omit --strict to take the worst"
        )
    recordings, unheard = _recordings(patients, subjects, files)
    digest = _digest(recordings, files)
    return RecordingSet("circor", LABELS, recordings, (*warnings, *unheard), digest)


def _root(options: Options) -> Path:
    if root := str(options.get("root", "")):
        folder = Path(root)
    elif above := os.environ.get(ENVIRONMENT, ""):
        folder = Path(above) / "circor"
    else:
        raise DataError(
            f"where the CirCor set lies is not known: {ENVIRONMENT} is not set",
            hint=f"set {ENVIRONMENT} to the folder that holds circor/, or give its folder "
            f"with --data; {DOWNLOAD}",
        )
    if not folder.is_dir():
        raise DataError(f"no folder {folder}", hint=f"the CirCor set is not there: {DOWNLOAD}")
    if not (folder / TABLE).is_file() or not (folder / FOLDER).is_dir():
        raise DataError(
            f"{folder} is not the CirCor set: it lacks {TABLE} or {FOLDER}/",
            hint=f"give the folder that holds both; {DOWNLOAD}",
        )
    return folder


def _read_table(path: Path) -> dict[str, _Patient]:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a table of CirCor: {error}", hint=DOWNLOAD) from error
    missing = [name for name in COLUMNS if not rows or rows[0].get(name) is None]
    if missing:
        raise DataError(f"{path} has no column '{missing[0]}' or no rows", hint=DOWNLOAD)
    patients = [_patient(path, row) for row in rows]
    return {patient.id: patient for patient in patients}


def _patient(path: Path, row: Mapping[str, str]) -> _Patient:
    patient_id, murmur, locations, other_id = (_value(row[name]) for name in COLUMNS)
    if murmur not in LABELS:
        raise DataError(
            f"{path}: patient {patient_id} has Murmur '{murmur}', none of {', '.join(LABELS)}"
        )
    return _Patient(patient_id, murmur, frozenset(locations.split("+")) - {""}, other_id)


def _value(text: str | None) -> str:
    """The cell without what the table writes for nothing, and ids without ``.0``."""
    text = (text or "").strip().removesuffix(".0")
    return "" if text.lower() == "nan" else text


def _subjects(patients: Mapping[str, _Patient]) -> dict[str, str]:
    """Patient id -> subject: the smallest of all ids that are tied, over any chain of ties."""
    leader: dict[str, str] = {}

    def find(one: str) -> str:
        while leader.setdefault(one, one) != one:
            one = leader[one]
        return one

    for patient in patients.values():
        pair = sorted((find(patient.id), find(patient.other_id or patient.id)))
        leader[pair[1]] = pair[0]
    return {patient_id: find(patient_id) for patient_id in patients}


def _conflicts(patients: Mapping[str, _Patient], subjects: Mapping[str, str]) -> tuple[str, ...]:
    ids: dict[str, list[str]] = {}
    for patient_id in sorted(patients):
        ids.setdefault(subjects[patient_id], []).append(patient_id)
    found = []
    for subject, patient_ids in sorted(ids.items()):
        if len({patients[patient_id].murmur for patient_id in patient_ids}) > 1:
            text = ", ".join(
                f"{patient_id} {patients[patient_id].murmur}" for patient_id in patient_ids
            )
            found.append(f"subject {subject}: the ids disagree ({text}), the worst is taken")
    return tuple(found)


def _audio_files(folder: Path, patients: Mapping[str, _Patient]) -> list[Path]:
    """Every recording once, wav before flac, in order of name; all of known patients."""
    found = {path.stem: path for kind in ("flac", "wav") for path in folder.glob(f"[!.]*.{kind}")}
    if not found:
        raise DataError(f"{folder} holds no wav or flac file", hint=DOWNLOAD)
    strangers = sorted(
        stem for stem in found if "_" not in stem or stem.split("_")[0] not in patients
    )
    if strangers:
        raise DataError(
            f"{found[strangers[0]]} is not a <patient>_<location> of {TABLE}",
            hint="is the copy whole?",
        )
    return [found[stem] for stem in sorted(found)]


def _recordings(
    patients: Mapping[str, _Patient], subjects: Mapping[str, str], files: Iterable[Path]
) -> tuple[tuple[Recording, ...], tuple[str, ...]]:
    """The recordings, and a warning per Present patient without a recording to show it."""
    named = [(path.stem.split("_")[0], path.stem.split("_")[1], path) for path in files]
    places: dict[str, set[str]] = {}
    for patient_id, location, _ in named:
        places.setdefault(patient_id, set()).add(location)
    unheard = {
        patient_id
        for patient_id, heard in places.items()
        if patients[patient_id].murmur == "Present" and not heard & patients[patient_id].locations
    }
    recordings = tuple(
        Recording(
            id=path.stem,
            subject=subjects[patient_id],
            label=_label(patients[patient_id], location, patient_id in unheard),
            load=functools.partial(read_audio, path),
        )
        for patient_id, location, path in named
    )
    text = "no recording of its murmur locations, so all count as Present"
    return recordings, tuple(f"patient {patient_id}: {text}" for patient_id in sorted(unheard))


def _label(patient: _Patient, location: str, everywhere: bool) -> int:
    elsewhere = patient.murmur == "Present" and location not in patient.locations
    return LABELS.index("Absent" if elsewhere and not everywhere else patient.murmur)


def _digest(recordings: Iterable[Recording], files: Iterable[Path]) -> str:
    """Hash of every recording's id, subject, label and bytes."""
    digest = hashlib.sha256()
    for recording, path in zip(recordings, files, strict=True):
        facts = f"{recording.id} {recording.subject} {recording.label} {sha256(path)}\n"
        digest.update(facts.encode())
    return digest.hexdigest()


ENTRY = DataSetEntry(
    name="circor",
    kind="recordings",
    load=load,
)
