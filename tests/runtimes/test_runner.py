from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sources import imports

from tinyml.core.files import sha256
from tinyml.core.machine_state import MachineState
from tinyml.core.tolerance import POLICIES
from tinyml.core.typed_json import from_json
from tinyml.runtimes.litert import LITERT
from tinyml.runtimes.ort import ONNXRUNTIME
from tinyml.runtimes.runner import machine, timing
from tinyml.runtimes.runner.engines import import_runtime
from tinyml.runtimes.runner.errors import RunnerError
from tinyml.runtimes.runner.main import parse, pin
from tinyml.runtimes.runner.timing import Caller
from tinyml.runtimes.runner_archive import FOLDER, write_archive

Run = Callable[..., tuple[int, dict[str, Any]]]

ALLOWED = {"numpy", "ai_edge_litert", "tflite_runtime", "onnxruntime", "openvino", "tinyml"}
MODULES = sorted(FOLDER.glob("*.py"))
SHORT = ("--warmup", 1, "--min-time", 0)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one file that is pushed."""
    path = tmp_path_factory.mktemp("runner") / "runner.zip"
    write_archive(path)
    return path


@pytest.fixture
def run(archive: Path) -> Run:
    return lambda *arguments: started(archive, *arguments)


def started(archive: Path, *arguments: object) -> tuple[int, dict[str, Any]]:
    """Exit code and the one line that the runner prints; nothing of ours is installed there."""
    command = [sys.executable, "-I", str(archive), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done.stdout + done.stderr
    return done.returncode, json.loads(lines[0])


def save(folder: Path, arrays: dict[str, Any]) -> Path:
    np.savez(folder / "in.npz", **arrays)
    return folder / "in.npz"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_is_written_in_the_language_of_python_3_9(module: Path) -> None:
    tree = ast.parse(module.read_text(), feature_version=(3, 9))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    keywords = {word.arg for call in calls for word in call.keywords}
    assert not {"strict", "slots", "kw_only"} & keywords
    if imports := [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]:
        assert ast.unparse(imports[0]) == "from __future__ import annotations"
    annotations = {id(sub) for node in ast.walk(tree) for sub in _annotation_nodes(node)}
    unions = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)
    ]
    assert all(id(union) in annotations for union in unions)


def _annotation_nodes(node: ast.AST) -> list[ast.AST]:
    parts = [getattr(node, "annotation", None), getattr(node, "returns", None)]
    return [sub for part in parts if isinstance(part, ast.AST) for sub in ast.walk(part)]


def test_imports_numpy_and_the_runtimes_only() -> None:
    names = {name for module in MODULES for name in imports(ast.parse(module.read_text()))}
    own = {name for name in names if name.startswith("tinyml")}
    assert all(name.startswith("tinyml.runtimes.runner.") for name in own)
    found = {name.partition(".")[0] for name in names}
    assert found - set(sys.stdlib_module_names) == ALLOWED


def test_times_an_onnx_file_and_keeps_its_answers(
    run: Run, onnx_file: Path, onnx_inputs: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out.npz"
    arguments = ("--runtime", "onnxruntime", "--inputs", save(tmp_path, onnx_inputs))
    code, line = run(onnx_file, *arguments, "--outputs", out, "--runs", 7, *SHORT)
    assert code == 0
    assert line["model_sha256"] == sha256(onnx_file)
    assert (len(line["samples_ns"]), line["calls"], line["warmups"]) == (7, 7, 1)
    assert min(*line["samples_ns"], *line["cpu_ns"]) > 0
    assert len(line["cpu_ns"]) == 7
    assert sum(line["samples_ns"]) <= line["elapsed_ns"]
    before, after = (from_json(MachineState, line[name]) for name in ("before", "after"))
    assert before.run_queue_ns is not None
    assert after.run_queue_ns is not None
    assert before.run_queue_ns <= after.run_queue_ns
    assert line["load_ns"] > line["samples_ns"][-1]
    assert 10_000 < line["peak_rss_kb"] < 500_000
    assert line["machine"]["numpy"] == np.__version__
    want = ONNXRUNTIME.open(onnx_file).run(onnx_inputs)
    with np.load(out) as got:
        assert set(got.files) == set(want)
        assert all(np.array_equal(got[name], want[name]) for name in want)


def test_times_a_tflite_file_by_the_names_of_its_signature(
    run: Run, tflite_file: Path, tflite_inputs: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out.npz"
    arguments = ("--runtime", "litert", "--inputs", save(tmp_path, tflite_inputs))
    code, line = run(tflite_file, *arguments, "--outputs", out, *SHORT)
    assert code == 0
    assert (line["version"], line["delegate"]) == (LITERT.version(), None)
    want = LITERT.open(tflite_file).run(tflite_inputs)
    with np.load(out) as got:
        assert all(POLICIES["bitwise"].accepts(got[name], want[name]) for name in want)


def test_the_delegate_of_litert_can_be_switched_off(
    tflite_file: Path, tflite_inputs: dict[str, Any]
) -> None:
    opener, module, _ = import_runtime("litert")
    usual, without = (opener(module, str(tflite_file), 1, False, own) for own in (None, "none"))
    assert (usual.delegate, without.delegate) == (None, "none")
    want, got = usual.run(tflite_inputs), without.run(tflite_inputs)
    assert all(POLICIES["engine"].accepts(got[name], want[name]) for name in want)
    assert not all(np.array_equal(got[name], want[name]) for name in want)


class Doubling:
    """A model whose calls take ``work``; it keeps what it was given."""

    def __init__(self, work: Callable[[], object] = lambda: None) -> None:
        self.seen: list[int] = []
        self.work = work

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        self.seen.append(int(feeds["count"][0]))
        self.work()
        return {"next": feeds["count"] * 2}


def caller(model: Any, states: dict[str, str] | None = None, threads: int = 1) -> Caller:
    return Caller(model, {"count": np.array([1])}, states or {}, threads)


def options(*more: object) -> Any:
    return parse(["m", "--runtime", "litert", "--inputs", "i", *map(str, more)])


def test_an_output_becomes_the_input_of_the_next_call() -> None:
    model = Doubling()
    feeds = {"count": np.array([1])}
    call = Caller(model, feeds, {"count": "next"}, 1)
    found, first = timing.measure(call, options("--runs", 4, *SHORT))
    assert model.seen == [1, 2, 4, 8, 16, 32]
    assert first["next"] == 2
    assert len(found["samples_ns"]) == 4
    assert feeds["count"] == 1


def test_the_cpu_time_of_a_call_leaves_out_what_it_sleeps() -> None:
    call = caller(Doubling(lambda: time.sleep(0.01)))
    wall, cpu, _ = call()
    assert wall > 9_000_000
    assert cpu < wall / 2
    assert call.cpu_clock is time.thread_time_ns
    assert caller(Doubling(), threads=2).cpu_clock is time.process_time_ns


class Steps:
    """A call whose wall times come from a list, then stay at the last one."""

    def __init__(self, *walls_ms: float) -> None:
        self.walls = list(walls_ms)
        self.now_ns = 0

    def __call__(self) -> tuple[int, int, dict[str, Any]]:
        wall = self.walls.pop(0) if len(self.walls) > 1 else self.walls[0]
        wall_ns = round(wall * 1e6)
        self.now_ns += wall_ns
        return wall_ns, wall_ns, {}


NOW = timing.Pause(None, None)


def on_its_clock(call: Steps, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``call``, and time passes with its calls alone."""
    monkeypatch.setattr(timing.time, "perf_counter_ns", lambda: call.now_ns)
    return call


def test_the_warm_up_ends_when_the_time_of_a_call_is_stable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = on_its_clock(Steps(*[40.0] * 5, *[30.0] * 5, 20.0), monkeypatch)
    assert timing.warm_up(call, None) == (20, True)


def test_a_warm_up_that_does_not_settle_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    call = on_its_clock(Steps(*(1.1**step for step in range(200))), monkeypatch)
    assert timing.warm_up(call, None)[1] is False
    assert 2e9 < call.now_ns < 3e9
    slow = on_its_clock(Steps(3000.0), monkeypatch)
    assert timing.warm_up(slow, None) == (1, False)


@pytest.mark.parametrize(
    ("wall_ms", "calls"),
    [(0.3, 1667), (10.0, 100), (200.0, 50), (20_000.0, 1)],
    ids=["min-time", "runs", "max-time", "one call"],
)
def test_a_process_ends_at_its_samples_and_its_time(
    wall_ms: float, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 samples and 0.5 s, or 10 s."""
    call = on_its_clock(Steps(wall_ms), monkeypatch)
    assert timing.sample(call, options(), NOW)["calls"] == calls


def test_very_many_samples_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    call = on_its_clock(Steps(*(0.01 + step / 1e6 for step in range(30_000))), monkeypatch)
    found = timing.sample(call, options("--runs", 30_000, "--min-time", 0), NOW)
    assert (found["calls"], len(found["samples_ns"])) == (30_000, 7_500)
    assert set(np.diff(found["samples_ns"])) == {4}
    assert len(found["cpu_ns"]) == 7_500


@pytest.mark.parametrize("between", ["sleep", "evict"])
def test_a_pause_is_the_rest_of_a_period(between: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "evicting_bytes", lambda: 1 << 20)
    pause = timing.Pause(0.01, between)
    starts = [pause.last]
    for _ in range(3):
        pause()
        starts.append(pause.last)
    assert min(np.diff(starts)) >= 10_000_000
    assert (pause.memory.max() > 0) if between == "evict" else not pause.memory.size


def test_a_call_that_takes_longer_than_its_period_does_not_make_up_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = on_its_clock(Steps(30.0, 2.0), monkeypatch)

    def sleep(seconds: float) -> None:
        call.now_ns += round(seconds * 1e9)

    monkeypatch.setattr(timing.time, "sleep", sleep)
    found = timing.sample(call, options("--runs", 3, "--min-time", 0), timing.Pause(0.01, "sleep"))
    assert found["elapsed_ns"] == 52_000_000  # Calls at 10, 40 and 50 ms.


@pytest.mark.parametrize(
    ("sizes", "mib"), [((), 32), (("32K", "1024K"), 2), (("48K", "491520K"), 128)]
)
def test_what_evicts_is_larger_than_the_caches(
    sizes: tuple[str, ...], mib: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, size in enumerate(sizes):
        write_files(tmp_path, {f"cpu0/cache/index{place}/size": size})
    monkeypatch.setattr(machine, "CPUS", f"{tmp_path}/")
    assert machine.evicting_bytes() == mib << 20


def test_a_clock_that_is_set_back_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", iter(range(10**9, 0, -3600)).__next__)
    found, _ = timing.measure(caller(Doubling()), options("--runs", 4, *SHORT))
    assert min(found["samples_ns"]) >= 0
    assert found["elapsed_ns"] >= sum(found["samples_ns"])


def test_a_process_is_kept_on_the_core_that_is_asked_for(
    run: Run, onnx_file: Path, onnx_inputs: dict[str, Any], tmp_path: Path
) -> None:
    core = machine.allowed()[-1]
    arguments = ("--runtime", "onnxruntime", "--inputs", save(tmp_path, onnx_inputs))
    _, line = run(onnx_file, *arguments, "--runs", 1, *SHORT, "--cpu", core)
    assert line["machine"]["cores"] == 1
    with pytest.raises(RunnerError, match="--cpu 4096: the cores that may be used here are"):
        pin(4096)


def write_files(folder: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_reads_the_state_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the files of a Raspberry Pi and of a PC."""
    read, find = machine.read_text, machine.glob.glob
    monkeypatch.setattr(machine, "read_text", lambda path: read(f"{tmp_path}{path}"))
    monkeypatch.setattr(
        machine.glob,
        "glob",
        lambda pattern: [own.removeprefix(f"{tmp_path}") for own in find(f"{tmp_path}{pattern}")],
    )
    monkeypatch.setattr(machine, "allowed", lambda: [0, 1])
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    assert from_json(MachineState, machine.state()) == MachineState()
    tick_ns = 10**9 // os.sysconf("SC_CLK_TCK")
    write_files(
        tmp_path,
        {
            "proc/loadavg": "0.50 0.40 0.30 1/200 4711\n",
            "proc/stat": "cpu 0\ncpu0 1 2 3 4 5 6 7 8 9 0\ncpu1 1 2 3 4 5 6 7 3 9 0\n"
            "cpu2 1 2 3 4 5 6 7 99 9 0\n",
            "proc/self/task/1/schedstat": "7 100 1\n",
            "proc/self/task/2/schedstat": "7 11 1\n",
            "proc/pressure/cpu": "some avg10=0.00 total=77\nfull avg10=0.00 total=1\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
            "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "ondemand\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "600000\n",
            "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "1500000\n",
            "sys/class/thermal/thermal_zone0/temp": "48312\n",
            "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "3\n",
        },
    )
    found = from_json(MachineState, machine.state())
    assert found == MachineState(
        0.5, 111, 11 * tick_ns // 2, 77_000, "ondemand", 1_500_000, 48_312, None, 3
    )
    write_files(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n"})
    found = from_json(MachineState, machine.state())
    assert (found.is_throttled, found.throttled) == (True, 5)


def test_runs_a_model_with_its_state_carried(
    run: Run, onnx_file: Path, onnx_inputs: dict[str, Any], tmp_path: Path
) -> None:
    arguments = ("--runtime", "onnxruntime", "--inputs", save(tmp_path, onnx_inputs))
    code, line = run(onnx_file, *arguments, *SHORT, "--state", "h=h_out", "--state", "count=next")
    assert code == 0
    assert len(line["samples_ns"]) == 100
    code, line = run(onnx_file, *arguments, "--state", "h=gone")
    assert code != 0
    assert "gone" in line["error"]


def test_says_in_one_line_what_is_wrong(
    run: Run, onnx_file: Path, onnx_inputs: dict[str, Any], tmp_path: Path
) -> None:
    inputs = save(tmp_path, onnx_inputs)
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no model")
    other = tmp_path / "other.npz"
    np.savez(other, x=onnx_inputs["x"])
    for model, runtime, given, word in (
        (bad, "onnxruntime", inputs, "refuses"),
        (bad, "litert", inputs, "refuses"),
        (tmp_path / "none.onnx", "onnxruntime", inputs, "No such file"),
        (onnx_file, "onnxruntime", bad, "not an .npz"),
        (onnx_file, "onnxruntime", other, "the model takes"),
        (onnx_file, "tflite_runtime", inputs, "cannot be imported"),
    ):
        code, line = run(model, "--runtime", runtime, "--inputs", given, *SHORT)
        assert code == 1
        assert list(line) == ["error"]
        assert word in line["error"]


def test_litert_falls_back_to_its_predecessor(
    archive: Path, tflite_file: Path, tflite_inputs: dict[str, Any], tmp_path: Path
) -> None:
    package = tmp_path / "tflite_runtime"
    package.mkdir()
    (package / "__init__.py").write_text('__version__ = "2.14.0"\n')
    (package / "interpreter.py").write_text("from ai_edge_litert.interpreter import Interpreter\n")
    start = tmp_path / "start.py"
    start.write_text(f"""
import importlib.util, runpy, sys
find = importlib.util.find_spec
hidden = lambda name, *rest: None if name == "ai_edge_litert" else find(name, *rest)
importlib.util.find_spec = hidden
sys.path.insert(0, {str(tmp_path)!r})
runpy.run_path({str(archive)!r}, run_name="__main__")
""")
    inputs = save(tmp_path, tflite_inputs)
    command = [
        sys.executable,
        start,
        tflite_file,
        "--runtime",
        "litert",
        "--inputs",
        inputs,
        *SHORT,
    ]
    done = subprocess.run(
        list(map(str, [*command, *SHORT])), capture_output=True, text=True, check=True
    )
    line = json.loads(done.stdout)
    assert line["version"] == "tflite-runtime 2.14.0"
    assert line["samples_ns"]


def test_hashing_a_file_neither_holds_it_nor_misses_a_name(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as stream:
        stream.write(b"x" * ((1 << 16) - 3) + b"QuantizeLinear")  # across two pieces
        stream.truncate(200 << 20)
    code = (
        "import json; from tinyml.runtimes.runner.main import read_file\n"
        "from tinyml.runtimes.runner.machine import peak_rss_kb\n"
        f"before = peak_rss_kb(); found = read_file({str(path)!r})\n"
        "print(json.dumps([*found, peak_rss_kb() - before]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    digest, rounds, grown_kb = json.loads(done.stdout)
    assert digest == sha256(path)
    assert rounds
    assert grown_kb < 20_000


def test_the_clock_of_loading_starts_after_the_file_was_searched() -> None:
    """Both runtimes are timed from the same place: what opens the model reads no file itself."""
    tree = ast.parse((FOLDER / "engines.py").read_text())
    openers = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert {node.name for node in openers} == {"LiteRtModel", "OrtModel"}
    called = {ast.unparse(n.func) for o in openers for n in ast.walk(o) if isinstance(n, ast.Call)}
    assert not {"open", "read_file", "read_text"} & called


def test_does_not_count_the_memory_of_a_large_parent(
    run: Run, onnx_file: Path, onnx_inputs: dict[str, Any], tmp_path: Path
) -> None:
    ballast = np.ones(80_000_000)
    arguments = ("--runtime", "onnxruntime", "--inputs", save(tmp_path, onnx_inputs))
    _, line = run(onnx_file, *arguments, "--runs", 1, *SHORT)
    assert line["peak_rss_kb"] * 1024 < ballast.nbytes / 2
