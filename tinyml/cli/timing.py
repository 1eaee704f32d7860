"""The options of ``bench`` and ``compare`` that say how to time."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from tinyml.core.errors import UsageError
from tinyml.core.timing_plan import QUICK, BetweenCalls, TimingPlan

if TYPE_CHECKING:
    from tinyml.core.device import Device
    from tinyml.pipeline.timing import Timing

DELEGATES = {"xnnpack": None, "none": "none"}
MOST_THREADS = 1024
# Of a period: a process has ten seconds.
LONGEST_S = 5.0

_option = partial(typer.Option, rich_help_panel="Timing")

Runs = Annotated[int, _option(min=1, help="Minimum number of timed calls in each process.")]
MinTime = Annotated[
    float, _option(min=0.0, max=10.0, help="Minimum seconds of timed calls in each process.")
]
Quick = Annotated[bool, _option("--quick", help="20 calls in each process: only a first look.")]
Threads = Annotated[
    str | None,
    _option(
        metavar="N,N...", help="Threads of the runtime, one after another. Default: the target's."
    ),
]
Target = Annotated[str, _option(help="Machine to time on: a target or your own FILE.toml.")]
Cpu = Annotated[int | None, _option("--cpu", min=0, metavar="N", help="Use core N only.")]
Delegate = Annotated[str, _option(metavar="xnnpack|none", help="Delegate of LiteRT.")]
Period = Annotated[
    str | None,
    _option(metavar="TIME", help="Also time as deployed: one call every TIME: 100ms or 2s."),
]
Between = Annotated[
    str | None,
    _option(
        metavar="sleep|evict",
        help="What to do between calls of a --period: sleep, or fill the caches with other work.",
    ),
]
BenchmarkModel = Annotated[
    Path | None,
    _option(
        "--benchmark-model",
        metavar="PATH",
        help="For Android, which has no Python: LiteRT's benchmark_model, built for Android.",
    ),
]
Power = Annotated[
    str | None,
    _option(
        "--power",
        metavar="pmic|COMMAND",
        help="Also measure energy: with a Raspberry Pi 5's power controller, or with a command on "
        "the board that prints watts.",
    ),
]
CpuTime = Annotated[
    bool,
    _option("--cpu-time", help="Show CPU times, which other processes disturb less."),
]


MaxRegression = Annotated[
    str | None,
    typer.Option(
        metavar="N%",
        help="Exit with 5 if a file takes this much longer than its baseline, with 4 if there is "
        "no verdict.",
    ),
]


def fraction(percent: str | None) -> float | None:
    """``5%`` -> 0.05; `UsageError` for anything else, since 5 and 0.05 may both be meant."""
    if percent is None:
        return None
    number = percent.removesuffix("%")
    if number == percent or not number.replace(".", "", 1).isdecimal() or not number.isascii():
        raise UsageError(f"--max-regression {percent} is not a percentage, as in 5%")
    return float(number) / 100


def timing(
    repeats: int,
    runs: int,
    min_time: float,
    *,
    quick: bool,
    threads: str | None,
    cpu: int | None,
    delegate: str,
    device: Device,
    period: str | None,
    between: str | None,
) -> Timing:
    """What the options ask for; `UsageError` for a value that does not exist."""
    from tinyml.pipeline.timing import Timing

    if delegate not in DELEGATES:
        raise UsageError(f"--delegate {delegate} is not one of {', '.join(DELEGATES)}")
    plan = QUICK if quick else TimingPlan(min_samples=runs, min_time_s=min_time)
    return Timing(
        repeats,
        plan,
        () if threads is None else _numbers(threads),
        cpu,
        DELEGATES[delegate],
        period_s=seconds("--period", period),
        between=_between(between, period),
        device=device,
    )


def seconds(option: str, text: str | None, longest_s: float = LONGEST_S) -> float | None:
    """``100ms`` -> 0.1, ``2s`` -> 2; `UsageError` names ``option``."""
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?(ms|s)", text)
    seconds = float(found[1]) / (1000 if found[2] == "ms" else 1) if found else 0.0
    if not 0 < seconds <= longest_s:
        raise UsageError(
            f"{option} {text} is not a time of at most {longest_s:g} s, such as 100ms or 2s"
        )
    return seconds


def _between(text: str | None, period: str | None) -> BetweenCalls:
    if text is not None and period is None:
        raise UsageError(f"--between {text} needs --period")
    if (text or "sleep") not in get_args(BetweenCalls):
        raise UsageError(f"--between {text} is not one of {', '.join(get_args(BetweenCalls))}")
    return cast(BetweenCalls, text or "sleep")


def _numbers(text: str) -> tuple[int, ...]:
    """``1,2,4`` -> 1, 2, 4; each once."""
    parts = [part.strip() for part in text.split(",")]
    numbers = [int(part) if part.isascii() and part.isdigit() else 0 for part in parts]
    if not all(0 < number <= MOST_THREADS for number in numbers):
        raise UsageError(f"--threads {text} is not a list of numbers of threads, as in 1,2,4")
    return tuple(dict.fromkeys(numbers))
