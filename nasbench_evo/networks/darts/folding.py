"""A DARTS search cell prepared for the evaluation of n mixtures.

In evaluation mode BatchNorm is affine, so that an operation's last pointwise convolution, its
BatchNorm and its architecture weight are one matrix an individual. What the n individuals have in
common (convolution weights, running statistics) is prepared once.

Leading dimensions: "n" counts individuals, "m" is n, or 1 for what all of them share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.networks.darts import stem as stems
from nasbench_evo.networks.darts.layout import NodeParts, as_kept, kept_at, node_parts
from nasbench_evo.networks.darts.operations import (
    AVG_POOL,
    DILATED,
    MAX_POOL,
    SEPARABLE,
    SKIP,
    FactorizedReduce,
    matrix,
    stacked,
)
from nasbench_evo.networks.operations import picked
from nasbench_evo.networks.supernet import Statistics
from nasbench_evo.spaces.darts_cell import EDGES, NODES, OPERATIONS

if TYPE_CHECKING:
    from nasbench_evo.networks.darts.source import Source
    from nasbench_evo.networks.darts.supernet import DartsSupernet, Preprocess, SearchCell

# BatchNorm's name within a module -> its scale and shift, each [m, channels].
Affine = Callable[[str], tuple[Tensor, Tensor]]

_KERNEL = 5  # of all depthwise convolutions, 3x3 padded with zeros: both sizes are one call


@dataclass
class Branch:
    """Convolutions that are one call: those of all edges with 3x3 kernels, then with 5x5 ones.

    Each begins with the depthwise `first` [convolutions, c, 1, 5, 5]; a separable one goes on with
    a pointwise convolution and BatchNorm, `middle`, ReLU and another depthwise one, `second`. `out`
    takes what comes of them to the nodes: [n, convolutions, c, 4c]. `used` says which individual
    gives a convolution a weight: [n, convolutions], on the CPU.
    """

    first: Tensor
    out: Tensor
    used: Tensor
    middle: tuple[Tensor, Tensor] | None = None  # [m, convolutions, c, c], [m, convolutions, c]
    second: Tensor | None = None

    def __post_init__(self) -> None:
        self.always_used = bool(self.used.all())


@dataclass
class FoldedSource:
    """The edges that leave a state, for n individuals."""

    separable: Branch
    dilated: Branch
    simple: dict[int, Tensor]  # poolings, identity or reduction: [n, c or 2c, 4c]
    simple_used: dict[int, list[bool]]  # of each individual
    stride: int

    @property
    def shared(self) -> bool:
        """Whether the features of a shared state are the same for all individuals."""
        return self.separable.middle is None or len(self.separable.middle[0]) == 1


@dataclass
class FoldedCell:
    """A cell for n individuals; `bias` [n, 4 * c] is the sum of all that BatchNorm adds."""

    preprocess: list[tuple[Tensor, Tensor]]  # matrix and what to add: [m, inputs, C], [m, C]
    sources: list[FoldedSource]
    bias: Tensor
    parts: NodeParts
    halved: bool  # the first input is twice as large as the second


def fold_preprocess(
    layer: Preprocess, affine: Affine, kept: Sequence[int] | None
) -> tuple[Tensor, Tensor]:
    """Return convolution and BatchNorm as a matrix and what to add: [m, inputs, C] and [m, C]."""
    scale, shift = affine("norm")
    return as_kept(matrix(layer.convolution), kept) * scale[:, None], shift


class _Fold:
    """Folds one source; `bias` [n, 4 * c] gathers what its BatchNorm layers add to the nodes."""

    def __init__(self, source: Source, weights: Tensor, used: Tensor, affine: Affine) -> None:
        self.source, self.weights, self.affine = source, weights, affine
        self.used = used  # where weights are not 0, on the CPU
        self.edges = range(len(source.nodes))
        # Row e says which node edge e enters: a state feeds all nodes after it.
        self.nodes = torch.eye(NODES, dtype=weights.dtype, device=weights.device)[
            -len(self.edges) :
        ]  # the last ones, in order: [edges, 4]
        self.bias = weights.new_zeros(len(weights), NODES * source.channels)

    def folded(self) -> FoldedSource:
        """Return the edges."""
        used = self.used
        simple = {MAX_POOL: self.pool(MAX_POOL), AVG_POOL: self.pool(AVG_POOL), SKIP: self.skip()}
        return FoldedSource(
            self.branch(SEPARABLE, used),
            self.branch(DILATED, used),
            simple,
            {operation: used[:, :, operation].any(1).tolist() for operation in simple},
            self.source.stride,
        )

    def norm(self, name: str) -> tuple[Tensor, Tensor]:
        """Return scale and shift of a BatchNorm, [m, edges, c]."""
        scale, shift = self.affine(f"norms.{name}")
        shape = (-1, len(self.edges), self.source.channels)
        return scale.view(shape), shift.view(shape)

    def out(self, product: Tensor, operation: int, normalised: bool = True) -> Tensor:
        """Return convolutions to the nodes, with BatchNorm and weight: [n, edges, inputs, 4c].

        `product` is [edges, inputs, c]. BatchNorm's shift goes to the bias.
        """
        factors = self.weights[:, :, operation, None]
        if normalised:
            scale, shift = self.norm(OPERATIONS[operation])
            # A view of the bias. What an edge shifts can be added before anything is computed:
            # nodes are sums.
            reached = self.bias.view(len(self.bias), NODES, -1)[:, -len(self.edges) :]
            reached.addcmul_(factors, shift)
            factors = factors * scale
        product = product * factors.unsqueeze(2)
        # An edge fills the c columns of its node and leaves 0 in those of the others, so that one
        # product with all edges' maps side by side sums them by node.
        return (product.unsqueeze(3) * self.nodes[:, None, :, None]).flatten(3)

    def pool(self, operation: int) -> Tensor:
        """Return the poolings' part: one map for all edges."""
        normalised = OPERATIONS[operation] in self.source.norms
        # All edges read the same map, so that their matrices add up to one.
        return self.out(self._identity(), operation, normalised).sum(1)

    def skip(self) -> Tensor:
        """Return the identity's part, or the factorised reduction's."""
        if self.source.stride == 1:
            return self.out(self._identity(), SKIP, normalised=False).sum(1)
        layers = self.source.layers(SKIP, 0, self.edges)
        return self.out(torch.stack([matrix(layer) for layer in layers]), SKIP).sum(1)

    def _identity(self) -> Tensor:
        return torch.eye(self.source.channels, dtype=self.weights.dtype, device=self.weights.device)

    def branch(self, operations: dict[int, int], used: Tensor) -> Branch:
        """Return the convolutions of both kernel sizes as one."""
        separable = operations is SEPARABLE
        # Where the last pointwise convolution stands in `operations.convolutions`.
        last = 3 if separable else 1
        branch = Branch(
            self._depthwise(operations, 0),
            torch.cat([self.out(self._pointwise(o, last), o) for o in operations], 1),
            torch.cat([used[:, :, o] for o in operations], 1),
        )
        if separable:
            # The architecture weight comes after the last BatchNorm: the middle is the same for all
            # individuals (m = 1) unless they have statistics of their own.
            norms = [self.norm(OPERATIONS[o] + "_inner") for o in operations]
            products = [
                self._pointwise(o, 1) * scale.unsqueeze(2)
                for o, (scale, _) in zip(operations, norms, strict=True)
            ]
            branch.middle = torch.cat(products, 1), torch.cat([shift for _, shift in norms], 1)
            branch.second = self._depthwise(operations, 2)
        return branch

    def _pointwise(self, operation: int, position: int) -> Tensor:
        layers = self.source.layers(operation, position, self.edges)
        # [edges, inputs, c]: maps have their channels last and are multiplied from the left.
        return stacked(layers).flatten(2).transpose(1, 2)

    def _depthwise(self, operations: dict[int, int], position: int) -> Tensor:
        kernels = []
        for operation, k in operations.items():
            kernel = stacked(self.source.layers(operation, position, self.edges))
            kernels.append(F.pad(kernel, ((_KERNEL - k) // 2,) * 4))
        return torch.cat(kernels)


def fold_cell(
    cell: SearchCell,
    weights: Tensor,
    used: Tensor,
    affine: Affine,
    kept: tuple[Sequence[int] | None, Sequence[int] | None],
) -> FoldedCell:
    """Return a cell prepared for n individuals, `weights` [n, edges, operations].

    `used` says where those are not 0, on the CPU.
    `affine` gives the cell's BatchNorm layers by their names in it; `kept` says of each of the two
    inputs how its cell keeps its channels (None: the stem's, in order).
    """
    preprocess = [
        fold_preprocess(cast("Preprocess", layer), partial(_within, affine, f"preprocess.{i}."), k)
        for i, (layer, k) in enumerate(zip(cell.preprocess, kept, strict=True))
    ]
    sources, bias = [], weights.new_zeros(len(weights), NODES * cell.mixed)
    for j, layer in enumerate(cell.sources):
        edges = [edge for edge, (state, _) in enumerate(EDGES) if state == j]
        fold = _Fold(
            cast("Source", layer),
            picked(weights, edges, 1),
            used[:, edges],
            partial(_within, affine, f"sources.{j}."),
        )
        sources.append(fold.folded())
        bias += fold.bias
    parts = node_parts(cell.channels, cell.mixed, weights)
    halved = isinstance(cell.preprocess[0].convolution, FactorizedReduce)
    return FoldedCell(preprocess, sources, bias, parts, halved)


def _within(affine: Affine, prefix: str, name: str) -> tuple[Tensor, Tensor]:
    return affine(prefix + name)


@dataclass
class FoldedStem:
    """A convolution of the stem, its weight [outputs, inputs, 3, 3], then BatchNorm and ReLU."""

    convolution: nn.Conv2d
    affine: tuple[Tensor, Tensor]  # scale and shift, [m, outputs] each


@dataclass
class FoldedNetwork:
    """The search network for n individuals; the stem's BatchNorm is not in its convolutions."""

    stem: list[FoldedStem]
    cells: list[FoldedCell]
    classifier: tuple[Tensor, Tensor]  # [channels, classes] and [classes]


def fold_network(supernet: DartsSupernet, weights: Tensor, statistics: Statistics) -> FoldedNetwork:
    """Return the network prepared for mixtures [n, 2, edges, operations]."""
    affine = _affines(supernet, statistics).__getitem__
    # A wait for the device, once: what need not be computed is decided in Python, chunk by chunk.
    used = (weights != 0).cpu()
    cells = []
    kept: tuple[Sequence[int] | None, Sequence[int] | None] = (None, None)
    for i, layer in enumerate(supernet.cells):
        cell = cast("SearchCell", layer)
        kind = int(cell.reduction)
        within = partial(_within, affine, f"cells.{i}.")
        cells.append(fold_cell(cell, weights[:, kind], used[:, kind], within, kept))
        # A cell reads the outputs of the two before it.
        kept = (kept[1], kept_at(cell.channels, cell.mixed))
    classifier = as_kept(supernet.classifier.weight.t(), kept[1]), supernet.classifier.bias
    stem = [FoldedStem(layer, affine(name)) for name, layer in stems.layers(supernet.stem)]
    return FoldedNetwork(stem, cells, classifier)


def _affines(supernet: DartsSupernet, statistics: Statistics) -> dict[str, tuple[Tensor, Tensor]]:
    """Return scale and shift of every BatchNorm layer, [n, channels] or [1, channels] each.

    Layers are computed together: there are hundreds of them.
    """
    affines: dict[str, tuple[Tensor, Tensor]] = {}
    norms = {n: layer for n, layer in supernet.named_modules() if isinstance(layer, nn.BatchNorm2d)}
    # Individuals' own statistics are [n, ..], running ones [1, ..]: each kind is one vector.
    for own in (False, True):
        names = [name for name in norms if (name in statistics) == own]
        if not names:
            continue
        found = [_statistics(norms[name], statistics.get(name)) for name in names]
        mean, variance = (torch.cat(values, 1) for values in zip(*found, strict=True))
        # all layers have the same eps
        scale = (variance.to(supernet.classifier.weight) + norms[names[0]].eps).rsqrt()
        shift = -mean.to(scale) * scale
        sizes = [norms[name].num_features for name in names]
        pairs = zip(torch.split(scale, sizes, 1), torch.split(shift, sizes, 1), strict=True)
        affines.update(zip(names, pairs, strict=True))
    for name, layer in norms.items():
        if layer.affine:  # only the stem's
            scale, shift = affines[name]
            affines[name] = scale * layer.weight, shift * layer.weight + layer.bias
    return affines


def _statistics(norm: nn.BatchNorm2d, own: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    if own is not None:
        return own
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    return mean.unsqueeze(0), variance.unsqueeze(0)
