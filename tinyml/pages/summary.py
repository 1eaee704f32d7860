"""Rows for a person to read, from the core types."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tinyml.core.bundle import Parity, StageParity
from tinyml.core.diagnosis import EXACT, SensitivityAnalysis, decibels, ranked
from tinyml.pages.tables import paragraph, records, table

Table = tuple[tuple[str, ...], list[tuple[object, ...]]]


def parity_rows(parity: Parity) -> Table:
    """Per engine and stage, the worst case: its error against its bound, and the lowest SQNR.

    The engine comes first; `parity_table` makes it the title of a table of its own.
    """
    grouped: dict[tuple[str, str], list[StageParity]] = {}
    for row in parity.stages:
        grouped.setdefault((row.engine, row.stage), []).append(row)
    head = ("engine", "stage", "verdict", "worst case", "error", "bound", "SQNR dB")
    return head, [_parity_row(engine, stage, rows) for (engine, stage), rows in grouped.items()]


def sensitivity_rows(found: Mapping[str, SensitivityAnalysis]) -> Table:
    """Per format and layer, the most sensitive first: SQNR of it alone and of all the others."""
    head = ("format", "layer", "alone dB", "all the others dB", "operators")
    rows: list[tuple[object, ...]] = []
    for fmt, own in found.items():
        for layer in ranked(own):
            noise = (layer.alone_db, layer.without_db)
            alone, rest = (decibels(db).removesuffix(" dB") for db in noise)
            rows.append((fmt, layer.layer, alone, rest, layer.operators))
    return head, rows


def _parity_row(engine: str, stage: str, rows: list[StageParity]) -> tuple[object, ...]:
    judged = [row for row in rows if row.verdict not in ("fused away", "not judged")]
    if not judged:
        return (engine, stage, rows[0].verdict, "", "", "", "")
    worst = max(judged, key=_share)
    verdict = "fail" if any(row.verdict == "fail" for row in judged) else "pass"
    return (
        engine,
        stage,
        verdict,
        worst.case,
        "-" if worst.max_error is None else f"{worst.max_error:.2e}",
        "-" if worst.bound is None else f"{worst.bound:.2e}",
        _lowest(judged),
    )


def _lowest(judged: Sequence[StageParity]) -> str:
    """The lowest SQNR in dB; ``-`` where none has one: only the bound judges a silent stage."""
    if any(row.max_error is None for row in judged):
        return f"{-math.inf}"
    noise = [row.sqnr_db for row in judged if row.sqnr_db is not None]
    if noise:
        return f"{min(noise):.1f}"
    return EXACT if all(row.max_error == 0 for row in judged) else "-"


def _share(row: StageParity) -> float:
    """Error over bound; infinite for what is missing, not finite or of another shape."""
    if row.max_error is None:
        return math.inf
    error, bound = row.max_error or 0.0, row.bound or 0.0
    return error / bound if bound else (math.inf if error else 0.0)


def inspection_text(found: Mapping[str, Any]) -> str:
    """What `inspect` found, as lines."""
    lines: list[str] = []
    for section, value in _sections(found):
        if isinstance(value, Mapping) and value:
            lines.append(f"{section}:")
            lines += [paragraph(f"  {name:<26} ", _value(v)) for name, v in value.items()]
            for name, rows in value.items():
                lines += [f"{section}, {name}:", _rows(rows)] if _is_table(rows) else []
        elif _is_table(value):
            lines += [f"{section}:", _rows(value)]
        else:
            lines.append(paragraph(f"{section:<28} ", _value(value)))
    return "\n".join(lines)


def _sections(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """``found`` with a section for each of several signatures."""
    for section, value in found.items():
        if section != "signatures":
            yield section, value
            continue
        for own in value:
            yield f"signature {own['name']}", {k: v for k, v in own.items() if k != "name"}


def _is_table(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)


def parity_table(parity: Parity) -> str:
    """`parity_rows` as aligned lines, under the name of each engine."""
    (_, *head), rows = parity_rows(parity)
    lines: list[str] = []
    for engine in dict.fromkeys(str(row[0]) for row in rows):
        own = [row[1:] for row in rows if row[0] == engine]
        lines += [f"{engine}:", table(head, own, indent=2)]
    return "\n".join(lines)


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    """A layer's row under the name of the user's submodule, where that is known."""
    named = {key: value for key, value in row.items() if key != "module"}
    return named | {"name": row["module"]} if row.get("module") else named


def _rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Mappings with the same keys as a table, or line by line where they hold sentences."""
    shown = [{key: _value(value) for key, value in _named(row).items()} for row in rows]
    if "fix" in shown[0]:
        return records(shown, indent=2)
    return table(tuple(shown[0]), [tuple(row.values()) for row in shown], indent=2)


def _value(value: object) -> str:
    if isinstance(value, list | tuple) and _is_table(value):
        return f"{len(value):,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return " ".join(_value(item) for item in value) or "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "-" if value is None else str(value)
