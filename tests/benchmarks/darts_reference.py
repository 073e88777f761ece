"""The DARTS search network in the usual style, to test ours against and to time it against.

A module for each operation of each edge, NCHW, one individual at a time; every operation is
computed, `none` as zeros, and summed with its weight. `copy_weights` takes the values from ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.networks.darts.supernet import DartsSupernet
from nasbench_evo.spaces.darts_cell import OPERATIONS


class Zero(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :: self.stride, :: self.stride] * 0.0


class Shrink(nn.Module):
    """ReLU, two 1x1 convolutions of stride 2, the second a pixel further; BatchNorm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.conv_1 = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.conv_2 = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(outputs, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        odd = x.shape[2] % 2, x.shape[3] % 2
        shifted = F.pad(x, (0, odd[1], 0, odd[0]))[:, :, 1:, 1:]
        return self.bn(torch.cat([self.conv_1(x), self.conv_2(shifted)], dim=1))


def relu_conv_bn(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs, affine=False),
    )


def half(c: int, k: int, stride: int, dilation: int) -> list[nn.Module]:
    """ReLU, depthwise convolution, pointwise convolution, BatchNorm."""
    padding = dilation * (k // 2)
    return [
        nn.ReLU(),
        nn.Conv2d(c, c, k, stride, padding, dilation, groups=c, bias=False),
        nn.Conv2d(c, c, 1, bias=False),
        nn.BatchNorm2d(c, affine=False),
    ]


def operation(name: str, c: int, stride: int, pool_norm: bool) -> nn.Module:
    if name == "none":
        return Zero(stride)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else Shrink(c, c)
    if name.endswith("pool_3x3"):
        pool: nn.Module = nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        if name.startswith("max"):
            pool = nn.MaxPool2d(3, stride, 1)
        return nn.Sequential(pool, nn.BatchNorm2d(c, affine=False)) if pool_norm else pool
    k = int(name[-1])
    if name.startswith("sep"):
        return nn.Sequential(*half(c, k, stride, 1), *half(c, k, 1, 1))
    return nn.Sequential(*half(c, k, stride, 2))


class Mixed(nn.Module):
    """One edge: every operation on the first 1/k of the channels, the rest beside them."""

    def __init__(self, c: int, stride: int, k: int, pool_norm: bool) -> None:
        super().__init__()
        self.k, self.stride = k, stride
        self.ops = nn.ModuleList(operation(name, c // k, stride, pool_norm) for name in OPERATIONS)
        self.mp = nn.MaxPool2d(2, 2, ceil_mode=True)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        c = x.shape[1] // self.k
        first, rest = x[:, :c], x[:, c:]
        y = sum(w * op(first) for w, op in zip(weights, self.ops, strict=True))
        if self.k == 1:
            return y
        y = torch.cat([y, rest if self.stride == 1 else self.mp(rest)], dim=1)
        b, channels, h, w = y.shape
        return y.view(b, self.k, channels // self.k, h, w).transpose(1, 2).reshape(y.shape)


class Cell(nn.Module):
    def __init__(
        self, before: int, now: int, c: int, k: int, reduction: bool, reduced: bool, norm: bool
    ) -> None:
        super().__init__()
        self.reduction = reduction
        self.preprocess0 = Shrink(before, c) if reduced else relu_conv_bn(before, c)
        self.preprocess1 = relu_conv_bn(now, c)
        self.edges = nn.ModuleList(
            Mixed(c, 2 if reduction and state < 2 else 1, k, norm)
            for node in range(4)
            for state in range(2 + node)
        )

    def forward(self, s0: Tensor, s1: Tensor, weights: Tensor, edges: Tensor) -> Tensor:
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        offset = 0
        for _ in range(4):
            states.append(
                sum(
                    edges[offset + j] * self.edges[offset + j](h, weights[offset + j])
                    for j, h in enumerate(states)
                )
            )
            offset += len(states) - 1
        return torch.cat(states[2:], dim=1)


class Reference(nn.Module):
    """Images [b, in_channels, h, w] and weights [2, 14, 8] to logits [b, classes].

    `edges` [2, 14] weigh the edges; ones are DARTS.
    """

    def __init__(
        self, classes: int, in_channels: int, channels: int, cells: int, k: int,
        pool_norm: bool = True, imagenet: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        now = channels if imagenet else 3 * channels
        before = now
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, now, 3, padding=1, bias=False), nn.BatchNorm2d(now)
        )
        if imagenet:
            c, half = channels, channels // 2
            self.stem = nn.Sequential(
                nn.Conv2d(in_channels, half, 3, 2, 1, bias=False),
                nn.BatchNorm2d(half),
                nn.ReLU(),
                nn.Conv2d(half, c, 3, 2, 1, bias=False),
                nn.BatchNorm2d(c),
                nn.ReLU(),
                nn.Conv2d(c, c, 3, 2, 1, bias=False),
                nn.BatchNorm2d(c),
            )
        self.cells = nn.ModuleList()
        reduced = imagenet
        for i in range(cells):
            reduction = i in (cells // 3, 2 * cells // 3)
            channels *= 2 if reduction else 1
            self.cells.append(Cell(before, now, channels, k, reduction, reduced, pool_norm))
            before, now, reduced = now, 4 * channels, reduction
        self.classifier = nn.Linear(now, classes)

    def forward(self, images: Tensor, weights: Tensor, edges: Tensor | None = None) -> Tensor:
        edges = weights.new_ones(2, 14) if edges is None else edges
        s0 = self.stem[:5](images) if len(self.stem) > 2 else self.stem(images)
        s1 = self.stem[5:](s0) if len(self.stem) > 2 else s0
        for cell in self.cells:
            kind = 1 if cell.reduction else 0
            s0, s1 = s1, cell(s0, s1, weights[kind], edges[kind])
        return self.classifier(s1.mean((2, 3)))


def like(ours: DartsSupernet) -> Reference:
    """Return the plain network of the same sizes, weights and BatchNorm statistics."""
    cell: Any = ours.cells[0]
    imagenet = isinstance(ours.stem, nn.ModuleList)
    network = Reference(
        ours.classifier.out_features,
        next(ours.stem.parameters()).shape[1],
        cell.channels // (2 if cell.reduction else 1),
        len(ours.cells),
        cell.partial,
        "max_pool_3x3" in cell.sources[0].norms,
        imagenet,
    ).to(ours.classifier.weight.dtype)
    copy_weights(network, ours)
    return network.train(ours.training)


@torch.no_grad()
def copy_weights(reference: Reference, ours: DartsSupernet) -> None:
    """Copy all values of our network to the plain one."""
    for theirs, own in parameters(reference, ours):
        theirs.copy_(own)
    for theirs_norm, mean, variance in statistics(reference, ours):
        theirs_norm.running_mean.copy_(mean)
        theirs_norm.running_var.copy_(variance)


def _edges(reference: Reference, ours: DartsSupernet) -> Iterator[tuple[nn.Module, Any, int]]:
    """Yield (edge of the plain network, our source that holds it, its position there)."""
    for their_cell, cell in zip(reference.cells, ours.cells, strict=True):
        edges = iter(their_cell.edges)  # type: ignore[arg-type]
        for node in range(4):
            for state in range(2 + node):
                source: Any = cell.sources[state]  # type: ignore[index]
                yield next(edges), source, source.nodes.index(node)


def _of(module: nn.Module, kind: type) -> list[Any]:
    return [layer for layer in module.modules() if isinstance(layer, kind)]


def parameters(
    reference: Reference, ours: DartsSupernet
) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
    """Yield each parameter of the plain network with the same one of ours."""
    yield from zip(reference.stem.parameters(), ours.stem.parameters(), strict=True)
    yield from zip(reference.classifier.parameters(), ours.classifier.parameters(), strict=True)
    for their_cell, cell in zip(reference.cells, ours.cells, strict=True):
        for i in (0, 1):
            theirs = getattr(their_cell, f"preprocess{i}").parameters()
            yield from zip(theirs, cell.preprocess[i].parameters(), strict=True)  # type: ignore
    for edge, source, position in _edges(reference, ours):
        for op, name in zip(edge.ops, OPERATIONS, strict=True):
            convolutions = [source.operations[name][position]] if name in source.operations else []
            own = [p for layer in convolutions for p in layer.parameters()]
            yield from zip(op.parameters(), own, strict=True)


def statistics(
    reference: Reference, ours: DartsSupernet
) -> Iterator[tuple[nn.BatchNorm2d, Tensor, Tensor]]:
    """Yield each BatchNorm of the plain network with the mean and variance of ours."""
    for theirs, own in zip(
        _of(reference.stem, nn.BatchNorm2d), _of(ours.stem, nn.BatchNorm2d), strict=True
    ):
        yield theirs, own.running_mean, own.running_var
    for their_cell, cell in zip(reference.cells, ours.cells, strict=True):
        for i in (0, 1):
            norm = cell.preprocess[i].norm  # type: ignore[index]
            [theirs] = _of(getattr(their_cell, f"preprocess{i}"), nn.BatchNorm2d)
            yield theirs, norm.running_mean, norm.running_var
    for edge, source, position in _edges(reference, ours):
        for op, name in zip(edge.ops, OPERATIONS, strict=True):
            names = [n for n in (name + "_inner", name) if n in source.norms]
            for theirs, own in zip(_of(op, nn.BatchNorm2d), names, strict=True):
                norm = source.norms[own]
                rows = [
                    b.view(-1, source.channels)[position]
                    for b in (norm.running_mean, norm.running_var)
                ]
                yield theirs, rows[0], rows[1]
