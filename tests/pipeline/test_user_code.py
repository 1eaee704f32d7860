"""Code of the user's, found by name: whatever is wrong with it is told with file and line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tinyml.core.errors import ExportError, InputError
from tinyml.pipeline.model_sources.user_code import check_code, explained, is_code, load_code, make

CODE = """\
import sys
from torch import nn


class Good(nn.Module):
    pass


def wants(width, *, depth=2):
    return nn.Linear(width, depth)


def nothing():
    return None


def fails():
    return nn.Linear(3, 2).missing


made = nn.Identity()
number = 3
"""


@pytest.fixture
def code(tmp_path: Path) -> Iterator[str]:
    path, modules = list(sys.path), set(sys.modules)
    (tmp_path / "user_net.py").write_text(CODE)
    yield str(tmp_path / "user_net.py")
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("user_"):
            del sys.modules[name]


def test_code_is_told_from_checkpoints_and_names() -> None:
    assert is_code("a/b.py:build")
    assert is_code("package.module:Net")
    assert not any(is_code(name) for name in ("funnelnet", "runs/demo", ":build", "a.py:", "a:b c"))


def test_a_class_is_a_factory(code: str) -> None:
    assert type(make(f"{code}:Good")).__name__ == "Good"


def test_an_installed_module_is_found_by_its_name() -> None:
    from torch import nn

    assert load_code("torch.nn:Identity") is nn.Identity


def test_a_file_may_import_its_neighbours(code: str) -> None:
    neighbour = Path(code).with_name("user_other.py")
    neighbour.write_text("from user_net import Good\n")
    assert type(make(f"{neighbour}:Good")).__name__ == "Good"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wants", "user_net.py:9: wants wants arguments (missing a required argument: 'width')"),
        ("nothing", "user_net.py:13: nothing() returns a NoneType, no nn.Module"),
        ("made", "user_net.py:made is a Identity, not a factory"),
        ("number", "user_net.py:number is a int, not a factory"),
        ("god", "user_net.py has no 'god'"),
    ],
)
def test_what_is_no_factory_is_named(code: str, name: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        make(f"{code}:{name}")
    assert words in caught.value.message
    assert caught.value.hint


def test_a_misspelt_name_gets_the_nearest_of_the_files_own(code: str) -> None:
    with pytest.raises(InputError) as caught:
        make(f"{code}:god")
    assert "nn" not in caught.value.hint
    with pytest.raises(InputError) as caught:
        make(f"{code}:goood")
    assert "it has: Good" in caught.value.hint or "'Good'" in caught.value.hint


def test_a_failing_factory_is_told_with_its_own_line_not_torchs(code: str) -> None:
    with pytest.raises(ExportError) as caught:
        make(f"{code}:fails")
    assert (
        "calling fails(): user_net.py:18: AttributeError: 'Linear' object" in caught.value.message
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f(:\n", "user_bad.py:1: invalid syntax"),
        ("import sys\nsys.exit('bye')\n", "user_bad.py:2: the code calls sys.exit('bye')"),
        ("import user_nowhere\n", "user_bad.py:1: ModuleNotFoundError: No module named"),
        ("x = 1\nraise RuntimeError\n", "user_bad.py:2: RuntimeError: no message"),
    ],
)
def test_a_file_that_cannot_be_imported_is_told_with_its_line(
    code: str, text: str, words: str
) -> None:
    bad = Path(code).with_name("user_bad.py")
    bad.write_text(text)
    with pytest.raises(ExportError) as caught:
        load_code(f"{bad}:f")
    assert caught.value.message.startswith("importing user_bad.py: ")
    assert words in caught.value.message


def test_a_module_that_is_not_there_is_told() -> None:
    with pytest.raises(InputError, match="no module 'user_nowhere'") as caught:
        load_code("user_nowhere.deep:f")
    assert "PYTHONPATH" in caught.value.hint


def test_a_name_that_can_be_no_module_is_refused_without_running_it() -> None:
    for name in ("a b:f", "a-b:f", "/nowhere/x:f"):
        with pytest.raises(InputError):
            check_code(name)
    check_code("package.module:f")


def test_our_own_errors_pass_through() -> None:
    with pytest.raises(InputError, match="as it was"), explained("doing"):
        raise InputError("as it was")
