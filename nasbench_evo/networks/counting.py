"""Parameters and multiply-adds of any network, without computing anything.

The forward pass runs on meta tensors (shapes only), and torch's own counter watches it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode


class Size(NamedTuple):
    """How big a network is, for one image."""

    parameters: int
    multiply_adds: int  # of convolutions and matrix products

    @property
    def flops(self) -> int:
        """Floating-point operations: a multiply-add is two."""
        return 2 * self.multiply_adds


def measure(module: nn.Module, image: tuple[int, int, int]) -> Size:
    """Return the size of `module` for one image of shape (channels, height, width).

    Only what the forward pass really computes is counted, in evaluation mode; the module, its
    mode and its weights are left as they were.
    """
    state = {
        name: value.detach().to("meta")
        for name, value in (*module.named_parameters(), *module.named_buffers())
    }
    training = [(layer, layer.training) for layer in module.modules()]
    module.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            functional_call(module, state, (torch.empty(1, *image, device="meta"),))
    finally:
        for layer, mode in training:
            layer.training = mode
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Size(parameters, counter.get_total_flops() // 2)
