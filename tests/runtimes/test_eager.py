from __future__ import annotations

import numpy as np
import pytest

from tinyml.errors import InputError
from tinyml.spec import Signature, TensorSpec

torch = pytest.importorskip("torch")

from tinyml.runtimes.eager import EagerSession  # noqa: E402

SIGNATURE = Signature(
    (TensorSpec("x", (1, 2)), TensorSpec("count", (1,), dtype="int64")),
    (TensorSpec("y", (1, 3)), TensorSpec("next", (1,), dtype="int64")),
)
INPUTS = {"x": np.array([[1.0, -2.0]], np.float32), "count": np.array([4])}


class Pair(torch.nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, *, as_dict: bool) -> None:
        super().__init__()
        self.as_dict = as_dict
        self.head = torch.nn.Linear(2, 3)
        self.norm = torch.nn.BatchNorm1d(3)
        self.idle = torch.nn.Identity()

    def forward(self, x, count):  # type: ignore[no-untyped-def]
        y = self.norm(self.head(x))
        return {"next": count + 1, "y": y} if self.as_dict else (y, count + 1)


@pytest.mark.parametrize("as_dict", [True, False])
def test_names_the_outputs_of_a_module_in_eval_mode(as_dict: bool) -> None:
    module = Pair(as_dict=as_dict).train()
    got, stages = EagerSession(module, SIGNATURE).read_stages(["head"], INPUTS)
    weight, bias = (p.detach().numpy() for p in module.head.parameters())
    head = INPUTS["x"] @ weight.T + bias
    assert list(got) == ["y", "next"]
    assert np.allclose(stages["head"], head, atol=1e-6)
    assert np.allclose(got["y"], head / np.sqrt(1 + 1e-5), atol=1e-6)
    assert got["next"] == 5


def test_leaves_no_hook_behind() -> None:
    module = Pair(as_dict=True)
    EagerSession(module, SIGNATURE).read_stages(["head"], INPUTS)
    assert not module.head._forward_hooks


@pytest.mark.parametrize(("stage", "message"), [("hed", "no stage 'hed'"), ("idle", "never")])
def test_refuses_a_stage_that_is_not_there_or_not_called(stage: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        EagerSession(Pair(as_dict=True), SIGNATURE).read_stages([stage], INPUTS)


def test_refuses_outputs_that_the_signature_does_not_name() -> None:
    signature = Signature(SIGNATURE.inputs, SIGNATURE.outputs[:1])
    with pytest.raises(InputError, match="returns"):
        EagerSession(Pair(as_dict=True), signature).run(INPUTS)
    with pytest.raises(InputError, match="2 outputs"):
        EagerSession(Pair(as_dict=False), signature).run(INPUTS)
