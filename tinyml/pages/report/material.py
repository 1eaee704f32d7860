"""What a report is made from: bundles, measurements, and what the data shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tinyml.core.averages import AverageTiming
from tinyml.core.bundle import Bundle, ModelFile
from tinyml.core.evaluation_results import EvaluationResults
from tinyml.core.measurement import WHOLE, Conditions, Label, Measurement
from tinyml.core.profile import Profile
from tinyml.pages.report.content import Missing
from tinyml.pages.report.units import command, counted


@dataclass(frozen=True, slots=True)
class NamedBundle:
    """A bundle under the name that tells it from the others of the report."""

    name: str
    bundle: Bundle


@dataclass(frozen=True, slots=True)
class Variant:
    """One model file of one of the bundles; ``runtimes``: those that run its format."""

    name: str
    bundle: Bundle
    model: ModelFile
    runtimes: tuple[str, ...]

    @property
    def label(self) -> str:
        """The bundle and the format, of which a bundle has one file each."""
        return f"{self.name}, {self.model.format}"

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.bundle.files[self.model.path].size


@dataclass(frozen=True, slots=True)
class Taken:
    """A measurement and the name of the file that it was read from."""

    measurement: Measurement
    source: str = ""


@dataclass(frozen=True, slots=True)
class Timed:
    """A measurement of ``variant``, or of a part of it; ``None``: of no file of the bundles.

    ``how``: what tells it from other measurements of the file.
    """

    variant: Variant | None
    measurement: Measurement
    source: str
    how: str = ""

    @property
    def name(self) -> str:
        """Of the file, as shown."""
        source = f" ({self.source})" if self.source else ""
        own = f"{self.measurement.model}{source}" if self.variant is None else self.variant.label
        return f"{own}{self.how}"

    @property
    def where(self) -> str:
        """The device, and whether its times are those of a board."""
        return where_text(self.measurement.conditions, self.measurement.label)

    @property
    def full_name(self) -> str:
        """`name`, and whether it was timed as deployed."""
        return f"{self.name}, as deployed" if self.measurement.pace else self.name


@dataclass(frozen=True, slots=True)
class Material:
    """The first of ``bundles`` is what the report is about; the others are compared with it.

    formats       runtime -> the format that it runs
    profiles      where the time goes, of the bundles' files
    intended_use  of the model, as its card has it; ``caveat``: of its data set
    in_options    text with the names of settings -> the same with options of the command line
    averages      what phones give instead of measurements
    results       what the data shows; without any, ``data_option`` adds it, if it can be had
    """

    bundles: tuple[NamedBundle, ...]
    formats: Mapping[str, str] = field(default_factory=dict)
    taken: tuple[Taken, ...] = ()
    averages: tuple[AverageTiming, ...] = ()
    profiles: tuple[Profile, ...] = ()
    intended_use: str = ""
    caveat: str = ""
    in_options: Callable[[str], str] = str
    results: EvaluationResults | None = None
    data_option: str = ""

    @property
    def bundle(self) -> Bundle:
        """What the report is about."""
        return self.bundles[0].bundle

    @property
    def name(self) -> str:
        """Of the bundle that the report is about, in commands."""
        return self.bundles[0].name

    def no_data(self) -> Missing:
        """Instead of what only data can show."""
        if not self.data_option:
            text = "The bundle does not record a data set. An export with `--metric` measures one."
            return Missing(text)
        words = ("tinyml", "report", *(own.name for own in self.bundles), "--data")
        text = "This needs the data set that the model was trained on. To add it:"
        return Missing(text, f"{command(*words)} {self.data_option}")

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Every model file of every bundle."""
        return tuple(
            Variant(own.name, own.bundle, model, self._runtimes(model))
            for own in self.bundles
            for model in own.bundle.models
        )

    def name_of(self, sha256: str) -> str:
        """Of the file with this content, as `Timed.name`; empty where no bundle has it."""
        names = (own.label for own in self.variants if own.model.sha256 == sha256)
        return next(names, "")

    def _runtimes(self, model: ModelFile) -> tuple[str, ...]:
        return tuple(name for name, fmt in self.formats.items() if fmt == model.format)

    @property
    def timed(self) -> tuple[Timed, ...]:
        """Every measurement with its file, in the order of the bundles.

        Where no process of one counts, all of its device are of CPU time if it was recorded: it
        holds on a busy machine too, and the two cannot be compared.
        """
        variants = self.variants
        by_content = {own.model.sha256: own for own in reversed(variants)}
        several = len({own.measurement.conditions.threads for own in self.taken}) > 1
        named = list(dict.fromkeys(own.measurement.conditions.device for own in self.taken))
        busy = {name for name in named if _need_cpu_time(self._of_device(name))}
        found = []
        for own in self.taken:
            on_cpu = own.measurement.conditions.device in busy
            shown = own.measurement.on_cpu_clock() if on_cpu else own.measurement
            file = self._file_of(own, by_content)
            found.append(Timed(file, shown, own.source, _how(shown, several)))

        def place(own: Timed) -> tuple[int, str, int, str]:
            at = len(variants) if own.variant is None else variants.index(own.variant)
            return (
                named.index(own.measurement.conditions.device),
                own.measurement.runtime,
                at,
                own.measurement.pace,
            )

        return tuple(sorted(found, key=place))

    def _of_device(self, name: str | None) -> list[Measurement]:
        found = (own.measurement for own in self.taken)
        return [own for own in found if own.conditions.device == name]

    def _file_of(self, own: Taken, by_content: Mapping[str, Variant]) -> Variant | None:
        """By its content; of a part, by the whole file that was measured with it."""
        measured = own.measurement
        if measured.part == WHOLE:
            return by_content.get(measured.model_sha256)
        for other in self.taken:
            whole = other.measurement
            same = (other.source, whole.part, whole.runtime) == (
                own.source,
                WHOLE,
                measured.runtime,
            )
            if same and measured.model.endswith(whole.model):
                return by_content.get(whole.model_sha256)
        return None

    @property
    def whole(self) -> tuple[Timed, ...]:
        """`timed`, of whole files only, and not as deployed."""
        found = (own for own in self.timed if own.measurement.part == WHOLE)
        return tuple(own for own in found if not own.measurement.pace)


def where_text(conditions: Conditions, label: Label) -> str:
    """``mypi (device)``."""
    return f"{conditions.device or 'unknown device'} ({label})"


def _need_cpu_time(found: Sequence[Measurement]) -> bool:
    recorded = all(own.cpu_ns for measured in found for own in measured.all_processes)
    return recorded and not all(own.processes for own in found)


def _how(measured: Measurement, several: bool) -> str:
    threads = measured.conditions.threads
    parts = [counted(threads, "thread")] if several and threads else []
    parts += ["no delegate"] if measured.delegate == "none" else []
    return "".join(f", {part}" for part in parts)
