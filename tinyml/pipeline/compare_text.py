"""A comparison as tables for a person to read."""

from __future__ import annotations

from collections.abc import Sequence

from tinyml.core.measurement import Measurement
from tinyml.core.time_ratio import LEVEL
from tinyml.pages.tables import Section, ms, shorten_all
from tinyml.pipeline.compare import Comparison, Side
from tinyml.pipeline.compare_files import Both, FileComparison, LayerPair, Value
from tinyml.pipeline.compare_latency import LatencyPair, setup_text
from tinyml.pipeline.compare_metadata import EngineParity

NAMED = 6  # Of layers that change alike so many are named.
NAME_COLUMNS = 34
Rows = list[tuple[object, ...]]


def sections(found: Comparison) -> list[Section]:
    """Everything that differs, and in words what does not."""
    parts = [Section(_side("A", found.a)), Section(_side("B", found.b))]
    parts += _told(found, "origin", found.about)
    for pair in found.files:
        parts += _file(pair)
    parts += [_differences("signature", found.signature)]
    parts += _told(found, "processor", found.processor)
    parts += [*_parity(found), latency_section(found.latency)]
    return parts + ([Section("notes", lines=found.notes)] if found.notes else [])


def _side(letter: str, side: Side) -> str:
    return f"{letter}  {side.path} ({'file' if side.bundle is None else 'bundle'})"


def _told(found: Comparison, title: str, rows: tuple[Both, ...]) -> list[Section]:
    """What only bundles tell."""
    if found.a.bundle is None and found.b.bundle is None:
        return []
    if found.a.bundle is None or found.b.bundle is None:
        return [Section(f"{title}: a file alone has none")]
    return [_differences(title, rows)]


def _differences(title: str, rows: tuple[Both, ...]) -> Section:
    """Rows that differ; one line when none does."""
    different: Rows = [(row.name, _text(row.a), _text(row.b)) for row in rows if row.differs]
    if not different:
        return Section(f"{title}: the same" if rows else f"{title}: none")
    return Section(title, ("", "A", "B"), different)


def _file(pair: FileComparison) -> list[Section]:
    names = " and ".join(dict.fromkeys((pair.a.path.name, pair.b.path.name)))
    if pair.identical:
        return [Section(f"{names}: the same {pair.a.size:,} bytes")]
    size = [row for row in pair.sizes if row.a is not None or row.b is not None]
    rows: Rows = [(row.name, _text(row.a), _text(row.b), _ratio(row.ratio)) for row in size]
    parts = [Section(names, ("", "A", "B", "B/A"), rows), _operators(pair), _layers(pair)]
    both_told = pair.a.model is not None and pair.b.model is not None
    return parts + ([_differences("passes", pair.passes)] if both_told else [])


def _operators(pair: FileComparison) -> Section:
    if pair.a.facts is None or pair.b.facts is None:
        return Section("operators: not known")
    totals = (_text(sum(side.facts.ops.values())) for side in (pair.a, pair.b) if side.facts)
    rows: Rows = [
        (row.name, _text(row.a), _text(row.b), _only(row)) for row in pair.operators if row.differs
    ]
    alike = len(pair.operators) - len(rows)
    if not rows:
        return Section("operators: the same")
    lines = (f"other operators, as frequent in both: {alike}",) if alike else ()
    return Section("operators", ("", "A", "B", ""), [*rows, ("all", *totals, "")], lines)


def _only(row: Both) -> str:
    return "only in A" if row.b is None else "only in B" if row.a is None else ""


def _layers(pair: FileComparison) -> Section:
    """Layers by what becomes of them; those that multiply and accumulate."""
    groups: dict[tuple[str | None, str | None], list[LayerPair]] = {}
    for layer in pair.layers:
        groups.setdefault((layer.stored_a, layer.stored_b), []).append(layer)
    if not groups:
        return Section("precision of layers: none is known")
    rows: Rows = [
        (_text(a), _text(b), len(layers), _share(layers, pair.layers), _named(layers))
        for (a, b), layers in groups.items()
    ]
    head = ("A", "B", "layers", "MACs", "")
    return Section("precision of layers (weight/activation as stored)", head, rows)


def _share(layers: Sequence[LayerPair], every: Sequence[LayerPair]) -> str:
    """MACs of ``layers`` in percent of all that are in either file."""
    total = sum(layer.macs or 0 for layer in every)
    if not total or any(layer.macs is None for layer in every):
        return "-"
    return f"{100 * sum(layer.macs or 0 for layer in layers) / total:.0f}%"


def _named(layers: Sequence[LayerPair]) -> str:
    every = tuple(layer.name_a or layer.name_b or "?" for layer in layers)
    names = shorten_all(every, NAME_COLUMNS)[:NAMED]
    rest = len(layers) - len(names)
    return " ".join(names) + (f" and {rest} more" if rest else "")


def _parity(found: Comparison) -> list[Section]:
    if not found.parity:
        return [Section("parity: a file alone has none")]
    rows: Rows = [(row.engine, *_engine(row.a), *_engine(row.b)) for row in found.parity]
    head = ("engine", "A", "lowest dB", "at", "B", "lowest dB", "at")
    parts = [Section("parity with PyTorch", head, rows)]
    kept: Rows = [(row.name, _text(row.a), _text(row.b)) for row in found.agreements]
    return parts + ([Section("labels and metrics", ("", "A", "B"), kept)] if kept else [])


def _engine(side: EngineParity | None) -> tuple[str, str, str]:
    if side is None:
        return "-", "-", ""
    if side.lowest_db is None:
        return side.verdict, "exact" if side.is_exact else "-", ""
    return side.verdict, f"{side.lowest_db:.1f}", side.stage


def latency_section(pairs: Sequence[LatencyPair], names: tuple[str, str] = ("A", "B")) -> Section:
    """Both medians and the verdict of each pair; ``names`` of the two sides."""
    how = "tinyml bench measures one, tinyml compare --bench both in turns"
    if not any(pair.a or pair.b for pair in pairs):
        return Section("latency: not measured", lines=(how,))
    rows = [row for row in map(_latency_row, pairs) if row]
    measured = [m for pair in pairs for m in (pair.a, pair.b) if m is not None]
    lines = [f"no verdict: {pair.result.why}" for pair in pairs if pair.result.why]
    if any(m.clock == "wall" and not m.processes for m in measured):
        lines.append("--cpu-time compares CPU times, which other processes disturb less")
    if any(m.plan is not None and m.plan.is_quick for m in measured):
        lines.append("quick: a first look, too short to rely on")
    if any(pair.a is None or pair.b is None for pair in pairs):
        lines.append(how)
    a, b = names
    head = ("", f"{a} ms", f"{b} ms", f"{b}/{a}", f"{LEVEL:.0%} interval", f"{b} is")
    times = "CPU time" if any(m.clock == "cpu" for m in measured) else "latency"
    return Section(f"{times}, p50 of the whole", head, rows, tuple(lines))


def _latency_row(pair: LatencyPair) -> tuple[object, ...]:
    measured = [m for m in (pair.a, pair.b) if m is not None]
    if not measured:
        return ()
    name = " and ".join(dict.fromkeys(map(_runtime, measured)))
    medians = [m.p50_ns if m is not None else None for m in (pair.a, pair.b)]
    times = map(ms, medians)
    told = pair.result
    span = f"{told.low:.3f} to {told.high:.3f}" if told.low is not None else "-"
    return (name, *times, _ratio(told.ratio, 3), span, told.verdict)


def _runtime(m: Measurement) -> str:
    return f"{m.runtime} {m.version}{setup_text(m)}"


def _ratio(ratio: float | None, digits: int = 2) -> str:
    return "" if ratio is None else f"{ratio:.{digits}f}"


def _text(value: Value) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if value is None else str(value)
