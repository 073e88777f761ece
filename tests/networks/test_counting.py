"""Counts of parameters and multiply-adds."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nasbench_evo.networks.counting import Size, measure

pytestmark = pytest.mark.torch


class Functional(nn.Module):
    """What hooks on layers would miss: a convolution called as a function, and a product."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.ones(4, 2, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.nn.functional.conv2d(x, self.kernel, stride=2, padding=1).flatten(1)
        return y @ y.T


def test_by_hand() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 3 * 2, 5),
    )
    size = measure(network, (3, 6, 4))
    assert size.parameters == 27 * 8 + 16 + (9 * 8 + 8) + 48 * 5 + 5
    assert size.multiply_adds == 24 * (27 * 8) + 24 * (9 * 8) + 48 * 5
    assert size.flops == 2 * size.multiply_adds


def test_functional_calls_count_too() -> None:
    assert measure(Functional(), (2, 8, 8)) == Size(72, 16 * 72 + 64)


def test_the_module_is_left_alone() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Sequential(nn.Dropout()))
    network[2].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    measure(network, (1, 1, 1))
    assert [layer.training for layer in network.modules()] == [True, True, True, False, False]
    for name, value in network.state_dict().items():
        assert value.device.type == "cpu"
        assert torch.equal(value, before[name])
    with pytest.raises(RuntimeError):
        measure(network, (2, 4, 4))
    assert network.training


def test_meta_modules_can_be_measured() -> None:
    with torch.device("meta"):
        network = nn.Conv2d(2, 3, 1)
    assert measure(network, (2, 4, 4)) == Size(9, 6 * 16)
