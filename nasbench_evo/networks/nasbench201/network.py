"""The NAS-Bench-201 macro network of a cell (Dong and Yang 2020, Section 2.1).

Stem, 3 stages of N cells with C, 2C and 4C channels, a residual block of stride 2 between stages,
BN-ReLU, global average pooling, linear classifier. Cells are computed lean: one ReLU per source
node, nothing for `none`, and nothing for edges that cannot reach the output.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.networks.nasbench201.search_cell import average_pool
from nasbench_evo.networks.operations import (
    BatchNorm2d,
    Conv2d,
    Linear,
    check_sizes,
    construct,
    conv_bn,
    global_average,
)
from nasbench_evo.spaces.nasbench201 import EDGES, OPERATIONS, Cell, NASBench201

_KERNELS = {OPERATIONS.index("nor_conv_1x1"): 1, OPERATIONS.index("nor_conv_3x3"): 3}
_NONE = OPERATIONS.index("none")
_SKIP = OPERATIONS.index("skip_connect")
_STAGES = 3
_OUTPUT = 3  # the node that is the cell's output
_FEW = 2**15  # numbers in an activation: below, setting a kernel up takes longer than its work


def live_edges(genotype: Cell) -> list[tuple[int, int, int, int]]:
    """Return (edge, source, target, operation) of the edges that can change the output.

    Left out, with exactly the same function: `none`; edges into a node that no path joins to the
    output; skips and poolings of a node that is zero. A convolution of a zero node stays: its
    BatchNorm adds a learned bias.
    """
    edges = [
        (edge, source, target, gene)
        for edge, (gene, (source, target)) in enumerate(zip(genotype, EDGES, strict=True))
        if gene != _NONE
    ]
    nonzero = {0}
    for _, source, target, gene in edges:  # in target order, so sources are settled
        if source in nonzero or gene in _KERNELS:
            nonzero.add(target)
    used = {_OUTPUT}
    # from the output back: whether a target is used is settled before the edges into it come
    for _, source, target, _ in reversed(edges):
        if target in used:
            used.add(source)
    return [
        (edge, source, target, gene)
        for edge, source, target, gene in edges
        if target in used and (source in nonzero or gene in _KERNELS)
    ]


def _shortcut(x: Tensor) -> bool:
    """Return whether `x` is of the kind that the CPU's shortcuts below were measured for."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.is_contiguous(memory_format=torch.channels_last)
        and not torch.compiler.is_compiling()
    )


class Pointwise(Conv2d):
    """A 1x1 convolution; where there are few numbers a matrix product, in half the time."""

    def forward(self, x: Tensor) -> Tensor:
        """Return [batch, out_channels, h, w]."""
        if x.numel() < _FEW and _shortcut(x):
            return F.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1)).permute(0, 3, 1, 2)
        return super().forward(x)


def _convolution(channels: int, kernel: int) -> nn.Sequential:
    if kernel > 1:
        return conv_bn(channels, channels, kernel)
    return nn.Sequential(Pointwise(channels, channels, 1, bias=False), BatchNorm2d(channels))


def _pooled(x: Tensor) -> Tensor:
    """Return the 3x3 mean of stride 1."""
    if x.numel() >= _FEW and _shortcut(x):
        return average_pool(x)
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class SearchCell(nn.Module):
    """One cell: [batch, channels, h, w] to the same shape.

    Convolutions of edges that are never computed still hold parameters, as in the benchmark,
    whose counts include them; their gradients stay None.
    """

    def __init__(self, genotype: Cell, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleDict(
            {
                str(edge): _convolution(channels, _KERNELS[gene])
                for edge, gene in enumerate(genotype)
                if gene in _KERNELS
            }
        )
        self.plan = live_edges(genotype)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output node, given the input node."""
        nodes: dict[int, Tensor] = {0: x}
        activated: dict[int, Tensor] = {}
        for edge, source, target, gene in self.plan:
            if source not in nodes:
                nodes[source] = torch.zeros_like(x)
            if gene in _KERNELS:
                if source not in activated:
                    activated[source] = F.relu(nodes[source])
                value = self.convolutions[str(edge)](activated[source])
            elif gene == _SKIP:
                value = nodes[source]
            else:
                value = _pooled(nodes[source])
            nodes[target] = nodes[target] + value if target in nodes else value
        return nodes[_OUTPUT] if _OUTPUT in nodes else torch.zeros_like(x)


class ResidualBlock(nn.Module):
    """The stride-2 block between stages: [batch, c, h, w] to [batch, 2c, h/2, w/2].

    Odd sizes round up on both paths (the benchmark's images never meet one).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_bn(channels, 2 * channels, 3, stride=2)
        self.second = conv_bn(2 * channels, 2 * channels, 3)
        self.shortcut = Pointwise(channels, 2 * channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return main path plus shortcut."""
        main: Tensor = self.second(F.relu(self.first(F.relu(x))))
        shortcut: Tensor = self.shortcut(F.avg_pool2d(x, 2, ceil_mode=True))
        return main + shortcut


class NASBench201Network(nn.Module):
    """Images [batch, in_channels, h, w] of any size to logits [batch, classes]."""

    def __init__(
        self, genotype: Cell, classes: int, in_channels: int = 3, channels: int = 16, cells: int = 5
    ) -> None:
        super().__init__()
        check_sizes(classes=classes, in_channels=in_channels, channels=channels, cells=cells)
        self.stem = conv_bn(in_channels, channels, 3)
        self.body = nn.Sequential()
        for stage in range(_STAGES):
            width = channels * 2**stage
            if stage:
                self.body.append(ResidualBlock(width // 2))
            self.body.extend(SearchCell(genotype, width) for _ in range(cells))
        self.last = BatchNorm2d(width)
        self.classifier = Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        features = F.relu(self.last(self.body(self.stem(images))))
        logits: Tensor = self.classifier(global_average(features))
        return logits


def build(
    genotype: Cell,
    *,
    classes: int,
    generator: torch.Generator,
    in_channels: int = 3,
    channels: int = 16,
    cells: int = 5,
) -> NASBench201Network:
    """Return the network of a cell (on the CPU), its weights drawn from `generator`.

    `channels` is C of the first stage, `cells` is N per stage. Raises InputError for a size
    below 1 or what is not a cell.
    """
    NASBench201().validate(genotype)
    return construct(
        lambda: NASBench201Network(genotype, classes, in_channels, channels, cells), generator
    )


def parameter_count(
    genotype: Cell, classes: int, in_channels: int = 3, channels: int = 16, cells: int = 5
) -> int:
    """Return the network's number of parameters in closed form, as the benchmark counts them."""
    count = 9 * in_channels * channels + 2 * channels  # stem and its BN
    for stage, c in _stages(channels):
        if stage:  # from c/2: 3x3, 3x3, their BNs, 1x1 shortcut
            count += 9 * (c // 2) * c + 9 * c * c + 4 * c + (c // 2) * c
        count += cells * sum(_KERNELS[g] ** 2 * c * c + 2 * c for g in genotype if g in _KERNELS)
    return count + 2 * c + (c + 1) * classes  # last BN, classifier


def multiply_adds(
    genotype: Cell,
    classes: int,
    image_size: int = 32,
    in_channels: int = 3,
    channels: int = 16,
    cells: int = 5,
) -> int:
    """Return multiply-adds of one image's forward pass: convolutions and the classifier.

    As the benchmark counts them: all convolutions of the cell, also those of dead edges, which
    our network does not compute; BatchNorm, ReLU, pooling and sums count nothing.
    """
    area = image_size**2
    count = 9 * in_channels * channels * area
    for stage, c in _stages(channels):
        if stage:
            image_size = (image_size + 1) // 2
            area = image_size**2
            count += (9 * (c // 2) * c + 9 * c * c + (c // 2) * c) * area
        count += cells * area * sum(_KERNELS[g] ** 2 * c * c for g in genotype if g in _KERNELS)
    return count + c * classes


def _stages(channels: int) -> Iterator[tuple[int, int]]:
    return ((stage, channels * 2**stage) for stage in range(_STAGES))
