"""The line that the runner prints: checked, or an error that names the job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from tinyml.core.errors import DeviceError
from tinyml.core.machine_state import UNREAD, MachineState, Meanwhile
from tinyml.core.measurement import Machine, Process
from tinyml.core.power import Power
from tinyml.core.typed_json import from_json, parse_json
from tinyml.device.link import CommandResult
from tinyml.device.program import SETUP_HINT, check_end, how_it_ended

T = TypeVar("T")
# A process in which it changed is discarded.
JUDGED = {"governor"}


@dataclass(frozen=True, slots=True)
class RunnerOutput:
    """The line that the runner prints; its fields as in `Process`."""

    model_sha256: str
    version: str
    threads: int
    delegate: str | None
    precision: str
    samples_ns: tuple[int, ...]
    cpu_ns: tuple[int, ...]
    calls: int
    elapsed_ns: int
    warmups: int
    is_stable: bool | None
    load_ns: int
    first_ns: int
    peak_rss_kb: int | None
    before: MachineState
    after: MachineState
    machine: Machine
    power: Power | None = None
    meanwhile: Meanwhile = UNREAD

    def __post_init__(self) -> None:
        if len(self.cpu_ns) != len(self.samples_ns):
            raise DeviceError("there are not as many CPU times as wall times")
        if min(self.samples_ns, default=0) < 1 or min(self.cpu_ns) < 0 or self.elapsed_ns < 1:
            raise DeviceError("a time is not positive")


class RuntimeMissingError(DeviceError):
    """A runtime is not installed on the machine of a link."""


def read_line(result: CommandResult, title: str, device: str = "NAME") -> RunnerOutput:
    """The runner's line of the job ``title``; raises as `check_answer` and `check_end`."""
    return read_as(RunnerOutput, "samples_ns", result, title, device)


def read_as(kind: type[T], key: str, result: CommandResult, title: str, device: str = "NAME") -> T:
    """As `read_line`, of a line that has ``key``."""
    found = last_object(result.stdout)
    check_answer(found, title, device)
    check_end(result, title, device)
    if key not in found:
        raise DeviceError(f"{title}: the process {how_it_ended(result)}")
    return from_json(kind, found, what=f"{title}: the runner's line", error=DeviceError)


def check_answer(found: Mapping[str, Any], title: str, device: str) -> None:
    """Raise the error that the runner answered, if it did.

    `RuntimeMissingError` for a runtime that is not installed on ``device``, else `DeviceError`.
    """
    if "missing" in found:
        raise RuntimeMissingError(
            f"{title}: {found['missing']} is not installed there", hint=SETUP_HINT.format(device)
        )
    if "error" in found:
        raise DeviceError(f"{title}: {found['error']}")


def last_object(text: str) -> dict[str, Any]:
    """The JSON object in the last line; empty where that is anything else."""
    lines = text.strip().splitlines()
    try:
        found = parse_json(lines[-1], what="", error=DeviceError) if lines else None
    except DeviceError:
        return {}
    return found if isinstance(found, dict) else {}


def check_same_machine(lines: Sequence[RunnerOutput], title: str) -> None:
    """Raise `DeviceError` if the last process ran on another machine than the first.

    Or on one that was started again in between.
    """
    if len({line.before.boot_id for line in (lines[0], lines[-1])} - {None}) > 1:
        raise DeviceError(
            f"{title}: the board restarted during the run",
            hint="a weak power supply may be the reason; then run it again",
        )
    first, last = asdict(lines[0].machine), asdict(lines[-1].machine)
    changed = sorted(name for name in first.keys() - JUDGED if first[name] != last[name])
    if changed:
        raise DeviceError(f"{title}: {', '.join(changed)} changed between the processes")


def process_of(run: RunnerOutput, turn: int) -> Process:
    """What is recorded of the process that printed the line."""
    recorded = {own.name for own in fields(RunnerOutput)}
    names = [own.name for own in fields(Process) if own.name in recorded]
    return Process(**{name: getattr(run, name) for name in names}, turn=turn)
