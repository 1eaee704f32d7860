"""`make operators`: which rows it has, what it makes of an export, and ten rows exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from operators.cell import FORMATS, PRECISIONS, Cell, Ended, outcome_of
from operators.networks import BY_ID, ROWS
from operators.page import JUMPS, Notes, is_fault, page, short_reason, table
from operators.row import IMAGE
from operators.store import Store, key_of
from torch import Tensor, nn
from torch.nn import modules

from tinyml.core.errors import ExportError, MachineError, ValidationError
from tinyml.export.quantization.integer_kernels import NO_KERNEL

FAMILIES = (
    modules.activation,
    modules.batchnorm,
    modules.conv,
    modules.instancenorm,
    modules.normalization,
    modules.padding,
    modules.pooling,
    modules.rnn,
    modules.transformer,
    modules.upsampling,
)
TEN = (
    "nn_GELU",
    "nn_Hardswish",
    "nn_GLU",
    "nn_GroupNorm",
    "nn_MaxPool2d_ceil",
    "nn_AdaptiveAvgPool2d",
    "nn_ReflectionPad2d",
    "nn_Upsample_bilinear",
    "nn_ConvTranspose2d",
    "nn_PReLU",
)


def test_every_layer_of_the_families_of_torch_nn_has_a_row() -> None:
    """Lazy layers become the plain ones; a base has no forward of its own."""
    named = {name for family in FAMILIES for name in family.__all__}
    wanted = {f"nn.{n}" for n in named if not n.startswith("Lazy") and not n.endswith("Base")}
    rows = {row.name.partition(" ")[0] for row in ROWS}
    assert wanted <= rows
    assert all(hasattr(nn, name.removeprefix("nn.")) for name in rows if name.startswith("nn."))


def test_rows_are_told_apart_by_their_id() -> None:
    assert len(BY_ID) == len(ROWS)
    assert all(identifier.isidentifier() for identifier in BY_ID)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ExportError("no"), "refused"),
        (ValidationError("differs"), "diverges"),
        (MachineError("was killed"), "crash"),
        (KeyError("stage"), "crash"),
    ],
)
def test_an_error_is_an_outcome(error: Exception, outcome: str) -> None:
    found, reason, _ = outcome_of(Ended(None, error, 0.0))
    assert (found, bool(reason)) == (outcome, True)


def test_a_message_that_names_a_step_of_ours_is_no_refusal() -> None:
    error = ExportError("tinyml.pipeline.model_sources.capture failed: RuntimeError: no")
    error.child = "tinyml.pipeline.model_sources.capture"
    assert outcome_of(Ended(None, error, 0.0))[0] == "crash"


def test_a_result_holds_for_the_code_that_gave_it(tmp_path: Path) -> None:
    row = BY_ID["nn_GELU"]
    key = key_of(row, "code")
    Store(tmp_path).save(Cell(row.id, "onnx", "w8", "works"), key)
    assert [*Store(tmp_path).cells(row, key)] == [("onnx", "w8")]
    assert not Store(tmp_path).cells(row, key_of(row, "other code"))
    assert Store(tmp_path, any_key=True).cells(row, "")


def test_a_reason_names_nothing_of_the_small_network() -> None:
    cell = Cell(
        "torch_flip",
        "onnx",
        "w8",
        "refused",
        "LiteRT cannot convert 'layer' (Function, tools/operators/functions.py:12): no rule",
        "replace it; the whole log: /tmp/a/b.log",
    )
    assert short_reason(cell) == "LiteRT cannot convert the operator: no rule. Replace it."
    notes = Notes()
    assert [notes.mark(short_reason(cell)) for _ in range(2)] == [" [1]", " [1]"]
    assert short_reason(replace(cell, reason=NO_KERNEL, outcome="float")) == ""


def test_formats_that_agree_share_a_word() -> None:
    row = BY_ID["nn_GELU"]
    same = {(fmt, "fp32"): Cell(row.id, fmt, "fp32", "works") for fmt in FORMATS}
    other = {("onnx", "w8"): Cell(row.id, "onnx", "w8", "refused", "no kernel")}
    last = table([row], {row.id: same | other}).splitlines()
    assert last[2] == "| `nn.GELU` | yes | - | - | - | no [1] / - |"
    assert last[-1] == "1. no kernel."


@pytest.mark.parametrize(
    ("name", "precision", "fault"),
    [
        ("torch_sign", "w8a8-static", False),
        ("torch_sign", "fp32", True),
        ("nn_GELU", "w8a8-static", True),
    ],
)
def test_what_jumps_may_diverge_where_values_are_rounded(
    name: str, precision: str, fault: bool
) -> None:
    cell = Cell(name, "onnx", precision, "diverges", "differs")
    assert is_fault(BY_ID[name], cell) is fault


def test_what_jumps_has_a_row() -> None:
    assert {row.name for row in ROWS} >= JUMPS


def test_the_page_has_every_row_and_column() -> None:
    text = page(ROWS, {row.id: {} for row in ROWS})
    assert all(f"| `{row.name}` |" in text for row in ROWS)
    assert f"| operator | {' | '.join(PRECISIONS)} |" in text


class Side(nn.Module):
    """The operators of several rows on one input, the outputs side by side."""

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(layers)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(layer(x) for layer in self.layers.values())


# torch 2.13 on its own pytree; litert-torch's imports on their own deprecations.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`isinstance\\(treespec, LeafSpec\\)`:FutureWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_ten_rows_are_as_the_page_shows(tmp_path: Path) -> None:
    """In float32, in one program: each format converts it once."""
    from corpus_entry import Entry
    from corpus_line import compare, prepare

    from tinyml.export.capture.program import NAMES, PROGRAM, load
    from tinyml.pipeline.formats import named

    assert {BY_ID[name].shape for name in TEN} == {IMAGE}
    entry = Entry("ten", lambda: Side({n: BY_ID[n].build() for n in TEN}), {"x": IMAGE}, TEN)
    ready = prepare(entry, tmp_path)
    for fmt in FORMATS:
        path = tmp_path / f"ten.{fmt}"
        noted = named(fmt).write(load(tmp_path / PROGRAM, tmp_path / NAMES), path)
        rows = list(compare(fmt, path, noted, ready))
        assert {row.stage for row in rows} >= set(TEN)
        assert [row for row in rows if row.verdict == "fail"] == []
