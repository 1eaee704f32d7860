"""LiteRT's ``benchmark_model`` on a device: the program there, its command line and its output.

Both builds of it are read: LiteRT's and TensorFlow Lite's. Each prints a line of statistics after
the warm-up and one after the timed calls, in whole microseconds:

    count=50 first=1015 curr=942 min=910 max=1102 avg=947.132 std=23 p5=915 median=942 p95=991

Older ones end at ``std``; a single call is ``count=1 curr=2125``, equal ones end ``(all same)``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tinyml.core.averages import AverageProcess
from tinyml.core.errors import DeviceError, InputError, machine_errors
from tinyml.core.files import sha256
from tinyml.core.timing_plan import TimingPlan
from tinyml.device.android import TIMEOUT_S, check_copied
from tinyml.device.link import CommandResult, Link
from tinyml.device.program import SIGNALS, signal_of

NAME = "benchmark_model"
# ABI of Android -> e_machine of ELF.
_MACHINES = {"arm64-v8a": 183, "armeabi-v7a": 40, "x86_64": 62, "x86": 3}
_COUNTS = re.compile(r"count=(\d+) (.*?curr=\d+.*)$", re.MULTILINE)
_STATISTIC = re.compile(r"(\w+)=([0-9.]+(?:e[+-]?\d+)?)")
_INIT = re.compile(r"Initialized session in ([0-9.]+(?:e[+-]?\d+)?) ?ms")
_IGNORED = re.compile(r"Unconsumed cmdline flags:(.*)$", re.MULTILINE)
_FAILURE = re.compile(r"^(?:ERROR|FATAL): (.*)$", re.MULTILINE)


def check_file(path: Path) -> int:
    """The machine that the program ``path`` is built for; `InputError` for anything else."""
    with machine_errors(f"reading {path}"):
        head = _start(path) if path.is_file() else b""
    if not head:
        raise InputError(f"no such file, or an empty one: {path}")
    if head[:4] != b"\x7fELF":
        is_app = path.suffix == ".apk"
        raise InputError(
            f"{path} is not a program for Android" + (": an .apk is an app" if is_app else ""),
            hint="the program has no suffix, and `file` calls it an ELF executable",
        )
    return int.from_bytes(head[18:20], "little")


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(20)


def check_program(path: Path, abi: str | None) -> None:
    """Raise `InputError` unless ``path`` is a program for ``abi``."""
    machine, wanted = check_file(path), _MACHINES.get(abi or "")
    if wanted is not None and machine != wanted:
        names = {number: name for name, number in _MACHINES.items()}
        built = names.get(machine, f"machine {machine}")
        raise InputError(f"{path} is built for {built}, and the phone is {abi}")


def push_program(link: Link, path: Path) -> str:
    """Copy the program, checked by its hash, ready to run; its path there."""
    there = link.push(path, NAME)
    check_copied(link, there, sha256(path))
    done = link.run(["chmod", "755", there], timeout_s=TIMEOUT_S)
    if done.code != 0:
        raise DeviceError(f"{link.name} cannot make {there} executable: {done.last_line}")
    return there


def arguments(
    program: str,
    model: str,
    plan: TimingPlan,
    *,
    threads: int,
    delegate: str | None,
    cpu: int | None,
) -> list[str]:
    """The command line; ``program`` and ``model`` are paths there."""
    options: dict[str, object] = {
        "graph": model,
        "num_threads": threads,
        "warmup_runs": plan.warmups or 1,
        "num_runs": plan.min_samples,
        "min_secs": plan.min_time_s,
        "max_secs": plan.max_time_s,
        "use_xnnpack": "false" if delegate == "none" else "true",
    }
    if plan.warmups is not None:
        options["warmup_min_secs"] = 0
    if plan.period_s is not None:
        options["run_frequency"] = 1 / plan.period_s
    pinned = ["taskset", f"{1 << cpu:x}"] if cpu is not None else []
    return [*pinned, program, *(f"--{name}={value}" for name, value in options.items())]


def read_output(result: CommandResult, title: str, *, delegate: str | None) -> AverageProcess:
    """The statistics that a process of the job ``title`` printed; `DeviceError` for anything else.

    A build that ignores the option which switches the delegate off is refused where it matters.
    """
    text = f"{result.stdout}\n{result.stderr}".replace("\r\n", "\n")
    if result.code != 0:
        raise DeviceError(f"{title}: {NAME} {_end(result, text)}")
    ignored = " ".join(_IGNORED.findall(text))
    if delegate == "none" and "use_xnnpack" in ignored:
        raise DeviceError(f"{title}: this {NAME} cannot switch XNNPACK off")
    lines = [_statistics(*found) for found in _COUNTS.findall(text)]
    if len(lines) != 2:
        raise DeviceError(
            f"{title}: {NAME} printed {len(lines)} lines of statistics, not 2",
            hint="is the program LiteRT's or TensorFlow Lite's benchmark_model?",
        )
    warmup, timed = lines
    load = _INIT.search(text)
    return AverageProcess(
        calls=int(timed["count"]),
        mean_ns=1000 * timed["avg"],
        min_ns=_ns(timed["min"]),
        max_ns=_ns(timed["max"]),
        std_ns=_ns(timed["std"]),
        median_ns=_ns(timed["median"]) if "median" in timed else None,
        load_ns=round(1e6 * float(load[1])) if load else None,
        first_ns=_ns(warmup["first"]),
        warmups=int(warmup["count"]),
    )


def _statistics(count: str, text: str) -> dict[str, float]:
    """Of one line, in microseconds; equal calls and a single one have only one time."""
    found = {name: float(value) for name, value in _STATISTIC.findall(text)}
    same = dict.fromkeys(("first", "min", "max", "avg"), found["curr"])
    return {**same, "std": 0.0, **found, "count": float(count)}


def _ns(microseconds: float) -> int:
    return round(1000 * microseconds)


def _end(result: CommandResult, text: str) -> str:
    """How the process ended: by a signal, or with its own message."""
    if (number := signal_of(result.code)) in SIGNALS:
        return f"was killed by signal {number} ({SIGNALS[number]})"
    lines: Sequence[str] = _FAILURE.findall(text) or [result.last_line]
    return f"ended {result.code}: {lines[0]}"
