"""Kill commands at random moments, and check that nothing is lost, half-written or left.

    python tools/kill_runs --kills 200 --seed 0
    python tools/kill_runs --kills 20 --only bench

Each command of `commands.COMMANDS` is killed (SIGKILL, the process itself, not its children)
at a moment that is uniform over its duration, some times in a row in one folder, and then
run whole. After each kill: outputs that were there are there, those that are there are
whole, no process outlives the one that was killed. After the whole run: no temporary file,
lock or scratch folder is left, and a training's bytes are those of an unkilled one. The
exit code is 1 where anything else is found.
"""

from __future__ import annotations

import argparse
import queue
import random
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import checks
from commands import COMMANDS, Command, make_inputs
from lane import Lane, Tally, environment

# Kills in a row before the command is run whole.
IN_A_ROW = 5


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="over all commands (200)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other moments")
    parser.add_argument("--lanes", type=int, default=2, help="side by side (2)")
    parser.add_argument("--only", nargs="+", default=[], help="names of commands: train prune ...")
    asked = parser.parse_args()
    commands = [c for c in COMMANDS if c.name in asked.only or not asked.only]
    with tempfile.TemporaryDirectory(prefix="kill-runs-") as name:
        folder, started = Path(name), time.monotonic()
        (folder / "inputs").mkdir()
        needs = {name for command in commands for name in command.needs}
        make_inputs(folder / "inputs", needs, environment(folder / "prepare"))
        before = checks.outputs(folder / "inputs")
        tallies = _kill(commands, asked.kills, asked.seed, asked.lanes, folder)
        spoilt = checks.lost(folder / "inputs", before, "")
    print(_table(tallies))
    for finding in spoilt:
        print(f"inputs: {finding.text}")
    kills = sum(tally.kills for tally in tallies.values())
    count = len(spoilt) + sum(len(tally.findings) for tally in tallies.values())
    print(f"{kills} kills in {time.monotonic() - started:.0f} s, {count} findings")
    return 1 if count else 0


def _kill(
    commands: list[Command], kills: int, seed: int, lanes: int, folder: Path
) -> dict[str, Tally]:
    """What became of each command; ``lanes`` of them are killed side by side."""
    tallies = {command.name: Tally() for command in commands}
    lock = threading.Lock()
    todo: queue.SimpleQueue[tuple[Command, int]] = queue.SimpleQueue()
    for episode in episodes(commands, kills, random.Random(seed)):
        todo.put(episode)

    def work(number: int) -> None:
        lane = Lane(folder / "inputs", folder / f"lane{number}", random.Random(f"{seed}/{number}"))
        while True:
            try:
                command, count = todo.get_nowait()
            except queue.Empty:
                return
            own = Tally(durations_s=list(tallies[command.name].durations_s))
            known = len(own.durations_s)
            while own.kills < count:  # some end before they are killed
                lane.episode(command, count - own.kills, own)
            with lock:
                _add(tallies[command.name], own, known)
                print(f"{command.name}: {own.kills} kills", file=sys.stderr, flush=True)
                for finding in own.findings:
                    print(f"{command.name}: {finding.kind}: {finding.text}", flush=True)

    with ThreadPoolExecutor(lanes) as pool:
        for future in [pool.submit(work, number) for number in range(lanes)]:
            future.result()
    return tallies


def episodes(commands: list[Command], kills: int, rng: random.Random) -> list[tuple[Command, int]]:
    """``kills`` shared out by the commands' shares, at most `IN_A_ROW` at once, shuffled."""
    total = sum(command.share for command in commands)
    exact = {command.name: kills * command.share / total for command in commands}
    counts = {name: int(value) for name, value in exact.items()}
    for name in sorted(exact, key=lambda n: counts[n] - exact[n])[: kills - sum(counts.values())]:
        counts[name] += 1
    found = [
        (command, min(IN_A_ROW, counts[command.name] - start))
        for command in commands
        for start in range(0, counts[command.name], IN_A_ROW)
    ]
    rng.shuffle(found)
    return found


def _add(total: Tally, own: Tally, known: int) -> None:
    total.kills += own.kills
    total.ended += own.ended
    total.whole += own.whole
    total.findings += own.findings
    total.durations_s += own.durations_s[known:]


def _table(tallies: dict[str, Tally]) -> str:
    head = ("command", "seconds", "kills", "whole", *checks.KINDS)
    rows = [head]
    for name, tally in tallies.items():
        seconds = f"{tally.duration_s:.1f}" if tally.durations_s else "-"
        counts = tally.counts()
        found = (str(counts[kind]) for kind in checks.KINDS)
        rows.append((name, seconds, str(tally.kills), str(tally.whole + tally.ended), *found))
    wide = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(r, wide, strict=True)) for r in rows)


if __name__ == "__main__":
    sys.exit(main())
