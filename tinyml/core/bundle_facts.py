"""What a bundle's manifest records besides its parity: where it comes from, what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tinyml.core.diagnosis import Confusion, Finding, SensitivityAnalysis
from tinyml.core.recipe import Recipe
from tinyml.core.streaming import Streaming
from tinyml.core.training_record import TrainingRecord
from tinyml.core.typed_json import OMIT_NONE

# A report that is shown as it is and that nothing else looks into.
Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scalogram:
    """How to draw a stage: the frequency of each of its rows, and its frames in a second."""

    stage: str
    frequencies_hz: tuple[float, ...]
    frame_rate_hz: float


@dataclass(frozen=True, slots=True)
class BundleFacts:
    """Facts of one export (docs/manifest.md); what is ``None`` was not looked for, or not known.

    tinyml       the version that wrote the bundle; ``packages``: of what made its files
    training     of a checkpoint of `tinyml train`
    not_judged   case or stage -> why it was not compared
    lint         model file -> its findings
    delegation   model file -> what its runtime's delegate takes
    classes      quantized model file -> predicted classes before and after
    sensitivity  format -> the sensitivity of each layer
    sparse       model file -> whether the target's runtime uses its sparse kernels
    streaming    the streaming graphs, each in a bundle of its own in the bundle
    """

    tinyml: str = ""
    recipe: Recipe | None = None
    recipe_id: str | None = None
    training: TrainingRecord | None = None
    scalogram: Scalogram | None = None
    not_judged: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str | None] = field(default_factory=dict)
    lint: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    delegation: Mapping[str, Report] = field(default_factory=dict)
    classes: Mapping[str, Confusion] | None = field(default=None, metadata={OMIT_NONE: True})
    sensitivity: Mapping[str, SensitivityAnalysis] | None = field(
        default=None, metadata={OMIT_NONE: True}
    )
    sparse: Mapping[str, Report] | None = field(default=None, metadata={OMIT_NONE: True})
    streaming: Streaming | None = field(default=None, metadata={OMIT_NONE: True})

    @property
    def graphs(self) -> tuple[str, ...]:
        """Folders, in the bundle, of the bundles of its streaming graphs, if it has any."""
        return self.streaming.graphs if self.streaming else ()
