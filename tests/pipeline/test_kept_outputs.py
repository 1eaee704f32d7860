"""Outputs that a stopped run leaves are taken up, and what is not whole or not the same is not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from tinyml.core.errors import UsageError
from tinyml.core.files import CACHE_ENVIRONMENT
from tinyml.core.spec import Array, Arrays, Signature, TensorSpec
from tinyml.pipeline.outputs.kept_outputs import KeptOutputs, Made, digest_of, keeping

SIGNATURE = Signature((TensorSpec("x", (2,)),), (TensorSpec("y", (2,)),))
MADE = Made({"device": "mypi"}, {"bundle": "1", "data set": "2"})


@dataclass
class Doubling:
    """A session that notes what it computes, and is lost at ``lost_at``."""

    lost_at: float = -1.0
    asked: list[float] = field(default_factory=list)
    signature: Signature = SIGNATURE
    precision: str = ""

    def run(self, inputs: Arrays) -> dict[str, Array]:
        value = float(inputs["x"][0])
        if value == self.lost_at:
            raise ConnectionError
        self.asked.append(value)
        return {"y": 2 * inputs["x"]}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_ENVIRONMENT, str(tmp_path / "cache"))


def x(value: float) -> Arrays:
    return {"x": np.full(2, value, np.float32)}


def asked(
    values: list[float], made: Made = MADE, **options: float
) -> tuple[list[float], KeptOutputs]:
    """What had to be computed for ``values``, each of which gave the right outputs."""
    session = Doubling(**options)
    with keeping(made) as kept:
        through = kept.through(session)
        for value in values:
            assert through.run(x(value))["y"].tolist() == [2 * value] * 2
    return session.asked, kept


def stopped(at: float) -> None:
    with pytest.raises(ConnectionError):
        asked([1, 2, 3, 4], lost_at=at)


def test_a_stopped_run_continues_and_a_complete_one_starts_again() -> None:
    stopped(at=3)
    computed, kept = asked([1, 2, 3, 4])
    assert (computed, kept.changed) == ([3, 4], ())
    kept.remove()
    assert asked([1, 2])[0] == [1, 2]


def test_a_record_that_is_not_whole_is_computed_again() -> None:
    stopped(at=3)
    content = MADE.path.read_bytes()
    for cut in (1, 30, 60):
        MADE.path.write_bytes(content[:-cut])
        assert asked([1, 2])[0] == [2]
    MADE.path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert asked([1, 2])[0] == [2]
    MADE.path.write_bytes(b"nonsense")
    assert asked([1, 2])[0] == [1, 2]


def test_another_input_drops_what_follows() -> None:
    stopped(at=4)
    assert asked([1, 7, 3])[0] == [7, 3]
    assert asked([1, 7, 3])[0] == []


@pytest.mark.parametrize("name", ["bundle", "data set"])
def test_other_content_starts_again_and_is_named(name: str) -> None:
    stopped(at=3)
    other = replace(MADE, content={**MADE.content, name: "another"})
    computed, kept = asked([1, 2, 3], other)
    assert (computed, kept.changed) == ([1, 2, 3], (name,))
    assert asked([1, 2, 3], other)[0] == []


def test_another_device_has_a_file_of_its_own() -> None:
    stopped(at=3)
    assert asked([1], replace(MADE, place={"device": "other"}))[0] == [1]
    assert asked([1])[0] == []


def test_two_processes_do_not_keep_the_same() -> None:
    with (
        keeping(MADE),
        pytest.raises(UsageError, match="another process computes the same"),
        keeping(MADE),
    ):
        raise AssertionError("both have it")


def test_the_digest_is_that_of_names_types_shapes_and_values() -> None:
    one = np.zeros(4, np.float32)
    others = [{"x": one}, {"y": one}, {"x": one.reshape(2, 2)}, {"x": one.view(np.int32)}]
    others += [{"x": one + 1}, {"x": one, "y": one}]
    assert len({digest_of(own) for own in others}) == len(others)
    assert digest_of({"a": one, "b": one + 1}) == digest_of({"b": one + 1, "a": one})
