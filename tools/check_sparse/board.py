"""Oracle 1: LiteRT for AArch64 under emulation, by instructions."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from emulated_board.board import count, open_board
from emulated_board.software import with_litert
from outcome import Outcome, outcome

from tinyml.core.errors import DeviceError

# Counts are exact: what is not sparse differs by the step that unpacks the weights at most.
FASTER = 1.3
REFUSED = "failed to prepare"


def measured(
    cpu: str, version: str, files: Mapping[str, tuple[Path, Path]], report: Callable[[str], None]
) -> dict[str, Outcome]:
    """Case -> what the emulated board does with its (sparse, dense) files.

    A board a core: what is counted does not depend on what runs beside it.
    """
    names = list(files)
    boards = min(len(names), len(os.sched_getaffinity(0)))
    shares = [{name: files[name] for name in names[start::boards]} for start in range(boards)]
    with ThreadPoolExecutor(boards) as pool:
        found = list(pool.map(lambda share: _on_one_board(cpu, version, share, report), shares))
    return {name: part[name] for name in names for part in found if name in part}


def _on_one_board(
    cpu: str, version: str, files: Mapping[str, tuple[Path, Path]], report: Callable[[str], None]
) -> dict[str, Outcome]:
    found = {}
    with open_board(cpu, with_litert(version)) as link:
        for name, (sparse, dense) in files.items():
            report(name)
            try:
                got = count(link, sparse)
            except DeviceError as error:
                if REFUSED not in error.message:
                    raise
                found[name] = outcome(0, 0, 0.0, error.message, FASTER)
                continue
            want = count(link, dense)
            wrong = np.subtract(got.output, want.output)
            error = float(np.abs(wrong).max() / np.abs(want.output).max())
            found[name] = outcome(got.per_call, want.per_call, error, "", FASTER)
    return found
