"""What ``benchmark_model`` prints, as TensorFlow Lite's and LiteRT's builds of it do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinyml.core.averages import AverageProcess
from tinyml.core.errors import DeviceError, InputError
from tinyml.core.timing_plan import FULL, TimingPlan
from tinyml.device.benchmark_model import arguments, check_program, read_output
from tinyml.device.link import CommandResult

# TensorFlow Lite 2.x, also with the prefix of later ones, and without percentiles in earlier ones.
TENSORFLOW = """STARTING!
Log parameter values verbosely: [0]
Num threads: [4]
Graph: [/data/local/tmp/net.tflite]
Loaded model /data/local/tmp/net.tflite
The input model file size (MB): 16.9008
Initialized session in 17.187ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150
count=1 curr=3512391

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150
count=50 first=2990275 curr=2913402 min=2727568 max=3189954 avg=2.95034e+06 std=109798

Inference timings in us: Init: 17187, First inference: 3512391, Warmup (avg): 3.51239e+06, \
Inference (avg): 2.95034e+06
"""
LITERT = """INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
INFO: The input model file size (MB): 0.229746
INFO: Initialized session in 5.757ms.
INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate
INFO: count=526 first=2125 curr=969 min=910 max=2125 avg=949.861 std=68 p5=915 median=939 p95=990

INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate
INFO: count=1054 first=1015 curr=942 min=910 max=1102 avg=947.132 std=23 p5=915 median=942 p95=991

INFO: [./litert/tools/benchmark_litert_model.h:72]
========== BENCHMARK RESULTS ==========
INFO: [./litert/tools/benchmark_litert_model.h:73] Model initialization: 5.76 ms
INFO: [./litert/tools/benchmark_litert_model.h:79] Inference (avg):      0.95 ms (1054 runs)
"""


def read(
    stdout: str, stderr: str = "", code: int = 0, delegate: str | None = None
) -> AverageProcess:
    return read_output(CommandResult(code, stdout, stderr), "net, whole, litert", delegate=delegate)


def test_tensorflows_build_is_read() -> None:
    assert read(TENSORFLOW) == AverageProcess(
        calls=50,
        mean_ns=2_950_340_000.0,
        min_ns=2_727_568_000,
        max_ns=3_189_954_000,
        std_ns=109_798_000,
        load_ns=17_187_000,
        first_ns=3_512_391_000,
        warmups=1,
    )


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_litert_s_build_is_read_from_either_stream(ending: str) -> None:
    found = read("", LITERT.replace("\n", ending))
    assert found == read(LITERT)
    assert (found.calls, found.mean_ns, found.median_ns) == (1054, 947_132.0, 942_000)
    assert (found.load_ns, found.first_ns, found.warmups) == (5_757_000, 2_125_000, 526)


def test_equal_calls_have_one_time() -> None:
    found = read("count=1 curr=9\n\ncount=20 curr=3(all same) p5=3 median=3 p95=3\n")
    assert (found.calls, found.mean_ns, found.min_ns, found.max_ns) == (20, 3000.0, 3000, 3000)
    assert (found.std_ns, found.first_ns, found.load_ns) == (0, 9000, None)


@pytest.mark.parametrize(
    ("code", "stdout", "stderr", "message"),
    [
        (139, "", "Segmentation fault\n", r"was killed by signal 11 \(SIGSEGV\)"),
        (-9, "", "", r"was killed by signal 9 \(SIGKILL\)"),
        (132, "", "", r"was killed by signal 4 \(SIGILL\)"),
        (
            1,
            "INFO: STARTING!\n",
            "ERROR: Failed to load model net.tflite\nERROR: Benchmarking failed.\n",
            "benchmark_model ended 1: Failed to load model net.tflite",
        ),
        (126, "", "sh: ./benchmark_model: Permission denied\n", "ended 126: .*Permission denied"),
        (0, "", "", "printed 0 lines of statistics, not 2"),
        (0, "count=5 curr=3(all same)\n", "", "printed 1 lines of statistics"),
    ],
)
def test_what_else_a_process_leaves_names_the_job(
    code: int, stdout: str, stderr: str, message: str
) -> None:
    with pytest.raises(DeviceError, match=f"^net, whole, litert: .*{message}"):
        read(stdout, stderr, code)


def test_a_build_that_cannot_switch_xnnpack_off_is_refused_where_that_is_asked() -> None:
    text = f"WARN: Unconsumed cmdline flags: --use_xnnpack=false\n{LITERT}"
    assert read(text) == read(LITERT)
    with pytest.raises(DeviceError, match="cannot switch XNNPACK off"):
        read(text, delegate="none")


def test_the_plan_becomes_options() -> None:
    given = arguments("/t/benchmark_model", "/t/net", FULL, threads=2, delegate=None, cpu=None)
    assert given == [
        "/t/benchmark_model",
        "--graph=/t/net",
        "--num_threads=2",
        "--warmup_runs=1",
        "--num_runs=100",
        "--min_secs=0.5",
        "--max_secs=10.0",
        "--use_xnnpack=true",
    ]
    paced = TimingPlan(period_s=0.1, between="sleep", warmups=5)
    given = arguments("tool", "net", paced, threads=1, delegate="none", cpu=6)
    assert given[:3] == ["taskset", "40", "tool"]
    assert {"--run_frequency=10.0", "--warmup_runs=5", "--use_xnnpack=false"} < set(given)


def elf(path: Path, machine: int) -> Path:
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(11) + machine.to_bytes(2, "little"))
    return path


def test_a_program_for_another_cpu_is_refused_before_it_is_pushed(tmp_path: Path) -> None:
    program = elf(tmp_path / "benchmark_model", 183)
    check_program(program, "arm64-v8a")
    check_program(program, None)
    with pytest.raises(InputError, match=r"is built for arm64-v8a, and the phone is armeabi-v7a"):
        check_program(program, "armeabi-v7a")
    with pytest.raises(InputError, match="is built for machine 243"):
        check_program(elf(tmp_path / "riscv", 243), "arm64-v8a")


def test_an_app_and_a_missing_file_are_named(tmp_path: Path) -> None:
    app = tmp_path / "android_aarch64_benchmark_model.apk"
    app.write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match=r"not a program for Android: an \.apk is an app") as got:
        check_program(app, "arm64-v8a")
    assert "the program has no suffix" in got.value.hint
    for wrong in (tmp_path / "gone", tmp_path):
        with pytest.raises(InputError, match="no such file, or an empty one"):
            check_program(wrong, "arm64-v8a")
