"""A small pruned network of pointwise convolutions, as a .tflite file in several forms."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from tinyml.core.spec import Array, Signature, TensorSpec
from tinyml.export.capture.program import capture
from tinyml.export.formats.tflite import quantizer_rules
from tinyml.export.formats.tflite.cast_weights_to_float16 import cast_weights_to_float16
from tinyml.export.formats.tflite.write import to_tflite
from tinyml.export.quantization.precisions.w8a8_static import WEIGHT
from tinyml.export.rewrites import rewrite
from tinyml.modelfile import tflite_file

SIDE = 16
FP16 = 1
INT8 = 9
SIGNATURE = Signature((TensorSpec("image", (1, 3, SIDE, SIDE)),), (TensorSpec("logits", (1, 40)),))


class Answers(NamedTuple):
    """One input's logits: the runtime's own kernels, and its default delegate."""

    plain: Array
    delegated: Array


class Pointwise(nn.Module):
    """Strided entry, two pointwise convolutions, average, classes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.entry = nn.Conv2d(3, 16, 3, 2, 1)
        self.first = nn.Conv2d(16, channels, 1)
        self.second = nn.Conv2d(channels, channels, 1)
        self.classes = nn.Linear(channels, 40)

    def forward(self, image: Tensor) -> Tensor:
        x = torch.relu(self.entry(image))
        x = torch.relu(self.second(torch.relu(self.first(x))))
        logits: Tensor = self.classes(x.mean((2, 3)))
        return logits


def pointwise(*, channels: int = 128, block: int = 1, kept: float = 0.1) -> nn.Module:
    """Seeded; every weight but the entry's zero in blocks of output channels."""
    torch.manual_seed(0)
    network = Pointwise(channels)
    for layer in (network.first, network.second, network.classes):
        with torch.no_grad():
            rows = layer.weight.shape[0]
            mask = torch.rand(rows // block, layer.weight.shape[1]) < kept
            flat = mask.repeat_interleave(block, 0).reshape(layer.weight.shape)
            layer.weight.copy_(torch.where(flat, layer.weight, 0.0))
    return network.eval()


_CONVERTED: dict[str, bytes] = {}


def converted(network: nn.Module) -> bytes:
    """Its file, as the converter leaves it."""
    key = f"{network!r} {[p.double().sum().item() for p in network.parameters()]}"
    if key not in _CONVERTED:
        captured = capture(network, SIGNATURE, ("first",))
        _CONVERTED[key] = to_tflite(rewrite(captured)[0])
    return _CONVERTED[key]


def halved(data: bytes) -> bytes:
    """The same with weights in float16."""
    return tflite_file.pack(cast_weights_to_float16(tflite_file.unpack(data))[0])


def eight_bits(data: bytes) -> bytes:
    """The same with int8 weights that float32 operators read behind a DEQUANTIZE."""
    from ai_edge_quantizer import quantizer

    config = {
        "weight_tensor_config": WEIGHT,
        "compute_precision": "FLOAT",
        "explicit_dequantize": True,
    }
    rules = [quantizer_rules.rule(".*", "min_max_uniform_quantize", config)]
    made = quantizer.Quantizer(bytearray(data), rules).quantize()
    return tflite_file.pack(tflite_file.unpack(bytes(made.quantized_model)))


def answers(data: bytes) -> Answers:
    """Logits of one seeded image."""
    from ai_edge_litert.interpreter import OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return Answers(_run(data, plain), _run(data, OpResolverType.AUTO))


def _run(data: bytes, resolver: Any) -> Array:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(
        model_content=data, experimental_op_resolver_type=resolver, num_threads=1
    ).get_signature_runner()
    logits: Array = runner(image=image())["logits"]
    return logits


def image(seed: int = 0) -> Array:
    """Seeded noise."""
    random = np.random.default_rng(seed)
    return np.asarray(random.standard_normal((1, 3, SIDE, SIDE)), np.float32)
