"""What bundles compute on emulated Raspberry Pis, with the newest runtimes of each system.

    PYTHONPATH=tools python -m check_board
    PYTHONPATH=tools python -m check_board --boards rpi4 --systems bookworm
    PYTHONPATH=tools python -m check_board --bundles my-bundle

Real LiteRT and onnxruntime for AArch64 run under qemu. Outputs are computed there and judged here
by the tolerance of each file's precision; instructions are of one inference. Emulation shows
nothing of speed, so no time is printed. The exit code is 5 where a file differs or fails; what
this machine cannot emulate is skipped, with the reason. After ``--minutes`` (10) no further bundle
is begun, and the exit code is 1 if some are left.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

from emulated_board.host_tools import TO_RUN, check

from check_board.board_check import BoardCheck, check_board, why_uncounted
from check_board.bundles import own_bundles
from check_board.text import board_text
from tinyml.core.errors import MachineError, TinymlError, ValidationError
from tinyml.core.target import Target, find_target

BOARDS = ("rpi4", "rpi5")
SYSTEMS = ("bookworm", "bullseye")


def main(arguments: list[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--boards", nargs="+", default=BOARDS)
    parser.add_argument("--systems", nargs="+", default=SYSTEMS)
    parser.add_argument("--bundles", nargs="+", type=Path, help="instead of a small network's")
    parser.add_argument("--minutes", type=float, default=10.0)
    asked = parser.parse_args(arguments)
    try:
        check(TO_RUN)
    except MachineError as error:
        print(f"every board: skipped: {error.message}; {error.hint}")
        return 0
    try:
        return _check(asked)
    except TinymlError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _check(asked: argparse.Namespace) -> int:
    ends = time.monotonic() + 60 * asked.minutes
    boards = [find_target(name) for name in asked.boards]
    bundles = asked.bundles or own_bundles(_report)

    def checked(pair: tuple[Target, str]) -> BoardCheck:
        return check_board(*pair, bundles, _report, ends)

    passes, is_late = True, False
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for found in pool.map(checked, product(boards, asked.systems)):
            print(board_text(found), flush=True)
            passes, is_late = passes and found.passes, is_late or found.is_late
    if reason := why_uncounted():
        print(f"instructions: skipped: {reason}")
    if not passes:
        return ValidationError.exit_code
    return MachineError.exit_code if is_late else 0


def _report(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
