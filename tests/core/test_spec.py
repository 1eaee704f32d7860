from __future__ import annotations

import numpy as np
import pytest

from tinyml.core.errors import InputError
from tinyml.core.spec import Signature, StatePair, TensorSpec
from tinyml.core.typed_json import from_json, to_json

TOKENS = TensorSpec("tokens", (1, 8), ("batch", "time"), "int64")
HIDDEN = TensorSpec("hidden", (1, 4))
NEXT = TensorSpec("next_hidden", (1, 4))
SCORES = TensorSpec("scores", (1, 2))
RECURRENT = Signature((TOKENS, HIDDEN), (SCORES, NEXT), (StatePair("hidden", "next_hidden"),))


def test_a_signature_survives_json() -> None:
    assert from_json(Signature, to_json(RECURRENT)) == RECURRENT


def test_inputs_are_checked_by_name_shape_and_dtype() -> None:
    good = {"tokens": np.zeros((1, 8), np.int64), "hidden": np.zeros((1, 4), np.float32)}
    RECURRENT.check_inputs(good)
    with pytest.raises(InputError, match="the model takes"):
        RECURRENT.check_inputs({"tokens": good["tokens"]})
    with pytest.raises(InputError, match=r"float32\[1, 4\]"):
        RECURRENT.check_inputs(good | {"hidden": np.zeros((2, 4), np.float32)})
    with pytest.raises(InputError, match="int64"):
        RECURRENT.check_inputs(good | {"tokens": np.zeros((1, 8), np.int32)})


def test_a_state_pair_must_fit_itself() -> None:
    with pytest.raises(InputError, match="differ"):
        Signature((TOKENS,), (SCORES,), (StatePair("tokens", "scores"),))
    with pytest.raises(InputError, match="no output is called"):
        Signature((HIDDEN,), (SCORES,), (StatePair("hidden", "absent"),))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "", "shape": (1,)}, "needs a name"),
        ({"name": "x", "shape": (0, 3)}, "not fixed and positive"),
        ({"name": "x", "shape": (1, 3), "axes": ("time",)}, "1 axes for 2"),
        ({"name": "x", "shape": (1,), "dtype": "complex64"}, "complex64"),
    ],
)
def test_a_tensor_is_validated_when_made(spec: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TensorSpec(**spec)  # type: ignore[arg-type]


def test_a_name_may_be_used_once() -> None:
    with pytest.raises(InputError, match="twice"):
        Signature((HIDDEN,), (HIDDEN,))
