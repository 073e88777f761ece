"""The NAS-Bench-201 supernet: the weights of all 15,625 cells, shared (Dong and Yang 2020).

The macro network of `nasbench201`, in whose every cell every edge holds a 1x1 and a 3x3
convolution. One path is a genotype's network; a mixture weighs the five operations of every edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.errors import InputError
from nasbench_evo.networks.nasbench201.mixtures import MixturePopulation
from nasbench_evo.networks.nasbench201.network import (
    NASBench201Network,
    ResidualBlock,
    live_edges,
)
from nasbench_evo.networks.nasbench201.paths import PathPopulation
from nasbench_evo.networks.nasbench201.search_cell import Plan, SupernetCell, convolution_name
from nasbench_evo.networks.operations import (
    BatchNorm2d,
    Linear,
    check_sizes,
    construct,
    conv_bn,
    global_average,
)
from nasbench_evo.networks.supernet import Statistics, Supernet
from nasbench_evo.spaces.base import Genotype
from nasbench_evo.spaces.nasbench201 import Cell, NASBench201

_SPACE = NASBench201()
_STAGES = 3


class NASBench201Supernet(Supernet):
    """Images [batch, in_channels, h, w] of any size to logits [batch, classes].

    `folded` says whether `mixtures_together` folds the individuals into the batch dimension (few,
    large kernels) or evaluates them one by one with the shared work done once (least
    computation); None means folded on CUDA only. `chunk_elements` bounds the memory that it
    takes: about that many numbers at a time, at least one individual's.
    """

    def __init__(
        self, classes: int, in_channels: int = 3, channels: int = 16, cells: int = 5
    ) -> None:
        super().__init__()
        check_sizes(classes=classes, in_channels=in_channels, channels=channels, cells=cells)
        self.sizes = (classes, in_channels, channels, cells)
        self.folded: bool | None = None
        self.chunk_elements = 2**28
        self.stem = conv_bn(in_channels, channels, 3)
        self.body = nn.Sequential()
        for stage in range(_STAGES):
            width = channels * 2**stage
            if stage:
                self.body.append(ResidualBlock(width // 2))
            self.body.extend(SupernetCell(width) for _ in range(cells))
        self.last = BatchNorm2d(width)
        self.classifier = Linear(width, classes)

    def forward_path(self, images: Tensor, genotype: Genotype) -> Tensor:
        """Return the logits of one genotype's network; raise InputError for what is no cell.

        Weights that cannot change the output take no part, also those of the genotype's own
        dead edges.
        """
        return self._forward(images, plan=live_edges(_SPACE.validate(genotype)))

    def forward_mixture(self, images: Tensor, weights: Tensor) -> Tensor:
        """Return the logits with every edge its weighted sum; `weights` is [6, 5].

        Raises InputError for weights of another shape.
        """
        _check_shape(weights, _SPACE.alpha_shape)
        return self._forward(images, weights=weights)

    def _forward(self, images: Tensor, plan: Plan = (), weights: Tensor | None = None) -> Tensor:
        x: Tensor = self.stem(images)
        x = x.contiguous(memory_format=torch.channels_last)
        for block in self.body:
            if not isinstance(block, SupernetCell):
                x = block(x)
            elif weights is None:
                x = block(x, plan)
            else:
                x = block.mixture(x, weights)
        return self.classify(F.relu(self.last(x)))

    def classify(self, features: Tensor) -> Tensor:
        """Return the logits of the last feature maps."""
        logits: Tensor = self.classifier(global_average(features))
        return logits

    @torch.no_grad()
    def paths_together(
        self, images: Tensor, genotypes: Sequence[Genotype], statistics: Statistics | None = None
    ) -> Tensor:
        """Return the logits of several paths in evaluation mode; [n, batch, classes].

        BatchNorm is folded into the convolutions, and what several individuals have in common
        from the images on is computed once: whole networks, first cells, nodes, operations.
        Raises InputError for no genotypes, what is no cell, and statistics that do not fit.
        """
        plans = [live_edges(_SPACE.validate(genotype)) for genotype in genotypes]
        if not plans:
            raise InputError("Expected at least one genotype; got none.")
        return PathPopulation(self, plans, statistics).logits(images)

    @torch.no_grad()
    def mixtures_together(
        self, images: Tensor, weights: Tensor, statistics: Statistics | None = None
    ) -> Tensor:
        """Return the logits of several mixtures, `weights` [n, 6, 5]; [n, batch, classes].

        Raises InputError for weights of another shape, n = 0, and statistics that do not fit.
        """
        n = weights.shape[0] if weights.dim() else 0
        _check_shape(weights, (max(1, n), *_SPACE.alpha_shape))
        folded = images.is_cuda if self.folded is None else self.folded
        population = MixturePopulation(self, weights, statistics, folded, self.chunk_elements)
        return population.logits(images)

    def derived(self, genotype: Genotype) -> NASBench201Network:
        """Return a network of its own for one genotype, with a copy of the shared weights.

        It has this supernet's device, number type and training mode, and BatchNorm's running
        statistics. Raises InputError for what is no cell.
        """
        cell: Cell = _SPACE.validate(genotype)
        # without storage: every tensor is replaced by a copy of the shared one
        with torch.device("meta"):
            network = NASBench201Network(cell, *self.sizes)
        shared = self.state_dict()
        copied = {name: shared[_shared_name(name, cell)].clone() for name in network.state_dict()}
        network.load_state_dict(copied, assign=True)
        return network.train(self.training)


def _shared_name(name: str, cell: Cell) -> str:
    """Return what a network's parameter is called in the supernet."""
    before, convolutions, after = name.partition(".convolutions.")
    if not convolutions:
        return name
    edge, rest = after.split(".", 1)
    return f"{before}{convolutions}{convolution_name(int(edge), cell[int(edge)])}.{rest}"


def _check_shape(weights: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(weights.shape) != shape:
        raise InputError(
            f"Expected weights of shape {list(shape)}: a row per edge, a column per operation, "
            f"after the individuals where there are several; got {list(weights.shape)}."
        )


def build_supernet(
    *,
    classes: int,
    generator: torch.Generator,
    in_channels: int = 3,
    channels: int = 16,
    cells: int = 5,
) -> NASBench201Supernet:
    """Return the supernet (on the CPU, channels_last), its weights drawn from `generator`.

    `channels` is C of the first stage, `cells` is N per stage. Raises InputError for a size
    below 1.
    """
    supernet = construct(
        lambda: NASBench201Supernet(classes, in_channels, channels, cells), generator
    )
    return cast(NASBench201Supernet, supernet.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
