"""The governor is held while a board is timed, and set back whatever happens meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tinyml.board_scripts import agent
from tinyml.core.device import THIS_MACHINE
from tinyml.core.errors import DeviceError
from tinyml.core.program_archive import write_program
from tinyml.device.agent import push_agent
from tinyml.device.governor import Governors, steady_governor
from tinyml.device.local import open_link


@pytest.fixture
def cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The governors of two cores of a board."""
    monkeypatch.setenv("TINYML_CPUS", str(tmp_path))
    found = [tmp_path / f"cpu{core}" / "cpufreq" / "scaling_governor" for core in range(2)]
    for path in found:
        path.parent.mkdir(parents=True)
        path.write_text("ondemand\n")
    (tmp_path / "cpufreq").mkdir()
    return found


def now(cores: list[Path]) -> list[str]:
    return [path.read_text().strip() for path in cores]


def wait_for(done: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not done():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_it_is_steady_within_the_block_alone(cores: list[Path]) -> None:
    with open_link(THIS_MACHINE) as link:
        with steady_governor(push_agent(link)) as found:
            assert found == Governors(("ondemand",), 2)
            assert found.is_steady
            assert now(cores) == ["performance"] * 2
        assert now(cores) == ["ondemand"] * 2
        with pytest.raises(KeyError), steady_governor(push_agent(link)):
            raise KeyError
        assert now(cores) == ["ondemand"] * 2


def test_what_another_user_sets_meanwhile_stays(cores: list[Path]) -> None:
    with open_link(THIS_MACHINE) as link, steady_governor(push_agent(link)):
        cores[1].write_text("powersave\n")
    assert now(cores) == ["ondemand", "powersave"]


def test_what_may_not_be_written_is_reported_as_it_is(cores: list[Path]) -> None:
    for path in cores:
        path.unlink()
        path.mkdir()
    with open_link(THIS_MACHINE) as link, steady_governor(push_agent(link)) as found:
        assert found.held == 0
    assert not Governors(("ondemand",)).is_steady
    assert Governors(("performance",)).is_steady
    assert Governors().is_steady


def test_a_link_that_is_lost_sets_it_back(cores: list[Path], tmp_path: Path) -> None:
    """What the link started is killed, as on a board; the process that holds it ends by itself."""
    write_program(tmp_path / "agent.zip", agent)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "agent.zip"), "hold", "performance"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    assert now(cores) == ["performance"] * 2
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert now(cores) == ["performance"] * 2
    process.stdin.close()
    wait_for(lambda: now(cores) == ["ondemand"] * 2)
    process.stdout.close()


def test_an_agent_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    with open_link(THIS_MACHINE) as link:
        there = push_agent(link)
        Path(there.program.path).write_text("exit(1)")
        with pytest.raises(DeviceError, match="the governor's line"), steady_governor(there):
            pass
