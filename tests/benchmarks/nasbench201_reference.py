"""The NAS-Bench-201 supernet as it is usually written, for values, gradients and speed.

A module per operation, NCHW, every edge computed, one individual at a time; BatchNorm on its own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from nasbench_evo.networks.nasbench201.search_cell import SupernetCell
from nasbench_evo.networks.nasbench201.supernet import NASBench201Supernet
from nasbench_evo.spaces.nasbench201 import EDGES, OPERATIONS, Cell


class Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mul(0.0)


class PlainCell(nn.Module):
    def __init__(self, cell: SupernetCell) -> None:
        super().__init__()
        self.edges = nn.ModuleList(
            nn.ModuleList(self.operation(name, edge, cell) for name in OPERATIONS)
            for edge in range(len(EDGES))
        )

    @staticmethod
    def operation(name: str, edge: int, cell: SupernetCell) -> nn.Module:
        if name.startswith("nor_conv"):
            convolution, norm = cell.convolutions[f"{edge}_{name}"]  # type: ignore[misc]
            return nn.Sequential(nn.ReLU(), convolution, norm)
        simple = {
            "none": Zero(),
            "skip_connect": nn.Identity(),
            "avg_pool_3x3": nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
        }
        return simple[name]

    def forward(self, x: Tensor, genotype: Cell | None, weights: Tensor | None) -> Tensor:
        nodes = [x]
        for target in (1, 2, 3):
            values = []
            for number, (source, end) in enumerate(EDGES):
                if end != target:
                    continue
                edge: Sequence[nn.Module] = self.edges[number]  # type: ignore[assignment]
                if genotype is not None:
                    values.append(edge[genotype[number]](nodes[source]))
                elif weights is not None:
                    mixed = zip(weights[number], edge, strict=True)
                    values.append(sum(w * operation(nodes[source]) for w, operation in mixed))
            nodes.append(sum(values, start=torch.zeros(())))
        return nodes[3]


class PlainResidual(nn.Module):
    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.ReLU(), *block.first)  # type: ignore[misc]
        self.second = nn.Sequential(nn.ReLU(), *block.second)  # type: ignore[misc]
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, stride=2, padding=0, ceil_mode=True),
            block.shortcut,  # type: ignore[arg-type]
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut: Tensor = self.shortcut(x)
        return shortcut + self.second(self.first(x))


class PlainSupernet(nn.Module):
    """Has a copy of the weights of `supernet`; `pairs` joins its layers to the supernet's."""

    def __init__(self, supernet: NASBench201Supernet) -> None:
        super().__init__()
        own = copy.deepcopy(supernet).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.stem = own.stem
        self.body = nn.ModuleList(
            PlainCell(block) if isinstance(block, SupernetCell) else PlainResidual(block)
            for block in own.body
        )
        self.last = nn.Sequential(own.last, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = own.classifier
        kinds = nn.Conv2d | nn.BatchNorm2d | nn.Linear
        self.pairs: list[tuple[str, nn.Module, nn.Module]] = [
            (name, layer, supernet.get_submodule(name))
            for name, layer in own.named_modules()
            if isinstance(layer, kinds)
        ]

    def forward(
        self, images: Tensor, genotype: Cell | None = None, weights: Tensor | None = None
    ) -> Tensor:
        x: Tensor = self.stem(images)
        for block in self.body:
            x = block(x, genotype, weights) if isinstance(block, PlainCell) else block(x)
        logits: Tensor = self.classifier(self.last(x))
        return logits

    def paths(self, images: Tensor, genotypes: Sequence[Cell]) -> Tensor:
        return self._evaluated([lambda g=g: self(images, genotype=g) for g in genotypes])  # type: ignore[misc]

    def mixtures(self, images: Tensor, weights: Tensor) -> Tensor:
        return self._evaluated([lambda w=w: self(images, weights=w) for w in weights])  # type: ignore[misc]

    @torch.no_grad()
    def _evaluated(self, forwards: Sequence[Callable[[], Tensor]]) -> Tensor:
        self.eval()
        return torch.stack([forward() for forward in forwards])
