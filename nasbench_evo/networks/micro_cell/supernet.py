"""The supernet of GeneticNAS, and the evaluation of its population with equal work done once.

A value (a feature map) of an individual depends on the weights that lead to it, on the rows of its
BatchNorm statistics, and on the values that it is computed from. Values that agree in these are the
same value, of whichever individuals: a plan numbers the distinct values of a population, and each
number is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.networks.micro_cell.network import (
    AVERAGE,
    IDENTITY,
    KERNELS,
    CellBlock,
    CellPath,
    MicroCellLayout,
    Paths,
    cell_paths,
    halved,
    operation_key,
)
from nasbench_evo.networks.operations import construct, global_average, sent
from nasbench_evo.networks.supernet import Statistics, Supernet
from nasbench_evo.spaces.micro_cell import Genes, MicroCell


class MicroCellSupernet(MicroCellLayout, Supernet):
    """Every (node, input position, operation) of every block has weights of its own."""

    def __init__(
        self,
        classes: int,
        in_channels: int = 3,
        channels: int = 20,
        cells: int = 2,
        nodes: int = 5,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(classes, in_channels, channels, cells, nodes, dropout)
        self.space = MicroCell(nodes)

    def forward_path(self, images: Tensor, genotype: Genes) -> Tensor:
        """Return the logits of one genotype's sub-network; BatchNorm works as `training` says."""
        return self.logits(images, cell_paths(self.space, genotype))

    @torch.no_grad()
    def paths_together(
        self, images: Tensor, genotypes: Sequence[Genes], statistics: Statistics | None = None
    ) -> Tensor:
        """Return the logits of several paths in evaluation mode; [n, b, classes].

        As `Supernet.paths_together`, but what individuals have in common is computed once.
        """
        plan = Plan(self, statistics or {})
        # In lexicographic order, those that share the most are neighbours: values live shorter.
        order = sorted(range(len(genotypes)), key=genotypes.__getitem__)
        numbers = {i: plan.individual(i, cell_paths(self.space, genotypes[i])) for i in order}
        return plan.run(images, [numbers[i] for i in range(len(genotypes))])


def build_supernet(
    *,
    classes: int,
    generator: torch.Generator,
    in_channels: int = 3,
    channels: int = 20,
    cells: int = 2,
    nodes: int = 5,
    dropout: float = 0.2,
) -> MicroCellSupernet:
    """Return the supernet (on the CPU), its weights drawn from `generator`.

    The sizes are those of `micro_cell.build`. Raises InputError for a size below 1 or a dropout
    outside [0, 1).
    """
    return construct(
        lambda: MicroCellSupernet(classes, in_channels, channels, cells, nodes, dropout), generator
    )


class Plan:
    """How to compute the logits of several individuals, each distinct value once.

    Values have numbers; 0 is the images. A convolution and the BatchNorm after it are one: the
    statistics are constants, so the BatchNorm's factor goes into the weight.
    """

    def __init__(self, supernet: MicroCellSupernet, statistics: Statistics) -> None:
        self.supernet = supernet
        self.steps: list[tuple[Callable[..., Tensor], tuple[int, ...]]] = []
        self._numbers: dict[tuple[Hashable, tuple[int, ...]], int] = {}
        self._statistics = statistics
        self._representatives: dict[str, list[int]] = {}
        self._folds: list[tuple[Tensor, nn.BatchNorm2d, Tensor, Tensor]] = []
        self._kernels: list[tuple[Tensor, Tensor]] = []

    # -- planning --------------------------------------------------------------------------

    def individual(self, individual: int, paths: Paths) -> int:
        """Return the number of an individual's logits; its row of the statistics is given."""
        network = self.supernet
        x = previous = self._convolution("stem", network.stem, individual, 0)
        for number, block in enumerate(network.blocks):
            path = paths[block.cell_type]
            if str(number) in network.changes:
                change, name = network.changes[str(number)], f"changes.{number}"
                if path.reads(1):
                    half = self._value("halved", halved, previous)
                    previous = self._convolution(
                        f"{name}.previous", change["previous"], individual, half
                    )
                half = self._value("halved", halved, x)
                x = self._convolution(f"{name}.current", change["current"], individual, half)
            states = self._nodes(number, block, path, individual, [x, previous])
            x, previous = self._output(number, block, path, individual, x, states), x
        return self._value("head", self._head, x)

    def _nodes(
        self, number: int, block: CellBlock, path: CellPath, individual: int, inputs: list[int]
    ) -> list[int]:
        """Return the numbers of a block's node values."""
        states = inputs[: block.inputs]
        for node, (a, b, operation_a, operation_b) in enumerate(path.nodes):
            terms = []
            for position, operation in ((a, operation_a), (b, operation_b)):
                value = states[position]
                if operation != IDENTITY:
                    value = self._value("rectified", rectified, value)
                if operation in KERNELS:
                    key = operation_key(node, position, operation)
                    name = f"blocks.{number}.operations.{key}"
                    value = self._convolution(name, block.operations[key], individual, value)
                elif operation != IDENTITY:
                    pool = average_pooled if operation == AVERAGE else max_pooled
                    value = self._value(pool.__name__, pool, value)
                terms.append(value)
            # sorted: a + b and b + a are the same value
            states.append(self._value("sum", torch.add, *sorted(terms)))
        return states[block.inputs :]

    def _output(
        self,
        number: int,
        block: CellBlock,
        path: CellPath,
        individual: int,
        x: int,
        states: list[int],
    ) -> int:
        """Return the number of a block's output."""
        name = f"blocks.{number}.norm"
        key = (name, path.loose, self._row(name, individual))
        sources = (x, *(states[node] for node in path.loose))
        if (key, sources) in self._numbers:
            return self._numbers[key, sources]
        fold = self._fold(block.merging(path), block.norm, name, individual)

        # By its place in `_kernels`, which are only computed when the plan is whole.
        def output(x: Tensor, *loose: Tensor) -> Tensor:
            merged = F.conv2d(torch.cat(loose, 1).relu_(), *self._kernels[fold])
            return torch.addcmul(x, merged, block.excitation(merged))

        return self._value(key, output, *sources)

    def _head(self, x: Tensor) -> Tensor:
        logits: Tensor = self.supernet.classifier(F.relu(global_average(x)))
        return logits

    def _convolution(self, name: str, layers: nn.Sequential, individual: int, source: int) -> int:
        """Return the number of the value of a sequence of convolution, BatchNorm and ReLU."""
        norms = {k: norm for k, norm in enumerate(layers) if isinstance(norm, nn.BatchNorm2d)}
        key = (name, tuple(self._row(f"{name}.{k}", individual) for k in norms))
        if (key, (source,)) in self._numbers:
            return self._numbers[key, (source,)]
        parts = []
        for k, norm in norms.items():
            convolution = cast(nn.Conv2d, layers[k - 1])
            fold = self._fold(convolution.weight, norm, f"{name}.{k}", individual)
            parts.append((fold, convolution.kernel_size[0] // 2, convolution.groups))

        def convolved(x: Tensor) -> Tensor:
            for position, (fold, padding, groups) in enumerate(parts):
                x = x.relu_() if position else x
                x = F.conv2d(x, *self._kernels[fold], padding=padding, groups=groups)
            return x

        return self._value(key, convolved, source)

    def _value(self, key: Hashable, compute: Callable[..., Tensor], *sources: int) -> int:
        """Return the number of the value that `compute` gives; `key` says what it does."""
        number = self._numbers.setdefault((key, sources), len(self.steps) + 1)
        if number > len(self.steps):
            self.steps.append((compute, sources))
        return number

    # -- BatchNorm -------------------------------------------------------------------------

    def _row(self, name: str, individual: int) -> int:
        """Return the first individual whose statistics of a layer are the same; -1: running."""
        if name not in self._statistics:
            return -1
        if name not in self._representatives:
            rows = torch.cat(tuple(self._statistics[name]), 1).cpu().numpy()
            seen: dict[bytes, int] = {}
            self._representatives[name] = [
                seen.setdefault(row.tobytes(), number) for number, row in enumerate(rows)
            ]
        return self._representatives[name][individual]

    def _fold(self, weight: Tensor, norm: nn.BatchNorm2d, name: str, individual: int) -> int:
        """Return the place in `_kernels` of a weight with its BatchNorm folded in."""
        mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
        if name in self._statistics:
            mean, variance = (rows[individual] for rows in self._statistics[name])
        self._folds.append((weight, norm, mean, variance))
        return len(self._folds) - 1

    def _fold_all(self) -> None:
        """Compute `_kernels`: all channels of all BatchNorm layers in one vector."""
        weights, norms, means, variances = zip(*self._folds, strict=True)
        gain = torch.cat([norm.weight for norm in norms])
        scale = gain * (torch.cat(variances) + norms[0].eps).rsqrt()  # all have the default eps
        shift = torch.cat([norm.bias for norm in norms]) - torch.cat(means) * scale
        channels = [len(mean) for mean in means]
        # All weights in one product: thousands of small ones would cost more than a small network.
        sizes = [weight.numel() for weight in weights]
        each = torch.tensor([a // b for a, b in zip(sizes, channels, strict=True)])
        each = sent(each.repeat_interleave(torch.tensor(channels)), scale.device)
        factors = scale.repeat_interleave(each, output_size=sum(sizes))
        folded = torch.cat([weight.reshape(-1) for weight in weights]) * factors
        self._kernels = [
            (values.view(weight.shape), bias)
            for weight, values, bias in zip(
                weights, folded.split(sizes), shift.split(channels), strict=True
            )
        ]

    # -- computing -------------------------------------------------------------------------

    def run(self, images: Tensor, outputs: Sequence[int]) -> Tensor:
        """Return the values numbered `outputs`, stacked; a value is freed after its last use."""
        self._fold_all()
        last = {source: number for number, (_, s) in enumerate(self.steps, 1) for source in s}
        values = {0: images.contiguous(memory_format=torch.channels_last)}
        for number, (compute, sources) in enumerate(self.steps, 1):
            read = [values[source] for source in sources]
            done = [source for source in sources if last[source] == number]
            if compute in _POINTWISE and done:  # write over what nothing reads again
                values[number] = compute(*read, out=values[done[0]])
            else:
                values[number] = compute(*read)
            # a set: a sum may read one value twice
            for source in set(done):
                del values[source]
        return torch.stack([values[number] for number in outputs])


def rectified(x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return `F.relu(x)`, written to `out` if given."""
    return torch.clamp_min(x, 0, out=out)


_POINTWISE = (torch.add, rectified)  # they have `out`, which may be what they read


def average_pooled(x: Tensor) -> Tensor:
    """Return `F.avg_pool2d(x, 3, 1, 1)`: as a convolution it takes a third of the time."""
    weight = x.new_full((x.shape[1], 1, 3, 3), 1 / 9)
    return F.conv2d(x, weight, padding=1, groups=x.shape[1])


def max_pooled(x: Tensor) -> Tensor:
    """Return `F.max_pool2d(x, 3, 1, 1)`, one dimension after the other: half the time."""
    for dimension in (2, 3):
        size = x.shape[dimension] - 1
        pooled = x.clone()
        for to, other in ((1, 0), (0, 1)):
            view = pooled.narrow(dimension, to, size)
            torch.maximum(view, x.narrow(dimension, other, size), out=view)
        x = pooled
    return x
