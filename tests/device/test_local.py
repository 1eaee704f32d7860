"""This machine as a link: what it starts lives no longer than whoever started it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from processes import assert_gone, wait_for

from tinyml.core.errors import DeviceError
from tinyml.device.local import LocalLink

SLEEPER = """
import os, sys, time
with open(sys.argv[1] + "-", "w") as stream:
    stream.write(str(os.getpid()))
os.rename(sys.argv[1] + "-", sys.argv[1])
time.sleep(600)
"""
PARENT = """
import sys
from pathlib import Path
from tinyml.device.local import LocalLink
link = LocalLink(Path(sys.argv[1]))
link.run([link.python, "sleeper.py", sys.argv[2]], timeout_s=600)
"""


def test_what_a_killed_process_had_started_dies(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    pid = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), str(pid)])
    try:
        wait_for(pid.exists)
    finally:
        parent.kill()
        parent.wait()
    assert_gone(int(pid.read_text()))


def test_its_exit_code_and_words_come_back(tmp_path: Path) -> None:
    link = LocalLink(tmp_path)
    code = "import sys; print('said'); print('told', file=sys.stderr); sys.exit(7)"
    answer = link.run([link.python, "-c", code], timeout_s=60)
    assert (answer.code, answer.stdout, answer.stderr) == (7, "said\n", "told\n")
    killed = link.run([link.python, "-c", "import os; os.kill(os.getpid(), 11)"], timeout_s=60)
    assert killed.code == -11


def test_a_program_that_is_not_there_and_one_that_does_not_end_are_told(tmp_path: Path) -> None:
    link = LocalLink(tmp_path)
    with pytest.raises(DeviceError, match="cannot start /nowhere/python: it is not a program"):
        link.run(["/nowhere/python"], timeout_s=60)
    with pytest.raises(DeviceError, match=r"did not end within 0\.2 s"):
        link.run(["sleep", "600"], timeout_s=0.2)
