"""A file that tinyml wrote and that its runtime does not take: whose fault it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tinyml.core.errors import ExportError, InputError, InternalError
from tinyml.runtimes.base import failure, refusal
from tinyml.runtimes.own_files import OwnFiles

PATH = Path("folder/model.onnx")
REFUSED = refusal(PATH, "engine", "no kernel for Foo")


@dataclass(frozen=True)
class Failing:
    """A runtime that raises ``error`` when it loads a file, or when that runs."""

    error: InputError
    loads: bool = False
    name: str = "engine"

    def open(self, path: Path, *, threads: int = 1) -> Any:
        return self._fail if self.loads else self._fail()

    def reader(self, path: Path, names: Sequence[str]) -> Any:
        return self._fail if self.loads else self._fail()

    def _fail(self, *_: object) -> Any:
        raise self.error


@pytest.mark.parametrize("verb", ["open", "reader"])
@pytest.mark.parametrize(
    ("error", "as_converted", "kind"),
    [
        (InputError("folder/model.onnx has no tensor 'y'"), True, InternalError),
        (REFUSED, True, ExportError),
        (REFUSED, False, InternalError),
    ],
    ids=["missing", "converted", "quantized"],
)
def test_a_file_that_does_not_load(
    error: InputError, as_converted: bool, kind: type[Exception], verb: str
) -> None:
    own: Any = OwnFiles(Failing(error), as_converted)  # type: ignore[arg-type]
    with pytest.raises(kind, match=r"no (tensor|kernel)"):
        own.open(PATH) if verb == "open" else own.reader(PATH, ["y"])


def test_what_it_raises_on_inputs_stays_as_it_is() -> None:
    own: Any = OwnFiles(Failing(failure(PATH, "engine", "out of range"), loads=True))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="out of range"):
        own.read_tensors(PATH, ["y"], {})
    assert own.name == "engine"
