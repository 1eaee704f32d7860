"""Weights from files: all of them or an error that says which, and the likely fix."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tinyml.core.errors import CheckpointError
from tinyml.export.weights import load_weights, read_weights


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def other_weights() -> dict[str, Tensor]:
    torch.manual_seed(5)
    return {
        name: torch.randn(value.shape) if value.is_floating_point() else value + 7
        for name, value in net().state_dict().items()
    }


def same(module: nn.Module, weights: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_both_kinds_of_file_are_loaded(tmp_path: Path, name: str) -> None:
    weights, module = other_weights(), net()
    (save_file if name.endswith("safetensors") else torch.save)(weights, tmp_path / name)
    load_weights(module, tmp_path / name)
    assert same(module, weights)


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "ema.module.", "net.x."])
def test_a_prefix_is_found_told_and_stripped(tmp_path: Path, prefix: str) -> None:
    weights, module = other_weights(), net()
    named: dict[str, Tensor] = {f"{prefix}{name}": value for name, value in weights.items()}
    save_file({**named, "loss.weight": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError) as caught:
        load_weights(module, tmp_path / "w.safetensors")
    assert "7 missing (0.weight, 0.bias, 1.weight, 1.bias, ...)" in caught.value.message
    assert "8 unexpected (" in caught.value.message
    assert caught.value.hint == f"7 of 7 names fit with `strip_prefix={prefix}`"
    load_weights(module, tmp_path / "w.safetensors", prefix)
    assert same(module, weights)


def test_weights_inside_a_training_state_are_found(tmp_path: Path) -> None:
    weights, module = other_weights(), net()
    optimizer = torch.optim.Adam(module.parameters())
    held = {"epoch": 3, "model": weights, "optimizer": optimizer.state_dict()}
    torch.save(held, tmp_path / "w.pt")
    with pytest.raises(CheckpointError) as caught:
        load_weights(module, tmp_path / "w.pt")
    assert caught.value.hint.endswith("`strip_prefix=model.`")
    load_weights(module, tmp_path / "w.pt", "model.")
    assert same(module, weights)


def test_a_prefix_on_the_modules_side_is_told(tmp_path: Path) -> None:
    torch.save(other_weights(), tmp_path / "w.pt")
    with pytest.raises(CheckpointError) as caught:
        load_weights(nn.ModuleDict({"inner": net()}), tmp_path / "w.pt")
    assert "start with 'inner.'" in caught.value.hint


def test_other_shapes_are_listed(tmp_path: Path) -> None:
    weights = other_weights() | {"0.weight": torch.zeros(4, 2)}
    torch.save(weights, tmp_path / "w.pt")
    with pytest.raises(CheckpointError) as caught:
        load_weights(net(), tmp_path / "w.pt")
    assert "1 other shapes (0.weight is [4, 2] instead of [4, 3])" in caught.value.message


def test_a_prefix_that_nothing_has_is_told(tmp_path: Path) -> None:
    torch.save(other_weights(), tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="no name starts with 'model\\.'"):
        load_weights(net(), tmp_path / "w.pt", "model.")


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise SystemExit('code ran')",)


def test_code_in_a_file_is_never_run(tmp_path: Path) -> None:
    torch.save({"weights": Evil()}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="cannot be read as weights alone"):
        read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_a_broken_file_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match=name):
        read_weights(tmp_path / name)


def test_a_whole_module_or_a_bare_tensor_is_no_state_dict(tmp_path: Path) -> None:
    torch.save(net(), tmp_path / "module.pt")
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    for name in ("module.pt", "tensor.pt"):
        with pytest.raises(CheckpointError) as caught:
            read_weights(tmp_path / name)
        assert "state_dict()" in caught.value.hint
