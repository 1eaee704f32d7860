"""What a writer found out about the file that it wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinyml.core.files import write_json
from tinyml.core.quant_params import QuantParams
from tinyml.core.typed_json import read_json, to_json

# What follows the name of a node in that of the copy which an instrumented model gives out.
SHOWN_SUFFIX = "_shown"


@dataclass(frozen=True, slots=True)
class Facts:
    """The writer's part of a `ModelFile`; fields as there.

    instrumented  stages without a tensor in the file: outputs of an instrumented model
    instrumented_note  why there is no instrumented model of them
    quant_params  input or output -> the integers that it is
    owners     computed tensor -> the innermost stage that its operator is part of
    modules    computed tensor -> the submodule that its operator is part of
    made       captured node -> the tensors that it had a part in; of float32 files
    """

    format: str
    precision: str
    passes: Mapping[str, int]
    stages: Mapping[str, str | None]
    layouts: Mapping[str, tuple[int, ...]]
    minimum_runtime: str
    instrumented: tuple[str, ...] = ()
    instrumented_note: str = ""
    owners: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)
    quant_params: Mapping[str, QuantParams] = field(default_factory=dict)
    made: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, to_json(self))


def load(path: Path) -> Facts:
    """Read what `Facts.save` wrote."""
    return read_json(Facts, path)


def facts_of(path: Path) -> Path:
    """Where the facts of the instrumented model at ``path`` lie."""
    return path.with_name(f"{path.name}.json")
