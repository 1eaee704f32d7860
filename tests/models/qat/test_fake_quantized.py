"""Rounded where the integer files are rounded, by the same rule, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchao.quantization.pt2e import disable_fake_quant, enable_observer

from tinyml.models.qat.fake_quantized import FakeQuantized
from tinyml.models.qat.quantizer import NetworkQuantizer


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.level = nn.Sequential(nn.AvgPool2d(1), nn.Tanh())
        self.entry = nn.Conv2d(3, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8, eps=0.05, momentum=0.3)
        self.act = nn.SiLU()
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(8, 4)
        with torch.no_grad():
            self.norm.running_var.uniform_(0.5, 2.0)
            self.norm.running_mean.normal_()
            self.norm.weight.uniform_(0.5, 2.0)

    def classify(self, inputs: Tensor) -> Tensor:
        maps = nn.functional.max_pool2d(self.act(self.norm(self.entry(self.level(inputs)))), 4)
        return self.head(self.drop(maps.flatten(1)))


Pair = tuple[Net, FakeQuantized]
INPUTS = torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def seen(front_end: str | None = "level") -> Pair:
    """A network and its rounded form, whose ranges have seen `INPUTS`."""
    network = Net().eval()
    rounded = FakeQuantized(network, INPUTS, front_end).eval()
    rounded.graph.apply(enable_observer)
    with torch.no_grad():
        rounded.classify(INPUTS)
    return network, rounded.eval()


@pytest.fixture(scope="module")
def made() -> Pair:
    return seen()


@pytest.fixture
def own(made: Pair) -> Iterator[Pair]:
    """The pair for a test that changes it; put back afterwards."""
    before = {name: value.clone() for name, value in made[1].state_dict().items()}
    yield made
    made[1].load_state_dict(before)
    made[1].eval()


def values(rounded: FakeQuantized) -> list[tuple[str, Tensor, Tensor]]:
    """(what a fake quantizer reads, its values, what it makes of them) in the order run."""
    found = []

    class Recorder(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            value = super().run_node(n)
            if n.op == "call_module" and n.args and "activation_post_process" in str(n.target):
                found.append((str(n.args[0]), self.env[n.args[0]], value))
            return value

    with torch.no_grad():
        Recorder(rounded.graph).run(INPUTS)
    return found


def test_a_weight_is_rounded_as_the_file_has_it_norm_folded_and_by_channel(made: Pair) -> None:
    network, rounded = made
    scale = network.norm.weight / torch.sqrt(network.norm.running_var + network.norm.eps)
    folded = (network.entry.weight * scale[:, None, None, None]).detach().numpy()
    step = np.abs(folded).max(axis=(1, 2, 3), keepdims=True) / 127
    want = np.round(folded / step) * step
    got = [out for _, value, out in values(rounded) if value.shape == folded.shape]
    assert len(got) == 1
    np.testing.assert_allclose(got[0].numpy(), want, rtol=0, atol=1e-5 * np.abs(want).max())


def test_every_activation_behind_the_front_end_takes_at_most_256_values(made: Pair) -> None:
    _, rounded = made
    found = {name: out for name, _, out in values(rounded) if len(out) == len(INPUTS)}
    assert {"tanh", "silu", "linear"} <= found.keys()
    assert not any("avg_pool" in name for name in found)
    for name, out in found.items():
        assert len(out.unique()) <= 256, name
    assert any("avg_pool" in name for name, _, _ in values(seen(None)[1]))


def test_what_only_moves_values_keeps_their_scale(made: Pair) -> None:
    _, rounded = made
    moved = {name: (before, after) for name, before, after in values(rounded)}
    for name in ("max_pool2d", "flatten"):
        before, after = moved[name]
        assert torch.equal(before, after), name


def test_rounding_costs_some_of_the_answer_and_not_much(made: Pair) -> None:
    network, rounded = made
    want, got = network.classify(INPUTS).detach(), rounded.classify(INPUTS).detach()
    noise = 10 * torch.log10(want.square().sum() / (want - got).square().sum())
    assert 25 < float(noise) < 60


def test_ranges_stand_still_in_eval_mode_and_move_in_training(own: Pair) -> None:
    _, rounded = own
    before = {n: v.clone() for n, v in rounded.state_dict().items() if n.endswith("scale")}
    rounded.classify(10 * INPUTS)
    after = rounded.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    rounded.train().classify(10 * INPUTS)
    after = rounded.state_dict()
    assert not all(torch.equal(value, after[name]) for name, value in before.items())


def test_without_rounding_it_is_the_network_in_both_modes(own: Pair) -> None:
    """Epsilon, momentum and dropout too, which torchao replaces by values of its own."""
    network, rounded = own
    rounded.graph.apply(disable_fake_quant)
    torch.testing.assert_close(rounded.classify(INPUTS), network.classify(INPUTS))
    answers, means = [], []
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for module in (network.train(), rounded.train()):
        network.load_state_dict(before)
        torch.manual_seed(0)
        answers.append(module.classify(INPUTS))
        means.append(network.norm.running_mean.clone())
    network.eval()
    torch.testing.assert_close(answers[1], answers[0])
    torch.testing.assert_close(means[1], means[0])


def test_training_it_trains_the_network_itself(own: Pair) -> None:
    network, rounded = own
    rounded.train()
    nn.functional.cross_entropy(rounded.classify(INPUTS), torch.zeros(5).long()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.slow
def test_litert_torch_takes_the_quantizer() -> None:
    """``QuantConfig(pt2e_quantizer=...)`` asks for ``global_config.is_dynamic``."""
    from litert_torch.quantize import quant_config

    made = quant_config.QuantConfig(pt2e_quantizer=NetworkQuantizer())
    assert made._quantizer_mode.name == "PT2E_STATIC"
