"""The network of GeneticNAS (Habi and Rafalovich): three stages of cells with a channel gate.

Stem (3x3 convolution, BatchNorm), stages with C, 2C and 4C channels, global average, dropout,
ReLU, linear classifier. A stage change halves the current and the previous output by 2x2 average
pooling and widens both by a 1x1 convolution with BatchNorm; then come one reduction cell and the
stage's normal cells. The first stage starts with the cell of its own that has one input.

Three traits of the authors' code are not copied: the border of zeros around the 1x1 convolutions
of a stage change, the first node missing from the output of one-input cells, and one drop-path
draw for a whole batch (here it is one an image).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.errors import InputError
from nasbench_evo.networks.operations import (
    BatchNorm2d,
    Conv2d,
    Linear,
    check_sizes,
    construct,
    conv_bn,
    dropped,
    global_average,
)
from nasbench_evo.spaces.micro_cell import CELL_INPUTS, OPERATIONS, Genes, MicroCell, Node

KERNELS = {OPERATIONS.index("dw_conv_3x3"): 3, OPERATIONS.index("dw_conv_5x5"): 5}
IDENTITY = OPERATIONS.index("identity")
AVERAGE = OPERATIONS.index("avg_pool_3x3")
_STAGES = 3
_REDUCTION = 8  # of the squeeze-and-excitation


class CellPath(NamedTuple):
    """What one cell computes: its nodes, and which of them no node uses (the output)."""

    nodes: list[Node]
    loose: tuple[int, ...]

    def reads(self, position: int) -> bool:
        """Return whether any node has the input at `position`."""
        return any(position in (a, b) for a, b, _, _ in self.nodes)


Paths = Mapping[str, CellPath]  # cell type -> its path


def cell_paths(space: MicroCell, genotype: Genes) -> Paths:
    """Return the path of each cell type."""
    loose = space.outputs(genotype)
    return {
        cell_type: CellPath(nodes, loose[cell_type])
        for cell_type, nodes in space.describe(genotype).items()
    }


def operation_key(node: int, position: int, operation: int) -> str:
    """Return the name of the weights that `node` has for an operation on an input position."""
    return f"node{node}_input{position}_{OPERATIONS[operation]}"


def depthwise_twice(channels: int, kernel: int) -> nn.Sequential:
    """Return twice (depthwise convolution, BN, ReLU, 1x1 convolution, BN), ReLU in between.

    The ReLU that comes first is left to the caller: it is the same for all that read a state.
    """
    layers = nn.Sequential()
    for _ in range(2):
        layers.extend(
            [
                Conv2d(
                    channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False
                ),
                BatchNorm2d(channels),
                nn.ReLU(inplace=True),
                Conv2d(channels, channels, 1, bias=False),
                BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            ]
        )
    del layers[-1]
    return layers


class CellBlock(nn.Module):
    """One cell: [batch, channels, h, w], and the previous cell's output, to the same shape.

    It has the weights of one path, or without `path` those of all: for every node, input position
    and convolving operation, and a slice of the output's 1x1 convolution for every node.
    """

    operations: Mapping[str, nn.Sequential]  # by operation_key
    slices: Mapping[str, nn.Conv2d]  # by node

    def __init__(
        self, channels: int, cell_type: str, nodes: int, path: CellPath | None = None
    ) -> None:
        super().__init__()
        self.cell_type = cell_type
        self.inputs = len(CELL_INPUTS[cell_type])
        self.operations = nn.ModuleDict(  # type: ignore[assignment]  # works as that mapping
            {
                operation_key(node, position, operation): depthwise_twice(
                    channels, KERNELS[operation]
                )
                for node, position, operation in self._convolutions(nodes, path)
            }
        )
        self.slices = nn.ModuleDict(  # type: ignore[assignment]  # likewise
            {
                str(node): Conv2d(channels, channels, 1, bias=False)
                for node in (path.loose if path else range(nodes))
            }
        )
        self.norm = BatchNorm2d(channels)
        hidden = max(1, channels // _REDUCTION)
        self.gate = nn.Sequential(
            Linear(channels, hidden), nn.ReLU(), Linear(hidden, channels), nn.Sigmoid()
        )

    def _convolutions(self, nodes: int, path: CellPath | None) -> Iterable[tuple[int, int, int]]:
        """Return (node, input position, operation) of those that have weights, in order."""
        if path is None:
            return [
                (node, position, operation)
                for node in range(nodes)
                for position in range(self.inputs + node)
                for operation in KERNELS
            ]
        chosen = {
            (node, position, operation)
            for node, (a, b, operation_a, operation_b) in enumerate(path.nodes)
            for position, operation in ((a, operation_a), (b, operation_b))
        }
        return sorted(triple for triple in chosen if triple[2] in KERNELS)

    def forward(
        self, x: Tensor, previous: Tensor, path: CellPath, drop_path: float = 0.0
    ) -> Tensor:
        """Return the cell's output; each operation's is dropped with probability `drop_path`."""
        states = [x, previous][: self.inputs]
        rectified: dict[int, Tensor] = {}
        pooled: dict[tuple[int, int], Tensor] = {}

        def apply(node: int, position: int, operation: int) -> Tensor:
            if operation == IDENTITY:
                return states[position]
            if position not in rectified:
                rectified[position] = F.relu(states[position])
            if operation in KERNELS:
                module = self.operations[operation_key(node, position, operation)]
                result: Tensor = module(rectified[position])
                return result
            if (position, operation) not in pooled:
                pool = F.avg_pool2d if operation == AVERAGE else F.max_pool2d
                pooled[position, operation] = pool(rectified[position], 3, 1, 1)
            return pooled[position, operation]

        for node, (a, b, operation_a, operation_b) in enumerate(path.nodes):
            first = apply(node, a, operation_a)
            # Computed once, but dropped independently.
            same = (a, operation_a) == (b, operation_b)
            second = first if same else apply(node, b, operation_b)
            states.append(dropped(first, drop_path) + dropped(second, drop_path))
        loose = torch.cat([states[self.inputs + node] for node in path.loose], 1)
        merged = self.norm(F.conv2d(F.relu(loose, inplace=True), self.merging(path)))
        return torch.addcmul(x, merged, self.excitation(merged))

    def merging(self, path: CellPath) -> Tensor:
        """Return the weight of the 1x1 convolution of the path's loose nodes."""
        return torch.cat([self.slices[str(node)].weight for node in path.loose], 1)

    def excitation(self, x: Tensor) -> Tensor:
        """Return each channel's factor in (0, 1), [batch, channels, 1, 1] (Hu et al. 2018)."""
        factors: Tensor = self.gate(global_average(x))
        return factors[:, :, None, None]


class MicroCellLayout(nn.Module):
    """What the network of one path and the supernet of all have in common: all but the path.

    `cells` is the number of cells a stage, without the reduction cell that the second and third
    begin with. Raises InputError for a size below 1 or a dropout outside [0, 1).
    """

    blocks: Sequence[CellBlock]
    changes: Mapping[str, Mapping[str, nn.Sequential]]  # number of the next block -> what widens

    def __init__(
        self,
        classes: int,
        in_channels: int,
        channels: int,
        cells: int,
        nodes: int,
        dropout: float,
        paths: Paths | None = None,
    ) -> None:
        super().__init__()
        check_sizes(
            classes=classes, in_channels=in_channels, channels=channels, cells=cells, nodes=nodes
        )
        if not 0 <= dropout < 1:
            raise InputError(f"dropout is a probability in [0, 1); got {dropout}.")
        self.drop_path_prob = 0.0  # set by the trainer; used in training mode only
        self.stem = conv_bn(in_channels, channels, 3)
        blocks, changes = nn.ModuleList(), nn.ModuleDict()
        for stage in range(_STAGES):
            width = channels * 2**stage
            if stage:
                # a weight that nothing reads would count as the network's
                read = paths is None or paths["reduction"].reads(1)
                names = ("current", "previous") if read else ("current",)
                changes[str(len(blocks))] = nn.ModuleDict(
                    {name: conv_bn(width // 2, width, 1) for name in names}
                )
            start = ["reduction", "normal"] if stage else ["first"]
            for cell_type in start + ["normal"] * (cells - 1):
                path = paths[cell_type] if paths else None
                blocks.append(CellBlock(width, cell_type, nodes, path))
        self.blocks = blocks  # type: ignore[assignment]  # works as that sequence
        self.changes = changes  # type: ignore[assignment]  # works as that mapping
        self.dropout = nn.Dropout(dropout)
        self.classifier = Linear(width, classes)

    def logits(self, images: Tensor, paths: Paths) -> Tensor:
        """Return the logits [batch, classes] by a path of each cell type."""
        drop_path = self.drop_path_prob if self.training else 0.0
        x = previous = self.stem(images)
        for number, block in enumerate(self.blocks):
            path = paths[block.cell_type]
            if str(number) in self.changes:
                change = self.changes[str(number)]
                # Else it keeps its size, which no operation of this cell meets.
                if path.reads(1):
                    previous = change["previous"](halved(previous))
                x = change["current"](halved(x))
            x, previous = block(x, previous, path, drop_path), x
        logits: Tensor = self.classifier(F.relu(self.dropout(global_average(x))))
        return logits


def halved(x: Tensor) -> Tensor:
    """Return `x` after 2x2 average pooling; odd sizes round up."""
    return F.avg_pool2d(x, 2, ceil_mode=True)


class MicroCellNetwork(MicroCellLayout):
    """Images [batch, in_channels, h, w] of any size to logits [batch, classes], by one path.

    It holds only the weights that the path uses, under the names that they have in the supernet.
    """

    def __init__(
        self,
        paths: Paths,
        classes: int,
        in_channels: int = 3,
        channels: int = 20,
        cells: int = 2,
        dropout: float = 0.2,
    ) -> None:
        nodes = len(paths["normal"].nodes)
        super().__init__(classes, in_channels, channels, cells, nodes, dropout, paths)
        self.paths = paths

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        return self.logits(images, self.paths)


def build(
    genotype: Genes,
    *,
    classes: int,
    generator: torch.Generator,
    in_channels: int = 3,
    channels: int = 20,
    cells: int = 2,
    nodes: int = 5,
    dropout: float = 0.2,
) -> MicroCellNetwork:
    """Return the network of a genotype (on the CPU), its weights drawn from `generator`.

    `channels` is C of the first stage; `cells` a stage are 2 in the authors' search and 4 in their
    final training; `nodes` must be the space's. Raises InputError for a size below 1, a dropout
    outside [0, 1), or what is not a genotype of cells of so many nodes.
    """
    space = MicroCell(nodes)
    paths = cell_paths(space, space.validate(genotype))
    return construct(
        lambda: MicroCellNetwork(paths, classes, in_channels, channels, cells, dropout), generator
    )
