"""What all model sources of an export share: they fill a folder, then measure accuracy.

All that lies between (writers, parity, gate, bundle) is the same for every source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tinyml.core.bundle import Agreement, Metric
from tinyml.core.bundle_facts import BundleFacts
from tinyml.core.events import Report
from tinyml.core.processor import Processor
from tinyml.core.spec import Arrays, Signature
from tinyml.pipeline.model_sources.calibration import Calibration
from tinyml.pipeline.model_sources.workspace import Workspace
from tinyml.pipeline.outputs.engines import Engine

RunChild = Callable[[str, list[str]], None]


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """What is exported, as known once it is captured.

    ``stages`` are in network order; ``facts`` go into the manifest; ``domain`` chooses
    the card's words; ``is_part``: it lies in the bundle of the whole model, which has the card;
    the rest as in `tinyml.core.bundle.Bundle`.
    """

    name: str
    signature: Signature
    stages: tuple[str, ...]
    processor: Processor | None
    labels: tuple[str, ...]
    facts: BundleFacts
    front_end: str | None = None
    domain: str = "other"
    is_part: bool = False


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What was measured of labels or of the user's metric; ``note`` where nothing was."""

    agreements: tuple[Agreement, ...] = ()
    metrics: tuple[Metric, ...] = ()
    note: str = ""


class Source(Protocol):
    """One way for a model to come in."""

    @property
    def name(self) -> str:
        """What the model files are called."""

    @property
    def runs_user_code(self) -> bool:
        """Whether `capture` does: then it gets a process of its own."""

    def capture(self, work: Workspace, run: RunChild, report: Report) -> ExportedModel:
        """Leave in ``work`` what the writers and the gate read.

        Through ``run(module, arguments)``, a child process, wherever code is not ours.
        """

    def known(self) -> ExportedModel | None:
        """What `capture` will return, where that is known before it."""

    def check_calibration(self, arrays: Arrays | None) -> None:
        """What `calibration` will raise as far as it is known before `capture`."""

    def calibration(
        self, signature: Signature, arrays: Arrays | None, count: int, report: Report
    ) -> Calibration:
        """``count`` samples at most to choose ranges from; ``arrays``: those that were given."""

    def accuracy(
        self, engines: Sequence[Engine], work: Workspace, run: RunChild, report: Report
    ) -> Accuracy:
        """Ask every engine for answers and compare them with PyTorch's."""
