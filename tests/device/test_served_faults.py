"""A model that computes on a board over ssh, and every way in which that ends early."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import stand_in
from boards import ssh_server
from device_faults import When, record
from processes import assert_gone, wait_for
from relu_file import SIGNATURE

from tinyml.core.device import Device
from tinyml.core.errors import DeviceError, ValidationError
from tinyml.core.spec import Arrays
from tinyml.device import served_model
from tinyml.device.link_runtime import LinkRuntime
from tinyml.device.runner_command import push_runner
from tinyml.device.ssh import open_link
from tinyml.runtimes.ort import ONNXRUNTIME

X: Arrays = {"x": np.full(4, 2, np.float32)}
VERBS = "verify, predict or eval"
NOTHING, KEPT = "nothing", "of eval the outputs so far: it continues"


@contextmanager
def runtime_on(device: Device) -> Iterator[LinkRuntime]:
    """ONNX Runtime on ``device``, where nothing is left of it."""
    with open_link(device) as link:
        folder = Path(link.folder)
        with closing(LinkRuntime(ONNXRUNTIME, link, push_runner(link), SIGNATURE)) as runtime:
            yield runtime
    wait_for(lambda: not folder.exists())


def computed(runtime: LinkRuntime, model: Path) -> list[float]:
    values: list[float] = runtime.open(model).run(X)["y"].tolist()
    return values


def assert_recorded(when: When, fault: str, device: Device, model: Path) -> None:
    """One call of ``model`` fails, and nothing of it is left on the board."""
    with runtime_on(device) as runtime, pytest.raises(DeviceError) as caught:
        computed(runtime, model)
    kept = KEPT if when == "while a model runs" else NOTHING
    record(when, f"{fault}, in {VERBS}", caught.value, board=NOTHING, host=kept)


def test_it_computes_there(ssh_device: Device, relu: Path) -> None:
    with runtime_on(ssh_device) as runtime:
        assert computed(runtime, relu) == [2] * 4


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("the process is killed", "os.kill(os.getpid(), signal.SIGKILL)"),
        ("a segmentation fault", "os.kill(os.getpid(), signal.SIGSEGV)"),
    ],
)
def test_a_signal_there(
    ssh_device: Device, relu: Path, tmp_path: Path, fault: str, code: str
) -> None:
    python = stand_in.at_request(tmp_path / "python", 0, code)
    assert_recorded("while a model runs", fault, replace(ssh_device, python=python), relu)


def test_a_model_that_hangs(
    ssh_device: Device, relu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = tmp_path / "pid"
    code = f"open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    python = stand_in.at_request(tmp_path / "python", 0, code)
    with runtime_on(replace(ssh_device, python=python)) as runtime:
        session = runtime.open(relu)
        monkeypatch.setattr(served_model, "TIMEOUT_S", 1.0)
        with pytest.raises(DeviceError) as caught:
            session.run(X)
    assert_gone(int(pid.read_text()))
    fault = f"a model that hangs, in {VERBS}"
    names = {"1 s": "600 s"}
    record("while a model runs", fault, caught.value, board=NOTHING, host=KEPT, names=names)


@pytest.mark.parametrize(
    ("fault", "script"),
    [
        ("a start file of the shell prints", "echo Welcome; exec sleep 600"),
        ("output without end", "exec yes"),
    ],
)
def test_something_else_comes(
    ssh_device: Device, relu: Path, tmp_path: Path, fault: str, script: str
) -> None:
    python = stand_in.shell(tmp_path / "python", script)
    assert_recorded("while a model runs", fault, replace(ssh_device, python=python), relu)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("Python 3.7", "import sys; sys.version_info = (3, 7, 3)"),
        ("the runtime is not installed", stand_in.hiding("onnxruntime")),
    ],
)
def test_what_is_missing_there(
    ssh_device: Device, relu: Path, tmp_path: Path, fault: str, code: str
) -> None:
    python = stand_in.python_after(tmp_path / "python", code)
    assert_recorded("preparing the board", fault, replace(ssh_device, python=python), relu)


def test_no_python(ssh_device: Device, relu: Path) -> None:
    device = replace(ssh_device, python="/usr/bin/no-python3")
    assert_recorded("preparing the board", "no Python", device, relu)


def test_a_runner_that_was_changed_there(ssh_device: Device, relu: Path) -> None:
    with runtime_on(ssh_device) as runtime:
        with Path(runtime.runner.path).open("ab") as stream:
            stream.write(b"more")
        with pytest.raises(ValidationError) as caught:
            computed(runtime, relu)
        names = {runtime.link.folder: "FOLDER"}
    fault = f"the runner is changed there, in {VERBS}"
    record("copying files", fault, caught.value, board=NOTHING, host=NOTHING, names=names)


def test_a_lost_connection(tmp_path: Path, relu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ssh").mkdir()
    with ssh_server(tmp_path / "ssh") as server, runtime_on(server.use(monkeypatch)) as runtime:
        session = runtime.open(relu)
        server.process.kill()
        with pytest.raises(DeviceError) as caught:
            session.run(X)
    fault = f"the connection is lost, in {VERBS}"
    record("while a model runs", fault, caught.value, board=NOTHING, host=KEPT)
