"""Every name a user can type, and the code behind it: one visible table per kind.

A value is ``"module:attribute"``, imported only by `load`, and `load` is called in
``pipeline`` and ``cli`` alone (and for precisions next to them), so that a name in a table is no
way around the import rules. A test holds each table equal to its folder.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from typing import Any

from tinyml.core.errors import UsageError

MODELS = {
    "funnelnet": "tinyml.models.funnelnet:FUNNELNET",
    "funnelnet-paper": "tinyml.models.funnelnet:FUNNELNET_PAPER",
    "tinynet": "tinyml.models.tinynet:TINYNET",
    "tinynet-a": "tinyml.models.tinynet:TINYNET_A",
    "tinynet-b": "tinyml.models.tinynet:TINYNET_B",
    "tinynet-c": "tinyml.models.tinynet:TINYNET_C",
    "tinynet-d": "tinyml.models.tinynet:TINYNET_D",
    "tinynet-e": "tinyml.models.tinynet:TINYNET_E",
    "efficientnet-b0": "tinyml.models.efficientnet:EFFICIENTNET_B0",
    "efficientnet-b1": "tinyml.models.efficientnet:EFFICIENTNET_B1",
    "mobilenet-v1": "tinyml.models.mobilenet_v1:MOBILENET_V1",
    "mobilenet-v2": "tinyml.models.mobilenet_v2:MOBILENET_V2",
    "mbv1-0.75-sparse90": "tinyml.models.sparse_convnets:MBV1_075",
    "mbv1-1.0-sparse90": "tinyml.models.sparse_convnets:MBV1_100",
    "mbv1-1.4-sparse90": "tinyml.models.sparse_convnets:MBV1_140",
    "mbv2-0.8-sparse85": "tinyml.models.sparse_convnets:MBV2_080",
    "mbv2-1.15-sparse85": "tinyml.models.sparse_convnets:MBV2_115",
    "mbv2-1.4-sparse85": "tinyml.models.sparse_convnets:MBV2_140",
    "mbv2-2.0-sparse85": "tinyml.models.sparse_convnets:MBV2_200",
    "efficientnet-b0-sparse80": "tinyml.models.sparse_convnets:EFFICIENTNET_B0",
    "efficientnet-b1-sparse85": "tinyml.models.sparse_convnets:EFFICIENTNET_B1",
    "lenet-300-100": "tinyml.models.lenet:LENET_300_100",
    "conv-2": "tinyml.models.conv_n:CONV_2",
    "conv-4": "tinyml.models.conv_n:CONV_4",
    "conv-6": "tinyml.models.conv_n:CONV_6",
    "resnet-20": "tinyml.models.resnet_cifar:RESNET_20",
    "vgg-16": "tinyml.models.vgg_cifar:VGG_16",
}

DATA_SETS = {
    "cifar10": "tinyml.models.data.cifar10:ENTRY",
    "circor": "tinyml.models.data.circor:ENTRY",
    "image_folder": "tinyml.models.data.image_folder:ENTRY",
    "mnist": "tinyml.models.data.mnist:ENTRY",
    "shapes": "tinyml.models.data.shapes:ENTRY",
    "synthetic": "tinyml.models.data.synthetic:ENTRY",
}

PRUNING_METHODS = {
    "gradual": "tinyml.models.pruning.gradual:GRADUAL",
    "lottery": "tinyml.models.pruning.lottery:LOTTERY",
    "magnitude": "tinyml.models.pruning.magnitude:MAGNITUDE",
}

RUNTIMES = {
    "litert": "tinyml.runtimes.litert:LITERT",
    "onnxruntime": "tinyml.runtimes.ort:ONNXRUNTIME",
    "openvino": "tinyml.runtimes.ov:OPENVINO",
}

FORMATS = {
    "onnx": "tinyml.export.formats.onnx:ONNX",
    "tflite": "tinyml.export.formats.tflite:TFLITE",
}

PRECISIONS = {
    "fp32": "tinyml.export.quantization.precisions.fp32:FP32",
    "fp16": "tinyml.export.quantization.precisions.fp16:FP16",
    "w8a8-static": "tinyml.export.quantization.precisions.w8a8_static:W8A8_STATIC",
    "w8-dynamic": "tinyml.export.quantization.precisions.w8_dynamic:W8_DYNAMIC",
    "w8a16": "tinyml.export.quantization.precisions.w8a16:W8A16",
    "w8": "tinyml.export.quantization.precisions.w8:W8",
    "qat-w8a8": "tinyml.export.quantization.precisions.qat_w8a8:QAT_W8A8",
}

# How a machine is reached: a function from a `Device` to a context manager of a `Link`.
LINKS = {
    "adb": "tinyml.device.adb:open_link",
    "emulated": "tinyml.device.emulated:open_link",
    "local": "tinyml.device.local:open_link",
    "ssh": "tinyml.device.ssh:open_link",
}

TABLES: dict[str, dict[str, str]] = {
    "model": MODELS,
    "data set": DATA_SETS,
    "pruning method": PRUNING_METHODS,
    "runtime": RUNTIMES,
    "format": FORMATS,
    "precision": PRECISIONS,
    "link": LINKS,
}


def load(kind: str, name: str) -> Any:
    """The object registered as ``name``; `UsageError` with a suggestion if there is none."""
    table = TABLES[kind]
    if name not in table:
        raise unknown_name(kind, name, table)
    return load_row(table[name])


def load_row(row: str) -> Any:
    """The object of a table's ``row``, for a child process that is given the row alone."""
    module, _, attribute = row.partition(":")
    imported = importlib.import_module(module)
    return getattr(imported, attribute) if attribute else imported


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is not in ``known``, with the nearest as a hint."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"
    return UsageError(f"unknown {kind} '{name}'", hint=hint)
