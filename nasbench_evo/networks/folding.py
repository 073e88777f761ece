"""BatchNorm as a scale and a shift, and folded into convolutions, for a population.

For evaluation only. Rows are individuals: one row for all of them where a layer uses its running
statistics, one row each where `Statistics` holds the layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.errors import InputError
from nasbench_evo.networks.supernet import Statistics


class Folding:
    """The BatchNorm layers of a supernet, with the statistics of `individuals` individuals.

    Raises InputError for statistics of an unknown layer or of another number of individuals.
    """

    def __init__(
        self, supernet: nn.Module, individuals: int, statistics: Statistics | None
    ) -> None:
        self.individuals = individuals
        self._modules = dict(supernet.named_modules())
        self._statistics = dict(statistics or {})
        self._folded: dict[str, tuple[Tensor, Tensor]] = {}
        self._versions: dict[str, list[int]] = {}
        for name, (mean, variance) in self._statistics.items():
            if not isinstance(self._modules.get(name), nn.BatchNorm2d):
                raise InputError(
                    f"Statistics are of BatchNorm layers; got {name!r}, which is none here. "
                    "Measure them on this supernet."
                )
            if not len(mean) == len(variance) == individuals:
                raise InputError(
                    f"Expected statistics of {individuals} individuals; got {len(mean)} means and "
                    f"{len(variance)} variances for {name!r}."
                )

    def affine(self, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return scale and shift, [rows, channels], of BatchNorm layers side by side.

        There is one row if no layer has statistics of its own, else a row per individual.
        """
        layers = [self._batch_norm(name) for name in names]
        rows = self.individuals if any(name in self._statistics for name in names) else 1
        found = [self._statistics.get(name) or _running(self._batch_norm(name)) for name in names]
        mean = torch.cat([mean.expand(rows, -1) for mean, _ in found], 1)
        variance = torch.cat([variance.expand(rows, -1) for _, variance in found], 1)
        # all layers of a network have the same eps
        scale = torch.cat([x.weight for x in layers]) * (variance + layers[0].eps).rsqrt()
        return scale, torch.cat([x.bias for x in layers]) - mean * scale

    def versions(self, name: str) -> list[int]:
        """Return, for each individual, the first one with the same statistics of a layer."""
        if name not in self._statistics:
            return [0] * self.individuals
        if name not in self._versions:
            # By bytes: only what is equal in every bit gives equal outputs.
            rows = torch.cat(self._statistics[name], 1).detach().cpu().numpy()
            first: dict[bytes, int] = {}
            self._versions[name] = [
                first.setdefault(row.tobytes(), i) for i, row in enumerate(rows)
            ]
        return self._versions[name]

    def common(self, names: Sequence[str]) -> bool:
        """Return whether all individuals have the same statistics of all these layers."""
        return not any(any(self.versions(name)) for name in names)

    def convolution(self, name: str, individual: int) -> tuple[Tensor, Tensor]:
        """Return weight and bias of convolution and BatchNorm `name`.0 and `name`.1 in one.

        They are computed once where all individuals share them.
        """
        common = self.common([f"{name}.1"])
        if common and name in self._folded:
            return self._folded[name]
        scale, shift = self.affine([f"{name}.1"])
        row = 0 if common else individual
        weight = self.weight(name) * scale[row].view(-1, 1, 1, 1)
        folded = weight.contiguous(memory_format=torch.channels_last), shift[row]
        if common:
            self._folded[name] = folded
        return folded

    def convolve(self, name: str, x: Tensor, individuals: range) -> Tensor:
        """Return convolution and BatchNorm `name` of x, [individuals * batch, channels, h, w]."""
        layer = self._modules[f"{name}.0"]
        if len(individuals) == 1 or self.common([f"{name}.1"]):
            weight, bias = self.convolution(name, individuals[0])
            return F.conv2d(x, weight, bias, layer.stride, layer.padding)
        # A weight for each individual would be a call for each: one convolution, then BatchNorm by
        # row.
        y = F.conv2d(x, self.weight(name), None, layer.stride, layer.padding)
        return self.normalise(f"{name}.1", y, individuals)

    def normalise(self, name: str, x: Tensor, individuals: range) -> Tensor:
        """Return BatchNorm `name` of x, [individuals * batch, channels, h, w]."""
        scale, shift = (
            values[individuals.start : individuals.stop] if len(values) > 1 else values
            for values in self.affine([name])
        )
        shape = (len(scale), 1, -1, 1, 1)
        y = torch.unflatten(x, 0, (len(individuals), -1))
        return torch.addcmul(shift.view(shape), y, scale.view(shape)).flatten(0, 1)

    def residual(self, name: str, x: Tensor, individuals: range) -> Tensor:
        """Return residual block `name` of x, [individuals * batch, channels, h, w]."""
        main = F.relu(self.convolve(f"{name}.first", F.relu(x), individuals))
        # without BatchNorm: the same weights for all
        shortcut: Tensor = self._modules[f"{name}.shortcut"](F.avg_pool2d(x, 2, ceil_mode=True))
        return self.convolve(f"{name}.second", main, individuals).add_(shortcut)

    def weight(self, name: str) -> Tensor:
        """Return the weight of convolution `name`.0 as it is."""
        weight: Tensor = self._modules[f"{name}.0"].weight
        return weight

    def _batch_norm(self, name: str) -> nn.BatchNorm2d:
        return cast(nn.BatchNorm2d, self._modules[name])


def _running(layer: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    return cast(Tensor, layer.running_mean), cast(Tensor, layer.running_var)
