"""Child processes: what they print, raise and leave."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import assert_gone, wait_for

from tinyml.core.child_errors import last_line
from tinyml.core.errors import (
    CheckpointError,
    ExportError,
    InternalError,
    MachineError,
    MissingExtraError,
)
from tinyml.core.subprocesses import run_child


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Runs Python source as a child; the log is in ``tmp_path / child.log``."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    log = tmp_path / "child.log"

    def run(source: str, *arguments: str, timeout_s: float = 60, memory_mb: int = 0) -> str:
        (tmp_path / "child_module.py").write_text(source, encoding="utf-8")
        run_child(
            "child_module", list(arguments), log=log, timeout_s=timeout_s, memory_mb=memory_mb
        )
        return log.read_text(encoding="utf-8")

    return run


def test_everything_a_child_prints_is_in_the_log(child, capfd: pytest.CaptureFixture[str]) -> None:
    said = child(
        "import os, sys\nprint('out', sys.argv[1:])\nos.write(2, b'native')\n"
        "print(sys.stdin.read() == '')",
        "a",
        "b c",
    )
    assert "out ['a', 'b c']" in said
    assert "native" in said
    assert "True" in said
    assert capfd.readouterr() == ("", "")


def test_a_conversion_runs_without_garbage_collection(child) -> None:
    assert child("import gc\nprint(gc.isenabled())") == "False\n"


def test_a_childs_own_error_comes_out_with_its_class_message_and_hint(child) -> None:
    with pytest.raises(CheckpointError, match="not this one") as caught:
        child(
            "from tinyml.core.errors import CheckpointError\n"
            "raise CheckpointError('not this one', hint='take the other')"
        )
    assert caught.value.hint == "take the other"


def test_a_missing_extra_comes_out_as_one(child) -> None:
    with pytest.raises(MissingExtraError) as caught:
        child(
            "from tinyml.core.errors import MissingExtraError\n"
            "raise MissingExtraError('onnx', 'onnx')"
        )
    assert caught.value.extra == "onnx"


def test_any_other_exception_is_a_bug_with_its_traceback_and_the_log(child, tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="ValueError: no such layer") as caught:
        child("raise ValueError('no such layer\\nand a long story')")
    assert str(tmp_path / "child.log") in caught.value.message
    assert 'child_module.py", line 1' in caught.value.trace
    assert caught.value.trace.endswith("ValueError: no such layer\nand a long story\n")
    assert "Traceback" in (tmp_path / "child.log").read_text(encoding="utf-8")


def test_a_child_that_crashes_is_the_machines_fault(child) -> None:
    with pytest.raises(MachineError, match="SIGABRT"):
        child("import os\nos.abort()")


def test_a_child_that_exits_without_a_word_is_told_by_its_last_line(child) -> None:
    with pytest.raises(ExportError, match="loc: failed to legalize"):
        child("import os\nprint('loc: failed to legalize', flush=True)\nos._exit(3)")


def test_a_child_that_hangs_is_killed_with_its_own_children(child, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    source = (
        "import subprocess, time\n"
        "inner = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(pid)!r}, 'w').write(str(inner.pid))\n"
        "time.sleep(600)"
    )
    with pytest.raises(MachineError, match="did not finish within 2 s"):
        child(source, timeout_s=2)
    assert_gone(int(pid.read_text()))


def test_a_child_above_its_memory_limit_is_the_machines_fault(child) -> None:
    with pytest.raises(MachineError, match="out of memory: it may use 256 MB") as caught:
        child("bytearray(1 << 30)", memory_mb=256)
    assert "`memory_mb`" in caught.value.hint


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    bytearray(1 << 30)\nexcept MemoryError as error:\n"
        "    raise tinyml.core.errors.ExportError('the converter failed') from error",
        "raise RuntimeError('DefaultCPUAllocator: can\\'t allocate memory: you tried')",
        "print('terminate called after throwing an instance of std::bad_alloc', flush=True)\n"
        "import os\nos.abort()",
    ],
    ids=["behind another error", "torch's allocator", "C++"],
)
def test_a_lack_of_memory_is_told_whoever_reports_it(child, source: str) -> None:
    with pytest.raises(MachineError, match="out of memory: it may use 256 MB"):
        child(f"import tinyml.core.errors\n{source}", memory_mb=256)


def test_an_error_raised_from_itself_is_told_at_once(child) -> None:
    source = (
        "from tinyml.core.errors import ExportError\n"
        "error = ExportError('no format has it')\n"
        "try:\n    raise error\nexcept ExportError:\n    raise error from error"
    )
    with pytest.raises(ExportError, match="no format has it"):
        child(source)


def test_a_child_and_whatever_it_started_die_with_its_parent(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    (tmp_path / "sleeper.py").write_text(
        "import os, subprocess, time\n"
        "inner = subprocess.Popen(['sleep', '600'])\n"
        "forked = os.fork() or time.sleep(600)\n"
        f"open({str(pid)!r} + '-', 'w').write(f'{{os.getpid()}} {{inner.pid}} {{forked}}')\n"
        f"os.rename({str(pid)!r} + '-', {str(pid)!r})\n"
        "time.sleep(600)"
    )
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from pathlib import Path; from tinyml.core.subprocesses import run_child; "
            f"run_child('sleeper', [], log=Path({str(tmp_path / 'log')!r}), timeout_s=600)",
        ],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    try:
        wait_for(pid.exists)
    finally:
        parent.kill()
        parent.wait()
    for number in pid.read_text().split():
        assert_gone(int(number))


def test_what_a_child_leaves_behind_goes_with_it(child, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    child(
        "import subprocess\n"
        "inner = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(pid)!r}, 'w').write(str(inner.pid))"
    )
    assert_gone(int(pid.read_text()))


def test_the_last_line_skips_tracebacks_and_native_loggers(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("real cause\n  File x\nI0000 00:00 native.cc:1] bye\n(00:01) [ DONE] step\n")
    assert last_line(log) == "real cause"


def test_a_childs_temporary_files_go_with_it(child) -> None:
    made = Path(child("import tempfile\nprint(tempfile.mkdtemp())").strip())
    assert made.parent.name.startswith("tinyml-child-")
    assert not made.parent.exists()
