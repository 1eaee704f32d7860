"""What a report is made from: bundles, measurements, and what the data shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tinyml.core.bundle import Bundle, ModelFile
from tinyml.core.measurement import WHOLE, Measurement


@dataclass(frozen=True, slots=True)
class NamedBundle:
    """A bundle under the name that tells it from the others of the report."""

    name: str
    bundle: Bundle


@dataclass(frozen=True, slots=True)
class Variant:
    """One model file of one of the bundles."""

    name: str
    bundle: Bundle
    model: ModelFile

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return self.bundle.files[self.model.path].size


@dataclass(frozen=True, slots=True)
class Material:
    """The first of ``bundles`` is what the report is about; the others are compared with it.

    intended_use  of the model, as its card has it; ``caveat``: of its data set
    in_options    text with the names of settings -> the same with options of the command line
    sources       where measurements came from: sha256 of a model file -> names of files
    """

    bundles: tuple[NamedBundle, ...]
    measurements: tuple[Measurement, ...] = ()
    intended_use: str = ""
    caveat: str = ""
    in_options: Callable[[str], str] = str
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def bundle(self) -> Bundle:
        """What the report is about."""
        return self.bundles[0].bundle

    @property
    def name(self) -> str:
        """Of the bundle that the report is about, in commands."""
        return self.bundles[0].name

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Every model file of every bundle."""
        return tuple(
            Variant(own.name, own.bundle, model)
            for own in self.bundles
            for model in own.bundle.models
        )

    def whole(self) -> Iterator[tuple[Variant | None, Measurement]]:
        """Measurements of whole files, each with its file; ``None``: it is in no bundle given."""
        by_content = {variant.model.sha256: variant for variant in reversed(self.variants)}
        for own in self.measurements:
            if own.part == WHOLE:
                yield by_content.get(own.model_sha256), own
