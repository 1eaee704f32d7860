"""The options of ``bench`` and ``compare`` that say how to time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tinyml.core.errors import UsageError
from tinyml.core.target import find_target
from tinyml.core.timing_plan import QUICK, TimingPlan

if TYPE_CHECKING:
    from tinyml.pipeline.timing import Timing

DELEGATES = {"xnnpack": None, "none": "none"}
PANEL = "Timing"
MOST_THREADS = 1024

Runs = Annotated[
    int, typer.Option(min=1, help="Timed calls in each process, at least.", rich_help_panel=PANEL)
]
MinTime = Annotated[
    float,
    typer.Option(
        min=0.0, max=10.0, help="Seconds of them in each, at least.", rich_help_panel=PANEL
    ),
]
Quick = Annotated[
    bool,
    typer.Option(
        "--quick", help="20 calls in each process: only a first look.", rich_help_panel=PANEL
    ),
]
Threads = Annotated[
    str | None,
    typer.Option(
        metavar="N,N...",
        help="Threads of the runtime, one after another. Default: the target's.",
        rich_help_panel=PANEL,
    ),
]
Target = Annotated[
    str,
    typer.Option(help="Machine to time on: a target or your own FILE.toml.", rich_help_panel=PANEL),
]
Cpu = Annotated[
    int | None,
    typer.Option("--cpu", min=0, metavar="N", help="Use core N only.", rich_help_panel=PANEL),
]
Delegate = Annotated[
    str,
    typer.Option(metavar="xnnpack|none", help="Delegate of LiteRT.", rich_help_panel=PANEL),
]
CpuTime = Annotated[
    bool,
    typer.Option(
        "--cpu-time", help="CPU times instead: they hold on a busy machine.", rich_help_panel=PANEL
    ),
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
    target: str,
) -> Timing:
    """What the options ask for; `UsageError` for a value that does not exist."""
    from tinyml.pipeline.timing import Timing

    if delegate not in DELEGATES:
        raise UsageError(f"--delegate {delegate} is not one of {', '.join(DELEGATES)}")
    plan = QUICK if quick else TimingPlan(min_samples=runs, min_time_s=min_time)
    numbers = (find_target(target).threads,) if threads is None else _numbers(threads)
    return Timing(repeats, plan, numbers, cpu, DELEGATES[delegate], target)


def _numbers(text: str) -> tuple[int, ...]:
    """``1,2,4`` -> 1, 2, 4; each once."""
    parts = [part.strip() for part in text.split(",")]
    numbers = [int(part) if part.isascii() and part.isdigit() else 0 for part in parts]
    if not all(0 < number <= MOST_THREADS for number in numbers):
        raise UsageError(f"--threads {text} is not a list of numbers of threads, as in 1,2,4")
    return tuple(dict.fromkeys(numbers))
