"""A third-party file is opened in a child process only: one that kills its reader is one line."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from processes import wait_for

from tinyml.core.errors import InputError
from tinyml.modelfile.tflite_file import import_schema, write_tflite
from tinyml.pipeline.inspect import inspect
from tinyml.runtimes import file_session
from tinyml.runtimes.file_session import ChildRuntime

RUNTIME = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from tinyml.core.errors import InputError
from tinyml.core.spec import Signature, TensorSpec

class Sum:
    signature = Signature((TensorSpec("x", (2, 3)),), (TensorSpec("total", ()),))
    precision = "float32"

    def run(self, inputs):
        print("noise on stdout", flush=True)
        os.write(1, b"native noise")
        return {"total": inputs["x"].sum(dtype=np.float32)}

class Deadly:
    def reader(self, path, names):
        known = {"empty": np.zeros((0, 3)), "words": np.array(["a"], object)}
        return lambda inputs: {name: known[name] for name in names}

    def open(self, path, threads=1):
        word = path.read_text()
        with open(path.with_suffix(".met"), "a") as met:
            met.write(f"{os.getpid()}\\n")
        if word == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        if word == "sleep":
            time.sleep(60)
        if word == "exit":
            os._exit(0)
        if word == "sum":
            return Sum()
        if word == "name":
            odd = Sum()
            odd.signature = Signature((TensorSpec("\\udc80", ()),), Sum.signature.outputs)
            return odd
        if word == "memory":
            return bytearray(1 << 50)
        raise InputError(f"{path}: deadly refuses it: {word}", hint="a hint")

DEADLY = Deadly()
"""


@dataclass(frozen=True)
class Deadly:
    """This side of the runtime: it must never open a file."""

    name: str = "deadly"
    formats: tuple[str, ...] = ("bin",)

    def version(self) -> str:
        return "1"

    def open(self, path: Path, *, threads: int = 1) -> Any:
        raise AssertionError(f"{path} is opened here")

    def reader(self, path: Path, names: object) -> Any:
        raise AssertionError(f"{path} is read here")

    read_tensors: Any = None


@pytest.fixture
def deadly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ChildRuntime:
    """A runtime that does what the file says."""
    (tmp_path / "deadly_runtime.py").write_text(RUNTIME, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return ChildRuntime(Deadly(), "deadly_runtime:DEADLY")


@pytest.mark.parametrize(
    ("word", "match"),
    [
        ("segfault", r"m\.bin: deadly was killed by signal 11 \(SIGSEGV\)"),
        ("memory", r"m\.bin: deadly ran out of memory: it may use [\d,]+ MB"),
        ("name", r"m\.bin: deadly gave an incomplete result: .* not valid Unicode"),
        ("exit", r"m\.bin: deadly failed: it ended without a message"),
        ("bad magic", r"m\.bin: deadly refuses it: bad magic"),
    ],
)
def test_a_death_in_the_child_is_one_line_of_bad_input(
    tmp_path: Path, deadly: ChildRuntime, word: str, match: str
) -> None:
    path = tmp_path / "m.bin"
    path.write_text(word, encoding="utf-8")
    with pytest.raises(InputError, match=match) as caught:
        deadly.open(path)
    assert caught.value.exit_code == 3
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_a_file_that_its_runtime_does_not_end_on_is_given_up(
    tmp_path: Path, deadly: ChildRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_session, "SECONDS", 1.0)
    path = tmp_path / "m.bin"
    path.write_text("sleep", encoding="utf-8")
    with pytest.raises(InputError, match="deadly did not finish within 1 s"):
        deadly.open(path)


def test_a_child_does_not_outlive_whoever_started_it(tmp_path: Path, deadly: ChildRuntime) -> None:
    path = tmp_path / "m.bin"
    path.write_text("sleep", encoding="utf-8")
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from deadly_runtime import DEADLY\n"
        "from tinyml.runtimes.file_session import ChildRuntime\n"
        "DEADLY.name = 'deadly'\n"
        "ChildRuntime(DEADLY, sys.argv[3]).open(Path(sys.argv[2]))"
    )
    arguments = [str(tmp_path), str(path), deadly.row]
    parent = subprocess.Popen([sys.executable, "-c", code, *arguments])
    met = path.with_suffix(".met")
    wait_for(lambda: met.is_file() and met.read_text().endswith("\n"))
    parent.kill()
    parent.wait()
    child = Path("/proc", met.read_text().strip())
    wait_for(lambda: not child.exists() or "Z" in (child / "stat").read_text().split()[2])


def test_a_child_ends_with_its_runtime_and_a_failed_one_is_started_again(
    tmp_path: Path, deadly: ChildRuntime
) -> None:
    path = tmp_path / "m.bin"
    path.write_text("sum", encoding="utf-8")
    session = deadly.open(path)
    assert session.signature.inputs[0].shape == (2, 3)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    total = session.run({"x": x})["total"]
    assert total.shape == ()
    assert total == 15
    with pytest.raises(InputError, match="takes float32"):
        session.run({"x": x.astype(np.float64)})
    assert not deadly.read_tensors(path, ["empty"], {"x": x})["empty"].size
    with pytest.raises(InputError, match="'words' is object: not numbers"):
        deadly.read_tensors(path, ["words"], {"x": x})
    assert session.run({"x": x})["total"] == 15
    pids = path.with_suffix(".met").read_text().split()
    assert len(pids) == 2
    del session
    deadly.children.clear()
    gc.collect()
    wait_for(lambda: not any(Path("/proc", pid).exists() for pid in pids))


VERBS = """
import sys
from pathlib import Path
import numpy as np
from tinyml.core import bundle as bundles
from tinyml.core.timing_plan import TimingPlan
from tinyml.pipeline import bench, compare, evaluate, inspect, inspect_sparse, predict, verify
from tinyml.pipeline.assert_parity import assert_parity
from tinyml.pipeline.outputs import reference
from tinyml.pipeline.timing import Timing
bundle, wav, out = map(Path, sys.argv[1:])
quiet = lambda event: None
timing = Timing(1, TimingPlan(min_samples=1, min_time_s=0.0, warmups=1))
files = [bundle / "funnelnet-fp32.onnx", bundle / "funnelnet-fp32.tflite"]
known = reference.load(bundle / "reference.safetensors")
case = next(iter(known.inputs))
for file in files:
    inspect.inspect(file)
    assert_parity(file, known.outputs[case], known.inputs[case])
    bench.bench(file, timing=timing, out=out, report=quiet)
inspect.inspect(bundle)
inspect_sparse.inspect_sparse(bundle, "rpi4")
compare.compare(bundle, files[0], timing, quiet)
bench.bench(bundle, timing=timing, out=out, report=quiet)
verify.verify(bundle, quiet)
predict.predict(bundle, [wav], plot=None, runtime=None)
evaluate.evaluate(bundle, part="validation", data=None, runtime=None, report=quiet)
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted(loaded & {"onnx", "onnxruntime", "ai_edge_litert", "flatbuffers", "tflite_runtime"}))
"""


def test_no_verb_reads_a_given_model_file_in_its_own_process(
    small_bundle: Path, tmp_path: Path
) -> None:
    """What could read one is not even imported there."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(30_000)
    soundfile.write(tmp_path / "a.wav", noise, 4000, subtype="PCM_16")
    arguments = [str(small_bundle), str(tmp_path / "a.wav"), str(tmp_path / "b.json")]
    command = [sys.executable, "-c", VERBS, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


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
    death = f"{path}: litert was killed by signal 11 (SIGSEGV)"
    assert found["delegation"] == {"note": f"not measured: {death}"}
    done = cli("bench", path)
    assert done.returncode == 3
    assert done.stdout == ""
    assert death in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
