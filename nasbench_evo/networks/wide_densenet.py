"""Wide-DenseNet (Huang et al. 2017): EIGEN's teacher is an ensemble of four, k=60 and l=40.

EIGEN's Table 1 gives the teacher 17.2 M parameters. With bottlenecks and compression 0.5 (the BC
form) one network has 4.262 M for 10 classes and 4.321 M for 100: four have 17.05 M and 17.28 M,
and four times the rounded 4.3 M is 17.2 M. Without them one alone has 23.5 M, so the teacher is
BC, and 17.2 M is the whole ensemble.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.errors import InputError
from nasbench_evo.networks.operations import (
    BatchNorm2d,
    Conv2d,
    Linear,
    bn_relu_conv,
    check_sizes,
    construct,
    global_average,
)

_BLOCKS = 3
_BOTTLENECK = 4  # width of the 1x1 convolution, in growth rates


class DenseLayer(nn.Module):
    """[batch, c, h, w] to [batch, c + growth, h, w]: the input and `growth` new maps."""

    def __init__(self, channels: int, growth: int, bottleneck: bool) -> None:
        super().__init__()
        if bottleneck:
            width = _BOTTLENECK * growth
            self.new = bn_relu_conv(channels, width, 1).extend(bn_relu_conv(width, growth, 3))
        else:
            self.new = bn_relu_conv(channels, growth, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return the concatenation of the input and the new maps."""
        return torch.cat((x, self.new(x)), 1)


class WideDenseNet(nn.Module):
    """Images [batch, in_channels, h, w], h and w at least 4, to logits [batch, classes].

    `depth` is l, `growth` is k; `bottleneck` is the BC form: 1x1 before each 3x3, and transitions
    that halve the channels.
    """

    def __init__(
        self,
        classes: int,
        in_channels: int = 3,
        depth: int = 40,
        growth: int = 60,
        bottleneck: bool = True,
    ) -> None:
        super().__init__()
        check_sizes(classes=classes, in_channels=in_channels, growth=growth)
        per_layer = _BLOCKS * (2 if bottleneck else 1)
        layers, rest = divmod(depth - _BLOCKS - 1, per_layer)
        if layers < 1 or rest:
            raise InputError(
                f"A DenseNet's depth is 4 plus a positive multiple of {per_layer}; got {depth}."
            )
        channels = 2 * growth if bottleneck else 16
        self.stem = Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.body = nn.Sequential()
        for block in range(_BLOCKS):
            if block:
                compressed = channels // 2 if bottleneck else channels
                transition = bn_relu_conv(channels, compressed, 1)
                self.body.append(transition.append(nn.AvgPool2d(2)))
                channels = compressed
            for _ in range(layers):
                self.body.append(DenseLayer(channels, growth, bottleneck))
                channels += growth
        self.last = BatchNorm2d(channels)
        self.classifier = Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        features = F.relu(self.last(self.body(self.stem(images))))
        logits: Tensor = self.classifier(global_average(features))
        return logits


def build(
    *,
    classes: int,
    generator: torch.Generator,
    in_channels: int = 3,
    depth: int = 40,
    growth: int = 60,
    bottleneck: bool = True,
) -> WideDenseNet:
    """Return the network (on the CPU), its weights drawn from `generator`.

    Raises InputError for a depth that three equal blocks cannot make up, or a size below 1.
    """
    return construct(
        lambda: WideDenseNet(classes, in_channels, depth, growth, bottleneck), generator
    )
