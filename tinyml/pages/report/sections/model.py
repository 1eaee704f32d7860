"""What the model is, and what it is not."""

from __future__ import annotations

from tinyml.core.bundle import Bundle
from tinyml.core.spec import TensorSpec
from tinyml.core.text import shorten
from tinyml.pages.card import processor_text
from tinyml.pages.report.content import Block, NamedValues, Prose, ReportSection, Table
from tinyml.pages.report.material import Material
from tinyml.pages.report.units import counted, first_of, size_text

MOST_LABELS = 12


def section(material: Material) -> ReportSection:
    """Use, signature, data, files and limits."""
    bundle = material.bundle
    blocks: list[Block] = [NamedValues(_facts(material)), _files(bundle)]
    if limits := _limits(bundle):
        blocks.append(Table("What was not checked", ("what", "why"), limits))
    blocks.append(
        Prose(
            "Parity shows that these files compute what PyTorch computes, within stated "
            "tolerances. It does not show that the model is right: that is what metrics on data "
            "of its intended use are for."
        )
    )
    return ReportSection("model", "What it is, and what it is not", "", blocks)


def _facts(material: Material) -> list[tuple[str, str]]:
    bundle = material.bundle
    rows = [("Intended use", material.intended_use)] if material.intended_use else []
    rows += [("Input", _tensor(spec)) for spec in bundle.signature.inputs]
    rows += [("Output", _tensor(spec)) for spec in bundle.signature.outputs]
    if bundle.processor is not None:
        rows.append(("Labels", first_of(bundle.processor.labels, MOST_LABELS)))
        rows.append(("Around the graph", processor_text(bundle.processor)))
    return [*rows, *_training(material), ("Digest of the bundle", f"`{bundle.digest}`")]


def _tensor(spec: TensorSpec) -> str:
    axes = spec.axes or ("",) * len(spec.shape)
    shape = " x ".join(
        f"{axis} {size:,}".strip() for axis, size in zip(axes, spec.shape, strict=True)
    )
    rate = f", at {spec.rate_hz:,} Hz" if spec.rate_hz else ""
    return f"`{spec.name}`: {spec.dtype}, {shape or 'one number'}{rate}"


def _training(material: Material) -> list[tuple[str, str]]:
    training = material.bundle.facts.training
    if training is None:
        return [("Data", "not known: the weights came without a data set")]
    caveat = f", {material.caveat}" if material.caveat else ""
    rows = [("Trained on", f"{training.data_set}{caveat}")]
    rows.append(("Parameters", f"{training.parameters:,}"))
    if training.pruning is not None:
        own = training.pruning
        rows.append(("Pruned", f"{own.sparsity:.0%} of the weights are zero ({own.method})"))
    if training.left_out:
        rows.append(("Not used", f"{counted(len(training.left_out), 'recording')} of the data set"))
    return rows


def _files(bundle: Bundle) -> Table:
    head = ("file", "precision", "size", "oldest runtime", "sha256")
    rows = [
        (
            own.path,
            own.precision,
            size_text(bundle.files[own.path].size),
            own.minimum_runtime,
            shorten(own.sha256, 11),
        )
        for own in bundle.models
    ]
    return Table("Model files", head, rows)


def _limits(bundle: Bundle) -> list[tuple[str, str]]:
    rows = list(bundle.facts.not_judged.items())
    if bundle.parity.accuracy_note:
        rows.append(("accuracy", bundle.parity.accuracy_note))
    rows += [(own.path, own.instrumented_note) for own in bundle.models if own.instrumented_note]
    if bundle.facts.training is not None:
        rows += [("training data", line) for line in bundle.facts.training.warnings]
    return rows
