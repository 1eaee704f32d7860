"""Every image classifier builds, answers, counts, and proves each of its children."""

from __future__ import annotations

import pytest
import torch

from tinyml.core import registry
from tinyml.core.errors import RecipeError
from tinyml.core.image_processor import ImageProcessor
from tinyml.models.classifier import ImageClassifier
from tinyml.models.cost import count_macs, count_parameters
from tinyml.models.mobilenet_v1 import MOBILENET_V1
from tinyml.models.protocol import ModelEntry
from tinyml.models.resnet_cifar import RESNET_20

ENTRIES: list[ModelEntry] = [
    entry
    for entry in (registry.load("model", name) for name in registry.MODELS)
    if isinstance(entry.processor, ImageProcessor)
]


def small(entry: ModelEntry) -> ModelEntry:
    """The same layers on images of 32 pixels."""
    return entry.configured({"resolution": 32}) if "resolution" in entry.options else entry


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_classifier_answers_and_every_child_is_a_stage(
    entry: ModelEntry,
) -> None:
    torch.manual_seed(0)
    module = small(entry).build(7).eval()
    assert isinstance(module, ImageClassifier)
    assert [name for name, _ in module.named_children()] == list(entry.stages)
    (spec,) = small(entry).signature(7).inputs
    with torch.no_grad():
        (answer,) = module(torch.randn(spec.shape)).values()
    assert answer.shape == (1, 7)
    assert answer.sum().item() == pytest.approx(1, abs=1e-5)


ONE_OF_EACH_KIND = (
    "lenet-300-100",
    "conv-2",
    "resnet-20",
    "mobilenet-v1",
    "mobilenet-v2",
    "tinynet-e",
)


@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
def test_a_classifier_trains_by_its_logits(name: str) -> None:
    torch.manual_seed(0)
    entry = registry.load("model", name)
    module = small(entry).build(3)
    (spec,) = small(entry).signature(3).inputs
    logits = module.classify(torch.randn(2, *spec.shape[1:]))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


# What the papers' layers add up to: thousands of weights, millions of multiply-accumulates.
PUBLISHED = {
    "mobilenet-v1": (4232, 569),
    "lenet-300-100": (267, 0),
    "conv-2": (4302, 44),
    "conv-4": (2426, 98),
    "resnet-20": (272, 41),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_layers_of_the_papers_add_up(name: str) -> None:
    entry: ModelEntry = registry.load("model", name)
    classes = len(entry.processor.labels)
    with torch.device("meta"):
        module = entry.build(classes)
    macs = count_macs(module, entry.signature(classes))
    assert (round(count_parameters(module) / 1e3), round(macs / 1e6)) == PUBLISHED[name]


def test_options_make_the_same_architecture_in_another_size() -> None:
    other = MOBILENET_V1.configured({"width": 0.25, "resolution": 32, "stem_stride": 1})
    assert other.signature(10).inputs[0].shape == (1, 3, 32, 32)
    assert other.processor.side == 32
    module = other.build(10)
    assert module.stem.conv.stride == (1, 1)
    assert module.stage5[1].pointwise.conv.weight.shape == (256, 256, 1, 1)
    assert count_parameters(other.configured({"width": 1}).build(10)) > count_parameters(module)
    assert len(RESNET_20.configured({"depth": 56}).build(10).stage2) == 9


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"widht": 1.0}, "no option 'widht'"),
        ({"width": "wide"}, "width is 'wide', it takes a number from 0.1 to 4"),
        ({"width": 0.0}, "width is 0.0"),
        ({"resolution": 96.5}, "it takes a whole number from 32 to 1024"),
        ({"resolution": True}, "resolution is True"),
        ({"stem_stride": 3}, "it takes 2 or 1"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(options: dict[str, float], wrong: str) -> None:
    with pytest.raises(RecipeError, match=wrong):
        MOBILENET_V1.configured(options)


def test_a_misspelt_option_is_told_the_right_one() -> None:
    with pytest.raises(RecipeError) as caught:
        MOBILENET_V1.configured({"widht": 1.0})
    assert caught.value.hint == "did you mean 'width'?"
