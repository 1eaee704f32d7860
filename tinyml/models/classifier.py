"""What every image classifier here has in common: pixels in, probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from tinyml.core.image_processor import IMAGENET_MEAN, IMAGENET_STD, ImageProcessor
from tinyml.core.spec import Options, Signature, TensorSpec
from tinyml.models.architecture import defaults, with_options
from tinyml.models.protocol import LayerSparsity, ModelEntry

T = TypeVar("T")
IMAGENET_CLASSES = 1000
# Of CIFAR-10's 50,000 training images.
CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class ImageClassifier(nn.Module):
    """A `tinyml.models.protocol.Classifier` of images: ``forward`` adds the softmax.

    A subclass defines ``classify``: normalised images [B, channels, side, side] -> logits
    [B, classes].
    """

    def classify(self, image: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"probabilities": torch.softmax(self.classify(image), dim=1)}


def image_entry(
    name: str,
    paper: str,
    summary: str,
    build: Callable[[int], ImageClassifier],
    *,
    side: int,
    stages: Sequence[str],
    classes: int = IMAGENET_CLASSES,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
    architecture: T | None = None,
    rebuilt: Callable[[T], ModelEntry] | None = None,
    sparsity: tuple[LayerSparsity, ...] = (),
    rename: Callable[[Iterable[str]], Mapping[str, str]] | None = None,
) -> ModelEntry:
    """The registry's entry of a classifier of ``side`` x ``side`` images.

    Labels are the classes' numbers until a data set or the user names them. ``architecture``
    is a dataclass of options, ``rebuilt`` the entry that has another one.
    """

    def signature(count: int) -> Signature:
        shape, axes = (1, len(mean), side, side), ("batch", "channel", "row", "column")
        return Signature(
            inputs=(TensorSpec("image", shape, axes),),
            outputs=(TensorSpec("probabilities", (1, count), ("batch", "label")),),
        )

    def configure(options: Options) -> ModelEntry:
        assert architecture is not None
        assert rebuilt is not None
        return rebuilt(with_options(name, options, architecture))

    return ModelEntry(
        name=name,
        paper=paper,
        summary=summary,
        signature=signature,
        processor=ImageProcessor(tuple(map(str, range(classes))), side, mean, std),
        build=build,
        stages=tuple(stages),
        configure=configure if rebuilt else None,
        options=defaults(architecture) if rebuilt else {},
        sparsity=sparsity,
        rename=rename,
    )
