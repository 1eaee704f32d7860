"""What a user's network, options or metric cannot be: one error, and nothing is left."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyml.core.errors import ExportError, InputError, UsageError

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
# torch 2.13 warns about its own use of LeafSpec
IGNORED = r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning"


def silent(_: object) -> None:
    """Nobody listens."""


def processes_with(word: str) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if word in line and "ps -eo" not in line]


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("import sys; sys.exit(0)", 3, ("sys.exit(0)", "bad.py:2")),
        ("import os; os._exit(0)", 3, ("without a result",)),
        ("import os; os.abort()", 1, ("SIGABRT", "bad.py:build")),
        (
            "import subprocess, time; subprocess.Popen(['sleep', '98765']); time.sleep(600)",
            1,
            ("within 8 s", "bad.py:build"),
        ),
        ("raise ValueError('no such\\nluck')", 3, ("bad.py:2: ValueError: no such",)),
    ],
)
def test_a_factory_that_goes_wrong_is_one_error_and_leaves_nothing(
    cli: Cli, user_model: Any, tmp_path: Path, body: str, code: int, words: tuple[str, ...]
) -> None:
    (tmp_path / "bad.py").write_text(f"def build():\n    {body}\n")
    started = time.monotonic()
    sample, out = user_model.folder / "s.npz", tmp_path / "out"
    timeout = 8 if "sleep" in body else 300
    more = ["--sample", sample, "--target", "rpi", "--out", out, "--timeout", timeout]
    done = cli("export", tmp_path / "bad.py:build", *more)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    for word in words:
        assert word in error
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["bad.py"]
    assert not processes_with("sleep 98765")
    assert time.monotonic() - started < 300


def test_names_that_do_not_fit_are_listed_with_the_prefix_to_strip(
    cli: Cli, user_model: Any, tmp_path: Path
) -> None:
    done = cli(*user_model.arguments("--out", tmp_path / "out"))
    assert done.returncode == 3
    # PyTorch does without the counter of the batch normalization.
    assert "13 missing (features.0.weight, " in done.stderr
    assert "hint: 14 of 14 names fit with --strip-prefix state_dict.module." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"model": "nowhere.py:build"}, InputError, "no file at nowhere.py"),
        ({"model": "not a module:build"}, InputError, "neither a Python file nor a module"),
        ({"sample": None}, UsageError, "needs `sample`"),
        ({"metric": "nowhere.py:f"}, InputError, "no file at nowhere.py"),
        ({"metric": "m:f"}, UsageError, "needs `data`"),
        ({"data": Path("d.npz")}, UsageError, "for `metric`"),
        ({"metric_direction": "lower"}, UsageError, "`metric_direction` is for `metric`"),
        ({"metric_tolerance": 0.0}, UsageError, "`metric_tolerance` is for `metric`"),
        ({"model": ".", "metric_tolerance": 0.0}, UsageError, "`metric_tolerance` is for a model"),
        ({"states": ("h",)}, UsageError, "not IN=OUT"),
        ({"labels": Path("nowhere.txt")}, InputError, "nowhere.txt"),
        ({"strip_prefix": "a."}, UsageError, "`weights`"),
        ({"weights": Path("nowhere.pt")}, UsageError, "nowhere.pt"),
        ({"model": "funnelnet", "labels": Path("l.txt")}, UsageError, "PATH.py:FACTORY"),
        ({"target": "rpy"}, UsageError, "did you mean 'rpi'"),
        ({"without_data": True}, UsageError, "`without_data` is for a checkpoint"),
        ({"model": "."}, UsageError, "`sample` is for a factory or a model's name"),
        ({"model": ".", "sample": None, "weights": Path("w")}, UsageError, "`weights` is for a"),
        ({"model": ".", "sample": None, "strip_prefix": "a."}, UsageError, "`strip_prefix` is for"),
        (
            {"model": ".", "sample": None, "data": Path("d"), "without_data": True},
            UsageError,
            "`data` and `without_data` exclude each other",
        ),
        (
            {"model": "funnelnet", "weights": Path("w"), "data": Path("d")},
            UsageError,
            "'funnelnet' with `weights` has no data set",
        ),
        (
            {"model": "funnelnet", "weights": Path("w"), "without_data": True},
            UsageError,
            "`without_data` is for a checkpoint",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_before_any_work(
    user_model: Any, tmp_path: Path, arguments: dict[str, Any], error: type, words: str
) -> None:
    from tinyml.core.export_job import export_job
    from tinyml.pipeline.export import export

    asked = {
        "model": f"{user_model.folder}/net.py:build",
        "sample": user_model.folder / "s.npz",
        "target": "rpi",
        **arguments,
    }
    with pytest.raises(error) as caught:
        export(export_job(out=tmp_path / "out", **asked), silent)
    assert words in f"{caught.value.message} {caught.value.hint}"
    assert not (tmp_path / "out").exists()


def test_a_python_file_without_a_factory_is_told_how_to_name_one(
    user_model: Any, tmp_path: Path
) -> None:
    from tinyml.core.export_job import export_job
    from tinyml.pipeline.export import export

    job = export_job(str(user_model.folder / "net.py"), "rpi", tmp_path / "out")
    with pytest.raises(UsageError) as caught:
        export(job, silent)
    assert "net.py:FACTORY" in caught.value.hint


def test_labels_that_no_output_has_are_refused() -> None:
    from tinyml.core.spec import Signature, TensorSpec
    from tinyml.pipeline.model_sources.check_model import check_labels

    signature = Signature((TensorSpec("x", (1, 4)),), (TensorSpec("y", (1, 3)),))
    check_labels(3, signature)
    check_labels(0, signature)
    with pytest.raises(InputError, match=r"2 labels are given.*\[3\]"):
        check_labels(2, signature)


@pytest.mark.filterwarnings(IGNORED)
def test_a_metric_of_unknown_kind_is_refused_before_anything_is_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch import nn

    import tinyml
    from tinyml.pipeline import export as exporting

    def score(predictions: Any, targets: Any) -> float:
        return float(np.mean((predictions - targets) ** 2))

    def convert(*_: object) -> None:
        raise AssertionError("converted")

    monkeypatch.setattr(exporting, "write_files", convert)
    sample = np.ones((1, 3), np.float32)
    given: dict[str, Any] = {"out": tmp_path / "b", "metric": score}
    given["data"] = {"x": np.ones((4, 3), np.float32), "targets": np.full((4, 2), 0.123)}
    with pytest.raises(InputError, match=r"'score' is .*, which is not a share of 4 samples"):
        tinyml.build_bundle(nn.Linear(3, 2), {"x": sample}, **given)
    with pytest.raises(AssertionError, match="converted"):
        tinyml.build_bundle(nn.Linear(3, 2), {"x": sample}, metric_direction="lower", **given)
    with pytest.raises(UsageError, match="is for `metric`, which is not given"):
        tinyml.build_bundle(nn.Linear(3, 2), {"x": sample}, out="b", metric_direction="lower")


def test_a_module_elsewhere_than_in_memory_is_refused(tmp_path: Path) -> None:
    from torch import nn

    import tinyml

    with pytest.raises(ExportError, match="the module is on meta"):
        tinyml.build_bundle(
            nn.Linear(3, 2, device="meta"), {"x": np.zeros((1, 3), np.float32)}, out=tmp_path / "b"
        )


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"metric": len}, "`metric` and `data` need each other"),
        ({"without_data": True}, "`without_data` is for a model that comes from files"),
        ({"strip_prefix": "a."}, "`strip_prefix` is for a model that comes from files"),
    ],
)
def test_what_a_module_in_memory_has_no_use_for_is_refused(
    tmp_path: Path, asked: dict[str, Any], words: str
) -> None:
    import tinyml

    with pytest.raises(UsageError, match=words):
        tinyml.build_bundle(None, {"x": np.zeros((1, 3), np.float32)}, out=tmp_path / "b", **asked)
