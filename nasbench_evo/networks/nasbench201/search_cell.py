"""The NAS-Bench-201 cell that holds the convolutions of every genotype."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.networks.operations import conv_bn, picked
from nasbench_evo.spaces.nasbench201 import EDGES, OPERATIONS

SKIP = OPERATIONS.index("skip_connect")
CONV_1X1 = OPERATIONS.index("nor_conv_1x1")
CONV_3X3 = OPERATIONS.index("nor_conv_3x3")
POOL = OPERATIONS.index("avg_pool_3x3")
CONVOLUTIONS = {CONV_1X1: 1, CONV_3X3: 3}  # operation -> kernel size
SOURCES = (0, 1, 2)
OUTPUT = 3  # the node that is the cell's output
# The edges that leave each node, and the nodes they enter.
LEAVING = tuple(tuple(e for e, (s, _) in enumerate(EDGES) if s == source) for source in SOURCES)
ENTERED = tuple(tuple(EDGES[e][1] for e in edges) for edges in LEAVING)

# (edge, source, target, operation) of the edges to compute, in edge order.
Plan = Sequence[tuple[int, int, int, int]]


def average_pool(x: Tensor) -> Tensor:
    """Return the 3x3 mean of stride 1; pixels outside the image do not count.

    On the CPU a depthwise convolution with ones takes a third of the time of torch's pooling.
    """
    fast = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if x.device.type != "cpu" or x.dtype != torch.float32 or not fast:
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    channels, height, width = x.shape[1:]
    ones, share = _window(channels, height, width)
    return F.conv2d(x, ones, padding=1, groups=channels).mul_(share)


@lru_cache(maxsize=64)
def _window(channels: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the ones, and 1 / the number of pixels in each window."""
    # Constants of no mode: whichever call makes them, later ones may save them for gradients.
    with torch.inference_mode(False), torch.no_grad(), torch.device("cpu"):
        rows, columns = (
            torch.full((size,), 3.0, dtype=torch.float32) - torch.eye(size)[[0, -1]].sum(0)
            for size in (height, width)
        )
        share = (1 / torch.outer(rows, columns)).expand(1, channels, -1, -1)
        ones = torch.ones(channels, 1, 3, 3, dtype=torch.float32)
        return ones, share.to(torch.float32, memory_format=torch.channels_last)


def convolution_name(edge: int, operation: int) -> str:
    """Return the name, within `SupernetCell.convolutions`, of a convolution with its BatchNorm."""
    return f"{edge}_{OPERATIONS[operation]}"


class SupernetCell(nn.Module):
    """One cell of the supernet: [batch, channels, h, w] to the same shape.

    Every edge holds a 1x1 and a 3x3 convolution, each with its BatchNorm.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.convolutions = nn.ModuleDict(
            {
                convolution_name(edge, operation): conv_bn(channels, channels, kernel)
                for edge in range(len(EDGES))
                for operation, kernel in CONVOLUTIONS.items()
            }
        )

    def forward(self, x: Tensor, plan: Plan) -> Tensor:
        """Return the output node of the cell that has the edges of `plan` (`live_edges`) only."""
        nodes: dict[int, Tensor] = {0: x}
        activated: dict[int, Tensor] = {}
        for edge, source, target, operation in plan:
            if source not in nodes:  # its convolutions still emit the bias of their BatchNorm
                nodes[source] = torch.zeros_like(x)
            if operation in CONVOLUTIONS:
                if source not in activated:
                    activated[source] = F.relu(nodes[source])
                convolution = self.convolutions[convolution_name(edge, operation)]
                value = convolution(activated[source])
            else:
                value = nodes[source] if operation == SKIP else average_pool(nodes[source])
            nodes[target] = nodes[target] + value if target in nodes else value
        return nodes[OUTPUT] if OUTPUT in nodes else torch.zeros_like(x)

    def mixture(self, x: Tensor, weights: Tensor) -> Tensor:
        """Return the output node with every edge its weighted sum; `weights` is [6, 5].

        Work is merged per source node: one ReLU, one pooling, one convolution of each size for
        all the edges that leave it. `none` adds nothing and costs nothing.
        """
        totals: dict[int, Tensor] = {0: x}
        for source, edges, targets in zip(SOURCES, LEAVING, ENTERED, strict=True):
            node = totals[source]
            activated, pooled = F.relu(node), average_pool(node)
            ones = self._merged(activated, edges, CONV_1X1, weights)
            threes = self._merged(activated, edges, CONV_3X3, weights)
            for edge, target, one, three in zip(edges, targets, ones, threes, strict=True):
                value = one + three
                total = totals[target] + value if target in totals else value
                total = torch.addcmul(total, node, weights[edge, SKIP])
                totals[target] = torch.addcmul(total, pooled, weights[edge, POOL])
        return totals[OUTPUT]

    def _merged(
        self, x: Tensor, edges: Sequence[int], operation: int, weights: Tensor
    ) -> Sequence[Tensor]:
        """Return each edge's convolution and BatchNorm of x times its weight.

        BatchNorm treats channels apart, so that one over the channels of all edges is the same;
        an edge's weight goes into its affine part.
        """
        layers = [
            cast(nn.Sequential, self.convolutions[convolution_name(edge, operation)])
            for edge in edges
        ]
        kernel = torch.cat([cast(nn.Conv2d, layer[0]).weight for layer in layers])
        y = F.conv2d(x, kernel, padding=CONVOLUTIONS[operation] // 2)
        factor = (
            picked(weights, edges)[:, operation].to(kernel.dtype).repeat_interleave(self.channels)
        )
        norms = [cast(nn.BatchNorm2d, layer[1]) for layer in layers]
        return _batch_norm(y, norms, factor).chunk(len(edges), 1)


def _batch_norm(x: Tensor, norms: Sequence[nn.BatchNorm2d], factor: Tensor) -> Tensor:
    """Apply BatchNorm layers side by side, times `factor` [channels]; update what they track."""
    first = norms[0]
    mean, variance = (
        torch.cat([cast(Tensor, getattr(norm, name)) for norm in norms])
        for name in ("running_mean", "running_var")
    )
    y = F.batch_norm(
        x,
        mean,
        variance,
        factor * torch.cat([norm.weight for norm in norms]),
        factor * torch.cat([norm.bias for norm in norms]),
        first.training,
        cast(float, first.momentum),  # a number in all that `conv_bn` makes
        first.eps,
    )
    # `cat` made copies: what batch_norm updated is not yet in the layers.
    if first.training:
        rows = zip(norms, mean.chunk(len(norms)), variance.chunk(len(norms)), strict=True)
        for norm, m, v in rows:
            cast(Tensor, norm.running_mean).copy_(m)
            cast(Tensor, norm.running_var).copy_(v)
    return y
