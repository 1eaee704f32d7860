"""The shipped targets say what is true of the boards, and agree with what is pinned here."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tinyml.core import registry
from tinyml.core.errors import UsageError
from tinyml.core.target import all_targets, find_target

PYPROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())


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


@pytest.mark.parametrize("target", all_targets().values(), ids=lambda t: t.name)
def test_runtimes_are_known_by_their_registered_names(target) -> None:  # type: ignore[no-untyped-def]
    assert set(target.runtimes) <= set(registry.RUNTIMES)


def test_only_the_pi_5_has_the_int8_dot_product() -> None:
    pis = [t for t in all_targets().values() if t.link == "ssh"]
    assert [t.name for t in pis if "asimddp" in t.cpu_features] == ["rpi5"]


def test_boards_have_the_litert_that_the_extra_installs() -> None:
    extra = " ".join(PYPROJECT["project"]["optional-dependencies"]["tflite"])
    for target in all_targets().values():
        minor = target.runtimes["litert"].rpartition(".")[0]
        assert f"ai-edge-litert>={minor}," in extra
