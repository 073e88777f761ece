"""Several mixtures of the NAS-Bench-201 supernet evaluated together.

All mixtures use all weights, so that what differs between individuals is how convolutions, node
and pooled node are combined: a small matrix each. The stem, and what leaves the first cell's input,
is computed once for all. Then either all individuals of a chunk go through the same kernels,
folded into the batch dimension, or one after the other with an edge's two convolutions combined
into a single 3x3 kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from nasbench_evo.networks.folding import Folding
from nasbench_evo.networks.nasbench201.network import ResidualBlock
from nasbench_evo.networks.nasbench201.search_cell import (
    CONV_1X1,
    CONV_3X3,
    ENTERED,
    LEAVING,
    OUTPUT,
    POOL,
    SKIP,
    SOURCES,
    SupernetCell,
    average_pool,
    convolution_name,
)
from nasbench_evo.networks.operations import picked
from nasbench_evo.networks.supernet import Statistics

if TYPE_CHECKING:
    from nasbench_evo.networks.nasbench201.supernet import NASBench201Supernet

_EDGES = [edge for edges in LEAVING for edge in edges]  # in order of their sources
_OPERATIONS = [SKIP, CONV_1X1, CONV_3X3, POOL]
_MAPS = 15  # feature maps of an individual that exist at once, about


class MixturePopulation:
    """The mixtures `weights` [n, 6, 5], for evaluation."""

    def __init__(
        self,
        supernet: NASBench201Supernet,
        weights: Tensor,
        statistics: Statistics | None,
        folded: bool,
        chunk_elements: int,
    ) -> None:
        self.supernet = supernet
        self.folded = folded
        self.chunk_elements = chunk_elements
        self.folding = Folding(supernet, len(weights), statistics)
        self.cells = {
            number: _CellMixtures(
                f"body.{number}.convolutions", block.channels, weights, self.folding
            )
            for number, block in enumerate(supernet.body)
            if isinstance(block, SupernetCell)
        }

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits of each mixture; [n, batch, classes]."""
        first = self.cells[0]
        leaving = None  # what leaves the first cell's input, where that is the same for all
        if self.folding.common(["stem.1", *first.norms(0)]):
            leaving = first.leaving(_lasting(self.folding.convolve("stem", images, range(1))))
        elements = _MAPS * self.supernet.sizes[2] * images[:, :1].numel()
        # the first stage's maps are the largest: a quarter of the pixels, twice the channels later
        step = max(1, self.chunk_elements // elements)
        n = self.folding.individuals
        found = []
        for start in range(0, n, step):
            chunk = range(start, min(n, start + step))
            totals = None if leaving is None else first.combined(leaving, chunk)
            if self.folded:
                found.append(self._together(images, totals, chunk))
            else:
                for i in range(len(chunk)):
                    one = None if totals is None else totals[:, i : i + 1]
                    found.append(self._together(images, one, chunk[i : i + 1]))
        return torch.cat(found)

    def _together(self, images: Tensor, totals: Tensor | None, part: range) -> Tensor:
        """Return the logits of the individuals `part`, [len(part), batch, classes].

        `totals` is what the edges from the first cell's input add up to (`combined`), or None
        to compute that here.
        """
        x = images
        if totals is None:
            x = images.repeat(len(part), 1, 1, 1)
            x = _lasting(self.folding.convolve("stem", x, part))
        else:
            totals = totals.flatten(1, 2)
        for number, block in enumerate(self.supernet.body):
            if isinstance(block, ResidualBlock):
                x = self.folding.residual(f"body.{number}", x, part)
                continue
            cell = self.cells[number]
            x = cell.together(x, totals, part) if self.folded else cell.alone(x, totals, part[0])
            totals = None
        features = F.relu(self.folding.normalise("last", x, part))
        return torch.unflatten(self.supernet.classify(features), 0, (len(part), -1))


class _CellMixtures:
    """One cell's weights and, for each individual, how it combines what they compute.

    Everything over the edges is in the order of `_EDGES`, so that those that leave a node are
    next to each other: C channels an edge.
    """

    def __init__(self, name: str, channels: int, weights: Tensor, folding: Folding) -> None:
        self.name = name
        self.channels = channels
        self.folding = folding
        self.ones = self._merged(CONV_1X1, _EDGES)  # [6 C, C, 1, 1]
        self.threes = self._merged(CONV_3X3, _EDGES)  # [6 C, C, 3, 3]
        self.weights = weights.to(self.ones.dtype)
        self.scale_1, shift_1 = self._affine(CONV_1X1)  # [n, 6 C]
        self.scale_3, shift_3 = self._affine(CONV_3X3)
        # Both convolutions of an edge end in one node: BatchNorm's two shifts are one bias.
        self.shift = shift_1 + shift_3

    def norms(self, source: int) -> list[str]:
        """Return the names of the BatchNorm layers of the edges that leave a node."""
        edges = LEAVING[source]
        return self._norms(CONV_1X1, edges) + self._norms(CONV_3X3, edges)

    def leaving(self, x: Tensor) -> Tensor:
        """Return what each operation makes of an input that all individuals have in common.

        It is [3 edges, 4 operations (`_OPERATIONS`), pixels * channels].
        """
        edges = LEAVING[0]
        activated = F.relu(x)
        values = {SKIP: [x] * len(edges), POOL: [average_pool(x)] * len(edges)}
        for operation in (CONV_1X1, CONV_3X3):
            scale, shift = self.folding.affine(self._norms(operation, edges))
            # Row 0 is any individual's: they have the same. The edges' weights come later, in
            # `combined`.
            kernel = self._merged(operation, edges) * scale[0].view(-1, 1, 1, 1)
            merged = F.conv2d(activated, kernel, shift[0], padding="same")
            values[operation] = list(merged.chunk(len(edges), 1))
        maps = [
            values[o][edge].permute(0, 2, 3, 1) for edge in range(len(edges)) for o in _OPERATIONS
        ]
        self.shape = maps[0].shape
        return torch.stack(maps).view(len(edges), len(_OPERATIONS), -1)

    def combined(self, leaving: Tensor, part: range) -> Tensor:
        """Return what the edges from the input add to their targets, of some individuals.

        It is [3 targets, individuals, batch, channels, h, w].
        """
        weights = picked(
            picked(self.weights[part.start : part.stop], LEAVING[0], 1), _OPERATIONS, 2
        )
        # [3 edges, individuals, 4] times [3 edges, 4, pixels * channels]
        totals = torch.bmm(weights.transpose(0, 1), leaving)
        return torch.unflatten(totals, 2, self.shape).movedim(5, 3)

    def alone(self, x: Tensor, totals: Tensor | None, individual: int) -> Tensor:
        """Return one individual's output node.

        An edge's 1x1 convolution is added to the centre of its 3x3, BatchNorm and weights
        included. `totals` [3, batch, channels, h, w] stands in for the edges from x.
        """
        kernel = self.threes * self.scale_3[individual].view(-1, 1, 1, 1)
        kernel[:, :, 1, 1].addcmul_(self.ones[:, :, 0, 0], self.scale_1[individual, :, None])
        # as numbers: `alpha` of an addition in place takes no tensor
        weights = self.weights[individual].tolist()
        nodes = {0: x}
        if totals is not None:
            # Added to in place below: these are this individual's alone, and read once.
            nodes.update(zip(ENTERED[0], totals, strict=True))
        for source in SOURCES if totals is None else SOURCES[1:]:
            node, rows = nodes[source], self._rows(source)
            bias = self.shift[individual, rows]
            values = F.conv2d(F.relu(node), kernel[rows], bias, padding=1)
            pooled = average_pool(node)
            entered = zip(LEAVING[source], ENTERED[source], strict=True)
            for (edge, target), value in zip(
                entered, values.chunk(len(LEAVING[source]), 1), strict=True
            ):
                if target in nodes:
                    nodes[target].add_(value).add_(node, alpha=weights[edge][SKIP])
                else:
                    nodes[target] = torch.add(value, node, alpha=weights[edge][SKIP])
                nodes[target].add_(pooled, alpha=weights[edge][POOL])
        return nodes[OUTPUT]

    def together(self, x: Tensor, totals: Tensor | None, part: range) -> Tensor:
        """Return the output node of several individuals, [individuals * batch, channels, h, w].

        The channels computed from a node (its ReLU, itself, pooled, 3x3 convolutions) make
        one product with each individual's matrix. `totals` stands in for the edges from x.
        """
        n, size = len(part), self.channels
        # Edges leave a node in the order of their targets, and every node feeds all after it: the
        # first C channels of `rest` are the next node, complete, and the others the nodes after it.
        node, rest = x, x.new_zeros(())  # rest: [n, pixels, channels] of the targets to come
        for source in SOURCES:
            if source == 0 and totals is not None:
                rest = _pixels(torch.cat(list(totals), 1), n)
                shape = totals.shape[1:]
            else:
                rows, activated = self._rows(source), F.relu(node)
                threes = F.conv2d(activated, self.threes[rows], padding=1)
                features = torch.cat([activated, node, average_pool(node), threes], 1)
                bias = self.shift[part.start : part.stop, None, rows]
                rest = torch.baddbmm(rest + bias, _pixels(features, n), self._matrix(source, part))
                shape = node.shape
            batch, _, height, width = shape
            node = rest[..., :size].reshape(batch, height, width, size).permute(0, 3, 1, 2)
            rest = rest[..., size:]
        return node

    def _matrix(self, source: int, part: range) -> Tensor:
        """Return each individual's matrix, [individuals, (3 + edges) C, edges C]."""
        rows, edges, size = self._rows(source), list(LEAVING[source]), self.channels
        own = slice(part.start, part.stop)
        # From C channels of each feature to C of each edge: the activated node (1x1 convolutions),
        # the node itself, the pooled one, and the 3x3 convolutions, which are computed and only
        # scaled.
        matrix = self.ones.new_zeros(len(part), 3 + len(edges), size, len(edges), size)
        ones = torch.unflatten(self.ones[rows, :, 0, 0].T, 1, (len(edges), size))
        matrix[:, 0] = ones * torch.unflatten(self.scale_1[own, None, rows], 2, (len(edges), size))
        for position, operation in ((1, SKIP), (2, POOL)):
            diagonal = matrix[:, position].diagonal(dim1=1, dim2=3)  # [individuals, edges, C]
            weights = picked(self.weights[own], edges, 1)[..., operation, None]
            diagonal.copy_(weights.expand_as(diagonal))
        # a view: what is written to its diagonal is in `matrix`
        threes = matrix[:, 3:].flatten(3, 4).flatten(1, 2)
        threes.diagonal(dim1=1, dim2=2).copy_(self.scale_3[own, rows])
        return matrix.flatten(3, 4).flatten(1, 2)

    def _rows(self, source: int) -> slice:
        """Return where the edges that leave a node are."""
        start = sum(map(len, LEAVING[:source]))
        return slice(start * self.channels, (start + len(LEAVING[source])) * self.channels)

    def _affine(self, operation: int) -> tuple[Tensor, Tensor]:
        """Return BatchNorm's scale and shift times the edges' weights; [n, 6 C] each."""
        weights = picked(self.weights, _EDGES, 1)[..., operation].repeat_interleave(
            self.channels, 1
        )
        scale, shift = self.folding.affine(self._norms(operation, _EDGES))
        return weights * scale, weights * shift

    def _norms(self, operation: int, edges: Sequence[int]) -> list[str]:
        return [f"{self.name}.{convolution_name(edge, operation)}.1" for edge in edges]

    def _merged(self, operation: int, edges: Sequence[int]) -> Tensor:
        names = [f"{self.name}.{convolution_name(edge, operation)}" for edge in edges]
        return _lasting(torch.cat([self.folding.weight(name) for name in names]))


def _lasting(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _pixels(x: Tensor, individuals: int) -> Tensor:
    """Return [individuals * batch, channels, h, w] as [individuals, batch * h * w, channels]."""
    return x.permute(0, 2, 3, 1).reshape(individuals, -1, x.shape[1])
