"""The derived network of a DARTS genotype (Liu et al. 2019, Section 3.2), as EG-NAS trains it.

A stem, then cells; those at 1/3 and 2/3 of the depth are reductions, which halve the size and
double the channels. A node adds two operations; a cell's output is its 4 nodes, concatenated.
Global average and linear classifier. An auxiliary classifier may read the output of the cell at
2/3. There is no BatchNorm after poolings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.networks.darts import stem as stems
from nasbench_evo.networks.darts.operations import (
    AVG_POOL,
    MAX_POOL,
    SKIP,
    FactorizedReduce,
    convolutions,
    pointwise,
    pool,
)
from nasbench_evo.networks.operations import (
    BatchNorm2d,
    Conv2d,
    Linear,
    check_sizes,
    construct,
    dropped,
    global_average,
)
from nasbench_evo.spaces.darts_cell import NODES, DartsCell, Genes, Node

_AUXILIARY_WINDOW = 5  # pixels
_SPACE = DartsCell()


class Operation(nn.Module):
    """One operation, with the BatchNorm that the derived network has: none after poolings."""

    def __init__(self, operation: int, channels: int, stride: int) -> None:
        super().__init__()
        self.operation, self.stride = operation, stride
        self.identity = operation == SKIP and stride == 1
        self.body = nn.Sequential()
        for i, layer in enumerate(convolutions(operation, channels, stride)):
            factorized = isinstance(layer, FactorizedReduce)
            if factorized or i % 2 == 0:  # depthwise and pointwise convolutions take turns
                self.body.append(nn.ReLU())
            self.body.append(layer)
            if factorized or i % 2:
                self.body.append(BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return [batch, channels, h/stride, w/stride], rounded up."""
        if self.operation in (MAX_POOL, AVG_POOL):
            return pool(x, self.operation, self.stride)
        return cast(Tensor, self.body(x))


class Cell(nn.Module):
    """Two maps, [batch, inputs, h, w] each, to [batch, 4 * channels, h, w], halved in a reduction.

    `inputs` counts the channels of the two; `halved` says that the first is twice as large.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        inputs: tuple[int, int],
        channels: int,
        reduction: bool,
        halved: bool,
    ) -> None:
        super().__init__()
        first = FactorizedReduce(inputs[0], channels) if halved else pointwise(inputs[0], channels)
        self.preprocess = nn.ModuleList(
            nn.Sequential(nn.ReLU(), convolution, BatchNorm2d(channels))
            for convolution in (first, pointwise(inputs[1], channels))
        )
        self.states = [(a, b) for a, b, *_ in nodes]
        self.operations = nn.ModuleList(
            Operation(operation, channels, 2 if reduction and state < 2 else 1)
            for a, b, operation_a, operation_b in nodes
            for state, operation in ((a, operation_a), (b, operation_b))
        )

    def forward(self, first: Tensor, second: Tensor, drop_path: float) -> Tensor:
        """Return the nodes' maps; an operation's is dropped with probability `drop_path`."""
        states = [f(x) for f, x in zip(self.preprocess, (first, second), strict=True)]
        for k, pair in enumerate(self.states):
            values = []
            for state, layer in zip(pair, self.operations[2 * k : 2 * k + 2], strict=True):
                y = layer(states[state])
                values.append(y if layer.identity else dropped(y, drop_path))
            states.append(values[0] + values[1])
        return torch.cat(states[2:], 1)


class _Pool2x2(nn.Module):
    """Average pooling of [batch, channels, h, w] to [batch, channels, 2, 2]."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        if min(height, width) > _AUXILIARY_WINDOW and max(height, width) <= 2 * _AUXILIARY_WINDOW:
            stride = (height - _AUXILIARY_WINDOW, width - _AUXILIARY_WINDOW)
            return F.avg_pool2d(x, _AUXILIARY_WINDOW, stride)
        # Halves of the map, sharing the middle of an odd one: what adaptive pooling computes, whose
        # backward pass on CUDA has no deterministic form.
        x = x.expand(-1, -1, max(height, 2), max(width, 2))  # of one pixel: both halves are it
        height, width = x.shape[2:]
        window = (height + 1) // 2, (width + 1) // 2
        return F.avg_pool2d(x, window, (height // 2, width // 2))


class AuxiliaryHead(nn.Module):
    """Logits of [batch, channels, h, w].

    Maps of 6 to 10 pixels are pooled to 2x2 by a window of 5, as DARTS does: with stride 3 at 8x8
    (CIFAR) and 2 at 7x7 (ImageNet). Of other sizes, which it does not know, the halves are pooled.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.ReLU(),
            _Pool2x2(),
            Conv2d(channels, 128, 1, bias=False),
            BatchNorm2d(128),
            nn.ReLU(inplace=True),
            Conv2d(128, 768, 2, bias=False),
            BatchNorm2d(768),
            nn.ReLU(inplace=True),
        )
        self.classifier = Linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return [batch, classes]."""
        return cast(Tensor, self.classifier(self.features(x).flatten(1)))


class DartsNetwork(nn.Module):
    """Images [batch, in_channels, h, w] of any size to logits [batch, classes].

    With `auxiliary`, training mode returns (logits, auxiliary logits). `drop_path_prob`, set by
    the trainer, is the probability that an operation's map is dropped, for an image, in training;
    identities are not.
    """

    def __init__(
        self,
        genotype: Genes,
        classes: int,
        in_channels: int,
        channels: int,
        cells: int,
        auxiliary: bool,
        stem: str,
    ) -> None:
        super().__init__()
        check_sizes(classes=classes, in_channels=in_channels, channels=channels, cells=cells)
        self.drop_path_prob = 0.0
        described = _SPACE.describe(genotype)
        self.stem = stems.build(stem, in_channels, channels)
        now, halved = stems.outputs(stem, channels)
        before = now
        self.cells = nn.ModuleList()
        self.auxiliary: AuxiliaryHead | None = None
        self.auxiliary_cell = 2 * cells // 3
        for i in range(cells):
            reduction = i in (cells // 3, 2 * cells // 3)
            channels *= 1 + reduction
            nodes = described["reduction" if reduction else "normal"]
            self.cells.append(Cell(nodes, (before, now), channels, reduction, halved))
            before, now, halved = now, NODES * channels, reduction
            if auxiliary and i == self.auxiliary_cell:
                self.auxiliary = AuxiliaryHead(now, classes)
        self.classifier = Linear(now, classes)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the logits, with the auxiliary ones in training if there are any."""
        drop_path = self.drop_path_prob if self.training else 0.0
        first, second = stems.maps(self.stem, images)
        for i, cell in enumerate(self.cells):
            first, second = second, cell(first, second, drop_path)
            if i == self.auxiliary_cell:
                reduced = second
        logits: Tensor = self.classifier(global_average(second))
        if self.auxiliary is not None and self.training:
            return logits, self.auxiliary(reduced)
        return logits


def build(
    genotype: Genes,
    *,
    classes: int,
    generator: torch.Generator,
    in_channels: int = 3,
    channels: int = 36,
    cells: int = 20,
    auxiliary: bool = False,
    stem: str = "cifar",
) -> DartsNetwork:
    """Return the network of a genotype (on the CPU), its weights drawn from `generator` alone.

    `channels` is C of the first cells, `cells` the depth, `stem` one of `stem.STEMS`. Raises
    InputError for a size below 1, an unknown stem, or what is not a genotype.
    """
    genotype = _SPACE.validate(genotype)
    return construct(
        lambda: DartsNetwork(genotype, classes, in_channels, channels, cells, auxiliary, stem),
        generator,
    )
