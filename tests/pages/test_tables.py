"""Tables keep their width: names lose their middle, sentences wrap, numbers stay whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tinyml.core.text import ELLIPSIS, shorten
from tinyml.pages.tables import is_number, paragraph, records, shorten_all, table

FUSED = tuple(
    f"functional_1/activation_{n}/Relu;functional_1/batch_normalization_{n}/FusedBatchNormV3;"
    f"functional_1/conv2d_{n}/BiasAdd/ReadVariableOp/resource;functional_1/conv2d_{n}/Conv2D1"
    for n in range(12)
)
WORD = st.text(st.characters(categories=("L", "N", "P")), max_size=300)


@given(st.lists(st.tuples(WORD, WORD, WORD), min_size=1, max_size=6))
def test_a_table_is_never_wider_than_asked(rows: list[tuple[str, str, str]]) -> None:
    texts = [(name, f"{first} {second}", "1,234") for name, first, second in rows]
    drawn = table(("layer", "why", "MACs"), texts, indent=2, columns=80)
    assert max(map(len, drawn.splitlines())) <= 80


def test_numbers_stay_whole_and_to_the_right() -> None:
    rows = [(name, "CONV_2D", "12,345,678") for name in FUSED] + [("head", "FULLY_CONNECTED", "1")]
    lines = table(("name", "op", "macs"), rows, columns=40).splitlines()
    assert all(line.endswith("  12,345,678") for line in lines[1:-1])
    assert lines[-1].endswith("           1")


def test_a_column_may_be_asked_for_whole() -> None:
    rows = [("efficientnet-b0-sparse80", "a sentence of several words")]
    lines = table(("name", "what"), rows, whole=("name",), columns=40).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["efficientnet-b0-sparse80", "a", "sentence", "of"],
        ["several", "words"],
    ]


def test_a_name_loses_its_middle() -> None:
    assert shorten("stage4.1.pointwise", 18) == "stage4.1.pointwise"
    assert shorten("stage4.1.pointwise", 11) == f"stage{ELLIPSIS}twise"


def test_fused_names_of_a_column_stay_different() -> None:
    short = shorten_all((*FUSED, "Identity"), 24)
    assert short[:2] == ("…activation_0/Relu…", "…activation_1/Relu…")
    assert short[-1] == "Identity"
    assert len(set(short)) == len(short)


def test_a_start_that_not_all_share_stays() -> None:
    names = ("encoder.layers.0.attention.query", "decoder.layers.0.attention.query")
    assert shorten_all(names, 16) == ("encoder.…n.query", "decoder.…n.query")
    assert shorten_all((), 16) == ()


def test_sentences_are_lines_behind_their_keys() -> None:
    row = {"rule": "repeated_slices", "fix": "write one convolution instead of nine slices"}
    assert records([row, row], indent=2, columns=40).splitlines()[:4] == [
        "  rule  repeated_slices",
        "  fix   write one convolution instead of",
        "        nine slices",
        "",
    ]
    assert paragraph("needed: ", "one at least") == "needed: one at least"


def test_what_is_a_number() -> None:
    for cell in ("", "-", "1,234", "-0.5", "1.2e-06", "12.3 M", "100%", "64 bytes", "1.5x"):
        assert is_number(cell), cell
    for cell in ("9 slices are one", "float32", "3x3 CONV_2D, stride 1", "1.27.0 to 1.32.0"):
        assert not is_number(cell), cell
