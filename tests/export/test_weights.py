"""Weights from files: all of them or an error that says which, and the likely fix."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tinyml.core.errors import CheckpointError
from tinyml.export.weights import load_weights
from tinyml.export.weights_file import read_weights


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
    assert "6 missing (0.weight, 0.bias, 1.weight, 1.bias, ...)" in caught.value.message
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
    with pytest.raises(CheckpointError, match=r"holds Python objects \(.*exec\), not only weights"):
        read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_a_broken_file_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match=name):
        read_weights(tmp_path / name)


class Ultralytics(nn.Module):
    """Stands for a class of that package, which is not installed."""

    def __init__(self) -> None:
        super().__init__()
        self.model = net()


Ultralytics.__module__, Ultralytics.__qualname__ = "ultralytics.nn.tasks", "DetectionModel"


def test_what_pytorch_loads_strictly_is_loaded(tmp_path: Path) -> None:
    """A file without the counter of a normalization, and one with weight_norm's old names."""
    weights, module = other_weights(), net()
    torch.save({n: v for n, v in weights.items() if "num_batches" not in n}, tmp_path / "w.pt")
    load_weights(module, tmp_path / "w.pt")
    assert same(module, weights | {"1.num_batches_tracked": torch.tensor(0)})
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
    old = {"weight_g": torch.ones(4, 1), "weight_v": torch.ones(4, 3), "bias": torch.ones(4)}
    torch.save(old, tmp_path / "old.pt")
    load_weights(normed, tmp_path / "old.pt")
    assert torch.allclose(normed.weight, torch.full((4, 3), 3**-0.5))


def test_one_shape_that_differs_hides_no_other_name(tmp_path: Path) -> None:
    torch.save({"0.weight": torch.zeros(4, 2), "1.weight": torch.zeros(4)}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError) as caught:
        load_weights(net(), tmp_path / "w.pt")
    message = caught.value.message
    assert "4 missing (0.bias, 1.bias, 1.running_mean, 1.running_var)" in message
    assert "1 other shapes (0.weight is [4, 2] instead of [4, 3])" in message


def whole(path: Path, kind: str) -> None:
    """A file that holds more than weights, as ``kind`` of library writes it."""
    module = net()
    if kind == "TorchScript":
        torch.jit.save(torch.jit.trace(module.eval(), torch.zeros(2, 3)), path)
    elif kind == "Ultralytics":
        with pytest.MonkeyPatch.context() as patch:
            package = ModuleType("ultralytics.nn.tasks")
            package.DetectionModel = Ultralytics  # type: ignore[attr-defined]
            patch.setitem(sys.modules, "ultralytics", ModuleType("ultralytics"))
            patch.setitem(sys.modules, "ultralytics.nn", ModuleType("ultralytics.nn"))
            patch.setitem(sys.modules, "ultralytics.nn.tasks", package)
            torch.save({"model": Ultralytics(), "ema": None}, path)
    else:
        torch.save({"a module": module, "a scalar": {"best": np.float64(1)}}[kind], path)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    ("kind", "message", "hint"),
    [
        ("a module", "holds a pickled module (torch.nn", "where the module is built: torch.save"),
        ("a scalar", "holds Python objects (numpy", "where the module is built: torch.save"),
        ("TorchScript", "is a TorchScript program, not only weights", 'torch.jit.load("w.pt")'),
        ("Ultralytics", "holds a pickled module (ultralytics.nn.tasks", 'YOLO("w.pt").model'),
    ],
)
def test_what_holds_more_than_weights_is_named(
    tmp_path: Path, kind: str, message: str, hint: str
) -> None:
    """In our words: those of torch are long, coloured, and advise to run the code."""
    whole(tmp_path / "w.pt", kind)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(CheckpointError) as caught:
            read_weights(tmp_path / "w.pt")
    assert warned == []
    error = caught.value
    assert error.message.startswith(f"w.pt {message}")
    assert hint in str(error.hint)
    shown = f"{error.message} {error.hint}"
    assert shown.isprintable()
    assert len(shown) < 300
    assert "weights_only" not in shown


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"\x1c\0\0\0TFL3", "a TFLite model"),
        (b"\x08\x08:\x05graph", "an ONNX model"),
    ],
)
def test_a_file_of_another_kind_is_recognized(tmp_path: Path, data: bytes, what: str) -> None:
    (tmp_path / "w.pt").write_bytes(data)
    with pytest.raises(CheckpointError, match=f"w.pt is {what}"):
        read_weights(tmp_path / "w.pt")


def test_the_bytes_and_not_the_name_say_how_weights_are_read(tmp_path: Path) -> None:
    weights = other_weights()
    save_file(weights, tmp_path / "w.pt")
    torch.save(weights, tmp_path / "w.safetensors")
    for name in ("w.pt", "w.safetensors"):
        assert set(read_weights(tmp_path / name)) == set(weights)


def test_a_bare_tensor_is_not_a_state_dict(tmp_path: Path) -> None:
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    with pytest.raises(CheckpointError, match="no tensors by name") as caught:
        read_weights(tmp_path / "tensor.pt")
    assert "state_dict()" in str(caught.value.hint)
