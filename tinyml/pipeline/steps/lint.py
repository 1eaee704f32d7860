"""Lint of the model files of an export or a bundle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tinyml.core.bundle import ModelFile
from tinyml.core.diagnosis import Finding, findings_by_module
from tinyml.core.target import Target
from tinyml.core.text import shorten
from tinyml.core.typed_json import to_json
from tinyml.pages.tables import paragraph
from tinyml.pipeline.formats import named
from tinyml.runtimes.lint import lint

Findings = Mapping[str, Sequence[Mapping[str, str]]]
LINES = 6
# Characters of a node's name.
LONGEST = 30


def lint_models(
    folder: Path,
    models: Iterable[ModelFile],
    target: Target | None,
    known: Findings | None = None,
) -> Findings:
    """File -> its findings as JSON values; every file has an entry, an empty one if it is clean.

    ``known``: what else was found, of the same form; it comes first.
    """
    return {
        model.path: [
            *(known or {}).get(model.path, ()),
            *to_json(_lint(folder, model, target)),
        ]
        for model in models
    }


def _lint(folder: Path, model: ModelFile, target: Target | None) -> tuple[Finding, ...]:
    found = lint(folder / model.path, target, named(model.format).read_graph)
    return findings_by_module(found, model.modules)


def lint_lines(found: Findings) -> list[str]:
    """A text of a few lines for each of the first `LINES` findings of a file, and how many more."""
    lines = []
    for path, findings in found.items():
        for finding in findings[:LINES]:
            title = f"lint: {path}: {finding['rule']} at {shorten(finding['node'], LONGEST)}"
            what = paragraph("", f"{finding['cost']}; {finding['fix']}", indent=2)
            lines.append(f"{title}\n{what}")
        if len(findings) > LINES:
            more = len(findings) - LINES
            lines.append(f"lint: {path}: {more} more: tinyml inspect shows them")
    return lines
