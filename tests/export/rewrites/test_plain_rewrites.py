"""Each rewrite of the captured program: fires, refuses, twice is once, numbers hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fires_in import fires_in
from small_networks import SIGNATURE, STAGES, network, noise, randomised
from torch import Tensor, nn
from torch.export import ExportedProgram

from tinyml.core.spec import Signature, TensorSpec
from tinyml.export import rewrites
from tinyml.export.capture.module_stack import submodules
from tinyml.export.capture.program import Captured, capture, load
from tinyml.export.capture.stage_values import captured_values, eager_values
from tinyml.export.outcome import Outcome
from tinyml.export.parity import cases, compare
from tinyml.export.rewrites.drop_dropout import drop_dropout
from tinyml.export.rewrites.fold_batchnorm import fold_batchnorm
from tinyml.export.rewrites.merge_pad_into_conv import merge_pad_into_conv

Pass = Callable[..., Outcome]


def outcome(rewrite: Pass, captured: Captured) -> tuple[Captured, Outcome]:
    """``captured`` after one pass, and what that did."""
    stages = dict(captured.stages)
    done = rewrite(captured.program, stages)
    captured.program.graph.lint()
    captured.program.validate()  # type: ignore[no-untyped-call]
    return Captured(captured.program, stages, captured.signature), done


def apply(rewrite: Pass, captured: Captured) -> tuple[Captured, int]:
    """``captured`` after one pass, and its count."""
    written, done = outcome(rewrite, captured)
    return written, done.count


def sequence(*parts: nn.Module, shape: tuple[int, ...]) -> tuple[nn.Module, Signature]:
    """Seeded parts in a row and the signature for an input of ``shape``."""
    for index, part in enumerate(parts):
        torch.manual_seed(index)
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()
    module = randomised(nn.Sequential(*parts))
    wrapped = Named(module)
    out = wrapped(torch.zeros(shape))["y"]
    specs = TensorSpec("x", shape), TensorSpec("y", tuple(out.shape))
    return wrapped.eval(), Signature((specs[0],), (specs[1],))


class Named(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"y": self.inner(x)}


def targets(captured: Captured) -> list[str]:
    """The operations of the program, in order."""
    nodes = captured.program.graph.nodes
    return [str(node.target).split(".")[1] for node in nodes if node.op == "call_function"]


def assert_same_numbers(module: nn.Module, captured: Captured, signature: Signature) -> None:
    x = {spec.name: noise(*spec.shape, seed=7) for spec in signature.inputs}
    _, want = eager_values(module, x, signature, ())
    _, got = captured_values(captured, x)
    rows = compare("captured", "noise", want, got, list(want), policy="rewrite")
    assert [row.verdict for row in rows] == ["pass"] * len(want)


CONVOLUTIONS = {
    "1d": (nn.Conv1d(3, 5, 3), nn.BatchNorm1d(5), (2, 3, 20)),
    "1d, no bias": (nn.Conv1d(3, 5, 3, bias=False), nn.BatchNorm1d(5), (2, 3, 20)),
    "2d, grouped, strided": (
        nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=4),
        nn.BatchNorm2d(8),
        (1, 4, 9, 7),
    ),
    "2d, dilated, padding by name": (
        nn.Conv2d(4, 4, 3, padding="same", dilation=2),
        nn.BatchNorm2d(4, eps=1e-2),
        (1, 4, 9, 7),
    ),
    "3d": (nn.Conv3d(2, 4, 3, padding=1), nn.BatchNorm3d(4), (1, 2, 4, 4, 4)),
    "3d, padding by name": (nn.Conv3d(2, 3, 3, padding="same"), nn.BatchNorm3d(3), (1, 2, 4, 4, 4)),
    "2d, not affine": (nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3, affine=False), (1, 2, 4, 4)),
}


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_fold_batchnorm_fires_once_and_the_numbers_hold(kind: str) -> None:
    convolution, norm, shape = CONVOLUTIONS[kind]
    module, signature = sequence(convolution, norm, shape=shape)
    folded, count = apply(fold_batchnorm, capture(module, signature))
    assert count == 1
    assert "batch_norm" not in targets(folded)
    assert_same_numbers(module, folded, signature)
    assert apply(fold_batchnorm, folded)[1] == 0


class TwoUsers(nn.Module):
    """The convolution's own result is used beside the normalised one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(2, 2, 1), nn.BatchNorm1d(2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.conv(x)
        return {"y": y + self.norm(y)}


class ComputedWeight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight, self.norm = nn.Parameter(torch.ones(2, 2, 1)), nn.BatchNorm1d(2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"y": self.norm(nn.functional.conv1d(x, self.weight.tanh()))}


class Untracked(nn.Module):
    """Statistics of the batch itself, in eval mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 2, 1)
        self.norm = nn.BatchNorm1d(2, track_running_stats=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"y": self.norm(self.conv(x))}


class Transposed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.ConvTranspose1d(2, 2, 1), nn.BatchNorm1d(2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"y": self.norm(self.conv(x))}


@pytest.mark.parametrize(
    ("refused", "why"),
    [
        (TwoUsers, "the convolution has another user"),
        (ComputedWeight, "a weight or a statistic is not constant"),
        (Untracked, "it uses the statistics of the batch"),
        (Transposed, "no convolution is before it"),
    ],
)
def test_fold_batchnorm_refuses(refused: type[nn.Module], why: str) -> None:
    torch.manual_seed(0)
    module = refused().eval()
    norm = module.get_submodule("norm")
    if norm.running_mean is not None:
        randomised(module)
    signature = Signature((TensorSpec("x", (1, 2, 6)),), (TensorSpec("y", (1, 2, 6)),))
    kept, done = outcome(fold_batchnorm, capture(module, signature))
    assert done == Outcome(0, {"batch_norm": why})
    assert "batch_norm" in targets(kept)
    assert_same_numbers(module, kept, signature)


def test_fold_batchnorm_keeps_the_normalised_stage_and_loses_the_bare_convolution() -> None:
    module, signature = sequence(nn.Conv1d(2, 2, 3), nn.BatchNorm1d(2), nn.ReLU(), shape=(1, 2, 9))
    stages = ("inner.0", "inner.1", "inner.2")
    folded, _ = apply(fold_batchnorm, capture(module, signature, stages))
    want, _ = eager_values(module, {"x": noise(1, 2, 9)}, signature, stages)
    got, _ = captured_values(folded, {"x": noise(1, 2, 9)})
    rows = compare("captured", "noise", want, got, stages)
    assert [row.verdict for row in rows] == ["fused away", "pass", "pass"]


def test_fold_batchnorm_shows_the_layer_as_the_convolution_once_it_is_saved(tmp_path: Path) -> None:
    module, signature = sequence(nn.Conv1d(2, 2, 3), nn.BatchNorm1d(2), nn.ReLU(), shape=(1, 2, 9))
    folded, _ = apply(fold_batchnorm, capture(module, signature))
    folded.save(tmp_path)
    again = load(tmp_path / "program.pt2", tmp_path / "capture.json")
    calls = [node for node in again.program.graph.nodes if node.op == "call_function"]
    assert list(submodules(calls).values()) == ["inner.0", "inner.2"]


def test_fold_batchnorm_folds_a_shared_module_at_each_call() -> None:
    module = network()
    captured, count = apply(fold_batchnorm, capture(module, SIGNATURE, STAGES))
    assert count == 3
    inputs = cases(SIGNATURE, seed=0)["random"]
    want, _ = eager_values(module, inputs, SIGNATURE, STAGES)
    rows = compare("captured", "random", want, captured_values(captured, inputs)[0], STAGES)
    assert {row.verdict for row in rows} == {"pass"}


def test_drop_dropout_fires_once_and_the_numbers_hold() -> None:
    module, signature = sequence(
        nn.Linear(4, 4), nn.Dropout(0.5), nn.ReLU(), nn.Dropout2d(), nn.Tanh(), shape=(1, 4, 2, 4)
    )
    dropped, count = apply(drop_dropout, capture(module, signature))
    assert count == 2
    assert targets(dropped) == ["linear", "relu", "tanh"]
    assert_same_numbers(module, dropped, signature)
    assert apply(drop_dropout, dropped)[1] == 0


def test_drop_dropout_refuses_the_graphs_output() -> None:
    module, signature = sequence(nn.Linear(4, 4), nn.Dropout(0.5), shape=(1, 4))
    kept, done = outcome(drop_dropout, capture(module, signature))
    assert targets(kept) == ["linear", "dropout"]
    assert done == Outcome(0, {"dropout": "it is an output"})


def test_drop_dropout_refuses_training() -> None:
    module, signature = sequence(nn.Linear(4, 4), nn.Dropout(0.5), nn.ReLU(), shape=(1, 4))
    captured = capture(module, signature)
    node = next(n for n in captured.program.graph.nodes if "dropout" in str(n.target))
    node.update_arg(2, True)
    assert outcome(drop_dropout, captured)[1] == Outcome(0, {node.name: "training mode"})


def test_a_stage_that_was_a_dropout_becomes_its_operand() -> None:
    module, signature = sequence(nn.Linear(4, 4), nn.Dropout(0.5), nn.ReLU(), shape=(1, 4))
    captured = capture(module, signature, ("inner.0", "inner.1"))
    dropped, _ = apply(drop_dropout, captured)
    assert dropped.stages["inner.1"] == dropped.stages["inner.0"] == captured.stages["inner.0"]


class Padded(nn.Module):
    """A padding and a convolution over the last axis."""

    def __init__(
        self, pad: tuple[int, ...], kernel: int, stride: int = 1, mode: str = "constant"
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.pad, self.mode, self.value = pad, mode, None if mode != "constant" else 0.0
        self.conv = nn.Conv2d(2, 3, (1, kernel), stride=(1, stride), padding=(0, 1))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"y": self.conv(nn.functional.pad(x, self.pad, self.mode, self.value))}


class PaddedWithOnes(Padded):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"y": self.conv(nn.functional.pad(x, self.pad, value=1.0))}


class PaddingUsedTwice(Padded):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        padded = nn.functional.pad(x, self.pad)
        return {"y": self.conv(padded) + padded.sum()}


def signature_of(module: nn.Module, shape: tuple[int, ...]) -> Signature:
    out = tuple(module(torch.zeros(shape))["y"].shape)
    return Signature((TensorSpec("x", shape),), (TensorSpec("y", out),))


@pytest.mark.parametrize(
    "module",
    [
        Padded((2, 2), 5),
        Padded((2, 2), 5, stride=3),
        Padded((1, 1, 2, 2), 3),
        # one more zero on the right is not read: 27 and 28 samples are 7 steps of 4
        Padded((3, 2), 3, stride=4),
    ],
)
def test_merge_pad_fires_once_and_the_numbers_hold(module: nn.Module) -> None:
    signature = signature_of(module, (1, 2, 3, 20))
    merged, count = apply(merge_pad_into_conv, capture(module.eval(), signature))
    assert (count, targets(merged)) == (1, ["conv2d"])
    assert_same_numbers(module, merged, signature)
    assert apply(merge_pad_into_conv, merged)[1] == 0


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (Padded((2, 1), 5), "the convolution would take one more step"),
        (Padded((1, 2), 5, stride=4), "the padding cuts, or is longer on the right"),
        (Padded((-1, -1), 3), "the padding cuts, or is longer on the right"),
        (Padded((1, 1, 0, 0), 3, mode="reflect"), "the padding is not of zeros"),
        (Padded((0, 0, 0, 0, 0, 1), 3).requires_grad_(False), "other axes are padded"),
        (PaddedWithOnes((1, 1), 3), "the padding is not of zeros"),
        (PaddingUsedTwice((1, 1), 3), "the padding has another user"),
    ],
    ids=["one more step", "longer right", "cuts", "reflects", "channels", "ones", "used twice"],
)
def test_merge_pad_refuses(module: nn.Module, why: str) -> None:
    shape = (1, 1, 3, 20) if len(module.pad) == 6 else (1, 2, 3, 20)
    signature = signature_of(module, shape)
    kept, done = outcome(merge_pad_into_conv, capture(module.eval(), signature))
    assert (done.count, targets(kept)[0]) == (0, "pad")
    assert set(done.refused.values()) == {why}
    assert_same_numbers(module, kept, signature)


def test_the_passes_of_plain_networks_fire_in_the_small_one() -> None:
    _, counts = rewrites.rewrite(capture(network(), SIGNATURE, STAGES))
    assert list(counts) == list(rewrites.REWRITES)
    fired = {name for name, count in counts.items() if count}
    assert fired == {"drop_dropout", "merge_pad_into_conv", "fold_batchnorm"}


class TimesOne(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"y": torch.relu(x * 1)}


def drop_noop_mul(program: ExportedProgram, stages: rewrites.Stages) -> Outcome:
    """``x * 1`` -> ``x``."""
    found = [n for n in program.graph.nodes if n.name == "mul" and n.args[1] == 1]
    for node in found:
        node.replace_all_uses_with(node.args[0])
        program.graph.erase_node(node)
    return Outcome(len(found))


def test_a_new_rewrite_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rewrites.REWRITES, "drop_noop_mul", drop_noop_mul)
    signature = signature_of(TimesOne(), (1, 4))
    captured, counts = rewrites.rewrite(capture(TimesOne().eval(), signature))
    assert (counts["drop_noop_mul"], targets(captured)) == (1, ["relu"])
    assert_same_numbers(TimesOne(), captured, signature)


# Those in which a test looks whether the rewrites that name them fire. The networks of the
# rewrites of the program are the corpus'; see tests/corpus.
NETWORKS = {
    "formats.onnx.": {"small", "dropped window"},
    "formats.tflite.": {
        "small",
        "computed constant",
        "unread constant",
        "pointwise",
        "sparse depthwise",
    },
}


@pytest.mark.parametrize("package", ["", *NETWORKS])
def test_the_table_of_rewrites_is_its_folder(package: str) -> None:
    import importlib

    table = importlib.import_module(f"tinyml.export.{package}rewrites")
    on_request = set(getattr(table, "ON_REQUEST", ()))
    files = {path.stem for path in Path(table.__path__[0]).glob("*.py")} - {"__init__"}
    assert set(table.REWRITES) | on_request == files
    assert all(apply.__name__ == name for name, apply in table.REWRITES.items())
    named = {fires_in(apply) for apply in table.REWRITES.values()}
    assert named <= NETWORKS.get(package, named)
    for name in on_request:
        assert hasattr(importlib.import_module(f"{table.__name__}.{name}"), name)
