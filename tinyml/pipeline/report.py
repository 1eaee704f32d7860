"""The report of a bundle: what is gathered for it, and the file that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tinyml.core import bundle as bundles
from tinyml.core.averages import AverageTiming
from tinyml.core.bundle import CARD, Bundle
from tinyml.core.bundle_folder import check_outside
from tinyml.core.errors import InputError, require
from tinyml.core.events import Report
from tinyml.core.measurement import Measurement
from tinyml.core.profile import Profile
from tinyml.pages.card import intended_use
from tinyml.pages.report.material import Material, NamedBundle, Taken
from tinyml.pages.report.page import write_page
from tinyml.pages.report.sections.overview import page
from tinyml.pipeline import formats
from tinyml.pipeline.bench import all_beside, beside, read_benchmark
from tinyml.pipeline.cross_check import check_bundle
from tinyml.pipeline.outputs.data import caveat
from tinyml.pipeline.report_data import AUTO, data_option, evaluation_results
from tinyml.pipeline.results import StoredBenchmark

SUFFIX = ".report.html"
Timing = Measurement | AverageTiming


def report(
    what: Path,
    more: Sequence[Path],
    out: Path | None,
    *,
    data: str | None = None,
    in_options: Callable[[str], str],
    progress: Report,
    taken: Sequence[Timing] = (),
    profiles: Sequence[Profile] = (),
) -> Path:
    """Write the report of the bundle ``what`` and return its path, next to the bundle by default.

    ``more``: other bundles to compare it with, and files of `tinyml bench`. What lies next to
    the bundles is found without being named; ``taken`` are measurements of this moment, instead of
    those, and ``profiles`` those taken with them. ``data``: the folder of the data set, or `AUTO`.

    Raises `BundleError` and `InputError` for what is neither, `ValidationError` for a bundle that
    was changed, `UsageError` for an ``out`` in a bundle, `DataError`, `MissingExtraError`.
    """
    path = out or what.absolute().parent / f"{what.absolute().name}{SUFFIX}"
    check_report(path)
    folders = [what, *(own for own in more if own.is_dir())]
    found = tuple(
        NamedBundle(name, _checked(folder))
        for name, folder in zip(_names(folders), folders, strict=True)
    )
    stored = [] if taken else [row for own in found for row in _benchmarks(own.bundle)]
    stored += [_benchmark(own) for own in more if not own.is_dir()]
    first = found[0].bundle
    material = Material(
        bundles=found,
        formats=formats.by_runtime(),
        taken=tuple(_measured(stored, taken)),
        averages=tuple(_averages(stored, taken)),
        profiles=_profiles(found, stored, profiles),
        intended_use=_intended_use(first),
        caveat=caveat(first.facts.training.data_set) if first.facts.training else "",
        in_options=in_options,
        results=None if data is None else evaluation_results(first, _folder(data), progress),
        data_option=data_option(first),
    )
    write_page(page(material), path)
    return path


def check_report(path: Path) -> None:
    """Raise what would prevent a report at ``path``, before any work is done for it."""
    check_outside(path)
    require("matplotlib", "matplotlib", "report")
    require("jinja2", "jinja2", "report")


def _folder(data: str) -> Path | None:
    return None if data == AUTO else Path(data)


def _checked(folder: Path) -> Bundle:
    if not folder.exists():
        raise InputError(f"no such file or directory: {folder}")
    bundle = bundles.read(folder)
    check_bundle(bundle)
    return bundle


def _names(folders: Sequence[Path]) -> list[str]:
    """As given, without the folders that all lie in; whole where two would be the same."""
    names = [folder.absolute().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _benchmarks(bundle: Bundle) -> list[StoredBenchmark]:
    """What lies next to it; of other devices only what was taken of its files as they are."""
    digests = {model.sha256 for model in bundle.models}
    here = beside(bundle.folder)
    return [
        own
        for own in map(_benchmark, all_beside(bundle.folder))
        if own.path == here or any(row.model_sha256 in digests for row in own.found.all_timings)
    ]


def _benchmark(path: Path) -> StoredBenchmark:
    if not path.is_file():
        raise InputError(f"no such file or directory: {path}")
    return StoredBenchmark(path, read_benchmark(path))


def _measured(stored: Sequence[StoredBenchmark], taken: Sequence[Timing]) -> list[Taken]:
    """``taken``, and the measurements of ``stored``, none of them twice."""
    found = {own: Taken(own) for own in taken if isinstance(own, Measurement)}
    for file in stored:
        for own in file.found.measurements:
            found.setdefault(own, Taken(own, file.path.name))
    return list(found.values())


def _averages(stored: Sequence[StoredBenchmark], taken: Sequence[Timing]) -> list[AverageTiming]:
    """As `_measured`, what phones gave."""
    here = [own for own in taken if isinstance(own, AverageTiming)]
    return list(dict.fromkeys([*here, *(own for file in stored for own in file.found.averages)]))


def _profiles(
    bundles: Sequence[NamedBundle], stored: Sequence[StoredBenchmark], taken: Sequence[Profile]
) -> tuple[Profile, ...]:
    """``taken``, and those of ``stored``: of files of the bundles, none of them twice."""
    digests = {model.sha256 for own in bundles for model in own.bundle.models}
    every = [*taken, *(own for file in stored for own in file.found.profiles)]
    return tuple(dict.fromkeys(own for own in every if own.model_sha256 in digests))


def _intended_use(bundle: Bundle) -> str:
    """As the card has it: the manifest does not repeat it."""
    card = bundle.folder / CARD
    return intended_use(card.read_text(encoding="utf-8")) if card.is_file() else ""
