"""The feature maps that the edges leaving one state need, for individuals folded into the batch.

Feature maps are [m, images, h, w, channels]; m is 1 where all individuals share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from nasbench_evo.networks.darts.folding import Branch, FoldedSource
from nasbench_evo.networks.darts.operations import AVG_POOL, DILATION, MAX_POOL, phases, pool
from nasbench_evo.networks.operations import picked

_PADDING = 2  # of 5x5 convolutions
# Up to this many channels a depthwise and a pointwise convolution that start from one map are
# multiplied into a dense one, which is faster than the two.
_DENSE_CHANNELS = 16


class Feature(NamedTuple):
    """Feature maps [m, pixels, channels], and what takes them to the nodes: [n, channels, 4c].

    Without that (None) the maps are the nodes' already.
    """

    values: Tensor
    out: Tensor | None


def features(source: FoldedSource, x: Tensor, rows: slice) -> list[Feature]:
    """Return everything that the edges leaving a state add, for the individuals in `rows`.

    `x` is the state's part for the operations. Those to which none of the individuals gives a
    weight are not computed.
    """
    activated = x.relu()
    found = []
    for branch, dilation in ((source.separable, 1), (source.dilated, DILATION)):
        chosen = _needed(branch, rows)
        if chosen is None:
            continue
        out = picked(branch.out[rows], chosen, 1)
        # Nothing between a dilated depthwise convolution and the nodes is nonlinear: for one
        # individual all of it is a dense convolution. Several would need a kernel each, so a call
        # each.
        if dilation == DILATION and len(out) == 1 and x.shape[-1] <= _DENSE_CHANNELS:
            y = _dilated(activated, picked(branch.first, chosen), out[0], source.stride)
            found.append(Feature(y.flatten(1, 3), None))
        else:
            y = _branch(branch, chosen, activated, source.stride, dilation, rows)
            found.append(Feature(y.flatten(1, 3), out.flatten(1, 2)))
    for operation, out in source.simple.items():
        if any(source.simple_used[operation][rows]):
            # poolings and the identity read the state before its ReLU
            y = _simple(x, operation, source.stride)
            found.append(Feature(y.flatten(1, 3), out[rows]))
    return found


def _needed(branch: Branch, rows: slice) -> Sequence[int] | None:
    """Return the convolutions that an individual gives a weight; None if there are none."""
    if branch.always_used:
        return range(branch.used.shape[1])
    return branch.used[rows].any(0).nonzero().flatten().tolist() or None


def _branch(
    branch: Branch,
    chosen: Sequence[int],
    x: Tensor,
    stride: int,
    dilation: int,
    rows: slice,
) -> Tensor:
    """Return the last feature map of some convolutions, before their last pointwise one."""
    first = picked(branch.first, chosen)
    count, channels = first.shape[:2]
    if branch.middle is None or branch.second is None:
        return _depthwise(_repeated(x, count), first, stride, dilation)
    weight, bias = (picked(rows_of(values, rows), chosen, 1) for values in branch.middle)
    if len(weight) == 1 and channels <= _DENSE_CHANNELS:
        # [convolutions * outputs, inputs, 5, 5]
        dense = (weight[0].transpose(1, 2)[..., None, None] * first.transpose(1, 2)).flatten(0, 1)
        y = F.conv2d(_nchw(x), dense, bias.flatten(), stride, _PADDING)
        x = _folded(y, x).relu_()
    else:
        x = _depthwise(_repeated(x, count), first, stride, dilation)
        # A block-diagonal matrix an individual: a grouped convolution has one weight for the whole
        # batch, and here each individual has its own.
        blocks = torch.eye(count, dtype=weight.dtype, device=weight.device)[:, None, :, None]
        x = product(x, (weight.unsqueeze(3) * blocks).flatten(3).flatten(1, 2), bias.flatten(1))
        x = x.relu_()
    return _depthwise(x, picked(branch.second, chosen), 1, 1)


def _dilated(x: Tensor, first: Tensor, out: Tensor, stride: int) -> Tensor:
    """Return the sum of dilated convolutions of one individual: one dense convolution.

    `first` is [convolutions, c, 1, 5, 5], `out` [convolutions, c, 4c].
    """
    dense = torch.einsum("tio,tikl->oikl", out, first.squeeze(2))
    return _folded(F.conv2d(_nchw(x), dense, None, stride, DILATION * _PADDING, DILATION), x)


def _repeated(x: Tensor, count: int) -> Tensor:
    """Return the channels of x `count` times; as a product, which is faster than copies."""
    return times(x, torch.eye(x.shape[-1], dtype=x.dtype, device=x.device).repeat(1, count))


def times(x: Tensor, weight: Tensor) -> Tensor:
    """Return x times weight [inputs, outputs]."""
    return (x.flatten(0, 3) @ weight).view(*x.shape[:-1], -1)


def _depthwise(x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    """Return a depthwise convolution; weight [convolutions, c, 1, 5, 5]."""
    weight = weight.flatten(0, 1)
    padding = dilation * _PADDING
    y = F.conv2d(_nchw(x), weight, None, stride, padding, dilation, len(weight))
    return _folded(y, x)


def _simple(x: Tensor, operation: int, stride: int) -> Tensor:
    """Return a pooling, the identity, or the phases of the factorised reduction."""
    if operation == MAX_POOL and x.device.type == "cpu":
        return _max_pool(x, stride)
    if operation == AVG_POOL and x.device.type == "cpu":
        # As in `nasbench201.search_cell.average_pool`: a convolution is faster than torch's
        # pooling.
        ones = x.new_ones(1, 1, 1, 3, 3).expand(1, x.shape[-1], 1, 3, 3)
        y = F.conv2d(_nchw(x), ones.flatten(0, 1), None, stride, 1, 1, x.shape[-1])
        return _folded(y, x).div_(_counts(x, stride))
    if operation in (MAX_POOL, AVG_POOL):
        return _folded(pool(_nchw(x), operation, stride), x)
    return x if stride == 1 else phases(x.relu())


def _counts(x: Tensor, stride: int) -> Tensor:
    """Return how many pixels each 3x3 window of a map has inside: [h, w, 1]."""
    inside = x.new_ones(1, 1, *x.shape[2:4])
    return F.conv2d(inside, x.new_ones(1, 1, 3, 3), None, stride, 1)[0, 0].unsqueeze(-1)


def _max_pool(x: Tensor, stride: int) -> Tensor:
    """Return 3x3 max pooling by rows, then by columns: faster on a CPU with few channels."""
    # -inf: no padding is ever the highest
    x = F.pad(x, (0, 0, 1, 1, 1, 1), value=float("-inf"))
    for dim in (2, 3):
        last = x.shape[dim] - 2
        parts = [x.narrow(dim, i, last) for i in range(3)]
        if stride == 2:
            parts = [part[:, :, ::2] if dim == 2 else part[:, :, :, ::2] for part in parts]
        x = torch.maximum(torch.maximum(parts[0], parts[1]), parts[2])
    return x


def bypass(x: Tensor, stride: int) -> Tensor:
    """Return the channels that pass an edge by."""
    # Without partial channels there is nothing to pool, but the cell reads its size from this map.
    if stride == 1 or not x.shape[-1]:
        return x[:, :, ::stride, ::stride]
    return _folded(F.max_pool2d(_nchw(x), 2, ceil_mode=True), x)


def product(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return x times weight [m, inputs, outputs] plus bias [m, outputs]."""
    n = max(len(x), len(weight))
    if len(weight) == 1:
        y = torch.addmm(bias[0], x.flatten(0, 3), weight[0])
    else:
        y = torch.baddbmm(bias.unsqueeze(1), x.flatten(1, 3).expand(n, -1, -1), weight)
    return y.view(n, *x.shape[1:4], -1)


def rectified(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Return ReLU of BatchNorm, of which scale and shift are [m, channels]."""
    scale, shift = (values[:, None, None, None] for values in (scale, shift))
    return torch.addcmul(shift, x, scale).relu_()


def rows_of(values: Tensor, rows: slice) -> Tensor:
    """Return the individuals' rows of what may be shared by all."""
    return values if len(values) == 1 else values[rows]


def _nchw(x: Tensor) -> Tensor:
    return x.flatten(0, 1).permute(0, 3, 1, 2)


def _folded(y: Tensor, like: Tensor) -> Tensor:
    """Return [m * images, channels, h, w] as [m, images, h, w, channels]."""
    y = y.permute(0, 2, 3, 1).contiguous()
    return y.view(*like.shape[:2], *y.shape[1:])
