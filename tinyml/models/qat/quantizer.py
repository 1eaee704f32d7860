"""Where a graph is rounded to eight bits in training: a quantizer for PT2E, after XNNPACK's.

A convolution or matrix takes its input, its weight and its output in eight bits; batch
normalization and a ReLU behind it belong to it. Other operators that compute give a
rounded output, those that only move values keep the scale of what they move. What
`annotate` marks, ``torchao``'s ``prepare_qat_pt2e`` turns into fake-quantizing modules.

Schemes are those of ``w8a8-static``: weights symmetric per output channel by their present
largest magnitude, activations asymmetric by a moving average of what batches held.
After ``XNNPACKQuantizer`` of torchao.testing.pt2e, which is not for use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e import (
    FakeQuantize,
    FusedMovingAvgObsFakeQuantize,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
)
from torchao.quantization.pt2e.quantizer import (
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
    SharedQuantizationSpec,
)

_aten = torch.ops.aten
_KEY = "quantization_annotation"
_LAYERS = (
    _aten.conv1d.default,
    _aten.conv1d.padding,
    _aten.conv2d.default,
    _aten.conv2d.padding,
    _aten.linear.default,
)
_NORMS = (_aten.batch_norm.default,)
_CLAMPS = (_aten.relu.default, _aten.relu_.default, _aten.hardtanh.default, _aten.hardtanh_.default)
# They move or choose values and compute none.
_MOVES = (
    _aten.dropout.default,
    _aten.flatten.using_ints,
    _aten.max_pool1d.default,
    _aten.max_pool2d.default,
    _aten.permute.default,
    _aten.reshape.default,
    _aten.squeeze.dim,
    _aten.transpose.int,
    _aten.unsqueeze.default,
    _aten.view.default,
)


@dataclass(frozen=True, slots=True)
class EightBits:
    """How tensors are rounded. ``is_dynamic`` is what litert-torch's QuantConfig asks for."""

    activation: QuantizationSpec
    weight: QuantizationSpec
    is_dynamic: bool = False


def eight_bits() -> EightBits:
    """The schemes of ``w8a8-static``, with what imitates them in training."""
    activation = QuantizationSpec(
        dtype=torch.int8,
        quant_min=-128,
        quant_max=127,
        qscheme=torch.per_tensor_affine,
        observer_or_fake_quant_ctr=FusedMovingAvgObsFakeQuantize.with_args(
            observer=MovingAverageMinMaxObserver
        ),
    )
    # No average: the file that is made at the end has the scales of the last weights. Not the
    # fused one either: its symmetric scale is the magnitude / 127.5 where that is negative.
    now = MovingAveragePerChannelMinMaxObserver.with_args(averaging_constant=1.0)
    weight = QuantizationSpec(
        dtype=torch.int8,
        quant_min=-127,
        quant_max=127,
        qscheme=torch.per_channel_symmetric,
        ch_axis=0,
        observer_or_fake_quant_ctr=FakeQuantize.with_args(observer=now),
    )
    return EightBits(activation, weight)


class NetworkQuantizer(Quantizer):  # type: ignore[misc]
    """Rounds all of a graph but ``front_end``, a submodule and all that runs before it."""

    def __init__(self, front_end: str | None = None) -> None:
        super().__init__()
        self.global_config = eight_bits()
        self.front_end = front_end

    def annotate(self, model: GraphModule) -> GraphModule:
        """Mark the nodes of ``model``, in the order run."""
        for node in self._behind_front_end(model):
            if node.target in _LAYERS:
                self._annotate_layer(node)
            elif _KEY in node.meta or not _is_float(node):
                continue
            elif node.target in _MOVES:
                _share(node)
            else:
                node.meta[_KEY] = self._rounding(node)
        return model

    def validate(self, model: GraphModule) -> None:
        """Nothing: every graph will do."""

    def _behind_front_end(self, model: GraphModule) -> list[Node]:
        nodes = [node for node in model.graph.nodes if node.op == "call_function"]
        inside = [i for i, node in enumerate(nodes) if self.front_end in list(_modules(node))]
        return nodes[inside[-1] + 1 :] if inside else nodes

    def _annotate_layer(self, layer: Node) -> None:
        scheme = self.global_config
        value, weight = layer.args[:2]
        assert isinstance(value, Node)
        assert isinstance(weight, Node)
        inputs: dict[Node, Any] = {value: scheme.activation, weight: scheme.weight}
        layer.meta[_KEY] = QuantizationAnnotation(input_qspec_map=inputs, _annotated=True)
        last = layer
        for kinds in (_NORMS, _CLAMPS):
            last = _only_user(last, kinds) or last
        if last is layer:
            layer.meta[_KEY].output_qspec = scheme.activation
            return
        between = layer
        while between is not last:
            between = next(iter(between.users))
            between.meta[_KEY] = QuantizationAnnotation(_annotated=True)
        last.meta[_KEY].output_qspec = scheme.activation

    def _rounding(self, node: Node) -> QuantizationAnnotation:
        """All that ``node`` reads and gives."""
        spec = self.global_config.activation
        read = {n: spec for n in node.all_input_nodes if n.op != "get_attr" and _is_float(n)}
        return QuantizationAnnotation(input_qspec_map=read, output_qspec=spec, _annotated=True)


def _share(node: Node) -> None:
    source = node.args[0]
    if not isinstance(source, Node) or _KEY not in source.meta:
        return
    same = SharedQuantizationSpec(source)
    node.meta[_KEY] = QuantizationAnnotation(
        input_qspec_map={source: same}, output_qspec=same, _annotated=True
    )


def _only_user(node: Node, kinds: tuple[Any, ...]) -> Node | None:
    users = list(node.users)
    return users[0] if len(users) == 1 and users[0].target in kinds else None


def _is_float(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _modules(node: Node) -> Iterator[str]:
    """Names of the modules that ``node`` is inside of, as the network has them."""
    for path, _ in (node.meta.get("nn_module_stack") or {}).values():
        yield path.partition("@")[0].partition(".")[2]
