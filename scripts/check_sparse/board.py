"""Oracle 1: LiteRT for AArch64 under emulation, by instructions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from outcome import Outcome, outcome

from tinyml.device.emulated import count, emulated_link
from tinyml.errors import DeviceError

# Counts are exact: what is not sparse differs by the step that unpacks the weights at most.
FASTER = 1.3
REFUSED = "failed to prepare"


def measured(
    cpu: str, version: str, files: Mapping[str, tuple[Path, Path]], told: Callable[[str], None]
) -> dict[str, Outcome]:
    """Case -> what the emulated board does with its (sparse, dense) files."""
    found = {}
    with emulated_link(cpu, version) as link:
        for name, (sparse, dense) in files.items():
            told(name)
            try:
                got = count(link, sparse)
            except DeviceError as error:
                if REFUSED not in error.message:
                    raise
                found[name] = outcome(0, 0, 0.0, error.message, FASTER)
                continue
            want = count(link, dense)
            wrong = np.subtract(got.answer, want.answer)
            error = float(np.abs(wrong).max() / np.abs(want.answer).max())
            found[name] = outcome(got.per_call, want.per_call, error, "", FASTER)
    return found
