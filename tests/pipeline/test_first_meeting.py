"""A file that kills its runtime kills a child, and its user reads one line."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tinyml.errors import InputError
from tinyml.pipeline.answers.engines import runtime_of
from tinyml.pipeline.assert_parity import assert_parity
from tinyml.pipeline.bench import bench
from tinyml.pipeline.compare import compare
from tinyml.pipeline.comparison.latency import Timing
from tinyml.pipeline.inspect import inspect
from tinyml.pipeline.predict import predict
from tinyml.pipeline.verify import verify
from tinyml.runtimes import first_meeting, in_child
from tinyml.runtimes.file_tflite import import_schema, write_tflite

RUNTIME = """
import os, signal, sys, time
from pathlib import Path
from tinyml.errors import InputError

class Deadly:
    def open(self, path, threads=1):
        word = path.read_text()
        with open(path.with_suffix(".met"), "a") as met:
            met.write(f"{os.getpid()}\\n")
        if word == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        if word == "sleep":
            time.sleep(60)
        if word == "memory":
            return bytearray(1 << 50)
        raise InputError(f"{path}: deadly refuses it: {word}", hint="a hint")

DEADLY = Deadly()
"""


@pytest.fixture
def deadly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A runtime that does what the file says."""
    (tmp_path / "deadly_runtime.py").write_text(RUNTIME, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "deadly_runtime:DEADLY"


@pytest.mark.parametrize(
    ("word", "match"),
    [
        ("segfault", r"m\.bin: deadly was killed by it \(SIGSEGV\)"),
        ("memory", r"m\.bin: deadly ended 1: MemoryError"),
        ("bad magic", r"m\.bin: deadly refuses it: bad magic"),
    ],
)
def test_a_death_in_the_child_is_one_line_of_bad_input(
    tmp_path: Path, deadly: str, word: str, match: str
) -> None:
    path = tmp_path / "m.bin"
    path.write_text(word, encoding="utf-8")
    with pytest.raises(InputError, match=match) as caught:
        first_meeting.meet(path, "deadly", deadly)
    assert caught.value.exit_code == 3
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_a_file_that_its_runtime_does_not_end_on_is_given_up(
    tmp_path: Path, deadly: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_meeting, "SECONDS", 1.0)
    path = tmp_path / "m.bin"
    path.write_text("sleep", encoding="utf-8")
    with pytest.raises(InputError, match="deadly did not end within 1 s"):
        first_meeting.meet(path, "deadly", deadly)


def test_nothing_in_the_current_folder_is_imported_by_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("open('imported', 'w').close()", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    with pytest.raises(InputError):
        in_child.run(
            "tinyml.runtimes.first_meeting",
            [str(tmp_path / "none.tflite"), "tinyml.runtimes.litert:LITERT", "outside"],
            tmp_path / "none.tflite",
            "litert",
            in_child.Limits(60.0, 8192),
        )
    assert not (tmp_path / "imported").exists()


def test_a_child_does_not_outlive_whoever_started_it(tmp_path: Path, deadly: str) -> None:
    path = tmp_path / "m.bin"
    path.write_text("sleep", encoding="utf-8")
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from tinyml.runtimes import first_meeting\n"
        "first_meeting.meet(Path(sys.argv[2]), 'deadly', sys.argv[3])"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(path), deadly])
    met = path.with_suffix(".met")
    wait_until(lambda: met.is_file() and met.read_text().endswith("\n"))
    parent.kill()
    parent.wait()
    child = Path("/proc", met.read_text().strip())
    wait_until(lambda: not child.exists() or "Z" in (child / "stat").read_text().split()[2])


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 30.0
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


def quiet(_: object) -> None:
    """Nobody listens."""


def refuse(path: Path, *_: object, **__: object) -> None:
    raise InputError(f"met {path.name}")


USES_OF_A_FILE: dict[str, Callable[[Path], object]] = {
    "bench": lambda path: bench(path, repeats=1, runs=1, threads=1, out=None, report=quiet),
    "assert_parity": lambda path: assert_parity(path, {}, {}),
}
USES_OF_A_BUNDLE: dict[str, Callable[[Path], object]] = {
    "compare": lambda path: compare(path, path, Timing(5, 1, 1), quiet),
    "predict": lambda path: predict(path, [path / "none.wav"], plot=None, runtime=None),
    "verify": lambda path: verify(path, quiet),
    "bench": lambda path: bench(path, repeats=1, runs=1, threads=1, out=None, report=quiet),
    "assert_parity": lambda path: assert_parity(path, {}, {}),
}


@pytest.mark.parametrize("use", USES_OF_A_FILE)
def test_every_use_of_a_strangers_file_meets_it_in_a_child_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"\0" * 8)
    monkeypatch.setattr(first_meeting, "meet", refuse)
    monkeypatch.setattr(type(runtime_of(path)), "open", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(InputError, match=r"met m\.tflite"):
        USES_OF_A_FILE[use](path)


@pytest.mark.parametrize("use", USES_OF_A_BUNDLE)
def test_every_use_of_a_bundle_meets_its_files_in_a_child_first(
    small_bundle: Path, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    monkeypatch.setattr(first_meeting, "meet", refuse)
    with pytest.raises(InputError, match="met funnelnet"):
        USES_OF_A_BUNDLE[use](small_bundle)


def branch_into_itself(path: Path) -> Path:
    """IF whose branches are the graph that it is in: LiteRT 2.3 prepares it without an end."""
    schema = import_schema()
    model, graph, code = schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT()
    operator, options = schema.OperatorT(), schema.IfOptionsT()
    model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
    graph.tensors = []
    for name in ("c", "y"):
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.shape = name, schema.TensorType.BOOL, [1]
        graph.tensors.append(tensor)
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.IF
    options.thenSubgraphIndex = options.elseSubgraphIndex = 0
    operator.inputs, operator.outputs = [0, 0], [1]
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.IfOptions, options
    model.operatorCodes, graph.operators = [code], [operator]
    graph.inputs, graph.outputs = [0], [1]
    write_tflite(path, model)
    return path


def test_a_file_that_kills_litert_is_inspected_here_and_timed_nowhere(
    tmp_path: Path, cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    path = branch_into_itself(tmp_path / "recursive.tflite")
    found = inspect(path)
    assert found["ops"] == {"IF": 1}
    death = f"{path}: litert was killed by it (SIGSEGV)"
    assert found["delegation"] == {"note": f"not measured: {death}"}
    done = cli("bench", path)
    assert done.returncode == 3
    assert done.stdout == ""
    assert death in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
