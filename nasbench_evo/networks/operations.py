"""Pieces that all networks share: convolution with BatchNorm, and seeded construction.

Images and feature maps are [batch, channels, height, width]; everything keeps channels_last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal, TypeVar, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.errors import InputError

M = TypeVar("M", bound=nn.Module)
Initialisation = Literal["kaiming", "torch"]
INITIALISATIONS: tuple[str, ...] = get_args(Initialisation)


class Conv2d(nn.Conv2d):
    """A convolution whose values `initialise` sets: torch's draw from the global generator."""

    def reset_parameters(self) -> None:
        """Leave the values as they are."""


class Linear(nn.Linear):
    """A linear layer whose values `initialise` sets."""

    def reset_parameters(self) -> None:
        """Leave the values as they are."""


class BatchNorm2d(nn.BatchNorm2d):
    """A BatchNorm that does not count batches: its momentum is a number, so that nothing reads it.

    That count is a kernel a layer in each step.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return [batch, channels, h, w] normalised."""
        mean, variance, rate = self.running_mean, self.running_var, cast(float, self.momentum)
        return F.batch_norm(
            x, mean, variance, self.weight, self.bias, self.training, rate, self.eps
        )


def conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return a padded convolution without bias, then BatchNorm; stride 2 halves, rounded up."""
    return nn.Sequential(
        Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        BatchNorm2d(outputs),
    )


def conv_bn_relu(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return convolution, BatchNorm, ReLU."""
    return conv_bn(inputs, outputs, kernel, stride).append(nn.ReLU(inplace=True))


def bn_relu_conv(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Return BatchNorm, ReLU, padded convolution without bias (the pre-activation order)."""
    return nn.Sequential(
        BatchNorm2d(inputs),
        nn.ReLU(inplace=True),
        Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
    )


def global_average(x: Tensor) -> Tensor:
    """Return the spatial mean: [batch, channels, height, width] to [batch, channels]."""
    return x.mean((2, 3))


def dropped(x: Tensor, probability: float | Tensor) -> Tensor:
    """Return `x` with whole images set to zero at `probability`, the others scaled up.

    A probability that is a tensor may change without a compiled graph being another one.
    """
    if isinstance(probability, Tensor):
        kept = (1 - probability).to(x.dtype)
        return x * torch.bernoulli(kept.expand(len(x), 1, 1, 1)) / kept
    if not probability:
        return x
    return x * F.dropout(x.new_ones(len(x), 1, 1, 1), probability)


def construct(factory: Callable[[], M], generator: torch.Generator) -> M:
    """Return `factory()` with weights drawn from `generator` (a CPU generator) alone.

    Its layers are those above, whose making neither costs time nor draws from the global generator.
    It is on the CPU: the same generator state gives the same weights on every device it is moved
    to.
    """
    module = factory()
    initialise(module, generator)
    return module


@torch.no_grad()
def initialise(
    module: nn.Module, generator: torch.Generator, rule: Initialisation = "kaiming"
) -> None:
    """Set every parameter and buffer of `module`, drawing only from `generator`.

    "kaiming": convolutions are Kaiming-normal, fan out (He et al. 2015, Section 2.2), linear layers
    normal with variance 1/inputs, biases zero. "torch": as torch's own layers begin, weights and
    biases uniform within 1/sqrt(inputs). BatchNorm is the identity. Raises InputError for a
    layer that holds parameters or buffers of another kind.
    """
    for name, layer in module.named_modules():
        if rule == "torch" and isinstance(layer, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            for values in layer.parameters(recurse=False):
                values.uniform_(-bound, bound, generator=generator)
            continue
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(
                layer.weight, mode="fan_out", nonlinearity="relu", generator=generator
            )
            layer.weight.mul_(math.sqrt(layer.groups))  # torch counts the outputs of all groups
        elif isinstance(layer, nn.Linear):
            layer.weight.normal_(0.0, 1 / math.sqrt(layer.in_features), generator=generator)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
        elif any(True for _ in layer.parameters(recurse=False)) or any(
            True for _ in layer.buffers(recurse=False)
        ):
            raise InputError(
                f"Expected convolutions, linear layers and BatchNorm; got {name!r}, a "
                f"{type(layer).__name__} with values of its own. Add its initialisation here."
            )
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            layer.bias.zero_()


def sent(values: Tensor, to: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Return a tensor on the device `to`; the host does not wait until it is there."""
    if to.type == "cuda" and values.device.type == "cpu":
        values = values.pin_memory()  # from other memory a copy waits
    return values.to(to, dtype, non_blocking=True)


@lru_cache(maxsize=4096)
def positions(chosen: tuple[int, ...], device: torch.device) -> Tensor:
    """Return an index of some positions, int64, made once for each device."""
    return sent(torch.tensor(chosen), device)


def picked(values: Tensor, chosen: Sequence[int], dim: int = 0) -> Tensor:
    """Return some rows of a dimension: a view where they lie side by side, else a copy."""
    if adjacent(chosen):
        return values.narrow(dim, chosen[0], len(chosen))
    return values.index_select(dim, positions(tuple(chosen), values.device))


def adjacent(chosen: Sequence[int]) -> bool:
    """Return whether positions are consecutive and ascending."""
    return list(chosen) == list(range(chosen[0], chosen[0] + len(chosen)))


def check_sizes(**sizes: int) -> None:
    """Raise InputError unless every named size (classes, channels, ...) is at least 1."""
    for name, value in sizes.items():
        if value < 1:
            raise InputError(f"{name} must be at least 1; got {value}.")
