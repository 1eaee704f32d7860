"""Classes that nobody here wrote: `transformers`, from small configurations, random weights."""

from __future__ import annotations

from typing import Any

from torch import nn

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "initializer_range": 0.2,
}
IMAGE = {"image_size": 32, "patch_size": 8, "num_channels": 3}


def _build(family: str, head: str, **options: Any) -> nn.Module:
    import transformers

    config = getattr(transformers, f"{family}Config")(**options)
    module: nn.Module = getattr(transformers, f"{family}{head}")(config)
    return module


def vit() -> nn.Module:
    return _build("ViT", "ForImageClassification", **SMALL, **IMAGE)


def deit() -> nn.Module:
    return _build("DeiT", "ForImageClassification", **SMALL, **IMAGE)


def bert() -> nn.Module:
    return _build("Bert", "ForSequenceClassification", vocab_size=60, **SMALL)


def distilbert() -> nn.Module:
    sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "initializer_range": 0.2}
    return _build("DistilBert", "ForTokenClassification", vocab_size=60, **sizes)


def mobilenet_v1() -> nn.Module:
    return _build("MobileNetV1", "ForImageClassification", image_size=64, depth_multiplier=0.25)


def mobilenet_v2() -> nn.Module:
    return _build("MobileNetV2", "ForImageClassification", image_size=64, depth_multiplier=0.35)


def resnet() -> nn.Module:
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 2]}
    return _build("ResNet", "ForImageClassification", layer_type="basic", **sizes)


def regnet() -> nn.Module:
    sizes = {"embedding_size": 8, "hidden_sizes": [16, 24], "depths": [1, 1], "groups_width": 8}
    return _build("RegNet", "ForImageClassification", layer_type="y", **sizes)


def convnext() -> nn.Module:
    sizes = {"hidden_sizes": [8, 16], "depths": [1, 2], "num_stages": 2}
    return _build("ConvNextV2", "ForImageClassification", image_size=32, **sizes)


def segformer() -> nn.Module:
    sizes = {
        "num_encoder_blocks": 2,
        "depths": [1, 1],
        "sr_ratios": [2, 1],
        "hidden_sizes": [8, 16],
        "patch_sizes": [7, 3],
        "strides": [4, 2],
        "num_attention_heads": [1, 2],
        "mlp_ratios": [2, 2],
        "decoder_hidden_size": 16,
    }
    return _build("Segformer", "ForSemanticSegmentation", **sizes)


def wav2vec2() -> nn.Module:
    sizes = {
        "conv_dim": [16, 16],
        "conv_kernel": [10, 3],
        "conv_stride": [5, 2],
        "num_conv_pos_embeddings": 8,
        "num_conv_pos_embedding_groups": 4,
        "num_feat_extract_layers": 2,
    }
    return _build("Wav2Vec2", "ForSequenceClassification", vocab_size=20, **SMALL, **sizes)


def spectrogram_transformer() -> nn.Module:
    sizes = {"max_length": 48, "num_mel_bins": 32, "patch_size": 16}
    return _build("AST", "ForAudioClassification", **SMALL, **sizes)
