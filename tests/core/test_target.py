"""The shipped targets hold what is true of the boards, and a user's own is one checked file."""

from __future__ import annotations

import platform
import re
import tomllib
from pathlib import Path

import pytest

from tinyml.core.errors import InputError, UsageError
from tinyml.core.target import all_targets, find_target
from tinyml.core.typed_json import from_json, to_json

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OWN = """\
board = "My board"
arch = "aarch64"
cpu = "cortex-a55"
memory_mb = 256

[systems.own]
python = "3.11"
runtimes = { litert = "2.1.0" }
"""


@pytest.mark.parametrize(("alias", "name"), [("rpi", "rpi4"), ("host", "xnnpack")])
def test_an_alias_stands_for_its_target(alias: str, name: str) -> None:
    assert find_target(alias).name == name


def test_no_name_or_alias_is_used_twice() -> None:
    names = [n for t in all_targets().values() for n in (t.name, *t.aliases)]
    assert len(names) == len(set(names))


def test_a_misspelt_target_gets_a_suggestion() -> None:
    with pytest.raises(UsageError) as caught:
        find_target("rpi44")
    assert caught.value.hint == "did you mean 'rpi4'?"


def test_only_this_machine_is_reached_locally() -> None:
    assert [t.name for t in all_targets().values() if t.is_host] == ["xnnpack"]


def test_only_the_pi_5_has_the_int8_dot_product_and_large_pages() -> None:
    pis = [t for t in all_targets().values() if t.link == "ssh"]
    assert [t.name for t in pis if "asimddp" in t.cpu_features] == ["rpi5"]
    assert [t.name for t in pis if t.page_kib == 16] == ["rpi5"]
    assert [t.name for t in pis if "bullseye" not in t.systems] == ["rpi5"]


def test_this_machine_is_of_its_own_family(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not find_target("rpi").is_x86
    for machine, is_x86 in (("x86_64", True), ("aarch64", False)):
        monkeypatch.setattr(platform, "machine", lambda machine=machine: machine)
        assert find_target("host").is_x86 == is_x86


def test_boards_have_the_litert_that_the_extra_installs() -> None:
    extra = " ".join(PYPROJECT["project"]["optional-dependencies"]["tflite"])
    for target in all_targets().values():
        minor = target.runtimes["litert"].rpartition(".")[0]
        assert f"ai-edge-litert>={minor}," in extra


def test_the_newest_runtime_is_that_of_any_system() -> None:
    pi = find_target("rpi")
    assert pi.systems["bullseye"].runtimes == {"litert": "2.1.0", "onnxruntime": "1.19.2"}
    assert pi.runtimes == {"litert": "2.3.0", "onnxruntime": "1.32.0"}


def test_a_file_is_a_target_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(OWN)
    mine = find_target(str(path))
    assert (mine.name, mine.memory_mb, mine.threads, mine.page_kib) == ("mine", 256, 1, 4)
    assert mine.runtimes == {"litert": "2.1.0"}
    assert from_json(type(mine), to_json(mine)) == mine


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (("memory_mb", "memroy_mb"), "no key is called 'memroy_mb'", "did you mean 'memory_mb'?"),
        (("python =", "pyhton ="), "no key is called 'pyhton'", "did you mean 'python'?"),
        (('board = "My board"\n', ""), "missing required field 'board'", ""),
        (("= 256", '= "256"'), "memory_mb: expected `int`, got `str`", ""),
        (("= 256", "= -1"), "'memory_mb' is -1: it takes 0 or more", ""),
        (("= 256", "= 256\nthreads = 0"), "'threads' is 0: it takes 1 or more", ""),
        (("= 256", "= 256\ncores = 2\nthreads = 4"), "'threads' is 4: there are 2 cores", ""),
        (("= 256", "= 256\npage_kib = 5"), "'page_kib' is 5: it takes one of 4, 16, 64", ""),
        (("= 256", '= 256\nlink = "shh"'), "unknown link 'shh'", "did you mean 'ssh'?"),
        (("= 256", '= 256\nformats = ["onxx"]'), "unknown format 'onxx'", "did you mean 'onnx'?"),
        (("= 256", '= 256\nname = "x"'), "no key is called 'name'", "that of the file"),
        (("litert", "litter"), "unknown runtime 'litter'", "did you mean 'litert'?"),
        (("2.1.0", "new"), "the version of litert is 'new'", ""),
        (('"3.11"', '"3.8"'), "'python' is 3.8: a bundle's run.py needs 3.9 or newer", ""),
        (("256", "256\nmemory_mb"), "(at line 5", "a target is a TOML file"),
        (("{ litert", "{ #"), "mine.toml: ", "a target is a TOML file"),
        ((OWN[OWN.index("[systems") :], "systems = {}"), "'systems' is empty", "[systems.NAME]"),
    ],
)
def test_a_file_that_is_not_a_target_is_one_line(
    tmp_path: Path, change: tuple[str, str], message: str, hint: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(OWN.replace(*change))
    with pytest.raises(InputError) as caught:
        find_target(str(path))
    assert caught.value.exit_code == 3
    assert caught.value.message.startswith(f"{path}: ")
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_file_may_not_take_the_name_of_a_shipped_target(tmp_path: Path) -> None:
    path = tmp_path / "rpi.toml"
    path.write_text(OWN)
    with pytest.raises(InputError, match="'rpi' is a shipped target"):
        find_target(str(path))
    with pytest.raises(UsageError, match=r"no such file: none\.toml"):
        find_target("none.toml")


def test_the_example_of_the_documentation_is_a_target(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "targets.md").read_text("utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, flags=re.S)
    path = tmp_path / "gateway.toml"
    path.write_text(example)
    gateway = find_target(str(path))
    assert gateway.runtimes == {"litert": "2.1.0"}
    assert (gateway.memory_mb, gateway.threads, gateway.formats) == (256, 2, ("tflite",))
