"""All edges that leave one state of a DARTS search cell, computed together.

They start from the same feature map: its ReLU and poolings are computed once, and convolutions of
one kind are one call for all edges. The convolutions' weights stay parameters of their own, so
that an operation that takes no part gets no gradient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.networks.darts.operations import (
    AVG_POOL,
    DILATED,
    DILATION,
    MAX_POOL,
    SEPARABLE,
    SKIP,
    convolutions,
    matrix,
    phases,
    pool,
    stacked,
)
from nasbench_evo.networks.operations import BatchNorm2d, adjacent, picked, positions
from nasbench_evo.spaces.darts_cell import OPERATIONS

# Operation -> the edges, by their position in a source's `nodes`, that compute it.
Plan = Mapping[int, tuple[int, ...]]

# Up to this many channels a depthwise and a pointwise convolution that start from one map are
# multiplied into a dense one: on a CPU that trains faster than the two.
_DENSE_CHANNELS = 16


class Source(nn.Module):
    """The operations of all edges from one state to `nodes`.

    A state's part for the operations, [batch, channels, h, w], to one such map an edge, h and w
    divided by `stride`, rounded up. `operations[name][edge]` are an operation's convolutions, as
    `operations.convolutions` lists them. `norms[name]` is one BatchNorm for all edges, edge
    after edge, without affine parameters; a separable convolution has a first one, name + "_inner".
    Poolings have one if `pool_norm`, as DARTS has it; EG-NAS's published code has none there.
    """

    def __init__(
        self, nodes: Sequence[int], channels: int, stride: int, pool_norm: bool = True
    ) -> None:
        super().__init__()
        self.nodes, self.channels, self.stride = tuple(nodes), channels, stride
        self.operations, self.norms = nn.ModuleDict(), nn.ModuleDict()
        for operation, name in enumerate(OPERATIONS):
            edges = [nn.ModuleList(convolutions(operation, channels, stride)) for _ in nodes]
            if len(edges[0]):
                self.operations[name] = nn.ModuleList(edges)
            if operation in SEPARABLE:
                self.norms[name + "_inner"] = self._norm()
            if len(edges[0]) or (pool_norm and operation in (MAX_POOL, AVG_POOL)):
                self.norms[name] = self._norm()

    def _norm(self) -> nn.BatchNorm2d:
        return BatchNorm2d(len(self.nodes) * self.channels, affine=False)

    def layers(self, operation: int, position: int, edges: Sequence[int]) -> list[nn.Module]:
        """Return one convolution, by its position in the operation, of each of `edges`."""
        members = cast(nn.ModuleList, self.operations[OPERATIONS[operation]])
        return [cast(nn.ModuleList, members[edge])[position] for edge in edges]

    def forward(self, x: Tensor, plan: Plan, weights: Tensor) -> list[tuple[int, Tensor]]:
        """Return (node, weighted sum of operations) pairs; a node may come more than once.

        Only what is in `plan` is computed. `weights` is [edges, operations]; that of an operation
        that an edge does not compute must be 0.
        """
        # By the edges they are of: operations of the same edges are added as one map and cut by
        # edge at the end. In a mixture that is one map a state.
        sums: dict[tuple[int, ...], Tensor] = {}
        activated = F.relu(x)
        simple = {}  # what is one map for all edges, before the weights
        for operation, edges in plan.items():
            if operation in (MAX_POOL, AVG_POOL) or (operation == SKIP and self.stride == 1):
                simple[operation] = edges
                continue
            if operation in SEPARABLE:
                y = self._separable(activated, operation, edges, weights)
            elif operation in DILATED:
                y = self._dilated(activated, operation, edges, weights)
            else:
                y = self._reduced(activated, edges, weights)
            sums[edges] = sums[edges] + y if edges in sums else y
        if simple:
            # The union is right, since an edge that does not compute an operation gives it the
            # weight 0.
            edges = tuple(sorted(set().union(*simple.values())))
            y = self._simple(x, simple, edges, weights)
            sums[edges] = sums[edges] + y if edges in sums else y
        return [
            (self.nodes[edge], part)
            for edges, total in sums.items()
            for edge, part in zip(edges, torch.split(total, self.channels, 1), strict=True)
        ]

    # -- convolutions: [batch, channels, h, w] to [batch, edges * channels, h/s, w/s] ----------

    def _separable(
        self, x: Tensor, operation: int, edges: tuple[int, ...], weights: Tensor
    ) -> Tensor:
        name = OPERATIONS[operation]
        x = self._fan_out(x, operation, edges, dilation=1)
        x = F.relu(self._normalised(x, name + "_inner", edges), inplace=True)
        second = stacked(self.layers(operation, 2, edges)).flatten(0, 1)
        x = F.conv2d(x, second, None, 1, SEPARABLE[operation] // 2, 1, len(second))
        last = stacked(self.layers(operation, 3, edges)).flatten(0, 1)
        x = F.conv2d(x, last, groups=len(edges))
        return self._normalised(x, name, edges, weights[:, operation])

    def _dilated(
        self, x: Tensor, operation: int, edges: tuple[int, ...], weights: Tensor
    ) -> Tensor:
        x = self._fan_out(x, operation, edges, DILATION)
        return self._normalised(x, OPERATIONS[operation], edges, weights[:, operation])

    def _reduced(self, x: Tensor, edges: tuple[int, ...], weights: Tensor) -> Tensor:
        both = torch.cat([matrix(layer) for layer in self.layers(SKIP, 0, edges)], 1)
        x = (phases(x.permute(0, 2, 3, 1)) @ both).permute(0, 3, 1, 2)
        return self._normalised(x, OPERATIONS[SKIP], edges, weights[:, SKIP])

    def _fan_out(self, x: Tensor, operation: int, edges: tuple[int, ...], dilation: int) -> Tensor:
        """Return depthwise then pointwise convolution of one map, for each of the edges."""
        depthwise = stacked(self.layers(operation, 0, edges))  # [edges, c, 1, k, k]
        pointwise = stacked(self.layers(operation, 1, edges))  # [edges, c, c, 1, 1]
        padding = dilation * (depthwise.shape[-1] // 2)
        if self.channels <= _DENSE_CHANNELS:
            # [edges, c, c, k, k]
            dense = pointwise * depthwise.transpose(1, 2)
            return F.conv2d(x, dense.flatten(0, 1), None, self.stride, padding, dilation)
        x = x.repeat(1, len(edges), 1, 1).contiguous(memory_format=torch.channels_last)
        x = F.conv2d(x, depthwise.flatten(0, 1), None, self.stride, padding, dilation, x.shape[1])
        return F.conv2d(x, pointwise.flatten(0, 1), groups=len(edges))

    def _normalised(
        self, x: Tensor, name: str, edges: tuple[int, ...], weights: Tensor | None = None
    ) -> Tensor:
        """Return BatchNorm of [batch, edges * channels, h, w], times the edges' weights."""
        norm = cast(nn.BatchNorm2d, self.norms[name])
        factors = None
        if weights is not None:
            factors = picked(weights, edges).repeat_interleave(self.channels)
        kept = [values.view(-1, self.channels) for values in self._statistics(norm)]
        mean, variance = (picked(values, edges).flatten() for values in kept)
        # The architecture weight is BatchNorm's scale: a product less, forward and backward.
        x = F.batch_norm(
            x, mean, variance, factors, None, self.training, cast(float, norm.momentum), norm.eps
        )
        if self.training and not adjacent(edges):  # else they are views of what is kept
            for values, updated in zip(kept, (mean, variance), strict=True):
                _put(values, edges, updated.view(-1, self.channels))
        return x

    @staticmethod
    def _statistics(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
        return cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)

    # -- poolings and identity -----------------------------------------------------------------

    def _simple(self, x: Tensor, plan: Plan, edges: tuple[int, ...], weights: Tensor) -> Tensor:
        """Return the weighted sum of poolings and identity: [batch, edges * channels, h/s, w/s].

        A sum of maps that all edges share is one 1x1 convolution, diagonal in the channels.
        """
        maps, factors, shifts = [], [], []
        chosen = picked(weights, edges)
        for operation, members in plan.items():
            y, affine = self._shared(x, operation, members)
            maps.append(y)
            factor = chosen[:, operation, None].expand(-1, self.channels)
            if affine is not None:
                scale, shift = (picked(values, edges) for values in affine)
                shifts.append(factor * shift)
                factor = factor * scale
            factors.append(factor)
        diagonal = torch.stack(factors, 2).unsqueeze(3)  # [edges, channels, maps, 1]
        kernel = diagonal * _identity(self.channels, weights.dtype, weights.device)
        kernel = kernel.flatten(2).flatten(0, 1)[..., None, None]
        bias = sum(shifts[1:], shifts[0]).flatten() if shifts else None
        return F.conv2d(torch.cat(maps, 1), kernel, bias)

    def _shared(
        self, x: Tensor, operation: int, edges: tuple[int, ...]
    ) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """Return a map and what makes an edge's map of it: scale and shift, [edges, channels].

        None for those stands for 1 and 0.
        """
        if operation == SKIP:
            return x, None
        x = pool(x, operation, self.stride)
        name = OPERATIONS[operation]
        if name not in self.norms:
            return x, None
        norm = cast(nn.BatchNorm2d, self.norms[name])
        mean, variance = (row.view(-1, self.channels) for row in self._statistics(norm))
        if not self.training:
            scale = (variance + norm.eps).rsqrt()
            return x, (scale, -mean * scale)
        # of the type of the running averages, not of x: that is narrower under autocast
        batch_mean, batch_variance = mean.new_zeros(self.channels), mean.new_ones(self.channels)
        # All edges normalise this one map alike, but each keeps averages of its own, as it may have
        # been trained more or less often. Momentum 1 leaves the batch's statistics in the buffers,
        # for them.
        x = F.batch_norm(x, batch_mean, batch_variance, None, None, True, 1.0, norm.eps)
        momentum = cast(float, norm.momentum)
        for values, of_batch in ((mean, batch_mean), (variance, batch_variance)):
            _put(values, edges, picked(values, edges).lerp(of_batch, momentum))
        return x, None


@lru_cache(maxsize=64)
def _identity(channels: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix of ones on the diagonal as [channels, 1, channels]."""
    return torch.eye(channels, dtype=dtype, device=device).unsqueeze(1)


def _put(values: Tensor, edges: tuple[int, ...], updated: Tensor) -> None:
    """Write rows, [edges, channels], to where `picked` takes them from."""
    if adjacent(edges):
        picked(values, edges).copy_(updated)
    else:
        values.index_copy_(0, positions(edges, values.device), updated)
