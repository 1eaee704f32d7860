"""fp16: what float16 cannot hold is found, named and kept; FunnelNet collapses without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from shipped import RUNTIMES, WRITERS, Shipped
from torch import Tensor, nn

from tinyml.core.bundle import StageParity
from tinyml.core.errors import ExportError
from tinyml.core.plan_record import CONSTANT
from tinyml.core.spec import Array, Arrays, Signature, TensorSpec
from tinyml.export import parity
from tinyml.export.capture.program import Captured, capture
from tinyml.export.capture.stage_values import eager_values
from tinyml.export.formats.onnx import quantize as quantize_onnx
from tinyml.export.formats.tflite import quantize as quantize_tflite
from tinyml.export.quantization import fp16_plan as plans
from tinyml.export.quantization import fp16_planner
from tinyml.export.quantization.fp16_plan import Float16Plan
from tinyml.export.quantization.fp16_program import HalfProgram
from tinyml.export.quantization.fp16_values import unheld_values
from tinyml.export.rewrites import rewrite
from tinyml.models.funnelnet import FUNNELNET, FunnelNet

SIGNATURE = Signature((TensorSpec("x", (1, 16)),), (TensorSpec("y", (1, 16)),))
Cases = dict[str, Arrays]
QUANTIZERS = {"onnx": quantize_onnx, "tflite": quantize_tflite}


def ready(
    module: nn.Module, signature: Signature, stages: tuple[str, ...], cases: Cases
) -> tuple[Captured, Cases, Cases, Cases]:
    """Captured and rewritten; inputs, stages and outputs by case."""
    captured = rewrite(capture(module.eval(), signature, stages))[0]
    values = {case: eager_values(module, x, signature, stages) for case, x in cases.items()}
    inside = {case: value[0] for case, value in values.items()}
    return captured, cases, inside, {case: value[1] for case, value in values.items()}


def planned(module: nn.Module, fmt: str = "onnx", *stages: str, scale: float = 1.0) -> Float16Plan:
    generator = np.random.default_rng(0)
    given = {"noise": {"x": scale * generator.standard_normal((1, 16), np.float32)}}
    captured, *known = ready(module, SIGNATURE, stages, given)
    return fp16_planner.plan(captured, fmt, *known, weights_only=fmt == "tflite")


class Floor(nn.Module):
    def __init__(self, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return torch.log10(x * x + self.epsilon)


class Chain(nn.Module):
    """A matrix product, ``part``, another product."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.part, self.last = nn.Linear(16, 16), part, nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.part(self.first(x)))


class Loud(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x * 3e5 / 1e5)


class Quiet(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x)


def found(values: list[float]) -> list[tuple[str, float, bool]]:
    array = np.array(values, np.float32)
    return [(f.kind, f.value, f.harmless) for f in unheld_values(array)]


def test_overflow_and_underflow_are_told_apart_and_from_what_is_harmless() -> None:
    assert found([0.0, 1.0, -65504.0, np.inf]) == []
    assert found([1.0, -70000.0]) == [("overflow", 70000.0, False)]
    assert found([1.0, 1e-9]) == [("underflow", pytest.approx(1e-9), True)]
    assert found([1e-5, 5e-5]) == [("underflow", pytest.approx(1e-5), False)]
    assert found([0.0, 0.0]) == []
    assert list(unheld_values(np.asarray(1e-5, np.float32))) == []
    assert [f.harmless for f in unheld_values(np.asarray(1e-8, np.float32))] == [False]


def test_an_epsilon_below_float16_is_named_with_stage_node_and_value() -> None:
    plan = planned(Chain(Floor(1e-10)), "onnx", "first", "part")
    (epsilon,) = [f for f in plan.findings if f.case == CONSTANT]
    assert (epsilon.kind, epsilon.stage, epsilon.node) == ("underflow", "part", "add")
    assert epsilon.value == pytest.approx(1e-10)
    assert plan.kept["add"] == str(epsilon)
    assert "underflow in part at add: 1e-10, a constant" in "\n".join(plan.lines())
    assert not set(plan.kept) & {"linear", "linear_1"}


def test_an_epsilon_that_float16_has_stays_in_it() -> None:
    assert planned(Chain(Floor(1e-3)), "onnx", "first", "part").kept == {}


def test_an_overflow_keeps_what_computes_it_and_what_takes_it() -> None:
    plan = planned(Chain(Loud()), "onnx", "part")
    assert {"mul", "div"} <= set(plan.kept)
    assert {f.kind for f in plan.findings if not f.harmless} == {"overflow"}
    assert plan.kept["div"].startswith("overflow in part at ")


def test_a_stage_that_only_differs_is_kept_by_running_it_rounded() -> None:
    class Difference(nn.Module):
        """All that is left are the digits that float16 lacks."""

        def forward(self, x: Tensor) -> Tensor:
            return (x + 900.0) - 900.0

    plan = planned(Chain(Difference()), "onnx", "part")
    assert {"add", "sub"} <= set(plan.kept)
    assert "part differs on 'noise': error " in plan.kept["add"]


def test_tflite_has_weights_to_choose_from_and_nothing_else() -> None:
    plan = planned(Chain(Floor(1e-10)), "tflite", "part")
    assert (plan.kept, plan.operations) == ({}, 2)
    small = Chain(nn.Identity())
    with torch.no_grad():
        small.first.weight.mul_(1e-6)
    assert set(planned(small, "tflite").kept) == {"linear"}


def test_where_nothing_can_be_cast_the_export_says_so() -> None:
    with pytest.raises(ExportError, match="leaves nothing to cast in the tflite file") as caught:
        planned(Floor(1e-3), "tflite")
    assert "`precision=fp32`" in caught.value.hint
    with pytest.raises(ExportError, match="underflow"):
        planned(Quiet(), "onnx", scale=1e-7)


def test_a_generated_case_that_float16_cannot_hold_refuses_no_network() -> None:
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((1, 16), np.float32)
    cases = {"noise": {"x": noise}, "tiny": {"x": parity.TINY * noise}}
    captured, *known = ready(Quiet(), SIGNATURE, (), cases)
    plan = fp16_planner.plan(captured, "onnx", *known, weights_only=False)
    assert (plan.kept, plan.not_judged) == ({}, ("tiny",))
    assert "not judged on 'tiny', whose inputs float16 cannot hold" in plan.lines()[-1]
    captured, *known = ready(Chain(Quiet()), SIGNATURE, (), cases)
    plan = fp16_planner.plan(captured, "onnx", *known, weights_only=False)
    assert (set(plan.kept), plan.not_judged) == ({"linear"}, ())


def test_a_plan_read_back_is_the_plan(tmp_path: Path) -> None:
    plan = planned(Chain(Floor(1e-10)), "onnx", "part")
    plan.save(tmp_path / "plan.json")
    assert plans.load(tmp_path / "plan.json") == plan


def test_a_rounded_run_follows_writes_into_what_was_computed() -> None:
    class Writes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x * 1.001
            y[:, 2:5] = 0.3
            y.relu_()
            return y + 0.0

    captured = capture(Writes().eval(), SIGNATURE)
    given = {"x": np.linspace(-1, 1, 16, dtype=np.float32)[None]}
    (name,) = captured.outputs.values()
    got = HalfProgram(captured).values(given, {name})[name]
    want = Writes()(torch.from_numpy(given["x"])).half().float().numpy()
    np.testing.assert_allclose(got, want, atol=2e-3)
    assert got[0, 3] == np.float32(np.float16(0.3))
    assert captured.program.state_dict == {}


class Made:
    """FunnelNet in every format, as planned and with everything cast, each written once."""

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(0)
        self.folder = folder
        signature = FUNNELNET.signature(3)
        self.stages, self.cases = FUNNELNET.stages, parity.cases(signature, 0)
        module = FunnelNet(3).eval()
        self.captured, *self.known = ready(module, signature, self.stages, self.cases)
        self.captured.save(folder)
        self.plans: dict[str, Float16Plan] = {}

    def plan(self, fmt: str) -> Float16Plan:
        if fmt not in self.plans:
            self.plans[fmt] = fp16_planner.plan(
                self.captured, fmt, *self.known, weights_only=fmt == "tflite"
            )
        return self.plans[fmt]

    def write(self, fmt: str, plan: Float16Plan | None, name: str) -> Shipped:
        from tinyml.export.capture.program import NAMES, PROGRAM, load

        path = self.folder / f"{name}.{fmt}"
        captured = load(self.folder / PROGRAM, self.folder / NAMES)
        facts = WRITERS[fmt].write(captured, path)
        if plan is None:
            return Shipped(path, facts)
        made = QUANTIZERS[fmt].perform(path, plan, facts, False)
        path.write_bytes(made.data)
        return Shipped(path, replace(facts, stages=made.stages, passes=made.passes))

    def rows(self, shipped: Shipped) -> list[StageParity]:
        rows: list[StageParity] = []
        _, inside, outputs = self.known
        for case, given in self.cases.items():
            got: dict[str, Array | None] = shipped.stages(given)
            rows += parity.compare("file", case, inside[case], got, self.stages, "fp16")
            answers = shipped.outputs(given)
            rows += parity.compare("whole", case, outputs[case], answers, list(answers), "fp16")
        return rows


@pytest.fixture(scope="module")
def funnelnet(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("fp16"))


@pytest.mark.parametrize("fmt", ["onnx", pytest.param("tflite", marks=pytest.mark.slow)])
def test_funnelnet_as_planned_has_parity_is_smaller_and_repeats(funnelnet: Made, fmt: str) -> None:
    single, plan = funnelnet.write(fmt, None, "single"), funnelnet.plan(fmt)
    shipped, again = (funnelnet.write(fmt, plan, name) for name in ("planned", "again"))
    assert again.path.read_bytes() == shipped.path.read_bytes()
    assert {row.verdict for row in funnelnet.rows(shipped)} == {"pass"}
    assert shipped.facts.passes["to_fp16"] > 10
    assert shipped.path.stat().st_size < 0.85 * single.path.stat().st_size
    signature = RUNTIMES[fmt].open(shipped.path).signature
    assert signature.inputs == RUNTIMES[fmt].open(single.path).signature.inputs
    assert signature.outputs == RUNTIMES[fmt].open(single.path).signature.outputs
    assert list(shipped.facts.stages.values()) == list(single.facts.stages.values())


def test_funnelnet_all_in_float16_collapses_where_its_epsilon_is_lost(funnelnet: Made) -> None:
    shipped = funnelnet.write("onnx", Float16Plan("fp16", "onnx"), "all")
    failed = [row for row in funnelnet.rows(shipped) if row.verdict == "fail"]
    assert {"filter_bank", "scalogram", "normalization", "squeeze"} <= {row.stage for row in failed}
    plan = funnelnet.plan("onnx")
    assert {"filter_bank", "scalogram"} <= set(plan.stages.values())
    assert any(f.case == CONSTANT and f.stage == "scalogram" for f in plan.findings)
