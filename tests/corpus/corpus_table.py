"""Every network of the corpus. Those in `QUICK` are exported in every test run."""

from __future__ import annotations

import corpus_foreign as foreign
import corpus_sequences as sequences
import corpus_vision as vision
from corpus_entry import Entry

LOGITS = ("logits",)

ENTRIES = (
    Entry("resnet", vision.ResNet, {"image": (1, 3, 32, 32)}),
    Entry("ds-cnn", sequences.KeywordNet, {"features": (1, 1, 49, 10)}),
    Entry("autoencoder", vision.Autoencoder, {"image": (1, 1, 28, 28)}),
    Entry("u-net", vision.UNet, {"image": (1, 1, 33, 27)}),
    Entry("transformer", sequences.Encoder, {"frames": (1, 20, 10)}),
    Entry(
        "gru",
        sequences.Gru,
        {"frames": (1, 8, 10), "h": (1, 1, 16)},
        ("logits", "next_h"),
        (("h", "next_h"),),
    ),
    Entry(
        "lstm",
        sequences.Lstm,
        {"frames": (1, 6, 10), "h": (2, 1, 16), "c": (2, 1, 16)},
        ("logits", "next_h", "next_c"),
        (("h", "next_h"), ("c", "next_c")),
    ),
    Entry("mlp-mixer", vision.Mixer, {"image": (1, 3, 24, 24)}),
    Entry("dilated-tcn", sequences.TemporalNet, {"signal": (1, 4, 80)}),
    Entry("mobilenet-v3", vision.MobileNetV3, {"image": (1, 3, 24, 24)}),
    Entry("super-resolution", vision.SuperResolution, {"image": (1, 1, 20, 24)}),
    Entry(
        "siamese",
        vision.Siamese,
        {"left": (1, 1, 20, 20), "right": (1, 1, 20, 20)},
        ("similarity", "left_code"),
    ),
    Entry("depth-multiplier", vision.DepthMultiplier, {"image": (1, 3, 24, 24)}),
    Entry("grouped", vision.Shuffled, {"image": (1, 3, 16, 16)}),
    Entry("ecg", sequences.EcgNet, {"leads": (1, 12, 250)}),
    Entry("norms", vision.Normalised, {"image": (1, 3, 32, 32)}),
    Entry("embedding", sequences.TextNet, {"ids": ((1, 24), 50)}),
    Entry("activations", vision.Activations, {"image": (1, 2, 12, 12)}),
    Entry("adaptive-pooling", vision.AdaptivePooling, {"image": (1, 3, 32, 24)}),
    Entry("interpolate", vision.Interpolated, {"image": (1, 3, 10, 13)}),
    Entry("spectrogram", sequences.SpectrogramNet, {"waveform": (1, 800)}),
    Entry("denoiser", sequences.SpeechDenoiser, {"waveform": (1, 1, 96)}),
    Entry("hf-vit", foreign.vit, {"pixel_values": (1, 3, 32, 32)}, LOGITS),
    Entry("hf-deit", foreign.deit, {"pixel_values": (1, 3, 32, 32)}, LOGITS),
    Entry("hf-bert", foreign.bert, {"input_ids": ((1, 16), 60)}, LOGITS),
    Entry(
        "hf-distilbert",
        foreign.distilbert,
        {"input_ids": ((1, 16), 60), "attention_mask": ((1, 16), 2)},
        LOGITS,
    ),
    Entry("hf-mobilenet-v1", foreign.mobilenet_v1, {"pixel_values": (1, 3, 64, 64)}, LOGITS),
    Entry("hf-mobilenet-v2", foreign.mobilenet_v2, {"pixel_values": (1, 3, 64, 64)}, LOGITS),
    Entry("hf-resnet", foreign.resnet, {"pixel_values": (1, 3, 32, 32)}, LOGITS),
    Entry("hf-regnet", foreign.regnet, {"pixel_values": (1, 3, 32, 32)}, LOGITS),
    Entry("hf-convnext-v2", foreign.convnext, {"pixel_values": (1, 3, 32, 32)}, LOGITS),
    Entry("hf-segformer", foreign.segformer, {"pixel_values": (1, 3, 32, 32)}, LOGITS),
    Entry("hf-wav2vec2", foreign.wav2vec2, {"input_values": (1, 400)}, LOGITS),
    Entry("hf-ast", foreign.spectrogram_transformer, {"input_values": (1, 48, 32)}, LOGITS),
)
BY_NAME = {entry.name: entry for entry in ENTRIES}
QUICK = ("autoencoder", "gru")
