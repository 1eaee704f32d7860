"""Sparse presets of "Fast Sparse ConvNets", arXiv 1911.09723.

Zeros are in 1x1 convolutions alone: the first convolution, the depthwise ones, the gates
of squeeze-and-excite and the last layer stay dense; EfficientNet's last layer is sparse.
MobileNet-v1 has blocks of four output channels in its last block, MobileNet-v2 blocks of
two from its eleventh block on; the rest is unstructured.
"""

from __future__ import annotations

from tinyml.models import efficientnet, mobilenet_v1, mobilenet_v2
from tinyml.models.protocol import LayerSparsity, ModelEntry

PAPER = "arXiv 1911.09723"
MBV1_SHARE, MBV2_SHARE = 0.90, 0.85


def _mbv1(width: str) -> ModelEntry:
    rules = (
        LayerSparsity("stage5.1.pointwise.conv", MBV1_SHARE, block=4),
        LayerSparsity("stage*.pointwise.conv", MBV1_SHARE),
    )
    architecture = mobilenet_v1.MobileNetV1Architecture(width=float(width))
    summary = f"MobileNet-v1 {width}, 90% of the 1x1 weights zero"
    return mobilenet_v1.entry(f"mbv1-{width}-sparse90", summary, architecture, rules, PAPER)


def _mbv2(width: str) -> ModelEntry:
    # Stage 5 begins with the eleventh block.
    in_twos = ("stage[567].*.expand.conv", "stage[567].*.project.conv", "top.conv")
    in_ones = ("stage*.expand.conv", "stage*.project.conv")
    rules = (
        *(LayerSparsity(layers, MBV2_SHARE, block=2) for layers in in_twos),
        *(LayerSparsity(layers, MBV2_SHARE) for layers in in_ones),
    )
    architecture = mobilenet_v2.MobileNetV2Architecture(width=float(width))
    summary = f"MobileNet-v2 {width}, 85% of the 1x1 weights zero"
    return mobilenet_v2.entry(f"mbv2-{width}-sparse85", summary, architecture, rules, PAPER)


def _efficientnet(
    letter: str, architecture: efficientnet.EfficientNetArchitecture, share: float
) -> ModelEntry:
    layers = ("stage*.expand.conv", "stage*.project.conv", "top.conv", "head.linear")
    # The squeeze has an `expand` of its own, which is no ConvNorm: it has no `.conv`.
    rules = tuple(LayerSparsity(pattern, share) for pattern in layers)
    percent = round(100 * share)
    summary = f"EfficientNet-{letter.upper()}, {percent}% of the 1x1 and last weights zero"
    name = f"efficientnet-{letter}-sparse{percent}"
    return efficientnet.scaled_entry(name, summary, architecture, efficientnet.plan, rules, PAPER)


MBV1_075, MBV1_100, MBV1_140 = map(_mbv1, ("0.75", "1.0", "1.4"))
MBV2_080, MBV2_115, MBV2_140, MBV2_200 = map(_mbv2, ("0.8", "1.15", "1.4", "2.0"))
EFFICIENTNET_B0 = _efficientnet("b0", efficientnet.B0, 0.80)
EFFICIENTNET_B1 = _efficientnet("b1", efficientnet.B1, 0.85)
