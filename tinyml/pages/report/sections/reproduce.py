"""What made the figures: versions, machines, and the commands that make each again."""

from __future__ import annotations

from tinyml.pages.report.content import Block, Commands, Prose, ReportSection, Table
from tinyml.pages.report.material import Material
from tinyml.pages.report.units import command

LEAD = "The versions that made these files, and the commands that make each figure again."


def section(material: Material) -> ReportSection:
    """Commands and versions."""
    bundle, name = material.bundle, material.name
    rows = [
        ("Check hashes and parity", command("tinyml", "verify", name, "--digest", bundle.digest)),
        ("Contents, findings and delegation", command("tinyml", "inspect", name)),
    ]
    if bundle.facts.training is not None:
        rows.append(("Metrics", command("tinyml", "eval", name)))
    words = ["tinyml", "report", *(own.name for own in material.bundles)]
    if material.data_option:
        words += ["--data", material.data_option]
    rows.append(("This report", command(*words)))
    rows += [("Latency", command("tinyml", "bench", own.name)) for own in material.bundles]
    rows += [
        ("Differences", command("tinyml", "compare", name, own.name, "--bench"))
        for own in material.bundles[1:]
    ]
    if bundle.facts.sparse:
        words = ["tinyml", "inspect", "--sparse", "--target", bundle.target, name]
        rows.append(("Sparse kernels", command(*words)))
    blocks: list[Block] = [Commands(rows)]
    if bundle.facts.recipe_id:
        blocks.append(Prose(f"The recipe has the identity `{bundle.facts.recipe_id}`."))
    versions = [("tinyml", bundle.facts.tinyml or "-")]
    versions += [(name, own or "-") for name, own in bundle.facts.packages.items()]
    blocks.append(Table("Versions that made the bundle", ("package", "version"), versions))
    return ReportSection("reproduce", "How to make each figure again", LEAD, blocks)
