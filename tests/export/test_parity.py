"""The gate: what passes, what fails, and what is said."""

from __future__ import annotations

import numpy as np
import pytest

from tinyml.core.bundle import Agreement, Parity
from tinyml.core.errors import ValidationError
from tinyml.core.paired_difference import paired_difference
from tinyml.core.parts import Joined, parts_of
from tinyml.core.spec import Array, Signature, StatePair, TensorSpec
from tinyml.core.tolerance import POLICIES
from tinyml.export.parity import cases, compare, gate
from tinyml.models.training.metrics import share_right

WANT = {
    "bank": np.linspace(-1, 1, 20, dtype=np.float32),
    "logits": np.array([2.0, -4.0], np.float32),
}
SIGNATURE = Signature(
    inputs=(
        TensorSpec("waveform", (1, 64)),
        TensorSpec("state", (1, 8)),
        TensorSpec("index", (1, 3), dtype="int64"),
        TensorSpec("flag", (), dtype="bool"),
        TensorSpec("level", (1, 4), dtype="int8"),
    ),
    outputs=(TensorSpec("state_out", (1, 8)),),
    states=(StatePair("state", "state_out"),),
)


def verdicts(got: dict[str, Array | None], engine: str = "litert") -> list[str]:
    return [row.verdict for row in compare(engine, "random", WANT, got, list(WANT))]


def test_equal_stages_pass_and_have_no_finite_sqnr() -> None:
    rows = compare("litert", "random", WANT, WANT, list(WANT))
    assert [(row.verdict, row.max_error, row.sqnr_db) for row in rows] == [("pass", 0.0, None)] * 2


@pytest.mark.parametrize(
    "wrong",
    [
        WANT["bank"] * 2,
        WANT["bank"] * 0,
        -WANT["bank"],
        WANT["bank"] + 1e-3,
        np.where(WANT["bank"] > 0.9, np.nan, WANT["bank"]),
        np.where(WANT["bank"] > 0.9, np.inf, WANT["bank"]),
        WANT["bank"][:-1],
        WANT["bank"][None],
    ],
)
def test_a_wrong_stage_fails_and_the_others_do_not(wrong: Array) -> None:
    assert verdicts({**WANT, "bank": wrong}) == ["fail", "pass"]


def test_a_stage_without_an_answer_fails_and_a_fused_one_does_not() -> None:
    assert verdicts({"bank": WANT["bank"]}) == ["pass", "fail"]
    assert verdicts({**WANT, "logits": None}) == ["pass", "fused away"]


def test_a_reference_that_is_not_finite_fails_even_when_the_engine_agrees() -> None:
    broken = {"bank": np.array([-np.inf, 1.0], np.float32)}
    assert compare("litert", "silence", broken, broken, ["bank"])[0].verdict == "fail"


def test_silence_must_be_answered_with_silence() -> None:
    zeros = {"bank": np.zeros(4, np.float32)}
    noise = {"bank": np.full(4, 1e-30, np.float32)}
    assert compare("litert", "silence", zeros, zeros, ["bank"])[0].verdict == "pass"
    assert compare("litert", "silence", zeros, noise, ["bank"])[0].verdict == "fail"


def test_the_captured_program_is_judged_tighter_than_an_engine() -> None:
    near = {name: array * np.float32(1 + 1e-5) for name, array in WANT.items()}
    assert verdicts(near, "onnxruntime") == ["pass", "pass"]
    assert verdicts(near, "captured") == ["fail", "fail"]


def test_the_bound_scales_with_the_stage_in_that_case() -> None:
    tiny = {"bank": WANT["bank"] * np.float32(1e-6)}
    row = compare("litert", "tiny", tiny, tiny, ["bank"])[0]
    assert row.bound == pytest.approx(POLICIES["engine"].rtol * 1e-6)


def test_the_gate_lets_agreement_through() -> None:
    gate(Parity(compare("litert", "random", WANT, WANT, list(WANT))))


def test_the_gate_names_engine_case_first_stage_error_bound_and_sqnr() -> None:
    wrong = {name: array * 2 for name, array in WANT.items()}
    rows = compare("litert", "impulse", WANT, wrong, list(WANT))
    with pytest.raises(ValidationError) as caught:
        gate(Parity(rows))
    for said in ("litert", "'bank'", "'impulse'", "error 1,", "0.0001 allowed", "0.0 dB"):
        assert said in caught.value.message
    assert "2 of 2 rows fail" in caught.value.message


def test_the_gate_says_when_there_is_no_number() -> None:
    rows = compare("litert", "impulse", WANT, {**WANT, "bank": WANT["bank"] * np.nan}, ["bank"])
    with pytest.raises(ValidationError, match="not finite"):
        gate(Parity(rows))


def labels(*, wrong: int, count: int = 1000) -> Parity:
    """Labels of images that PyTorch has right, ``wrong`` of them moved; all stages hold."""
    truths = np.zeros(count, int)
    gots = (np.arange(count) < wrong).astype(int)
    found = paired_difference(share_right, truths, truths, gots, 2)
    own = Agreement("litert", "images", count, count - wrong, 0.1, (), "accuracy", found)
    return Parity(compare("litert", "random", WANT, WANT, list(WANT)), (own,))


def test_the_gate_refuses_labels_that_are_clearly_worse() -> None:
    gate(labels(wrong=0))
    gate(labels(wrong=15))  # more than a point, but that may be chance
    with pytest.raises(ValidationError) as caught:
        gate(labels(wrong=40))
    said = "litert is clearly worse than PyTorch, by more than 1 points: 960 of 1000 images agree; "
    assert caught.value.message.startswith(f"{said}accuracy 1.0000 becomes 0.9600, -4.00 (-5.")
    assert "`auto_precision`" in caught.value.hint


def test_the_gate_takes_the_loss_that_was_accepted() -> None:
    gate(labels(wrong=40), accepted=0.05)
    with pytest.raises(ValidationError, match=r"by more than 0\.5 points"):
        gate(labels(wrong=15), accepted=0.005)


def test_a_failed_stage_is_told_with_what_became_of_its_engines_labels() -> None:
    wrong = {name: array * 2 for name, array in WANT.items()}
    agreements = labels(wrong=1).agreements
    for engine, told in (("litert+xnnpack", True), ("onnxruntime", False)):
        rows = compare(engine, "impulse", WANT, wrong, list(WANT), "int8")
        with pytest.raises(ValidationError) as caught:
            gate(Parity(rows, agreements))
        assert ("; 999 of 1000 images agree; accuracy 1.0000" in caught.value.message) == told
        assert "`auto_precision`" in caught.value.hint


def test_every_case_fits_the_signature() -> None:
    for inputs in cases(SIGNATURE, seed=0).values():
        SIGNATURE.check_inputs(inputs)


def test_the_cases_are_what_they_are_called() -> None:
    made = cases(SIGNATURE, seed=0)
    assert list(made) == ["random", "silence", "tiny", "full-scale", "impulse"]
    wave = {case: inputs["waveform"] for case, inputs in made.items()}
    assert 0.1 < wave["random"].std() < 0.4
    assert not wave["silence"].any()
    assert 0 < np.abs(wave["tiny"]).max() < 1e-4
    assert set(np.unique(wave["full-scale"])) == {-1.0, 1.0}
    assert np.flatnonzero(wave["impulse"]).tolist() == [32]
    assert made["random"]["state"].any()


def test_integers_stay_inside_every_index() -> None:
    for inputs in cases(SIGNATURE, seed=0).values():
        for name in ("index", "flag", "level"):
            assert set(np.unique(inputs[name]).astype(int)) <= {0, 1}


def test_integers_take_the_range_of_the_sample_and_no_more() -> None:
    sample = {
        "index": np.array([[3, 49, 7]]),
        "flag": np.array(True),
        "level": np.array([[-128, 127, 0, 5]], np.int8),
    }
    wide = Signature(
        (
            TensorSpec("index", (1, 400), dtype="int64"),
            TensorSpec("flag", (), dtype="bool"),
            TensorSpec("level", (1, 40), dtype="int8"),
        ),
        (TensorSpec("y", (1, 8)),),
    )
    made = cases(wide, seed=0, sample=sample)
    for inputs in made.values():
        wide.check_inputs(inputs)
        assert inputs["index"].min() >= 3
        assert inputs["index"].max() <= 49
    assert set(made["random"]["index"].ravel()) == set(range(3, 50))
    assert set(made["full-scale"]["index"].ravel()) == {3, 49}
    assert set(made["silence"]["index"].ravel()) == {3}
    assert np.flatnonzero(made["impulse"]["index"] == 49).tolist() == [200]
    assert set(made["silence"]["level"].ravel()) == {0}
    assert set(made["full-scale"]["level"].ravel()) == {-128, 127}


def test_an_input_that_the_sample_lacks_is_0_or_1() -> None:
    for inputs in cases(SIGNATURE, seed=0, sample={"flag": np.array(True)}).values():
        assert set(np.unique(inputs["index"])) <= {0, 1}


def test_floats_are_the_same_with_and_without_a_sample() -> None:
    first = Signature(SIGNATURE.inputs[:2], SIGNATURE.outputs)
    sample = {"waveform": np.full((1, 64), 5.0, np.float32)}
    for case, inputs in cases(first, 0).items():
        given = cases(first, 0, sample)[case]
        assert all(np.array_equal(given[name], inputs[name]) for name in inputs)


def test_a_seed_decides_the_cases() -> None:
    first, again, other = (cases(SIGNATURE, seed)["random"]["waveform"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


JOINED = {"output": np.concatenate([np.linspace(0, 320, 64), np.linspace(0, 0.06, 64)])}
PARTS = {"output": parts_of([JOINED["output"]], [Joined(0, (0,) * 64 + (1,) * 64)], split=False)}


def test_each_part_of_a_join_is_judged_and_the_worst_is_shown() -> None:
    got = JOINED["output"].copy()
    got[64:] = 0.0
    (alone,) = compare("litert", "sample", JOINED, {"output": got}, ["output"], "int8")
    (row,) = compare("litert", "sample", JOINED, {"output": got}, ["output"], "int8", parts=PARTS)
    assert (alone.verdict, alone.part) == ("pass", "")
    assert (row.verdict, row.part) == ("fail", "64-127 of axis 0")
    assert row.max_error == pytest.approx(0.06)
    with pytest.raises(ValidationError, match=r"'output' \(64-127 of axis 0\)") as error:
        gate(Parity((row,)))
    assert "a separate output" in error.value.hint


def test_a_part_that_is_missing_or_not_finite_fails_as_a_whole() -> None:
    for got in (None, np.full(128, np.nan), np.zeros(3)):
        (row,) = compare(
            "litert", "sample", JOINED, {"output": got}, ["output"], "int8", parts=PARTS
        )
        assert row.verdict == ("fused away" if got is None else "fail")
        assert row.part == ""
