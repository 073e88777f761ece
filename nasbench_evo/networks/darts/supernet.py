"""The DARTS search network (Liu et al. 2019, Section 2) with partial channels (Xu et al. 2019).

EG-NAS searches on it (its Section 4.1): 8 cells, those at 1/3 and 2/3 of the depth reductions. On
every edge the first 1/k of the channels go through the mixed operation; the others bypass it, max
pooled where the edge halves the size, and a channel shuffle follows. Edge normalisation weighs the
edges of a node, with all their channels. BatchNorm has no affine parameters but in the stem.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.errors import InputError
from nasbench_evo.networks.darts import population
from nasbench_evo.networks.darts import stem as stems
from nasbench_evo.networks.darts.operations import FactorizedReduce, pointwise
from nasbench_evo.networks.darts.source import Plan, Source
from nasbench_evo.networks.operations import (
    BatchNorm2d,
    Linear,
    check_sizes,
    construct,
    global_average,
    picked,
    sent,
)
from nasbench_evo.networks.supernet import Statistics, Supernet
from nasbench_evo.spaces.darts_cell import CELL_TYPES, EDGES, NODES, OPERATIONS, DartsCell, Genes

_SPACE = DartsCell()
_SOURCES = NODES + 1  # the last node is no edge's source

Plans = Sequence[Sequence[Plan]]  # of each cell type, of each source


class Preprocess(nn.Module):
    """1x1 convolution (factorised reduction where sizes halve), then BatchNorm; the ReLU is before.

    Both cells that read a cell's output begin with a ReLU, so that is done once, by the network.
    """

    def __init__(self, inputs: int, outputs: int, reduce: bool) -> None:
        super().__init__()
        self.convolution = (FactorizedReduce if reduce else pointwise)(inputs, outputs)
        self.norm = BatchNorm2d(outputs, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return [batch, outputs, h, w] of [batch, inputs, h, w]."""
        return cast(Tensor, self.norm(self.convolution(x)))


class SearchCell(nn.Module):
    """A cell: two rectified maps, [batch, inputs, h, w], to [batch, 4 * channels, h, w].

    `inputs` counts the channels of the two; `reduced` says that the first is twice as large as
    the second; a `reduction` cell halves the size.
    """

    def __init__(
        self,
        inputs: tuple[int, int],
        channels: int,
        partial: int,
        reduction: bool,
        reduced: bool,
        pool_norm: bool,
    ) -> None:
        super().__init__()
        self.channels, self.partial, self.reduction = channels, partial, reduction
        self.mixed = channels // partial  # channels that go through the operations
        self.preprocess = nn.ModuleList(
            [Preprocess(inputs[0], channels, reduced), Preprocess(inputs[1], channels, False)]
        )
        self.sources = nn.ModuleList(
            Source(
                [node for source, node in EDGES if source == j],
                self.mixed,
                2 if reduction and j < 2 else 1,
                pool_norm,
            )
            for j in range(_SOURCES)
        )

    def forward(
        self,
        first: Tensor,
        second: Tensor,
        plan: Sequence[Plan],
        weights: Sequence[Tensor],
        edges: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Return the nodes' maps; of each source, `weights` are [edges, operations].

        They are 0 where `plan` has nothing, and have been multiplied by `edges` [edges] where
        edges are weighed: only what bypasses the operations is left to weigh here.
        """
        sums: dict[int, Tensor] = {}  # of each node, every one of which some edge reaches
        bypassed = _Bypassed(edges)
        nodes: list[Tensor] = []
        for j, source in enumerate(self.sources):
            if j < 2:
                state = self.preprocess[j]((first, second)[j])
            else:
                state = self._node(sums[j - 2], bypassed.into(j - 2))
                nodes.append(state)
            mixed = state[:, : self.mixed].contiguous(memory_format=torch.channels_last)
            for node, y in source(mixed, plan[j], weights[j]):
                sums[node] = sums[node] + y if node in sums else y
            if self.partial > 1:
                nodes_of = cast(Source, source).nodes
                bypassed.add(self._bypass(state[:, self.mixed :], j), j, nodes_of)
        return torch.cat([*nodes, self._node(sums[NODES - 1], bypassed.into(NODES - 1))], 1)

    def _bypass(self, x: Tensor, state: int) -> Tensor:
        if self.reduction and state < 2:
            return F.max_pool2d(x, 2, ceil_mode=True)
        return x

    def _node(self, mixed: Tensor, bypassed: Tensor | None) -> Tensor:
        """Return a node: both parts of the channels, shuffled (a sum of shuffles is one)."""
        if bypassed is None:
            return mixed
        x = torch.cat([mixed, bypassed], 1).permute(0, 2, 3, 1)
        x = x.reshape(*x.shape[:3], self.partial, self.mixed).transpose(3, 4).flatten(3)
        return x.permute(0, 3, 1, 2)


class _Bypassed:
    """What bypasses the operations on the way to each node; a sum over the states before it."""

    def __init__(self, edges: Sequence[Tensor] | None) -> None:
        self._edges = edges  # weights of each state's edges
        # Without weights every edge of a state passes the same channels by, and each node gets
        # those of all states before it: one running sum instead of one a node.
        self._sum: Tensor | None = None
        self._sums: dict[int, Tensor] = {}

    def add(self, x: Tensor, state: int, nodes: Sequence[int]) -> None:
        """Add a state's map to the nodes that its edges reach."""
        if self._edges is None:
            self._sum = x if self._sum is None else self._sum + x
            return
        for weight, node in zip(self._edges[state], nodes, strict=True):
            part = weight * x
            self._sums[node] = self._sums[node] + part if node in self._sums else part

    def into(self, node: int) -> Tensor | None:
        """Return the sum for a node whose states have all been added; None: nothing bypasses."""
        return self._sum if self._edges is None else self._sums.get(node)


def edges_of(state: int) -> list[int]:
    """Return the edges that leave a state, as they are numbered in alpha."""
    return [edge for edge, (source, _) in enumerate(EDGES) if source == state]


_LEAVING = [edges_of(state) for state in range(_SOURCES)]
_SIZES = [len(edges) for edges in _LEAVING]
# Edges are numbered by the node they enter; in this order those of a source are one slice.
_BY_SOURCE = [edge for edges in _LEAVING for edge in edges]


class DartsSupernet(Supernet):
    """Images of any size to logits; mixtures are [2, 14, 8], normal cells' and reductions'.

    A mixture without `none` is [2, 14, 7].
    `folded` says how populations are evaluated: True folds as many individuals into the batch as
    memory allows, False takes one at a time, None what is faster on the images' device.
    """

    def __init__(
        self,
        classes: int,
        in_channels: int = 3,
        channels: int = 16,
        cells: int = 8,
        partial_channels: int = 4,
        pool_norm: bool = True,
        stem: str = "cifar",
    ) -> None:
        super().__init__()
        check_sizes(
            classes=classes,
            in_channels=in_channels,
            channels=channels,
            cells=cells,
            partial_channels=partial_channels,
        )
        if channels % partial_channels:
            raise InputError(
                f"channels must be a multiple of partial_channels, so that 1/k of them can be "
                f"taken; got channels={channels}, partial_channels={partial_channels}."
            )
        self.folded: bool | None = None
        self.stem = stems.build(stem, in_channels, channels)
        now, reduced = stems.outputs(stem, channels)
        before = now
        self.cells = nn.ModuleList()
        for i in range(cells):
            reduction = i in (cells // 3, 2 * cells // 3)
            # a reduction doubles the channels as it halves the size
            channels *= 1 + reduction
            cell = SearchCell(
                (before, now), channels, partial_channels, reduction, reduced, pool_norm
            )
            self.cells.append(cell)
            before, now, reduced = now, NODES * channels, reduction
        self.classifier = Linear(now, classes)

    def forward_path(self, images: Tensor, genotype: Genes) -> Tensor:
        """Return the logits of one genotype's sub-network: its 0/1 mixture, zeros left out."""
        weights = torch.from_numpy(_SPACE.weights(_SPACE.validate(genotype)))
        return self._forward(images, weights, _plans(weights))

    def forward_mixture(self, images: Tensor, weights: Tensor) -> Tensor:
        """Return the logits of a mixture; raise InputError unless it is [2, 14, 8 or 7]."""
        return self._forward(images, _complete(weights, 3), _EVERYTHING)

    def forward_weighed(self, images: Tensor, weights: Tensor, edges: Tensor) -> Tensor:
        """Return the logits of a mixture, its edges weighed by `edges` [2, 14]."""
        return self._forward(images, _complete(weights, 3), _EVERYTHING, edges)

    def edge_weights(self, logits: Tensor) -> Tensor:
        """Return the weights of edges, [.., 14]: the softmax over the edges into each node.

        PC-DARTS (Xu et al. 2019), Eq. 4. Raises InputError unless `logits` is [.., 2, 14].
        """
        shape = _SPACE.alpha_shape[:2]
        if logits.shape[-2:] != shape:
            raise InputError(
                f"Logits of the edges of {_SPACE.name} are {list(shape)}: cell types, edges; got "
                f"{list(logits.shape)}."
            )
        into = torch.split(logits, [k + 2 for k in range(NODES)], -1)
        return torch.cat([part.softmax(-1) for part in into], -1)

    def _forward(
        self, images: Tensor, weights: Tensor, plans: Plans, edges: Tensor | None = None
    ) -> Tensor:
        own = self.classifier.weight
        weights = sent(weights, own.device, own.dtype)
        of_edges: list[Sequence[Tensor] | None] = [None] * len(CELL_TYPES)
        if edges is not None:
            edges = sent(edges, own.device, own.dtype)
            weights = weights * edges.unsqueeze(-1)
            of_edges = [torch.split(kind, _SIZES) for kind in picked(edges, _BY_SOURCE, 1)]
        of_sources = [torch.split(kind, _SIZES) for kind in picked(weights, _BY_SOURCE, 1)]
        first, second = stems.maps(self.stem, images.contiguous(memory_format=torch.channels_last))
        same = first is second
        second = x = F.relu(second)
        first = second if same else F.relu(first)
        for cell in self.cells:
            kind = int(cast(SearchCell, cell).reduction)
            x = cell(first, second, plans[kind], of_sources[kind], of_edges[kind])
            first, second = second, F.relu(x)
        return cast(Tensor, self.classifier(global_average(x)))

    def paths_together(
        self, images: Tensor, genotypes: Sequence[Genes], statistics: Statistics | None = None
    ) -> Tensor:
        """Return the logits of several paths in evaluation mode; [n, b, classes]."""
        rows = [torch.from_numpy(_SPACE.weights(_SPACE.validate(g))) for g in genotypes]
        return self.mixtures_together(images, torch.stack(rows), statistics)

    @torch.no_grad()
    def mixtures_together(
        self, images: Tensor, weights: Tensor, statistics: Statistics | None = None
    ) -> Tensor:
        """Return the logits of several mixtures, `weights` [n, 2, 14, 8]; [n, b, classes]."""
        return population.evaluate(self, images, _complete(weights, 4), statistics or {})


def _complete(weights: Tensor, dimensions: int) -> Tensor:
    """Return mixtures that weigh all 8 operations: 0 for none where they do without it."""
    shape = _SPACE.alpha_shape
    lacks = int(weights.shape[-1:] == (shape[-1] - 1,))
    if weights.dim() != dimensions or (*weights.shape[-3:-1], weights.shape[-1] + lacks) != shape:
        expected = ["n", *shape][-dimensions:]
        raise InputError(
            f"Mixtures of the {_SPACE.name} space are {expected}: cell types, edges, operations "
            f"(or one less, without none); got {list(weights.shape)}."
        )
    return F.pad(weights, (1, 0)) if lacks else weights


def _plans(weights: Tensor) -> Plans:
    """Return what to compute where a weight is not zero (nothing ever for `none`)."""
    used = (weights != 0).tolist()
    return [
        [
            {
                operation: edges
                for operation in range(1, len(OPERATIONS))
                if (
                    edges := tuple(i for i, e in enumerate(edges_of(j)) if used[kind][e][operation])
                )
            }
            for j in range(_SOURCES)
        ]
        for kind in range(len(CELL_TYPES))
    ]


_EVERYTHING = _plans(torch.ones(_SPACE.alpha_shape))


def build_supernet(
    *,
    classes: int,
    generator: torch.Generator,
    in_channels: int = 3,
    channels: int = 16,
    cells: int = 8,
    partial_channels: int = 4,
    pool_norm: bool = True,
    stem: str = "cifar",
) -> DartsSupernet:
    """Return the search network (on the CPU), its weights drawn from `generator` alone.

    `channels` is C of the first cells, `partial_channels` k of PC-DARTS; 1 is ordinary DARTS.
    `pool_norm` says whether BatchNorm follows poolings, `stem` is one of `stem.STEMS`. Raises
    InputError for a size below 1, channels that k does not divide, or an unknown stem.
    """
    return construct(
        lambda: DartsSupernet(
            classes, in_channels, channels, cells, partial_channels, pool_norm, stem
        ),
        generator,
    )
