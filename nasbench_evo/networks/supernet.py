"""What every supernet offers: the weights of all genotypes of a space, shared.

A path is one genotype's sub-network; a mixture weighs every operation of every edge. The methods
here evaluate a population one individual after the other: they define what the shared computations
of the subclasses must equal, and are what those are tested and timed against.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from nasbench_evo.errors import Unsupported
from nasbench_evo.spaces.base import Genotype

# BatchNorm layer's name -> (means [n, channels], variances [n, channels]), a row an individual.
Statistics = Mapping[str, tuple[Tensor, Tensor]]


class Supernet(nn.Module):
    """Images [b, in_channels, h, w] to logits [b, classes], by a path or a mixture.

    In training only the parameters that take part get gradients; the others' stay None.
    """

    def forward_path(self, images: Tensor, genotype: Genotype) -> Tensor:
        """Return the logits of one genotype's sub-network; BatchNorm works as `training` says."""
        raise NotImplementedError

    def forward_mixture(self, images: Tensor, weights: Tensor) -> Tensor:
        """Return the logits with every edge the weighted sum of its operations.

        `weights` is [*alpha_shape], each edge's a distribution (the softmax of alpha). Raises
        Unsupported for a supernet of paths only.
        """
        raise Unsupported(
            f"{type(self).__name__} has no mixtures of operations: its space has no edges to "
            "relax. Use an algorithm that evaluates genotypes, such as genetic_nas."
        )

    def edge_weights(self, logits: Tensor) -> Tensor:
        """Return the weights of edges [.., *edge_shape]: the softmax over those into each node.

        Raises Unsupported for a supernet without edge normalisation.
        """
        raise Unsupported(
            f"{type(self).__name__} has no edge normalisation: use the space darts_cell, or "
            "edge_normalisation=false."
        )

    def forward_weighed(self, images: Tensor, weights: Tensor, edges: Tensor) -> Tensor:
        """Return the logits of a mixture whose edges are weighed by `edges` [*edge_shape]."""
        raise NotImplementedError

    def weighed_together(
        self,
        images: Tensor,
        weights: Tensor,
        edges: Tensor,
        statistics: Statistics | None = None,
    ) -> Tensor:
        """Return the logits of several such mixtures, one after the other; [n, b, classes]."""
        forwards = [
            partial(self.forward_weighed, images, *one) for one in zip(weights, edges, strict=True)
        ]
        return self._one_by_one(statistics, forwards)

    def paths_together(
        self, images: Tensor, genotypes: Sequence[Genotype], statistics: Statistics | None = None
    ) -> Tensor:
        """Return the logits of several paths in evaluation mode; [n, b, classes].

        BatchNorm layers use their running statistics, or an individual's row of `statistics`
        where that has the layer.
        """
        return self._one_by_one(
            statistics, [partial(self.forward_path, images, genotype) for genotype in genotypes]
        )

    def mixtures_together(
        self, images: Tensor, weights: Tensor, statistics: Statistics | None = None
    ) -> Tensor:
        """Return the logits of several mixtures, `weights` [n, *alpha_shape]; [n, b, classes]."""
        return self._one_by_one(
            statistics, [partial(self.forward_mixture, images, row) for row in weights]
        )

    @torch.no_grad()
    def _one_by_one(
        self, statistics: Statistics | None, forwards: Sequence[Callable[[], Tensor]]
    ) -> Tensor:
        """Run each forward pass in evaluation mode, with its row of the statistics."""
        before = self.training
        self.eval()
        try:
            logits = []
            for row, forward in enumerate(forwards):
                with using(self, statistics, row):
                    logits.append(forward())
            return torch.stack(logits)
        finally:
            self.train(before)


@contextmanager
def using(supernet: nn.Module, statistics: Statistics | None, row: int) -> Iterator[None]:
    """Run a block with one individual's BatchNorm statistics in place of the running ones."""
    found = {name: layer for name, layer in norms(supernet).items() if name in (statistics or {})}
    before = {name: _read(layer) for name, layer in found.items()}
    for name, layer in found.items():
        mean, variance = (statistics or {})[name]
        _write(layer, (mean[row], variance[row]))
    try:
        yield
    finally:
        for name, layer in found.items():
            _write(layer, before[name])


@torch.no_grad()
def recalibrated(
    supernet: nn.Module, forwards: Sequence[Callable[[], Tensor]]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the statistics of each individual, measured by its forward pass in training mode.

    `forwards` holds one pass an individual, over the batch that recalibrates. A layer that an
    individual does not use keeps the running statistics in its row. Nothing is dropped out. The
    supernet is left as it was.
    """
    layers = norms(supernet)
    momenta = {name: layer.momentum for name, layer in layers.items()}
    running = [values for layer in layers.values() for values in _running(layer)]
    before = [values.clone() for values in running]
    found = [values.new_empty(len(forwards), len(values)) for values in running]
    mode = supernet.training
    supernet.train()
    for module in supernet.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    try:
        for layer in layers.values():
            layer.momentum = 1.0  # the running statistics become those of this batch
        for row, forward in enumerate(forwards):
            forward()
            # All layers in one call: most of them the individual does not even use.
            torch._foreach_copy_([values[row] for values in found], running)
            torch._foreach_copy_(running, before)
    finally:
        supernet.train(mode)
        for name, layer in layers.items():
            layer.momentum = momenta[name]
        torch._foreach_copy_(running, before)
    return dict(zip(layers, zip(found[::2], found[1::2], strict=True), strict=True))


def norms(module: nn.Module) -> dict[str, nn.BatchNorm2d]:
    """Return the BatchNorm layers of a module by name."""
    return {
        name: layer for name, layer in module.named_modules() if isinstance(layer, nn.BatchNorm2d)
    }


def _read(layer: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    mean, variance = _running(layer)
    return mean.clone(), variance.clone()


def _write(layer: nn.BatchNorm2d, statistics: tuple[Tensor, Tensor]) -> None:
    for buffer, values in zip(_running(layer), statistics, strict=True):
        buffer.copy_(values)


def _running(layer: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return the layer's running statistics; those of a supernet always have them."""
    if layer.running_mean is None or layer.running_var is None:
        raise TypeError("A supernet's BatchNorm layers track running statistics.")
    return layer.running_mean, layer.running_var
