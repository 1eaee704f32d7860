"""Every image model once through the parity gate, with weights that are not its first ones."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from image_weights import random_weights
from safetensors.torch import save_file

import tinyml
from tinyml.core import bundle as bundles
from tinyml.core import registry
from tinyml.core.bundle import Bundle
from tinyml.core.errors import CheckpointError, InputError
from tinyml.core.export_job import export_job
from tinyml.models.mobilenet_v1 import MOBILENET_V1
from tinyml.models.mobilenet_v2 import MOBILENET_V2
from tinyml.models.protocol import ModelEntry
from tinyml.models.resnet_cifar import RESNET_20
from tinyml.models.timm_names import from_timm
from tinyml.models.tinynet import TINYNET, TINYNET_D, TINYNET_E
from tinyml.pipeline.export import export

NARROW = MOBILENET_V1.configured({"width": 0.25, "resolution": 32, "stem_stride": 1})
ENGINES = {"captured", "rewritten", "onnxruntime", "litert"}
# One size of each architecture; the sparse presets with their zeros.
EVERY = (
    "lenet-300-100",
    "conv-2",
    "conv-4",
    "conv-6",
    "resnet-20",
    "vgg-16",
    "mobilenet-v1",
    "mobilenet-v2",
    "efficientnet-b0",
    "efficientnet-b1",
    "tinynet-a",
    "tinynet-e",
    "mbv1-0.75-sparse90",
    "mbv2-0.8-sparse85",
    "efficientnet-b0-sparse80",
)


def exported(
    name: str,
    folder: Path,
    weights: dict[str, torch.Tensor],
    formats: tuple[str, ...] | None = None,
) -> Bundle:
    entry: ModelEntry = registry.load("model", name)
    (spec,) = entry.signature(len(entry.processor.labels)).inputs
    sample = np.random.default_rng(1).standard_normal(spec.shape).astype(np.float32)
    np.savez(folder / "s.npz", image=sample)
    save_file(weights, folder / "w.safetensors")
    job = export_job(
        model=name,
        target="rpi",
        out=folder / "bundle",
        weights=folder / "w.safetensors",
        sample=folder / "s.npz",
        formats=formats,
    )
    return export(job, lambda _event: None)


def checked(bundle: Bundle, stages: tuple[str, ...], engines: set[str] = ENGINES) -> None:
    """Every stage was compared on every engine that has it."""
    assert bundle.parity.passed
    for engine in engines:
        assert set(stages) <= {row.stage for row in bundle.parity.stages if row.engine == engine}


def test_a_registered_model_with_given_weights_is_checked_in_onnx(tmp_path: Path) -> None:
    """Both formats of a model that was trained: `test_a_trained_mobilenet_is_checked`."""
    entry: ModelEntry = registry.load("model", "lenet-300-100")
    bundle = exported("lenet-300-100", tmp_path, random_weights(entry), formats=("onnx",))
    checked(bundle, entry.stages, ENGINES - {"litert"})


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_a_registered_model_with_given_weights_is_checked(name: str, tmp_path: Path) -> None:
    entry: ModelEntry = registry.load("model", name)
    checked(exported(name, tmp_path, random_weights(entry)), entry.stages)


@pytest.mark.slow
def test_timms_weights_are_checked_by_timms_names(tmp_path: Path) -> None:
    path = Path(os.environ.get("TINYML_DATA", "")) / "timm_tinynet_keys.json"
    if not path.is_file():
        pytest.skip("TINYML_DATA has no timm_tinynet_keys.json")
    weights = random_weights(TINYNET_E)
    names = from_timm(json.loads(path.read_text())["tinynet_e"])
    named = {theirs: weights[ours] for theirs, ours in names.items()}
    checked(exported("tinynet-e", tmp_path, named), TINYNET_E.stages)


def test_a_trained_mobilenet_is_checked(image_bundle: Path) -> None:
    checked(bundles.read(image_bundle), NARROW.stages)


@pytest.mark.slow
@pytest.mark.parametrize(
    "entry",
    [
        NARROW,
        MOBILENET_V2.configured({"width": 0.25, "resolution": 64, "recalibration": "scse"}),
        TINYNET.configured({"width": 0.25, "depth": 0.5, "resolution": 37}),
        RESNET_20.configured({"depth": 8, "recalibration": "se"}),
    ],
    ids=["mobilenet-v1", "mobilenet-v2-scse", "tinynet", "resnet-8-se"],
)
def test_other_options_are_checked_too(entry: ModelEntry, tmp_path: Path) -> None:
    module = entry.build(len(entry.processor.labels))
    module.load_state_dict(random_weights(entry))
    (spec,) = entry.signature(2).inputs
    sample = {"image": torch.randn(spec.shape, generator=torch.Generator().manual_seed(1))}
    bundle = tinyml.build_bundle(module, sample, out=tmp_path / "bundle")
    checked(bundle, entry.stages)


def test_weights_of_another_variant_are_one_line_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        exported("tinynet-e", tmp_path, TINYNET_D.build(1000).state_dict())
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 3
    assert not (tmp_path / "bundle").exists()


def test_a_sample_of_another_size_is_refused_before_any_work(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", image=np.zeros((1, 3, 224, 224), np.float32))
    save_file(TINYNET_E.build(2).state_dict(), tmp_path / "w.safetensors")
    job = export_job(
        model="tinynet-e",
        target="rpi",
        out=tmp_path / "bundle",
        weights=tmp_path / "w.safetensors",
        sample=tmp_path / "s.npz",
    )
    with pytest.raises(InputError, match="the model takes float32"):
        export(job, lambda _event: None)
