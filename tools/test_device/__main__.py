"""Every command that uses a board, on emulated Raspberry Pis and on an emulated phone.

    PYTHONPATH=tools:tests python -m test_device
    PYTHONPATH=tools:tests python -m test_device --boards rpi4 phone --precisions int8

A full run has the tutorials' commands too, and all boards at once.

The boards are AArch64 Debian with real LiteRT and onnxruntime under qemu. They are reached with the
real ssh and adb, over loopback, by the command line as a user types it. Emulation shows that it
works and what it computes, never how long it takes on a board. The exit code is 5 where a stage
fails; what this machine cannot emulate is skipped, with the reason.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from emulated_board.host_tools import TO_RUN, check
from emulated_board.switched_on import why_not

from test_device import stages
from test_device.boards import Board, boards, phone
from test_device.bundles import PRECISIONS, bundle
from test_device.stages import Stage
from test_device.together import at_once
from test_device.workplace import StageFailedError, Workplace, workplace
from tinyml.core.errors import MachineError, TinymlError, ValidationError
from tinyml.core.scratch import scratch
from tinyml.pages.tables import table

PHONE = "phone"
BOARDS = ("rpi4", "rpi5", "rpi-zero2w", PHONE)
CLIENTS = {"ssh": "openssh-client", "ssh-keygen": "openssh-client", "adb": "adb"}


@dataclass(frozen=True, slots=True)
class Row:
    """One stage on one board. ``failure``: why it failed; empty where it did not."""

    board: str
    stage: str
    seen: str
    seconds: float
    failure: str = ""


def main(arguments: list[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--boards", nargs="+", choices=BOARDS, default=BOARDS)
    parser.add_argument("--precisions", nargs="+", choices=[*PRECISIONS], default=[*PRECISIONS])
    asked = parser.parse_args(arguments)
    if reason := _why_skipped():
        print(f"every board: skipped: {reason}")
        return 0
    try:
        with scratch("boards") as folder:
            return _run(folder, asked.boards, asked.precisions)
    except TinymlError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _why_skipped() -> str:
    try:
        check({**TO_RUN, **CLIENTS})
    except MachineError as error:
        return f"{error.message}; {error.hint}"
    return why_not()


def _run(folder: Path, names: list[str], precisions: list[str]) -> int:
    start, full = time.monotonic(), len(names) == len(BOARDS)
    place = workplace(folder / "home")
    board_stages, phone_stages = (
        [own for own in every if full or not own.full]
        for every in (stages.BOARD_STAGES, stages.PHONE_STAGES)
    )
    made = {}
    for name in names:
        target = "android" if name == PHONE else name
        made[name] = {own: bundle(place, target, own, _report) for own in precisions}
    with ExitStack() as stack:
        _report("switching the boards on")
        pis = stack.enter_context(boards(place, [n for n in names if n != PHONE], folder))
        others = [own for own in board_stages if not own.full]
        lanes: list[tuple[str, object, Sequence[Stage]]] = [
            (
                own.title,
                stages.OnBoard(place, own, made[own.name]),
                board_stages if own is pis[0] else others,
            )
            for own in pis
        ]
        if PHONE in names:
            (folder / PHONE).mkdir()
            own = stack.enter_context(phone(place, folder / PHONE))
            on = stages.OnPhone(place, own, made[PHONE])
            lanes.append(("Android phone, no Python", on, phone_stages))
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            started = [pool.submit(_rows, title, on, own, precisions) for title, on, own in lanes]
        rows = [row for lane in started for row in lane.result()]
        if full:
            rows.append(_all_at_once(place, pis, made[pis[0].name]))
    print(_summary(rows, time.monotonic() - start))
    return ValidationError.exit_code if any(row.failure for row in rows) else 0


def _all_at_once(place: Workplace, pis: list[Board], bundles: Mapping[str, Path]) -> Row:
    """The last stage: it ends the connection to a board."""

    def together(_: object) -> str:
        return at_once(place, pis, next(iter(bundles.values())))

    return _stage(f"{len(pis)} boards at once", Stage("bench", together), None, "")


def _rows(title: str, on: object, own: Sequence[Stage], precisions: list[str]) -> list[Row]:
    return list(_lane(title, on, own, precisions))


def _lane(title: str, on: object, own: Sequence[Stage], precisions: list[str]) -> Iterator[Row]:
    """The stages of one board, in order; where the first fails, the others cannot run."""
    for stage in own:
        for precision in precisions if stage.each else [""]:
            row = _stage(title, stage, on, precision)
            _report(f"{title}: {row.stage}: {row.failure or row.seen} ({row.seconds:.0f} s)")
            yield row
            if row.failure and stage is own[0]:
                return


def _stage(title: str, stage: Stage, on: object, precision: str) -> Row:
    start = time.monotonic()
    shown = f"{stage.name}, {precision}" if precision else stage.name
    try:
        seen, failure = stage.run(*((on, precision) if precision else (on,))), ""
    except (StageFailedError, AssertionError, subprocess.TimeoutExpired) as error:
        seen, failure = "", f"{error}" or "it is not as it should be"
    return Row(title, shown, seen, time.monotonic() - start, failure)


def _summary(rows: list[Row], seconds: float) -> str:
    """What ran on which board; every result is labelled."""
    blocks = []
    for board in dict.fromkeys(row.board for row in rows):
        own = [row for row in rows if row.board == board]
        shown = [(row.stage, "failed" if row.failure else "passed", row.seen) for row in own]
        columns = max(80, shutil.get_terminal_size((100, 24)).columns)
        head = ("stage", "result", "seen")
        blocks.append(f"{board}, emulated:\n{table(head, shown, indent=2, columns=columns)}")
        blocks += [f"  {row.stage}: {row.failure}" for row in own if row.failure]
    failed = sum(bool(row.failure) for row in rows)
    ends = f"{len(rows) - failed} of {len(rows)} stages passed in {seconds / 60:.1f} minutes"
    return "\n".join([*blocks, f"{ends}; no time of a board is in it"])


def _report(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
