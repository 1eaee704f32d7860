"""Networks on images, as people write them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(into: int, out: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(into, out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two convolutions beside a shortcut; padded on the right and below where it strides."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        padding = 0 if stride == 2 else 1
        self.first = nn.Conv2d(into, out, 3, stride, padding, bias=False)
        self.norm = nn.BatchNorm2d(out)
        self.second = nn.Sequential(
            nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out)
        )
        self.shortcut = (
            nn.Identity() if stride == 1 and into == out else nn.Conv2d(into, out, 1, stride)
        )

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, (0, 1, 0, 1)) if self.stride == 2 else x
        y = F.relu(self.norm(self.first(padded)))
        return F.relu(self.second(y) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.body = nn.Sequential(Residual(8, 8, 1), Residual(8, 16, 2), Residual(16, 24, 2))
        self.head = nn.Linear(24, 10)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.body(self.stem(image)).mean((2, 3)))


class Autoencoder(nn.Module):
    """Strided down, transposed up with output_padding: the usual one."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(conv(1, 8, stride=2), conv(8, 16, stride=2))
        self.code = nn.Conv2d(16, 4, 1)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(4, 16, 3, 2, 1, output_padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 1, 3, 2, 1, output_padding=1),
            nn.Sigmoid(),
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.decoder(self.code(self.encoder(image)))


class UNet(nn.Module):
    """Odd sizes: what is upsampled is padded to what it is joined with."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = conv(1, 8), conv(8, 16)
        self.bottom = conv(16, 16)
        self.up2, self.up1 = nn.ConvTranspose2d(16, 16, 2, 2), nn.ConvTranspose2d(16, 8, 2, 2)
        self.merge2, self.merge1 = conv(32, 16), conv(16, 8)
        self.mask = nn.Conv2d(8, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        a = self.down1(image)
        b = self.down2(F.max_pool2d(a, 2))
        c = self.bottom(F.max_pool2d(b, 2))
        x = self.merge2(torch.cat([b, _like(self.up2(c), b)], 1))
        x = self.merge1(torch.cat([a, _like(self.up1(x), a)], 1))
        return torch.sigmoid(self.mask(x))


def _like(x: Tensor, other: Tensor) -> Tensor:
    rows, columns = other.shape[2] - x.shape[2], other.shape[3] - x.shape[3]
    return F.pad(x, (0, columns, 0, rows))


class Mixer(nn.Module):
    """MLP-Mixer: across patches, then across channels."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.layers = nn.Sequential(MixerLayer(36, 16), MixerLayer(36, 16))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 5)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.patches(image).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.layers(tokens)).mean(1))


class MixerLayer(nn.Module):
    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.across = nn.Sequential(nn.Linear(tokens, 24), nn.GELU(), nn.Linear(24, tokens))
        self.within = nn.Sequential(nn.Linear(width, 32), nn.GELU(), nn.Linear(32, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.across(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.within(self.norm2(x))


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.expand(F.relu(self.reduce(F.adaptive_avg_pool2d(x, 1))))
        return x * F.hardsigmoid(gate)


class InvertedResidual(nn.Module):
    """MobileNetV3's block: expand, filter, squeeze and excite, project."""

    def __init__(self, channels: int, wide: int) -> None:
        super().__init__()
        self.expand = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.Hardswish()
        )
        self.depthwise = nn.Sequential(
            nn.Conv2d(wide, wide, 5, padding=2, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.Hardswish(),
        )
        self.gate = SqueezeExcite(wide)
        self.project = nn.Sequential(nn.Conv2d(wide, channels, 1), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.project(self.gate(self.depthwise(self.expand(x))))


class MobileNetV3(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Hardswish())
        self.block1, self.block2 = InvertedResidual(8, 24), InvertedResidual(8, 16)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(8, 12), nn.Hardswish(), nn.Linear(12, 4))

    def forward(self, image: Tensor) -> Tensor:
        x = self.block2(self.block1(self.stem(image)))
        return self.head(F.adaptive_avg_pool2d(x, 1))


class SuperResolution(nn.Module):
    """Four times the pixels, from channels."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 16, 5, padding=2), nn.Tanh())
        self.mapping = nn.Sequential(nn.Conv2d(16, 8, 3, padding=1), nn.Tanh())
        self.pixels, self.shuffle = nn.Conv2d(8, 4, 3, padding=1), nn.PixelShuffle(2)

    def forward(self, image: Tensor) -> Tensor:
        return self.shuffle(self.pixels(self.mapping(self.features(image))))


class Siamese(nn.Module):
    """One encoder on two images; cosine similarity."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(conv(1, 8, stride=2), conv(8, 12, stride=2))
        self.project = nn.Linear(12, 8)

    def embed(self, image: Tensor) -> Tensor:
        return F.normalize(self.project(self.encoder(image).mean((2, 3))), dim=1)

    def forward(self, left: Tensor, right: Tensor) -> dict[str, Tensor]:
        a, b = self.embed(left), self.embed(right)
        return {"similarity": (a * b).sum(1), "left_code": a}


class DepthMultiplier(nn.Module):
    """Three filters for every channel, then two; strided, dilated."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(3, 9, 3, 2, 1, groups=3), nn.BatchNorm2d(9), nn.ReLU6()
        )
        self.second = nn.Sequential(
            nn.Conv2d(9, 18, 3, padding=2, dilation=2, groups=9), nn.BatchNorm2d(18), nn.ReLU6()
        )
        self.head = nn.Linear(18, 4)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.second(self.first(image)).amax((2, 3)))


class Shuffled(nn.Module):
    """Grouped convolutions with their channels shuffled in between."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.first = conv(3, 12), conv(12, 24, groups=3)
        self.shuffle = nn.ChannelShuffle(3)
        self.second = conv(24, 24, stride=2, groups=4)
        self.head = nn.Conv2d(24, 6, 1, groups=2)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.second(self.shuffle(self.first(self.stem(image)))))


class Normalised(nn.Module):
    """GroupNorm on images, LayerNorm on channels last: a ConvNeXt block behind a stem."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.group = nn.Conv2d(3, 16, 4, 4), nn.GroupNorm(4, 16)
        self.depthwise = nn.Conv2d(16, 16, 7, padding=3, groups=16)
        self.layer = nn.LayerNorm(16)
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
        self.head = nn.Linear(16, 3)

    def forward(self, image: Tensor) -> Tensor:
        x = self.group(self.stem(image))
        y = self.mlp(self.layer(self.depthwise(x).permute(0, 2, 3, 1)))
        return self.head((x + y.permute(0, 3, 1, 2)).mean((2, 3)))


class Activations(nn.Module):
    """PReLU (several slopes, one), LeakyReLU, SiLU, GELU (both forms), ELU, Mish, Softplus."""

    def __init__(self) -> None:
        super().__init__()
        kinds = (
            nn.PReLU(6),
            nn.PReLU(),
            nn.LeakyReLU(0.1),
            nn.SiLU(),
            nn.GELU(),
            nn.GELU("tanh"),
            nn.ELU(),
            nn.Mish(),
            nn.Softplus(),
        )
        self.layers = nn.Sequential(*(self.layer(i, kind) for i, kind in enumerate(kinds)))
        with torch.no_grad():
            kinds[0].weight.copy_(torch.linspace(0.1, 0.4, 6))
        self.head = nn.Linear(6, 3)

    @staticmethod
    def layer(index: int, kind: nn.Module) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(6 if index else 2, 6, 3, padding=1), kind)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.layers(image).mean((2, 3)))


class AdaptivePooling(nn.Module):
    """Averages and maxima of windows that do not divide the image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.average, self.maximum = nn.AdaptiveAvgPool2d((7, 5)), nn.AdaptiveMaxPool2d((3, 4))
        self.mix = conv(8, 8)
        self.head = nn.Linear(8 * 12, 5)

    def forward(self, image: Tensor) -> Tensor:
        x = self.mix(self.average(self.stem(image)))
        return self.head(self.maximum(x).flatten(1))


class Interpolated(nn.Module):
    """Nearest, bilinear, and bilinear with aligned corners."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.middle = conv(3, 8), conv(8, 8)
        self.nearest = nn.Upsample(scale_factor=2, mode="nearest")
        self.bilinear = nn.Upsample(size=(21, 27), mode="bilinear", align_corners=False)
        self.aligned = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.middle(self.nearest(self.stem(image)))
        return self.head(self.aligned(self.bilinear(x)))
