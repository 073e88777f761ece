"""Many NAS-Bench-201 networks of mixed topology and equal width as one network.

Activations of all K networks lie side by side, [batch, height, width, K, channels]; a convolution
of many networks is one grouped convolution, BatchNorm is per channel anyway. In each cell, all
edges that leave a node with the same kernel are one call, whichever networks they belong to.
Networks never mix: a NaN in one stays in it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.errors import InputError
from nasbench_evo.networks.nasbench201.network import (
    NASBench201Network,
    ResidualBlock,
    SearchCell,
)
from nasbench_evo.spaces.nasbench201 import OPERATIONS
from nasbench_evo.training.joint_layers import (
    NETWORKS,
    JointConvBN,
    JointHead,
    JointMixedConvBN,
    JointResidual,
    JointStem,
    Stacked,
    grouped,
    spatial,
)

_SKIP, _CONV_1, _CONV_3, _POOL = (
    OPERATIONS.index(name)
    for name in ("skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
)


class _Leave(torch.autograd.Function):
    """What several groups of edges take from one node: rows of it, some after ReLU.

    One function for all groups, so that their gradients are added up in one buffer: a plain
    index_select would fill one with zeros each, which costs as much as a convolution here.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, relu: list[bool], *rows: Tensor) -> tuple[Tensor, ...]:
        """Return x[..., rows, :] of activations x for each of `rows`, rectified where `relu`."""
        picked = [x.index_select(NETWORKS, r) for r in rows]
        for values, on in zip(picked, relu, strict=True):
            if on:
                values.relu_()
        ctx.shape, ctx.relu = x.shape, relu
        # A ReLU's result tells where it was open, so that its input need not be kept.
        kept = [values for values, on in zip(picked, relu, strict=True) if on]
        ctx.save_for_backward(*rows, *kept)
        return tuple(picked)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient of x."""
        rows, kept = ctx.saved_tensors[: len(gradients)], iter(ctx.saved_tensors[len(gradients) :])
        total = gradients[0].new_zeros(ctx.shape)
        for gradient, r, on in zip(gradients, rows, ctx.relu, strict=True):
            if on:
                gradient = torch.ops.aten.threshold_backward(gradient, next(kept), 0)
            # A row comes twice where two edges of a network leave here with one operation: CUDA
            # then adds in an order of its own, but in torch's deterministic mode.
            total.index_add_(NETWORKS, r, gradient)
        return total, None, *(None for _ in rows)


_leave = cast(Callable[..., tuple[Tensor, ...]], _Leave.apply)


class _Edges(nn.Module):
    """The edges of all networks that leave one node with one operation, sorted by target."""

    rows: Tensor  # [edges], the networks the edges are of

    def __init__(
        self, operation: int, edges: list[tuple[int, int, int]], cells: Sequence[SearchCell]
    ) -> None:
        # edges: (target, network, number of the edge in its cell)
        super().__init__()
        self.pooled = operation == _POOL
        self.layer: JointConvBN | None = None
        if operation in (_CONV_1, _CONV_3):
            members = [cells[network].convolutions[str(edge)] for _, network, edge in edges]
            kernels = {cast(nn.Conv2d, cast(nn.Sequential, m)[0]).kernel_size for m in members}
            kind = JointConvBN if len(kernels) == 1 else JointMixedConvBN
            self.layer = kind(members, [network for _, network, _ in edges])
        self.register_buffer("rows", torch.tensor([n for _, n, _ in edges]), persistent=False)
        counts = Counter(target for target, _, _ in edges)
        self.targets, self.counts = list(counts), list(counts.values())

    def forward(self, x: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yield (target, its networks, what they get), given the rows of the source node."""
        if self.layer is not None:
            x = self.layer(x)
        elif self.pooled:
            pooled = F.avg_pool2d(spatial(x), 3, 1, 1, count_include_pad=False)
            x = grouped(pooled, x.shape[NETWORKS])
        # Sorted by target, the edges into one are a slice.
        networks = torch.split(self.rows, self.counts)
        return zip(self.targets, networks, torch.split(x, self.counts, NETWORKS), strict=True)


class JointCell(nn.Module):
    """One cell of every network: [batch, h, w, K, c] to the same shape.

    `merged`: convolutions of both sizes that leave a node are one call.
    """

    def __init__(self, cells: Sequence[SearchCell], merged: bool = False) -> None:
        super().__init__()
        leaving: defaultdict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
        for network, cell in enumerate(cells):
            for edge, source, target, operation in cell.plan:
                group = _CONV_3 if merged and operation == _CONV_1 else operation
                leaving[source, group].append((target, network, edge))
        self.sources = nn.ModuleList(
            nn.ModuleList(
                _Edges(operation, sorted(leaving[source, operation]), cells)
                for operation in (_SKIP, _CONV_1, _CONV_3, _POOL)
                if (source, operation) in leaving
            )
            for source in range(3)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the output node of every network."""
        # A network without an edge into a node keeps the zeros there, as it would alone.
        nodes = [x, *(torch.zeros_like(x) for _ in range(3))]
        for source, modules in enumerate(self.sources):
            groups = cast(list[_Edges], list(cast(nn.ModuleList, modules)))
            if not groups:
                continue
            relu = [group.layer is not None for group in groups]
            taken = _leave(nodes[source], relu, *(group.rows for group in groups))
            for group, rows in zip(groups, taken, strict=True):
                # A network has one edge from a source to a target: no index comes twice, so that
                # additions have one order. Under autocast values are narrower than the node.
                for target, networks, values in group(rows):
                    nodes[target].index_add_(NETWORKS, networks, values.to(x.dtype))
        return nodes[3]


class JointNetwork(nn.Module):
    """K networks as one: images to logits [K, batch, classes].

    It starts with the networks' weights; `write_back` puts its own into them. Images are
    [batch, K * in_channels, h, w], a batch for each network, or [batch, in_channels, h, w], one
    for all. With `merged` there are fewer and larger convolutions: faster where their set-up takes
    longer than their work. Raises InputError unless the networks differ in nothing but their cells.
    """

    def __init__(self, networks: Sequence[NASBench201Network], *, merged: bool = False) -> None:
        super().__init__()
        if not networks:
            raise InputError("Joint training needs at least one network; got none.")
        if len({_skeleton(network) for network in networks}) > 1:
            raise InputError(
                "Networks trained jointly must have the same classes, input channels, channels "
                "and cells per stage; group them by these first."
            )
        self.stem = JointStem([network.stem for network in networks])
        self.body = nn.Sequential()
        for blocks in zip(*(network.body for network in networks), strict=True):
            if isinstance(blocks[0], ResidualBlock):
                self.body.append(JointResidual(blocks))
            else:
                self.body.append(JointCell(cast(Sequence[SearchCell], blocks), merged))
        heads = [
            nn.ModuleDict({"last": network.last, "classifier": network.classifier})
            for network in networks
        ]
        self.head = JointHead(heads)
        self._idle = self._without_gradient(networks)
        self._held: tuple[list[Tensor], list[Tensor]] | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Return every network's logits."""
        return cast(Tensor, self.head(self.body(self.stem(images))))

    def _without_gradient(
        self, networks: Sequence[NASBench201Network]
    ) -> list[tuple[Stacked, list[int]]]:
        """Return the members of layers that no gradient reaches.

        These are of networks whose cells do not pass their input on: all but their last cell.
        """
        cells = [cast(SearchCell, network.body[-1]) for network in networks]
        # No edge of the last cell leaves its input, node 0: what comes before cannot change the
        # logits.
        idle = {k for k, cell in enumerate(cells) if all(source for _, source, _, _ in cell.plan)}
        held = []
        for layer in [self.stem, *self.body[:-1].modules()]:
            if isinstance(layer, Stacked):
                members = [i for i, owner in enumerate(layer.owners) if owner in idle]
                if members:
                    held.append((layer, members))
        return held

    def hold(self) -> None:
        """Undo an optimizer step's weight decay where there is no gradient, as torch's SGD does.

        Alone, such a parameter has no gradient and the optimizer passes over it; here it shares
        a tensor with parameters that have one.
        """
        if self._held is None:  # only now: tensors have moved to their device
            pairs = [pair for layer, members in self._idle for pair in layer.held(members)]
            self._held = [here for here, _ in pairs], [first for _, first in pairs]
        if self._held[0]:
            torch._foreach_copy_(*self._held)

    def write_back(self) -> None:
        """Copy weights and BatchNorm statistics into the networks this one was made of."""
        for layer in self.stacked():
            layer.write_back()

    def stacked(self) -> Iterator[Stacked]:
        """Yield the layers."""
        return (module for module in self.modules() if isinstance(module, Stacked))


def _skeleton(network: NASBench201Network) -> tuple[object, ...]:
    """Return what networks must share: the shapes of stem and classifier, and the depth."""
    stem = cast(nn.Conv2d, network.stem[0]).weight.shape
    return tuple(stem), tuple(network.classifier.weight.shape), len(network.body)
