"""``tinyml doctor`` tells missing from broken, and what that means for each command."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinyml.core.process import control_group_mb
from tinyml.core.versions import Requirement
from tinyml.pipeline import doctor, machine
from tinyml.pipeline.import_check import import_errors, modules_of

Cli = Callable[..., Any]
INSTALLED = {"numpy": "2.1.0", "torch": "2.13.0", "torchao": "0.18.1", "onnxruntime": "1.32.0"}
NEEDED = (
    Requirement("core", "numpy", ">=2.0"),
    Requirement("train", "torch", ">=2.13,<2.14"),
    Requirement("onnx", "onnxruntime", ">=1.23"),
    Requirement("onnx", "torch", ">=2.13,<2.14"),
    Requirement("onnx", "onnxscript", ">=0.7"),
    Requirement("tflite", "litert-torch", ">=0.10", "sparc64"),
    Requirement("qat", "torch", ">=2.13,<2.14"),
    Requirement("qat", "torchao", ">=0.18,<0.19"),
)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the versions that are installed and what cannot be imported."""

    def be(errors: dict[str, str] | None = None, **installed: str) -> None:
        found = {**INSTALLED, **installed}
        monkeypatch.setattr(doctor, "requirements", lambda: NEEDED)
        monkeypatch.setattr(doctor, "version_of", found.get)
        monkeypatch.setattr(doctor, "import_errors", lambda packages: errors or {})

    return be


def works(found: doctor.Diagnosis) -> dict[str, str]:
    return {own.what: "yes" if own.works else own.because for own in found.works}


def test_a_missing_extra_is_no_fault_and_named_with_what_installs_it(
    here: Callable[..., None], cli: Cli
) -> None:
    here()
    found = doctor.diagnose()
    assert found.broken == ()
    assert found.hints == ("onnx: pip install 'tinyml-deploy[onnx]'",)
    assert works(found)["train, prune"] == works(found)["train --qat"] == "yes"
    assert works(found)["export .onnx"] == "onnxscript is not installed"
    assert works(found)["verify, bench .onnx"] == "yes"
    assert works(found)["export .tflite"] == "litert-torch has no package for this CPU"
    done = cli("doctor")
    assert done.returncode == 0
    assert "export .onnx           no     onnxscript is not installed" in done.stdout


@pytest.mark.parametrize(
    ("errors", "installed", "why"),
    [
        ({"torchao": "ImportError: no symbol"}, {}, "torchao is broken: ImportError: no symbol"),
        ({}, {"torchao": "0.19"}, "torchao is broken: version 0.19, needed: >=0.18,<0.19"),
    ],
)
def test_what_is_broken_ends_with_exit_code_1(
    here: Callable[..., None], cli: Cli, errors: dict[str, str], installed: dict[str, str], why: str
) -> None:
    here(errors, **installed)
    done = cli("doctor", "--json")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: broken on this machine: {why}\n")
    found = json.loads(done.stdout)
    fix = "pip install --force-reinstall 'torchao>=0.18,<0.19'"
    assert found["broken"] == [{"what": why, "fix": fix}]
    assert f"hint: {fix}\n" in done.stderr
    rows = {own["what"]: own["because"] for own in found["works"] if not own["works"]}
    assert rows["train --qat"] == why


def test_a_folder_that_cannot_be_written_to_is_broken(
    here: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    (found,) = doctor.diagnose().broken
    assert found.what == f"the TMPDIR {tmp_path / 'none'} cannot be written to"
    monkeypatch.setattr(machine.os, "access", lambda path, mode: False)
    found, _ = doctor.diagnose().broken
    assert found.what == f"the working folder {Path.cwd()} cannot be written to"


def test_what_an_import_dies_of_is_found_in_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = {
        "fine": "print('noise')",
        "lacks": "import no_such_module",
        "ends": "raise SystemExit(3)",
        "aborts": "import os\nos.abort()",
        "last": "",
    }
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.setattr("tinyml.pipeline.import_check.modules_of", lambda package: (package,))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    found = import_errors(sources)
    assert (found["fine"], found["last"]) == ("", "")
    assert found["lacks"] == "ModuleNotFoundError: No module named 'no_such_module'"
    assert found["ends"] == "SystemExit: 3"
    assert "SIGABRT" in found["aborts"]


@pytest.mark.parametrize(
    ("package", "module"), [("pillow", "PIL"), ("numpy", "numpy"), ("soundfile", "soundfile")]
)
def test_the_module_of_a_package_is_read_from_its_files(package: str, module: str) -> None:
    assert modules_of(package) == (module,)


def test_the_least_limit_of_the_control_groups_counts(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/a/b\n")
    (tmp_path / "fs" / "a" / "b").mkdir(parents=True)
    assert control_group_mb(tmp_path / "fs", own) is None
    (tmp_path / "fs" / "a" / "memory.max").write_text("1048576000\n")
    (tmp_path / "fs" / "a" / "b" / "memory.max").write_text("max\n")
    assert control_group_mb(tmp_path / "fs", own) == 1000
    (tmp_path / "fs" / "a" / "b" / "memory.max").write_text("1048576\n")
    assert control_group_mb(tmp_path / "fs", own) == 1
    assert control_group_mb(tmp_path / "none", tmp_path / "none") is None


@pytest.mark.slow
def test_every_package_that_is_installed_here_can_be_imported(cli: Cli) -> None:
    done = cli("doctor", "--json")
    assert done.returncode == 0, done.stderr
    states = {own["state"] for own in json.loads(done.stdout)["packages"]}
    assert states <= {"ok", "missing"}
