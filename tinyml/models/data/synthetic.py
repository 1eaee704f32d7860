"""A demonstration set: heart sounds made up by this file, with CirCor's three labels.

It shows that the line works from sound to bundle; it says nothing about hearts.

Every recording is heart sounds + a murmur-like noise + the sensor's noise, through the
sensor's band and gain. The labels differ in what keeps time with what, and in nothing
else on average:

    label     S1 and S2                      murmur-like noise
    Present   in the rhythm of the heart     in systole or diastole of every beat
    Absent    in the rhythm of the heart     in episodes that know nothing of the beats
    Unknown   friction at irregular times,   in episodes that know nothing of the beats
              the heart weak beneath

Friction has the spectrum and energy that the subject's heart sounds would have; the
noise's energy, pitch and share of time are drawn alike for all labels; gain and band of
the sensor are drawn for each recording. So no loudness, spectrum or crest factor tells
the labels apart: only timing does.

Subjects have traits of their own: heart rate and its variability, breathing, duration and
pitch of S1 and S2, and the murmur's phase, shape (crescendo, decrescendo, diamond,
plateau), pitch and loudness. All follows from (seed, subject, recording).
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tinyml.core.errors import DataError
from tinyml.core.files import canonical_json
from tinyml.core.processor import Floats
from tinyml.core.spec import Options
from tinyml.models.data.entry import DataSetEntry
from tinyml.models.data.options import check_options
from tinyml.models.data.recordings import Recording, RecordingSet

Reals = NDArray[np.float64]

# Part of the set's digest: raise it whenever the samples change.
VERSION = 1
LABELS = ("Present", "Unknown", "Absent")
PRESENT, UNKNOWN, ABSENT = range(3)
RATE_HZ = 4000
OPTIONS = {"persons": int, "recordings": int, "seconds": float}
DEFAULTS: dict[str, int | float] = {"persons": 90, "recordings": 2, "seconds": 12.0}
SHAPES = ("crescendo", "decrescendo", "diamond", "plateau")


@dataclass(frozen=True, slots=True)
class SubjectTraits:
    """What stays the same from one recording of a subject to the next. Seconds, Hz, dB."""

    label: int
    beat_s: float
    beat_spread: float
    breath_s: float
    breath_depth: float
    systole: float
    s1_hz: float
    s2_hz: float
    s1_s: float
    s2_s: float
    s2_gain: float
    murmur_phase: str
    murmur_shape: str
    murmur_hz: float
    murmur_width: float
    murmur_db: float


def load(options: Options, seed: int) -> RecordingSet:
    """``persons`` subjects, a third of each label, ``recordings`` each of ``seconds``, at 4 kHz.

    Raises `DataError` for an unknown option or a value that makes no recording.
    """
    check_options("synthetic", options, OPTIONS)
    values = {**DEFAULTS, **options}
    subjects, count, seconds = int(values["persons"]), int(values["recordings"]), values["seconds"]
    if subjects < len(LABELS) or count < 1 or float(seconds) < 2:
        raise DataError(
            f"data set 'synthetic': {subjects} subjects with {count} recordings of {seconds} s",
            hint="at least 3 subjects, 1 recording and 2 seconds",
        )
    recordings = tuple(
        Recording(
            id=f"person-{subject:03d}-{number}",
            subject=f"person-{subject:03d}",
            label=subject % len(LABELS),
            load=functools.partial(make_recording, seed, subject, number, float(seconds)),
        )
        for subject in range(subjects)
        for number in range(count)
    )
    made_from = canonical_json([VERSION, seed, subjects, count, float(seconds)])
    digest = hashlib.sha256(made_from.encode()).hexdigest()
    return RecordingSet("synthetic", LABELS, recordings, (), digest)


def make_recording(seed: int, subject: int, number: int, seconds: float) -> tuple[Floats, int]:
    """Samples [time] of one recording, rounded to 16 bit, and their rate."""
    traits = make_subject(np.random.default_rng((seed, subject)), subject % len(LABELS))
    random = np.random.default_rng((seed, subject, number + 1))
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    starts = _beats(random, traits, seconds)
    heart = _heart_sounds(random, traits, starts, time_s)
    if traits.label == UNKNOWN:
        friction = _heart_sounds(random, traits, _irregular(random, traits, seconds), time_s)
        heart = _to_energy(friction, heart) + 0.15 * heart
    noise = _band_noise(random, time_s.size, traits.murmur_hz, traits.murmur_width)
    cycle = starts if traits.label == PRESENT else _irregular(random, traits, seconds)
    murmur = noise * _murmur_envelope(traits, cycle, time_s)
    loudness = 10 ** ((traits.murmur_db + random.uniform(-2, 2)) / 20)
    heart = heart / _rms(heart) + loudness * murmur / _rms(murmur)
    return _record(random, heart), RATE_HZ


def make_subject(random: Generator, label: int) -> SubjectTraits:
    """Draw a subject's traits; only ``label`` is not drawn."""
    return SubjectTraits(
        label=label,
        beat_s=60 / random.uniform(62, 125),
        beat_spread=random.uniform(0.01, 0.05),
        breath_s=random.uniform(2.2, 5.0),
        breath_depth=random.uniform(0.02, 0.08),
        systole=random.uniform(0.34, 0.44),
        s1_hz=random.uniform(35, 60),
        s2_hz=random.uniform(50, 85),
        s1_s=random.uniform(0.022, 0.035),
        s2_s=random.uniform(0.015, 0.025),
        s2_gain=random.uniform(0.5, 1.1),
        murmur_phase="diastole" if random.uniform() < 0.25 else "systole",
        murmur_shape=SHAPES[random.integers(len(SHAPES))],
        murmur_hz=random.uniform(120, 320),
        murmur_width=random.uniform(0.25, 0.5),
        murmur_db=random.uniform(-14, -4),
    )


def _beats(random: Generator, traits: SubjectTraits, seconds: float) -> Reals:
    """Starts of S1 in s, from before the recording to after it: breathing speeds the heart."""
    count = int(seconds / traits.beat_s * 1.5) + 6
    phase = 2 * np.pi * (np.arange(count) * traits.beat_s / traits.breath_s + random.uniform())
    slow = 1 + traits.breath_depth * np.sin(phase)
    intervals = traits.beat_s * slow * (1 + traits.beat_spread * random.standard_normal(count))
    return np.cumsum(intervals) - 2 * traits.beat_s - random.uniform() * traits.beat_s


def _irregular(random: Generator, traits: SubjectTraits, seconds: float) -> Reals:
    """Starts as many as the heart's, at intervals from a third to three times as long."""
    count = int(seconds / traits.beat_s * 3) + 12
    intervals = traits.beat_s * np.exp(random.uniform(-1.1, 1.1, count)) / 1.21
    return np.cumsum(intervals) - 3 * traits.beat_s * random.uniform(1, 2)


def _heart_sounds(random: Generator, traits: SubjectTraits, starts: Reals, time_s: Reals) -> Reals:
    """S1 at ``starts`` and S2 after each systole, louder and softer with breathing."""
    swing = 1 + 0.25 * np.sin(2 * np.pi * (starts / traits.breath_s + random.uniform()))
    levels = swing * np.exp(0.1 * random.standard_normal(starts.size))
    s2 = starts[:-1] + _systoles(traits, starts)
    first = _place(starts, levels, _kernel(random, traits.s1_hz, traits.s1_s), time_s.size)
    second = _place(s2, levels[:-1], _kernel(random, traits.s2_hz, traits.s2_s), time_s.size)
    return first + traits.s2_gain * second


def _systoles(traits: SubjectTraits, starts: Reals) -> Reals:
    """From S1 to S2 in s: a short beat shortens diastole more than systole (Bazett's root)."""
    return np.asarray(traits.systole * np.sqrt(np.diff(starts) * traits.beat_s))


def _kernel(random: Generator, pitch_hz: float, decay_s: float) -> Reals:
    """Two damped components a few ms apart, as the two valves of a sound close."""
    time_s = np.arange(round(8 * decay_s * RATE_HZ)) / RATE_HZ
    sound = np.zeros_like(time_s)
    for delay_s, factor in ((0.0, 1.0), (random.uniform(0.008, 0.025), random.uniform(1.1, 1.6))):
        after = np.maximum(time_s - delay_s, 0)
        ring = np.sin(2 * np.pi * pitch_hz * factor * after + random.uniform(0, 0.5))
        sound += (time_s >= delay_s) * ring * (after / decay_s) * np.exp(-2 * after / decay_s)
    return sound


def _place(times_s: Reals, levels: Reals, kernel: Reals, size: int) -> Reals:
    """``kernel`` at each time, at its level; what falls outside of the recording is cut."""
    at = np.round(times_s * RATE_HZ).astype(int)[:, None] + np.arange(kernel.size)
    inside = (at >= 0) & (at < size)
    sound = np.zeros(size)
    np.add.at(sound, at[inside], (levels[:, None] * kernel)[inside])
    return sound


def _band_noise(random: Generator, size: int, pitch_hz: float, width: float) -> Reals:
    """Noise with a bell-shaped spectrum, ``width`` octaves to one side."""
    spectrum = np.fft.rfft(random.standard_normal(size))
    octaves = np.log2(np.maximum(np.fft.rfftfreq(size, 1 / RATE_HZ), 1.0) / pitch_hz)
    return np.fft.irfft(spectrum * np.exp(-0.5 * (octaves / width) ** 2), size)


def _murmur_envelope(traits: SubjectTraits, starts: Reals, time_s: Reals) -> Reals:
    """The murmur's level: its shape between the sounds of every cycle of ``starts``."""
    systoles = _systoles(traits, starts)
    if traits.murmur_phase == "systole":
        begins, ends = starts[:-1] + 1.5 * traits.s1_s, starts[:-1] + systoles
    else:
        begins, ends = starts[:-1] + systoles + 1.5 * traits.s2_s, starts[1:] - 0.02
    beat = np.clip(np.searchsorted(starts, time_s) - 1, 0, systoles.size - 1)
    place = (time_s - begins[beat]) / np.maximum(ends - begins, 0.03)[beat]
    inside = (place > 0) & (place < 1)
    return np.where(inside, _shape(traits.murmur_shape, np.clip(place, 0, 1)), 0.0)


def _shape(name: str, place: Reals) -> Reals:
    """Level at ``place`` from 0 to 1 of the murmur, with soft ends."""
    level = {
        "crescendo": place,
        "decrescendo": 1 - place,
        "diamond": 1 - np.abs(2 * place - 1),
        "plateau": np.ones_like(place),
    }[name]
    ends = np.minimum(1, np.minimum(place, 1 - place) / 0.1)
    return np.asarray(level * ends)


def _to_energy(sound: Reals, like: Reals) -> Reals:
    return sound * (_rms(like) / _rms(sound))


def _rms(samples: Reals) -> float:
    return float(np.sqrt(np.mean(np.square(samples)))) + 1e-12


def _record(random: Generator, sound: Reals) -> Floats:
    """What a sensor makes of it: noise, a band of its own, a gain of its own, 16 bit."""
    level = 10 ** (random.uniform(-32, -20) / 20)
    sound = sound / _rms(sound) + level * random.standard_normal(sound.size)
    frequency_hz = np.fft.rfftfreq(sound.size, 1 / RATE_HZ)
    low_hz, high_hz = random.uniform(10, 30), np.exp(random.uniform(np.log(350), np.log(1500)))
    high_pass = frequency_hz**2 / (frequency_hz**2 + low_hz**2)
    low_pass = 1 / (1 + (frequency_hz / high_hz) ** 4)
    sound = np.fft.irfft(np.fft.rfft(sound) * high_pass * low_pass, sound.size)
    peak = 10 ** (random.uniform(-26, -1) / 20)
    scaled = np.round(sound / np.max(np.abs(sound)) * peak * 32767) / 32768
    return np.asarray(scaled, np.float32)


ENTRY = DataSetEntry(
    name="synthetic",
    kind="recordings",
    load=load,
    generated=True,
    caveat="a demonstration set of generated sounds: these figures do not apply to patients",
)
