"""One process for many steps: what they share, and what stays apart."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import assert_gone

from tinyml.core import memory_limit
from tinyml.core.errors import (
    CheckpointError,
    ExportError,
    InternalError,
    MachineError,
    TinymlError,
)
from tinyml.core.subprocesses import Child, run_child
from tinyml.core.worker import Worker


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Worker(0) as own:
        yield own


def step(folder: Path, name: str, source: str, *arguments: str) -> Child:
    (folder / f"{name}.py").write_text(source, encoding="utf-8")
    return Child(name, arguments, folder / f"{name}.log")


def pid(log: Path) -> int:
    return int(log.read_text(encoding="utf-8").splitlines()[-1])


PID = "import os\nprint(os.getpid())"


def test_steps_share_a_process_and_have_a_log_each(worker: Worker, tmp_path: Path) -> None:
    source = "import os, sys\nos.write(2, b'native ')\nprint(sys.argv[1:])\nprint(os.getpid())"
    one, two = (step(tmp_path, name, source, name) for name in ("one", "two"))
    worker.run([one, two], 60)
    worker.run([one], 60)
    assert pid(one.log) == pid(two.log) != os.getpid()
    assert two.log.read_text(encoding="utf-8").startswith("native ['two']")
    assert one.log.read_text(encoding="utf-8").count("native") == 1


def test_what_a_step_raises_comes_out_and_the_next_is_not_run(
    worker: Worker, tmp_path: Path
) -> None:
    source = (
        "from tinyml.core.errors import CheckpointError\nraise CheckpointError('no', hint='yes')"
    )
    failing, never = step(tmp_path, "failing", source), step(tmp_path, "never", PID)
    with pytest.raises(CheckpointError, match="no") as caught:
        worker.run([failing, never], 60)
    assert (caught.value.hint, caught.value.child) == ("yes", "failing")
    assert not never.log.exists()
    worker.run([never], 60)  # in a new process
    assert pid(never.log)


def test_a_process_that_died_between_two_steps_is_started_again(
    worker: Worker, tmp_path: Path
) -> None:
    first, second = (step(tmp_path, name, PID) for name in ("first", "second"))
    worker.run([first], 60)
    os.kill(pid(first.log), signal.SIGKILL)
    assert_gone(pid(first.log))
    worker.run([second], 60)
    assert pid(second.log) != pid(first.log)


def test_an_interruption_ends_the_process(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = step(tmp_path, "first", PID)
    worker.run([first], 60)
    monkeypatch.setattr("select.select", interrupted)
    with pytest.raises(KeyboardInterrupt):
        worker.run([first], 60)
    assert_gone(pid(first.log))


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("import os\nos.abort()", MachineError, "SIGABRT"),
        ("raise ValueError('no such layer')", InternalError, "ValueError: no such layer"),
        ("raise SystemExit(3)", ExportError, "failed"),
        ("raise SystemExit('no such layer')", ExportError, "failed: no such layer"),
        ("import time\ntime.sleep(600)", MachineError, "did not finish within 2 s"),
    ],
    ids=["crash", "exception", "exit", "words", "hang"],
)
def test_a_step_that_fails_ends_the_process(
    worker: Worker, tmp_path: Path, source: str, kind: type[Exception], message: str
) -> None:
    first = step(tmp_path, "first", PID)
    worker.run([first], 60)
    with pytest.raises(kind, match=message):
        worker.run([step(tmp_path, "bad", source)], 2)
    assert_gone(pid(first.log))


def test_a_lack_of_memory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Worker(256) as own, pytest.raises(MachineError, match="may use 256 MB"):
        own.run([step(tmp_path, "large", "bytearray(1 << 30)")], 60)


STUCK = """\
import time
held = []
try:
    while True:
        held.append(bytearray(1 << 18))
except MemoryError:
    pass
while True:  # as native code that asks again and again
    time.sleep(0.1)
"""


def test_a_process_that_stands_at_its_limit_of_memory_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(memory_limit, "STUCK_S", 1.0)
    with Worker(256) as own, pytest.raises(MachineError, match="may use 256 MB"):
        own.run([step(tmp_path, "stuck", STUCK)], 60)
    log = tmp_path / "child.log"
    with pytest.raises(MachineError, match="may use 256 MB"):
        run_child("stuck", [], log=log, timeout_s=60, memory_mb=256)


def test_the_process_ends_with_the_block_and_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    source = "import subprocess\nprint(subprocess.Popen(['sleep', '600']).pid)"
    started = step(tmp_path, "started", source)
    with Worker(0) as own:
        own.run([started], 60)
    assert_gone(pid(started.log))


def test_no_process_is_started_without_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr("subprocess.Popen", lambda *command, **_: started.append(command))
    with Worker(0) as own:
        own.run([], 60)
    own.close()
    assert not started


def apart(worker: Worker, folder: Path, source: str, timeout_s: float = 60) -> Child:
    """A step in a fork of a process that imported the module ``loaded``."""
    if not (folder / "loaded.py").exists():
        (folder / "loaded.py").write_text("", encoding="utf-8")
    made = step(folder, "apart", source)
    worker.run_apart(made, timeout_s, imports="loaded", meanwhile=["meanwhile"])
    return made


def test_a_step_apart_is_a_fork_whose_changes_no_other_step_sees(
    worker: Worker, tmp_path: Path
) -> None:
    (tmp_path / "meanwhile.py").write_text("", encoding="utf-8")
    source = "import json, sys\nprint('loaded' in sys.modules)\n"
    source += "sys.path.append('own')\njson.own = 1"
    own = apart(worker, tmp_path, source)
    assert own.log.read_text(encoding="utf-8") == "True\n"
    names = "[name in sys.modules for name in ('loaded', 'meanwhile', 'apart')]"
    changes = "'own' in sys.path, hasattr(json, 'own')"
    after = step(tmp_path, "after", f"import json, sys\nprint({changes}, {names})")
    worker.run([after], 60)
    assert after.log.read_text(encoding="utf-8") == "False False [True, True, False]\n"


def test_what_is_imported_for_other_steps_prints_into_no_log_and_is_no_answer(
    worker: Worker, tmp_path: Path
) -> None:
    prints = "import os, sys\nfor number in (1, 2):\n    os.write(number, b'imported\\n')\n"
    done = tmp_path / "done"
    (tmp_path / "loaded.py").write_text(prints, encoding="utf-8")
    (tmp_path / "meanwhile.py").write_text(f"{prints}open({str(done)!r}, 'w')", encoding="utf-8")
    wait = f"import os, time\nwhile not os.path.exists({str(done)!r}):\n    time.sleep(0.01)\n"
    own = apart(worker, tmp_path, f"print('begins')\n{wait}print('ends')")
    assert own.log.read_text(encoding="utf-8") == "begins\nends\n"
    first = step(tmp_path, "first", "print('first')")
    worker.run([first], 60)
    assert first.log.read_text(encoding="utf-8") == "first\n"


@pytest.mark.parametrize("source", ["sys.stdout.close()", "sys.stdout = sys.stderr = None"])
def test_a_step_may_close_its_streams(worker: Worker, tmp_path: Path, source: str) -> None:
    own = apart(worker, tmp_path, f"import sys\nprint('before', flush=True)\n{source}")
    assert own.log.read_text(encoding="utf-8") == "before\n"


@pytest.mark.parametrize("why", ["a step before it", "a thread", "an import that fails"])
def test_a_step_apart_is_a_new_process_where_a_fork_is_not_safe(
    worker: Worker, tmp_path: Path, why: str
) -> None:
    if why == "a step before it":
        worker.run([step(tmp_path, "first", PID)], 60)
    elif why == "a thread":
        waiting = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True)"
        (tmp_path / "loaded.py").write_text(f"{waiting}.start()", encoding="utf-8")
    else:
        (tmp_path / "loaded.py").write_text("raise OSError", encoding="utf-8")
    own = apart(worker, tmp_path, "import os, sys\nprint('loaded' in sys.modules, os.getppid())")
    assert own.log.read_text(encoding="utf-8") == f"False {os.getpid()}\n"


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("import os\nos.abort()", MachineError, "SIGABRT"),
        ("raise ValueError('no such layer')", InternalError, "ValueError: no such layer"),
        ("raise SystemExit('no such layer')", ExportError, "failed: no such layer"),
        ("import time\ntime.sleep(600)", MachineError, "did not finish within 5 s"),
    ],
    ids=["crash", "exception", "words", "hang"],
)
def test_a_step_apart_that_fails_is_told_and_nothing_is_left(
    worker: Worker, tmp_path: Path, source: str, kind: type[Exception], message: str
) -> None:
    started = "import os, subprocess\nwith open('{}', 'w') as out:\n    print(os.getpid(), "
    started += "subprocess.Popen(['sleep', '600']).pid, file=out)\n"
    pids = tmp_path / "pids"
    with pytest.raises(kind, match=message):
        apart(worker, tmp_path, started.format(pids) + source, timeout_s=5)
    for own in pids.read_text(encoding="utf-8").split():
        assert_gone(int(own))


def test_a_process_that_dies_before_it_forks_is_told_and_no_other_group_is_killed(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loaded.py").write_text("import os\nos._exit(1)", encoding="utf-8")
    groups: list[int] = []
    monkeypatch.setattr("os.killpg", lambda group, _: groups.append(group))
    with pytest.raises(TinymlError, match="failed"):
        apart(worker, tmp_path, "")
    assert 1 not in groups


def test_a_step_apart_keeps_to_the_limit_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(memory_limit, "STUCK_S", 1.0)
    for source in ("bytearray(1 << 30)", STUCK):
        with Worker(256) as own, pytest.raises(MachineError, match="may use 256 MB"):
            apart(own, tmp_path, source)
