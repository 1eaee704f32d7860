"""The head of the page: what it is about, and its key figures."""

from __future__ import annotations

from tinyml.core.measurement import WHOLE, Label
from tinyml.pages.report.content import Page, Tile
from tinyml.pages.report.material import Material
from tinyml.pages.report.sections import all_sections
from tinyml.pages.report.units import counted, ms_text, size_text

WHERE = {"host": "not on the board", "emulated": "emulated"}


def page(material: Material) -> Page:
    """The whole report of ``material``."""
    bundle = material.bundle
    others = len(material.bundles) - 1
    files = " and ".join(dict.fromkeys(own.precision for own in bundle.models))
    subtitle = (
        f"A bundle of {counted(len(bundle.models), 'model file')}, {files}: `{material.name}`."
    )
    if others:
        subtitle += f" Compared with {counted(others, 'other bundle')}."
    return Page(
        title=f"{bundle.model} for {bundle.target}",
        subtitle=subtitle,
        tiles=[tile(material) for tile in (_parity, _size, _accuracy, _latency, _findings)],
        sections=all_sections(material),
        footer=(
            f"Written by tinyml from `{material.name}`, whose manifest has the sha256 "
            f"`{bundle.digest[:16]}...`. This file needs no network and runs no script."
        ),
    )


def _parity(material: Material) -> Tile:
    parity = material.bundle.parity
    note = f"{parity.judged:,} comparisons with PyTorch"
    if parity.judged == 0:
        return Tile("Parity", "not checked", "", "parity")
    if parity.passed:
        return Tile("Parity", "passed", note, "parity", "good")
    return Tile("Parity", "failed", note, "parity", "bad")


def _size(material: Material) -> Tile:
    bundle = material.bundle
    sizes = sorted((bundle.files[own.path].size, own.format) for own in bundle.models)
    if not sizes:
        return Tile("Size", "-", "no model files", "model")
    (least, fmt), *rest = sizes
    others = ", ".join(f"{name} {size_text(size)}" for size, name in rest)
    return Tile("Size", size_text(least), f"{fmt}{'; ' if others else ''}{others}", "model")


def _accuracy(material: Material) -> Tile:
    """Of the file whose predictions were compared on data, else the author's own metric."""
    parity = material.bundle.parity
    for own in parity.agreements:
        if own.difference is not None:
            note = f"{own.engine}, {own.count:,} {own.shown_unit}"
            return Tile(own.metric, f"{own.difference.got:.3f}", note, "parity")
    for one in parity.metrics:
        if one.engine != "pytorch":
            note = f"{one.engine}, {counted(one.samples, 'sample')}"
            return Tile(one.name, f"{one.value:.4g}", note, "parity")
    return Tile("Accuracy", "not measured", "", "parity")


def _latency(material: Material) -> Tile:
    """The fastest file of the bundle: on a board, where it was measured on one."""
    known = [
        (own.measurement.p50_ns, own)
        for own in material.whole
        if own.variant is not None and own.variant.bundle == material.bundle
    ]
    timed = [(ns, own) for ns, own in known if ns is not None]
    if not timed:
        return _mean(material)
    ns, own = min(timed, key=lambda row: (row[1].measurement.label != "device", row[0]))
    where = _where(own.measurement.label)
    clock = ", CPU time" if own.measurement.clock == "cpu" else ""
    note = f"{own.measurement.runtime}{clock}, {where}"
    return Tile("Median time", ms_text(ns), note, "latency")


def _mean(material: Material) -> Tile:
    """Of the bundle's fastest file on a phone, which has no median."""
    own_files = {own.sha256 for own in material.bundle.models}
    found = [
        (own.mean_ns, own.label)
        for own in material.averages
        if own.mean_ns is not None and own.model_sha256 in own_files and own.part == WHOLE
    ]
    if not found:
        return Tile("Median time", "not measured", "", "latency")
    mean_ns, label = min(found)
    return Tile("Mean time", ms_text(mean_ns), f"benchmark_model, {_where(label)}", "latency")


def _where(label: Label) -> str:
    return WHERE.get(label, "on the board")


def _findings(material: Material) -> Tile:
    found = sum(len(own) for own in material.bundle.facts.lint.values())
    return Tile("Findings", f"{found}" if found else "none", "with fixes", "findings")
