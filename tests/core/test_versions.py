"""Extras and their packages are read from the metadata, and versions are compared."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from tinyml.core.versions import NOT_SHOWN, Requirement, order, requirements

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
LINES = [
    "numpy>=2.0",
    'torch<2.14,>=2.13; extra == "qat"',
    'ai-edge-quantizer<0.11,>=0.10; platform_machine == "x86_64" and extra == "tflite"',
    'ruff>=0.11; extra == "dev"',
    'tinyml-deploy[onnx,train]; extra == "all"',
]


def test_every_extra_of_the_project_is_read() -> None:
    extras = set(PROJECT["optional-dependencies"]) - set(NOT_SHOWN)
    assert {own.extra for own in requirements()} == {"core", *extras}
    (quantizer,) = (own for own in requirements() if own.package == "ai-edge-quantizer")
    assert quantizer.machine == "x86_64"


def test_a_checkout_and_its_metadata_tell_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: LINES)
    assert requirements() == (
        Requirement("core", "numpy", ">=2.0"),
        Requirement("qat", "torch", "<2.14,>=2.13"),
        Requirement("tflite", "ai-edge-quantizer", "<0.11,>=0.10", "x86_64"),
    )

    def nothing(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", nothing)
    assert Requirement("qat", "torch", ">=2.13,<2.14") in requirements()


@pytest.mark.parametrize(
    ("version", "allowed"),
    [("2.13.0+cu126", True), ("2.13", True), ("2.14.0", False), ("2.9.1", False), ("2.12", False)],
)
def test_versions_are_compared_by_their_numbers(version: str, allowed: bool) -> None:
    assert Requirement("qat", "torch", "<2.14,>=2.13").allows(version) == allowed
    assert order("2.13.0+cu126") == (2, 13, 0)
