"""What comes before the cells of the DARTS networks (Liu et al. 2019, Section 3).

"cifar" is a 3x3 convolution to 3C channels, which both inputs of the first cell read. "imagenet"
has three of stride 2, to C/2, C and C channels: the first cell reads the last two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.errors import InputError, unknown
from nasbench_evo.networks.operations import conv_bn

STEMS = ("cifar", "imagenet")
_MULTIPLIER = 3
_HALVINGS = 3  # of the sides of an ImageNet image


def build(kind: str, in_channels: int, channels: int) -> nn.Sequential | nn.ModuleList:
    """Return a stem; raise InputError for an unknown one or too few channels."""
    if kind not in STEMS:
        raise unknown("stem", kind, STEMS)
    if kind == "cifar":
        return conv_bn(in_channels, _MULTIPLIER * channels, 3)
    if channels < 2:
        raise InputError(f"The ImageNet stem halves channels, so it needs 2; got {channels}.")
    widths = (in_channels, channels // 2, channels, channels)
    return nn.ModuleList(conv_bn(widths[i], widths[i + 1], 3, 2) for i in range(_HALVINGS))


def outputs(kind: str, channels: int) -> tuple[int, bool]:
    """Return the channels of both maps, and whether the first is twice as large as the second."""
    return (channels, True) if kind == "imagenet" else (_MULTIPLIER * channels, False)


def layers(stem: nn.Module) -> Sequence[tuple[str, nn.Conv2d]]:
    """Return each convolution with the name of the BatchNorm behind it."""
    if isinstance(stem, nn.ModuleList):
        return [(f"stem.{i}.1", cast(nn.Conv2d, stem.get_submodule(f"{i}.0"))) for i in range(3)]
    return [("stem.1", cast(nn.Conv2d, stem.get_submodule("0")))]


def pixels(stem: nn.Module, area: int) -> int:
    """Return the pixels of a map in the first cell, of images with `area` pixels."""
    return max(1, area // 4**_HALVINGS) if isinstance(stem, nn.ModuleList) else area


def maps(stem: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two inputs of the first cell, before their ReLU."""
    if not isinstance(stem, nn.ModuleList):
        x = stem(images)
        return x, x
    first = stem[1](F.relu(stem[0](images)))
    return first, stem[2](F.relu(first))
