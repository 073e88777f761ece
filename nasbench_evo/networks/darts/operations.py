"""Pieces of the DARTS networks: factorised reduction, depthwise and pointwise convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.networks.operations import Conv2d
from nasbench_evo.spaces.darts_cell import OPERATIONS

MAX_POOL, AVG_POOL, SKIP = (
    OPERATIONS.index(name) for name in ("max_pool_3x3", "avg_pool_3x3", "skip_connect")
)
SEPARABLE = {OPERATIONS.index(f"sep_conv_{k}x{k}"): k for k in (3, 5)}  # operation: kernel size
DILATED = {OPERATIONS.index(f"dil_conv_{k}x{k}"): k for k in (3, 5)}
DILATION = 2


def phases(x: Tensor) -> Tensor:
    """Return even and odd pixels side by side: [..., h, w, c] to [..., h/2, w/2, 2c].

    Even ones have an even row and column, odd ones an odd row and column. Odd sizes round up, with
    a row and column of zeros.
    """
    height, width = x.shape[-3:-1]
    if height % 2 or width % 2:
        x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
    return torch.cat([x[..., ::2, ::2, :], x[..., 1::2, 1::2, :]], -1)


class FactorizedReduce(nn.Module):
    """Halve the size: a 1x1 convolution of the even pixels beside another of the odd ones.

    [batch, inputs, h, w] to [batch, outputs, h/2, w/2], rounded up. ReLU and BatchNorm are not
    part of it.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.even = pointwise(inputs, outputs // 2)
        self.odd = pointwise(inputs, outputs - outputs // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return both halves of the channels."""
        even, odd = phases(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).chunk(2, 1)
        return torch.cat([self.even(even), self.odd(odd)], 1)


def matrix(layer: nn.Module) -> Tensor:
    """Return a 1x1 convolution as [inputs, outputs]; a factorised one as that of `phases`."""
    if isinstance(layer, FactorizedReduce):
        even, odd = matrix(layer.even), matrix(layer.odd)
        columns = even.shape[1], odd.shape[1]
        return torch.cat([F.pad(even, (0, columns[1])), F.pad(odd, (columns[0], 0))])
    return cast(nn.Conv2d, layer).weight.flatten(1).t()


def depthwise(channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """Return a padded depthwise convolution without bias."""
    padding = dilation * (kernel // 2)
    return Conv2d(
        channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False
    )


def pointwise(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 1x1 convolution without bias."""
    return Conv2d(inputs, outputs, 1, bias=False)


def convolutions(operation: int, channels: int, stride: int) -> list[nn.Module]:
    """Return the convolutions of an operation, in order; none for what has no weights.

    ReLU comes before each depthwise convolution and the reduction, BatchNorm after each pointwise
    convolution and the reduction.
    """
    if operation in SEPARABLE:
        k = SEPARABLE[operation]
        first = [depthwise(channels, k, stride), pointwise(channels, channels)]
        return [*first, depthwise(channels, k), pointwise(channels, channels)]
    if operation in DILATED:
        k = DILATED[operation]
        return [depthwise(channels, k, stride, DILATION), pointwise(channels, channels)]
    if operation == SKIP and stride == 2:
        return [FactorizedReduce(channels, channels)]
    return []


def stacked(layers: Sequence[nn.Module]) -> Tensor:
    """Return the weights of convolutions of one shape: [layers, outputs, inputs, k, k]."""
    return torch.stack([cast(nn.Conv2d, layer).weight for layer in layers])


def pool(x: Tensor, operation: int, stride: int) -> Tensor:
    """Return 3x3 pooling; zeros of the padding do not count for the average."""
    if operation == MAX_POOL:
        return F.max_pool2d(x, 3, stride, 1)
    return F.avg_pool2d(x, 3, stride, 1, count_include_pad=False)
