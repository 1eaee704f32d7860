"""Can a board run a model file? Asked before the file is copied there."""

from __future__ import annotations

from collections.abc import Mapping

from tinyml.core.board_facts import BoardFacts
from tinyml.core.bundle import ModelFile
from tinyml.core.target import OLDER_RUNTIMES, System, Target
from tinyml.core.versions import order
from tinyml.pipeline.devices.wheels import NUMPY, no_wheels
from tinyml.pipeline.formats import named
from tinyml.pipeline.formats.of_target import PACKAGES, meets


def why_not(model: ModelFile, facts: BoardFacts, target: Target) -> str:
    """Why the board, which is ``target``, cannot run ``model``, in a line; empty where it can."""
    runtime = named(model.format).runtime
    if missing := missing_for(runtime, facts, target):
        return f"{model.path}: {missing}"
    there = _versions(runtime, facts)
    if meets(System({name: _numbers(own) for name, own in there.items()}), model.minimum_runtime):
        return ""
    found = ", ".join(f"{name} {version}" for name, version in there.items())
    return f"{model.path} needs {model.minimum_runtime}, and {found} is installed there"


def missing_for(runtime: str, facts: BoardFacts, target: Target) -> str:
    """What the board lacks to run files of ``runtime``; empty where it has it all.

    And why no wheel of it can be installed there, where none can.
    """
    lacks = [] if _versions(runtime, facts) else [runtime]
    lacks += [] if NUMPY in facts.packages else [NUMPY]
    if not lacks:
        return ""
    are = "is" if len(lacks) == 1 else "are"
    why = no_wheels(target, facts)
    return f"{' and '.join(lacks)} {are} not installed there{f': {why}' if why else ''}"


def _versions(runtime: str, facts: BoardFacts) -> Mapping[str, str]:
    """The installed packages that are ``runtime``, by registered names or ``tflite-runtime``."""
    names = {PACKAGES.get(name, name): version for name, version in facts.packages.items()}
    return {name: v for name, v in names.items() if OLDER_RUNTIMES.get(name, name) == runtime}


def _numbers(version: str) -> str:
    """At least two, as a target has them: ``2.1.0.1`` of ``2.1.0rc1``."""
    numbers = order(version)
    return ".".join(map(str, [*numbers, 0, 0][: max(2, len(numbers))]))
