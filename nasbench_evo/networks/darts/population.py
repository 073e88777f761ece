"""Evaluation of many mixtures of the DARTS search network at once (inference only).

Work that edges share is done once a state: ReLU, poolings, and the depthwise convolutions of all
edges, in two calls and one more for the second halves of separable convolutions. What does not
depend on the individual is done once for all: the stem, the inputs of the first cell, the first
input of the second. Individuals are folded into the batch dimension, as many as the memory or the
cache has room for. `folding` prepares the matrices.

Feature maps are [m, images, h, w, channels]; m is 1 where all individuals share them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from nasbench_evo.networks.darts import stem as stems
from nasbench_evo.networks.darts.features import (
    Feature,
    bypass,
    features,
    product,
    rectified,
    rows_of,
    times,
)
from nasbench_evo.networks.darts.folding import FoldedNetwork, FoldedStem, fold_network
from nasbench_evo.networks.darts.operations import phases
from nasbench_evo.networks.operations import sent
from nasbench_evo.networks.supernet import Statistics
from nasbench_evo.spaces.darts_cell import NODES

if TYPE_CHECKING:
    from nasbench_evo.networks.darts.supernet import DartsSupernet, SearchCell

_CPU_PIXELS = 2**15  # of all images and individuals in one pass: they stay in the cache
_MEMORY = 2**32  # bytes that the individuals folded together may take


def evaluate(
    supernet: DartsSupernet, images: Tensor, weights: Tensor, statistics: Statistics
) -> Tensor:
    """Return the logits [n, images, classes] of mixtures [n, 2, 14, 8]."""
    own = supernet.classifier.weight
    weights = sent(weights, own.device, own.dtype)
    folded = fold_network(supernet, weights, statistics)
    image_step, step = _steps(supernet, images, len(weights))
    columns = []
    # in evaluation mode no image depends on another
    for part in torch.split(images, image_step):
        network = _Network(folded, part)
        starts = range(0, len(weights), step)
        columns.append(torch.cat([network.logits(slice(i, i + step)) for i in starts]))
    return torch.cat(columns, 1)


def _steps(supernet: DartsSupernet, images: Tensor, n: int) -> tuple[int, int]:
    """Return how many images, and how many individuals, one pass takes."""
    area = stems.pixels(supernet.stem, images.shape[2] * images.shape[3])
    folded = images.device.type != "cpu" if supernet.folded is None else supernet.folded
    if folded:
        cell = cast("SearchCell", supernet.cells[0])
        floats = (40 * cell.mixed + 12 * cell.channels) * area * len(images)  # at most, at a time
        return len(images), max(1, min(n, _MEMORY // (floats * images.element_size())))
    image_step = min(len(images), max(1, _CPU_PIXELS // area))
    if supernet.folded is False:
        return image_step, 1
    return image_step, max(1, min(n, _CPU_PIXELS // (image_step * area)))


class _Maps(NamedTuple):
    """Feature maps; `shared` says that they are the same for all individuals (then m = 1)."""

    values: Tensor
    shared: bool


class _Input(NamedTuple):
    """An input of a cell after its preprocessing: what the operations add, what bypasses them."""

    found: list[Feature]
    rest: Tensor


class _Network:
    """The search network for n individuals, over one part of the images."""

    def __init__(self, folded: FoldedNetwork, images: Tensor) -> None:
        self.folded = folded
        self._shared: dict[tuple[int, int], _Input] = {}  # of (cell, input)
        images = images.contiguous(memory_format=torch.channels_last)
        self.convolved = _convolved(images.permute(0, 2, 3, 1).unsqueeze(0), folded.stem[0])
        shared = all(len(layer.affine[0]) == 1 for layer in folded.stem)
        self.stem = self._stem(slice(None)) if shared else None

    def _stem(self, rows: slice) -> tuple[_Maps, _Maps]:
        """Return the two inputs of the first cell, rectified."""
        found: list[_Maps] = []
        shared, y = True, self.convolved
        for layer in self.folded.stem:
            if found:
                y = _convolved(found[-1].values, layer)
            scale, shift = (rows_of(values, rows) for values in layer.affine)
            shared = shared and len(layer.affine[0]) == 1
            found.append(_Maps(rectified(y, scale, shift), shared))
        return found[-2 if len(found) > 1 else -1], found[-1]

    def logits(self, rows: slice) -> Tensor:
        """Return the logits of some of the individuals, [n, images, classes]."""
        first, second = self.stem or self._stem(rows)
        for i in range(len(self.folded.cells)):
            if i:  # the stem's maps are rectified already
                second.values.relu_()  # both cells that read it would
            first, second = second, _Maps(self._cell(i, (first, second), rows), False)
        weight, bias = self.folded.classifier
        # No cell reads the last output, so that no ReLU comes before its average.
        return second.values.mean((2, 3)) @ weight + bias

    def _cell(self, i: int, inputs: tuple[_Maps, _Maps], rows: slice) -> Tensor:
        """Return the nodes of cell i, as they are kept: [n, images, h, w, 4 * channels]."""
        cell = self.folded.cells[i]
        first, second = (self._input(i, j, inputs[j], rows) for j in (0, 1))
        rest = first.rest + second.rest
        n, size = len(cell.bias[rows]), rest.shape[1:4]
        pixels = size.numel()
        # All nodes' mixed channels, then what bypassed each node's edges: [n * pixels, 4C]
        # One buffer that everything below writes into: its columns are the output, nothing is
        # joined.
        nodes = rest.new_empty(n * pixels, NODES * cell.parts.inputs[0].shape[0])
        mixed, *bypassed = torch.split(nodes, [cell.bias.shape[1], *[rest.shape[-1]] * NODES], 1)
        sums = mixed.view(n, pixels, -1)
        # BatchNorm's shifts of all edges, before the first node is read
        sums.copy_(cell.bias[rows].unsqueeze(1))
        bypassed[0].view(n, pixels, -1).copy_(rest.flatten(1, 3))
        _add([*first.found, *second.found], sums)
        # The last node is no edge's source. A node is complete here: its edges come from states
        # before it.
        for k in range(NODES - 1):
            # what works in place needs one type, which autocast does not see to
            (a, b), (c, d) = (
                [part.to(nodes.dtype) for part in parts[k]]
                for parts in (cell.parts.mixed, cell.parts.bypassed)
            )
            x = torch.addmm(mixed @ a, bypassed[k], b)
            # Every edge passes the same channels by, so that what reaches the next node is what
            # reached this one and what passes by this one's edges.
            torch.mm(mixed, c, out=bypassed[k + 1])
            bypassed[k + 1].addmm_(bypassed[k], d)
            _add(features(cell.sources[k + 2], x.view(n, *size, -1), rows), sums)
        return nodes.view(n, *size, -1)

    def _input(self, i: int, j: int, x: _Maps, rows: slice) -> _Input:
        """Return an input of a cell; what all individuals share is computed once."""
        cell = self.folded.cells[i]
        source = cell.sources[j]
        # The stem is the same for all individuals, and so is what a cell makes of it before the
        # architecture weights, unless the statistics differ.
        shared = x.shared and len(cell.preprocess[j][0]) == 1 and source.shared
        if shared and (i, j) in self._shared:
            found, rest = self._shared[i, j]
        else:
            values = phases(x.values) if cell.halved and j == 0 else x.values
            weight, bias = (rows_of(v, rows) for v in cell.preprocess[j])
            state = product(values, weight, bias)
            mixed, rest = (times(state, part) for part in cell.parts.inputs)
            rest = bypass(rest, source.stride)
            # Shared maps serve later chunks too: they need what any individual uses, not these
            # `rows`.
            found = features(source, mixed, slice(None) if shared else rows)
            if shared:
                self._shared[i, j] = _Input(found, rest)
        if shared:
            found = [Feature(y, None if out is None else out[rows]) for y, out in found]
        return _Input(found, rest)


def _convolved(x: Tensor, layer: FoldedStem) -> Tensor:
    """Return a convolution of the stem: [m, images, h, w, inputs] to [.., outputs]."""
    own = layer.convolution
    y = F.conv2d(x.flatten(0, 1).permute(0, 3, 1, 2), own.weight, None, own.stride, own.padding)
    y = y.permute(0, 2, 3, 1)
    return y.reshape(len(x), -1, *y.shape[1:]).contiguous()


def _add(found: list[Feature], sums: Tensor) -> None:
    """Add features to the nodes' mixed channels, in place: [n, pixels, 4c]."""
    for values, out in found:
        values = values.to(sums.dtype)
        out = None if out is None else out.to(sums.dtype)
        if out is None:
            sums.add_(values)
        elif len(sums) == 1:
            sums[0].addmm_(values[0], out[0])
        else:
            sums.baddbmm_(values.expand(len(sums), -1, -1), out)
