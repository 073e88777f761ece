"""Wide-DenseNet against the published counts and a plain reading."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nasbench_evo.errors import InputError
from nasbench_evo.networks.wide_densenet import DenseLayer, WideDenseNet, build

pytestmark = pytest.mark.torch


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def count_by_hand(classes: int, depth: int, growth: int, bottleneck: bool) -> int:
    layers = (depth - 4) // (6 if bottleneck else 3)
    channels = 2 * growth if bottleneck else 16
    total = 27 * channels
    for block in range(3):
        for _ in range(layers):
            if bottleneck:
                total += 2 * channels + channels * 4 * growth
                total += 2 * 4 * growth + 9 * 4 * growth * growth
            else:
                total += 2 * channels + 9 * channels * growth
            channels += growth
        if block < 2:
            after = channels // 2 if bottleneck else channels
            total += 2 * channels + channels * after
            channels = after
    return total + 2 * channels + channels * classes + classes


def test_teacher_of_eigen_has_17_2_million_parameters() -> None:
    with torch.device("meta"):
        ensembles = [4 * parameters(WideDenseNet(classes)) / 1e6 for classes in (10, 100)]
    assert ensembles == [pytest.approx(17.04676), pytest.approx(17.28472)]
    assert ensembles[0] < 17.2 < ensembles[1]  # EIGEN, Table 1


@pytest.mark.parametrize(
    ("depth", "growth", "bottleneck", "millions"),
    [(40, 12, False, 1.0), (100, 12, False, 7.0), (100, 12, True, 0.8), (190, 40, True, 25.6)],
)
def test_published_counts_of_densenets(
    depth: int, growth: int, bottleneck: bool, millions: float
) -> None:
    # Huang et al. 2017, Table 2; 25.6 M is also in EIGEN's Table 1.
    with torch.device("meta"):
        network = WideDenseNet(10, depth=depth, growth=growth, bottleneck=bottleneck)
    assert parameters(network) == count_by_hand(10, depth, growth, bottleneck)
    assert round(parameters(network) / 1e6, 1) == millions


@pytest.mark.parametrize("bottleneck", [True, False])
def test_equals_the_plain_network(bottleneck: bool) -> None:
    network = build(
        classes=3, generator=generator(), depth=16, growth=4, bottleneck=bottleneck, in_channels=1
    )
    network.double()
    images = torch.randn(3, 1, 8, 8, dtype=torch.float64, generator=generator(1))

    def pre_activation(x: Tensor, layers: nn.Module) -> Tensor:
        for layer in layers:  # type: ignore[attr-defined]
            x = torch.relu(layer(x)) if isinstance(layer, nn.BatchNorm2d) else layer(x)
        return x

    x = network.stem(images)
    maps: list[Tensor] = [x]
    widths = []
    for block in network.body:
        if isinstance(block, DenseLayer):
            without_relu = [layer for layer in block.new if not isinstance(layer, nn.ReLU)]
            maps.append(pre_activation(torch.cat(maps, 1), nn.ModuleList(without_relu)))
        else:
            assert isinstance(block, nn.Sequential)
            widths.append(sum(m.shape[1] for m in maps))
            parts = nn.ModuleList(layer for layer in block if not isinstance(layer, nn.ReLU))
            maps = [pre_activation(torch.cat(maps, 1), parts)]
    last = torch.relu(network.last(torch.cat(maps, 1)))
    assert last.shape[2:] == (2, 2)
    expected = network.classifier(last.mean((2, 3)))
    torch.testing.assert_close(network(images), expected, rtol=1e-11, atol=1e-11)
    # By hand: 2 layers a block (BC, from 2k=8, halved between) or 4 (from 16, not halved).
    assert widths == ([16, 16] if bottleneck else [32, 48])


def test_gradient_reaches_all_parameters() -> None:
    network = build(classes=3, generator=generator(), depth=10, growth=4)
    network(torch.randn(8, 3, 8, 8, generator=generator(1))).square().sum().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def test_depth_must_make_three_blocks() -> None:
    with pytest.raises(InputError, match="4 plus a positive multiple of 6; got 39"):
        build(classes=3, generator=generator(), depth=39)
    with pytest.raises(InputError, match="multiple of 3; got 4"):
        build(classes=3, generator=generator(), depth=4, bottleneck=False)
    with pytest.raises(InputError, match="growth must be at least 1"):
        build(classes=3, generator=generator(), growth=0)
