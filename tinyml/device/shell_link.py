"""A machine behind a POSIX shell: files and commands go over one connection, quoted in one place.

While the link is open, a guard runs there. It makes the link's folder and then waits for the end of
its standard input. When the link is closed or lost, it kills what the link started and removes the
folder, so that nothing is left there even if this machine is switched off.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import secrets
import selectors
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tinyml.core.errors import NO_SPACE_WORDS, DeviceError, machine_errors
from tinyml.core.files import sha256, temporary
from tinyml.core.interruption import LOOK_S, check_interrupted
from tinyml.core.measurement import Label
from tinyml.core.process import tied
from tinyml.core.text import shorten
from tinyml.device.link import CommandResult, ProgramMissingError
from tinyml.device.local import PIECE, run_limited

# To connect and to make the folder; to close; to kill a command there; to see that a link is lost.
OPEN_S, CLOSE_S, KILL_S, LOST_S = 60.0, 10.0, 10.0, 1.0
# How much later than here a command is killed there, where the link was lost; a file's way.
GRACE_S, TRANSFER_S = 30, 3600
# Shells give 128 and the number of the signal for a command that a signal killed.
SIGNALS = range(129, 128 + 65)
NOT_A_PROGRAM = "missing"
MOST_GREETING = 1 << 20
_GREETING = re.compile(rb"\ntinyml-link (/.*)\n")

# $1...: folders to make its own in, the best first. It ends with its standard input.
GUARD = """LC_ALL=C; export LC_ALL; umask 077; trap "" HUP INT TERM; folder=
for base; do
  mkdir -p "$base" 2>/dev/null
  folder=$(mktemp -d "$base/tinyml-link-XXXXXX") && echo $$ >"$folder/.guard" && break
  rm -rf "$folder"; folder=
done
[ "$folder" ] || exit 1
for old in "$base"/tinyml-link-*; do
  owner=$(cat "$old/.guard" 2>/dev/null) && ! kill -0 "$owner" 2>/dev/null && rm -rf "$old"
done
printf '\\ntinyml-link %s\\n' "$folder"
cat >/dev/null
for run in "$folder"/.run-*; do
  group=$(cat "$run") && { kill -s KILL -- "-$group" || kill -s KILL "$group"; }
done 2>/dev/null
cd /; rm -rf "$folder" 2>/dev/null || { sleep 1; rm -rf "$folder"; }"""
# $1: the folder; $2: the mark of the run. The shell is the first process of a group of its own.
_BEGIN = 'cd "$1" && echo $$ >".run-$2" && [ ! -e ".ended-$2" ] || exit 1; mark=$2; '
# $3...: the command.
START = _BEGIN + 'shift 2; "$@"; code=$?; rm -f ".run-$mark"; exit $code'
# $3: seconds; $4...: the command. The last line of standard error has the mark and the exit code.
RUN = f"""{_BEGIN}limit=$3; shift 3
(sleep "$limit"; kill -s KILL -- "-$$") </dev/null >/dev/null 2>&1 &
if command -v "$1" >/dev/null 2>&1; then "$@"; code=$?; else code={NOT_A_PROGRAM}; fi
trap "" PIPE
printf '\\n%s %s\\n' "$mark" "$code" >&2
rm -f ".run-$mark"; kill -s KILL -- "-$$" 2>/dev/null"""
KILL = """cd "$1" && : >".ended-$2" && group=$(cat ".run-$2") && [ "$group" -gt 1 ] || exit
rm -f ".run-$2"; kill -s KILL -- "-$group" || kill -s KILL "$group\""""
# $1: a name for the time being; $2: the name; $3: the SHA-256 that the file must have.
PUSH = """LC_ALL=C; export LC_ALL
cat >"$1" && sum=$(sha256sum <"$1") && {
  [ "${sum%% *}" = "$3" ] || { echo "the file changed on its way" >&2; false; }
} && mv -f -- "$1" "$2" && exit; rm -f "$1"; exit 1"""
PULL = 'LC_ALL=C; export LC_ALL; exec cat <"$1"'


@dataclass(frozen=True, slots=True)
class ShellLink:
    """``client`` is a command here; with one more argument, a line of shell, it runs that there.

    guard  the process here whose end is the link's
    """

    name: str
    label: Label
    python: str
    folder: str
    client: tuple[str, ...]
    guard: subprocess.Popen[bytes]

    def command(self, command: Sequence[str]) -> list[str]:
        return [*self.client, _line(START, self.folder, secrets.token_hex(8), *command)]

    def run(self, command: Sequence[str], *, timeout_s: float) -> CommandResult:
        program, mark = Path(command[0]).name, secrets.token_hex(8)
        limit_s = math.ceil(timeout_s) + GRACE_S
        line = _line(RUN, self.folder, mark, f"{limit_s}", *command)
        with self._killed(mark):
            name = f"{program} on {self.name}"
            result = run_limited([*self.client, line], Path("/"), name, timeout_s)
            code, stderr = self._ended(result.stderr, mark, f"running {program}")
        if code == NOT_A_PROGRAM:
            raise ProgramMissingError(command[0], self.name)
        number = int(code)
        return CommandResult(128 - number if number in SIGNALS else number, result.stdout, stderr)

    def push(self, path: Path, name: str) -> str:
        doing = f"copying {path.name} to {self.name}"
        script = ["sh", "-c", PUSH, "sh", f".push-{secrets.token_hex(8)}", name]
        with machine_errors(doing), path.open("rb") as source:
            self._transfer(doing, [*script, sha256(path)], source, io.BytesIO())
        return f"{self.folder}/{name}"

    def pull(self, name: str, path: Path) -> None:
        doing, draft = f"copying {name} from {self.name}", temporary(path)
        try:
            with machine_errors(doing, path.parent):
                with draft.open("wb") as target:
                    script = ["sh", "-c", PULL, "sh", name]
                    self._transfer(doing, script, subprocess.DEVNULL, target)
                draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise

    def _transfer(
        self, doing: str, command: Sequence[str], source: int | IO[bytes], target: IO[bytes]
    ) -> None:
        """Run ``command`` there with ``source`` as its input; its output goes to ``target``."""
        mark = secrets.token_hex(8)
        line = _line(RUN, self.folder, mark, f"{TRANSFER_S}", *command)
        with self._killed(mark), tempfile.TemporaryFile() as errors:
            with subprocess.Popen(
                tied([*self.client, line]), stdin=source, stdout=subprocess.PIPE, stderr=errors
            ) as process:
                try:
                    target.writelines(_pieces(process))
                    process.wait()
                except BaseException:
                    process.kill()
                    raise
            errors.seek(0)
            code, stderr = self._ended(errors.read().decode(errors="replace"), mark, doing)
        if code != "0":
            raise self._refusal(doing, stderr)

    def _ended(self, stderr: str, mark: str, doing: str) -> tuple[str, str]:
        """The exit code of the run ``mark``, and what it wrote; `DeviceError` for a lost link."""
        if ended := re.search(rf"\n{mark} (\w+)\n", stderr):
            return ended[1], stderr[: ended.start()]
        try:
            self.guard.wait(LOST_S)
        except subprocess.TimeoutExpired:
            raise self._refusal(doing, stderr or f"it was killed on {self.name}") from None
        raise DeviceError(
            f"{doing}: the connection to {self.name} was lost",
            hint="is it still on and connected? Then run the command again",
        )

    def _refusal(self, doing: str, stderr: str) -> DeviceError:
        if NO_SPACE_WORDS.search(stderr):
            return _no_space(f"{doing}: no space left in {self.folder}", self.name)
        return DeviceError(f"{doing}: {CommandResult(1, '', stderr).last_line}")

    @contextlib.contextmanager
    def _killed(self, mark: str) -> Iterator[None]:
        """What runs there as ``mark`` does not outlive an exception of the block."""
        try:
            yield
        except BaseException:
            # Where the link is lost, the guard kills it.
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(
                    tied([*self.client, _line(KILL, self.folder, mark)]),
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=KILL_S,
                    start_new_session=True,
                    check=False,
                )
            raise


def _pieces(process: subprocess.Popen[bytes], ends: float = math.inf) -> Iterator[bytes]:
    """What ``process`` writes, as it comes: all of it, or what comes before ``ends``."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as waiting:
        waiting.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < ends:
            ready = waiting.select(LOOK_S)
            check_interrupted()
            if ready:
                piece = os.read(process.stdout.fileno(), PIECE)
                if not piece:
                    return
                yield piece


def _no_space(message: str, name: str) -> DeviceError:
    """The error for a full disk of the machine ``name``."""
    return DeviceError(message, hint=f"free some space on {name}")


def opening_failure(
    name: str, text: str, known: Iterable[tuple[str, str, str]], *, silent: str, hint: str
) -> DeviceError:
    """Why the client could not reach the machine ``name``, from the ``text`` that it wrote.

    ``known``: what it writes, what happened, the remedy. Of anything else the last line is shown,
    or ``silent`` where there is none, with ``hint``.
    """
    if NO_SPACE_WORDS.search(text):
        return _no_space(f"{name}: no space left for a temporary folder", name)
    for words, failed, remedy in known:
        if re.search(words, text):
            return DeviceError(f"{name}: {failed}", hint=remedy)
    last = (text.strip().splitlines() or [silent])[-1]
    return DeviceError(f"{name}: {last}", hint=hint)


def _line(script: str, *arguments: str) -> str:
    """The line for the shell there that runs ``script``; every argument arrives as it is."""
    return "exec " + shlex.join(["sh", "-c", script, "sh", *arguments])


@contextlib.contextmanager
def open_guard(
    name: str, client: Sequence[str], folders: str, failure: Callable[[str], DeviceError]
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The guard on ``name``, started by ``client``, and the link's folder, until the block ends.

    ``folders``: where to make it, the best first, as shell words that may name variables there.
    Raises ``failure`` of what was written to standard error, where the guard cannot start.
    """
    line = _line(f"set -- {folders}; {GUARD}")
    with tempfile.TemporaryFile() as errors:
        guard = subprocess.Popen(
            tied([*client, line]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # Ctrl-C must not end the connection before all is cleaned up
        )
        try:
            printed = _printed(guard, time.monotonic() + OPEN_S)
            greeting = _GREETING.search(printed)
            if greeting is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    guard.wait(LOST_S)
                errors.seek(0)
                raise failure((errors.read() or printed).decode(errors="replace"))
            if more := printed[: greeting.start()].decode(errors="replace").strip():
                raise DeviceError(
                    f"{name}: its shell prints '{shorten(more, 60)}' before each command's output",
                    hint="let its start file, such as ~/.bashrc, print in interactive shells alone",
                )
            yield guard, os.fsdecode(greeting[1])
        finally:
            _close(guard)


def _printed(guard: subprocess.Popen[bytes], ends: float) -> bytes:
    """What comes from the guard until it has greeted; without a greeting, what there was."""
    found = b""
    for piece in _pieces(guard, ends):
        found += piece
        if _GREETING.search(found) or len(found) > MOST_GREETING:
            break
    return found


def _close(guard: subprocess.Popen[bytes]) -> None:
    """End the guard's input, and wait until it has removed the folder; then end the link."""
    assert guard.stdin is not None
    assert guard.stdout is not None
    try:
        guard.stdin.close()
        guard.wait(CLOSE_S)
    except subprocess.TimeoutExpired:
        guard.kill()
    finally:
        guard.kill()
        guard.wait()
        guard.stdout.close()
