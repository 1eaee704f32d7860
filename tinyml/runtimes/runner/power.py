"""Watts of a board while a model runs, and while it is idle: by its own meter, or by a command."""

from __future__ import annotations

import re
import shlex
import subprocess
import threading
import time
from typing import Any, Callable

from tinyml.runtimes.runner.errors import RunnerError

PMIC = "pmic"
PMIC_COMMAND = ("vcgencmd", "pmic_read_adc")
# Of each of idle and busy; the first readings of each are those of the change, and do not count.
PHASE_S, SETTLE_S, EVERY_S = 4.0, 1.0, 0.25
TIMEOUT_S = 5.0
# ``3V3_SYS_A current(1)=0.05074816A`` and ``3V3_SYS_V volt(9)=3.31146100V``.
RAIL = re.compile(r"(\S+)_([AV]) \w+\(\d+\)=([0-9.]+)[AV]")


def measure_power(call: Callable[[], Any], source: str) -> dict[str, Any]:
    """Readings while the process sleeps, then while it calls; as `tinyml.core.power.Power`."""
    idle, _, _ = readings(lambda: time.sleep(EVERY_S), source)
    busy, calls, elapsed_ns = readings(call, source)
    if not idle or not busy:
        raise RunnerError("--power {}: it takes too long to answer".format(source))
    return {
        "source": source,
        "idle_w": idle,
        "busy_w": busy,
        "calls": calls,
        "elapsed_ns": elapsed_ns,
    }


def readings(work: Callable[[], Any], source: str) -> tuple[list[float], int, int]:
    """(watts while ``work`` is done again and again, how often, in how many nanoseconds)."""
    found: list[float] = []
    failed: list[RunnerError] = []
    ends = time.perf_counter() + PHASE_S

    def watch() -> None:
        time.sleep(SETTLE_S)
        try:
            while time.perf_counter() < ends:
                found.append(read_watts(source))
                time.sleep(EVERY_S)
        except RunnerError as error:
            failed.append(error)

    watching = threading.Thread(target=watch)
    watching.start()
    count, start = 0, time.perf_counter_ns()
    while time.perf_counter() < ends:
        work()
        count += 1
    elapsed_ns = time.perf_counter_ns() - start
    watching.join()
    if failed:
        raise failed[0]
    return found, count, elapsed_ns


def read_watts(source: str) -> float:
    """What the board draws at this moment."""
    try:
        command = list(PMIC_COMMAND) if source == PMIC else shlex.split(source)
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except FileNotFoundError as error:
        name = shlex.quote(str(error.filename))
        raise RunnerError("--power {}: {} is not a program there".format(source, name)) from error
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise RunnerError("--power {}: {}".format(source, error)) from error
    watts = rails_w(done.stdout) if source == PMIC else last_number(done.stdout)
    if done.returncode != 0 or watts is None:
        raise RunnerError("--power {}: it printed no watts".format(source))
    return watts


def rails_w(text: str) -> float | None:
    """The sum over the rails whose current and voltage are both shown."""
    found = {(rail, kind): float(value) for rail, kind, value in RAIL.findall(text)}
    rails = [rail for rail, kind in found if kind == "A" and (rail, "V") in found]
    return sum(found[rail, "A"] * found[rail, "V"] for rail in rails) if rails else None


def last_number(text: str) -> float | None:
    """Of a command's output; a reading below 0 is none."""
    try:
        watts = float(text.split()[-1])
    except (IndexError, ValueError):
        return None
    return watts if 0 <= watts < float("inf") else None
