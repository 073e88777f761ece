"""The derived DARTS network: published size, shapes, auxiliary head and drop-path."""

from __future__ import annotations

import pytest
import torch

from nasbench_evo.errors import InputError
from nasbench_evo.networks.darts import network as darts_cell
from nasbench_evo.networks.darts.network import AuxiliaryHead, DartsNetwork, Operation, build
from nasbench_evo.networks.darts.operations import FactorizedReduce
from nasbench_evo.randomness import stream
from nasbench_evo.spaces.darts_cell import OPERATIONS, DartsCell
from nasbench_evo.training import Recipe, Training, load_dataset
from nasbench_evo.training.recipes import recipe

pytestmark = pytest.mark.torch

SPACE = DartsCell()
DARTS_V2 = SPACE.parse(
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=[2, 3, 4, 5])"
)
EVERY = SPACE.sample(stream(3, "test"), 1)[0]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(genotype: tuple[int, ...] = EVERY, **options: object) -> DartsNetwork:
    sizes = {"classes": 5, "channels": 4, "cells": 4, "generator": generator(), **options}
    return build(genotype, **sizes)  # type: ignore[arg-type]


def images(size: int, channels: int = 3, batch: int = 3) -> torch.Tensor:
    return torch.randn(batch, channels, size, size, generator=generator(1))


def test_the_published_network_has_its_published_size() -> None:
    """DARTS (second order) has 3.349342 M parameters without its auxiliary head."""
    network = build(DARTS_V2, classes=10, generator=generator(), auxiliary=True)
    count = sum(p.numel() for n, p in network.named_parameters() if "auxiliary" not in n)
    assert count == 3_349_342


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (28, 1), (32, 3), (7, 3)])
def test_small_images_and_odd_sizes(size: int, channels: int) -> None:
    for genotype in SPACE.sample(stream(size, "test"), 3):
        network = small(genotype, in_channels=channels, auxiliary=True)
        logits, auxiliary = network(images(size, channels))
        assert logits.shape == auxiliary.shape == (3, 5)
        assert network.eval()(images(size, channels)).shape == (3, 5)


def test_the_imagenet_network_has_its_published_size() -> None:
    """DARTS (second order) has 4.718752 M parameters with 48 channels, 14 cells, 1,000 classes."""
    network = build(
        DARTS_V2, classes=1000, generator=generator(), channels=48, cells=14, stem="imagenet"
    )
    assert sum(p.numel() for p in network.parameters()) == 4_718_752
    sizes = []
    network.cells[0].register_forward_hook(lambda *found: sizes.append(found[2].shape[2:]))
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, 64, 64))
    assert sizes == [(8, 8)]


def test_each_operation_has_the_shape_and_layers_of_the_paper() -> None:
    x = torch.randn(2, 4, 8, 8)
    for operation in range(1, len(OPERATIONS)):
        name = OPERATIONS[operation]
        for stride in (1, 2):
            layer = Operation(operation, 4, stride)
            assert layer(x).shape == (2, 4, 8 // stride, 8 // stride)
            kinds = [type(part).__name__ for part in layer.body]
            half = ["ReLU", "Conv2d", "Conv2d", "BatchNorm2d"]
            expected = {"sep": half * 2, "dil": half}.get(name[:3], [])
            if name == "skip_connect" and stride == 2:
                expected = ["ReLU", "FactorizedReduce", "BatchNorm2d"]
            assert kinds == expected


def test_factorised_reduction_by_hand() -> None:
    layer = FactorizedReduce(1, 2)
    with torch.no_grad():
        layer.even.weight.fill_(1.0)
        layer.odd.weight.fill_(10.0)
    x = torch.arange(9.0).view(1, 1, 3, 3)
    even = [[0.0, 2.0], [6.0, 8.0]]
    odd = [[40.0, 0.0], [0.0, 0.0]]  # pixel (1, 1); the rest lies outside
    assert layer(x).tolist() == [[even, odd]]


@pytest.mark.parametrize(("size", "stride"), [(8, 3), (7, 2)])
def test_the_auxiliary_head_pools_as_darts_does(size: int, stride: int) -> None:
    x = torch.rand(2, 3, size, size, generator=generator())
    pool = AuxiliaryHead(3, 10).features[1]
    assert torch.equal(pool(x), torch.nn.functional.avg_pool2d(x, 5, stride))
    for other in (x[:, :, :4, :3], x[:, :, :1, :5], x[:, :, :1, :1], x.tile(2, 2)):
        expected = torch.nn.functional.adaptive_avg_pool2d(other, 2)
        torch.testing.assert_close(pool(other), expected)


def test_only_training_with_an_auxiliary_head_returns_two_outputs() -> None:
    assert isinstance(small()(images(8)), torch.Tensor)
    network = small(auxiliary=True)
    assert len(network(images(8))) == 2
    assert isinstance(network.eval()(images(8)), torch.Tensor)


def test_drop_path_drops_whole_images_and_spares_identities(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[torch.Tensor] = []

    def dropped(x: torch.Tensor, probability: float) -> torch.Tensor:
        seen.append(x)
        assert probability == 0.3
        return x

    monkeypatch.setattr(darts_cell, "dropped", dropped)
    network = small(SPACE.poorest(), cells=1)  # skips only: one cell, a reduction
    network.drop_path_prob = 0.3
    network(images(8))
    assert len(seen) == 8  # the factorised reductions are no identities
    seen.clear()
    normal = small(SPACE.poorest(), cells=4)
    normal.drop_path_prob = 0.3
    normal(images(8))
    assert len(seen) == 2 * 8  # of the two reductions; normal cells have identities only


def test_drop_path_works_in_training_mode_only() -> None:
    network = small()
    network.drop_path_prob = 0.5
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first, second = network(images(8)), network(images(8))
    assert not torch.equal(first, second)
    network.eval()
    assert torch.equal(network(images(8)), network(images(8)))


def test_the_darts_recipe_trains_it() -> None:
    """Drop-path and the auxiliary loss of the trainer meet the network's."""
    data = load_dataset("digits", train_size=64)
    given = recipe("darts", epochs=1)
    chosen = Recipe(
        "short", 2, batch_size=32, learning_rate=given.learning_rate, drop_path=given.drop_path,
        auxiliary_weight=given.auxiliary_weight, gradient_clip=given.gradient_clip,
    )  # fmt: skip
    network = small(in_channels=1, classes=10, auxiliary=True)
    assert network.auxiliary is not None
    before = network.auxiliary.classifier.weight.detach().clone()
    result = Training(network, data, chosen, seed=0).run()
    assert result.status == "ok"
    assert network.drop_path_prob > 0
    assert not torch.equal(before, network.auxiliary.classifier.weight)


def test_weights_come_from_the_generator_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = (small(generator=generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(one.classifier.weight, same.classifier.weight)
    assert not torch.equal(one.classifier.weight, other.classifier.weight)
    assert torch.equal(before, torch.get_rng_state())


def test_bad_input() -> None:
    with pytest.raises(InputError, match="channels must be at least 1"):
        small(channels=0)
    with pytest.raises(InputError, match="darts_cell genotype"):
        small((1, 2, 3))
