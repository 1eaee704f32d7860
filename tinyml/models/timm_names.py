"""Names in timm's state dicts of EfficientNet and TinyNet -> names here.

timm (https://github.com/huggingface/pytorch-image-models) numbers groups and blocks from
0, ``blocks.2.0.conv_pwl.weight``, and calls a block's layers by their order: ``conv_pw``
is the expansion where there is a ``conv_pwl``, and the projection where there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MARK = "conv_stem.weight"
OUTSIDE = {
    "conv_stem": "stem.conv",
    "bn1": "stem.norm",
    "conv_head": "top.conv",
    "bn2": "top.norm",
    "classifier": "head.linear",
}
SQUEEZE = {"se.conv_reduce": "squeeze.reduce", "se.conv_expand": "squeeze.expand"}
SEPARABLE = SQUEEZE | {
    "conv_dw": "depthwise.conv",
    "bn1": "depthwise.norm",
    "conv_pw": "project.conv",
    "bn2": "project.norm",
}
INVERTED = SQUEEZE | {
    "conv_pw": "expand.conv",
    "bn1": "expand.norm",
    "conv_dw": "depthwise.conv",
    "bn2": "depthwise.norm",
    "conv_pwl": "project.conv",
    "bn3": "project.norm",
}
BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.(.+)\.(\w+)")


def from_timm(names: Iterable[str]) -> Mapping[str, str]:
    """timm's name -> ours for all of ``names``; empty where they are not timm's.

    A name that no layer here has stays as it is, so that loading can complain of it.
    """
    given = list(names)
    if MARK not in given:
        return {}
    inverted = {_block(name) for name in given if ".conv_pwl." in name}
    return {name: _renamed(name, _block(name) in inverted) for name in given}


def _block(name: str) -> str:
    return ".".join(name.split(".")[:3])


def _renamed(name: str, inverted: bool) -> str:
    match = BLOCK.fullmatch(name)
    if match is None:
        layer, _, tensor = name.rpartition(".")
        return f"{OUTSIDE[layer]}.{tensor}" if layer in OUTSIDE else name
    group, block, layer, tensor = match.groups()
    inside = (INVERTED if inverted else SEPARABLE).get(layer)
    return f"stage{int(group) + 1}.{block}.{inside}.{tensor}" if inside else name
