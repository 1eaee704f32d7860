"""The command line as a person meets it: help, listings, and names that do not exist."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tinyml.cli import main
from tinyml.core.errors import InternalError

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "onnx", "onnxruntime", "ai_edge_litert", "litert_torch", "scipy", "matplotlib")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tinyml.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_shows_every_verb_and_an_example() -> None:
    shown = run("--help")
    assert shown.returncode == 0
    for verb in (
        *("train", "eval", "export", "verify", "predict", "bench", "compare"),
        *("inspect", "doctor"),
    ):
        assert f"  {verb} " in shown.stdout
    assert "tinyml export runs/demo --target rpi" in shown.stdout


@pytest.mark.parametrize(
    "verb", ["train", "eval", "export", "verify", "predict", "bench", "compare"]
)
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    shown = run(verb, "--help")
    assert shown.returncode == 0
    assert "Example" in shown.stdout
    assert f"tinyml {verb} " in shown.stdout


@pytest.mark.parametrize("arguments", ["--help", "models", "targets", "doctor"])
def test_light_verbs_import_nothing_heavy(arguments: str) -> None:
    script = (
        "import sys, runpy\n"
        "from tinyml.core import versions\n"
        "versions.NOT_SHOWN = ('train', 'onnx', 'tflite', 'qat', 'report', 'scale')\n"
        f"sys.argv = ['tinyml', {arguments!r}]\n"
        "try: runpy.run_module('tinyml.cli.main', run_name='__main__')\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.strip().endswith("[]")


def test_the_command_starts_without_what_draws_tables() -> None:
    slow = "{'rich', 'importlib.metadata'}"
    script = f"import sys, tinyml.cli.main; sys.exit(str(sorted({slow} & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr.strip() == "[]"


def test_models_are_listed_with_their_costs() -> None:
    rows = {row["name"]: row for row in json.loads(run("models", "--json").stdout)}
    assert rows["funnelnet-paper"]["parameters"] in (5417, 5435, 5453)
    assert rows["funnelnet"]["parameters"] <= 6000
    assert rows["funnelnet"]["front_end_macs_per_second"] <= 2.0e6
    for row in rows.values():
        assert {"name", "parameters", "macs", "input", "paper", "summary"} <= set(row)


def test_targets_speak_json() -> None:
    names = {row["name"] for row in json.loads(run("targets", "--json").stdout)}
    assert {"rpi4", "xnnpack"} <= names


def test_a_misspelt_verb_and_a_missing_option_are_usage_errors() -> None:
    assert run("exprot").returncode == 2
    missing = run("export", "somewhere")
    assert missing.returncode == 2
    assert "Traceback" not in missing.stderr


def test_the_tables_of_the_models_page_are_those_of_the_registries() -> None:
    script = ROOT / "tools" / "models_page.py"
    subprocess.run([sys.executable, str(script), "--check"], check=True)


def test_a_bug_shows_its_traceback_and_asks_for_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise InternalError("the .onnx file has no 'y'", "Traceback of the step")

    monkeypatch.setattr(main, "app", fails)
    monkeypatch.setattr(main.signal, "signal", lambda *_: None)
    monkeypatch.setattr(main.atexit, "register", lambda *_: None)
    monkeypatch.setattr(main.gc, "set_threshold", lambda *_: None)
    with pytest.raises(SystemExit) as stopped:
        main.main()
    said = capsys.readouterr().err
    assert stopped.value.code == 1
    assert said.startswith("Traceback")
    assert "Traceback of the step" in said
    assert said.endswith(f"{main.BUG}\n")
    assert "please report this" in main.BUG
