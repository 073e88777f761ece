"""Shared pieces: seeded construction, initialisation."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nasbench_evo.errors import InputError
from nasbench_evo.networks.operations import (
    BatchNorm2d,
    Conv2d,
    Linear,
    bn_relu_conv,
    check_sizes,
    construct,
    conv_bn,
    conv_bn_relu,
    global_average,
    initialise,
)

pytestmark = pytest.mark.torch


def factory() -> nn.Module:
    return nn.Sequential(conv_bn(3, 64, 3), nn.Flatten(), Linear(400, 300))


def test_construct_draws_from_its_generator_alone() -> None:
    before = torch.get_rng_state()
    first, second, other = (
        construct(factory, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(before, torch.get_rng_state())
    states = [module.state_dict() for module in (first, second, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["0.0.weight"], states[2]["0.0.weight"])


def test_a_batch_norm_is_torchs_without_its_count() -> None:
    ours, theirs = BatchNorm2d(3), nn.BatchNorm2d(3)
    x = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    for training in (True, False):
        assert torch.equal(ours.train(training)(x), theirs.train(training)(x))
    for name in ("running_mean", "running_var"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name))
    assert ours.num_batches_tracked == 0
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_initial_values() -> None:
    convolution, norm, linear = nn.Conv2d(8, 128, 3), nn.BatchNorm2d(128), nn.Linear(400, 300)
    module = nn.Sequential(convolution, norm, linear).requires_grad_(False)
    with torch.no_grad():
        for value in (*module.parameters(), *module.buffers()):
            value.fill_(7)
    initialise(module, torch.Generator().manual_seed(0))
    assert float(convolution.weight.std()) == pytest.approx(math.sqrt(2 / (9 * 128)), rel=0.05)
    assert float(linear.weight.std()) == pytest.approx(1 / math.sqrt(400), rel=0.05)
    assert abs(float(convolution.weight.mean())) < 0.002
    for zero in (convolution.bias, linear.bias, norm.bias, norm.running_mean):
        assert isinstance(zero, torch.Tensor)
        assert torch.count_nonzero(zero) == 0
    for one in (norm.weight, norm.running_var):
        assert isinstance(one, torch.Tensor)
        assert torch.equal(one, torch.ones(128))
    assert norm.num_batches_tracked == 0


def test_initial_values_as_torch_itself_draws_them() -> None:
    def layers() -> nn.Module:
        return nn.Sequential(nn.Conv2d(6, 8, 3, groups=2), nn.BatchNorm2d(8), nn.Linear(40, 30))

    with torch.random.fork_rng():
        torch.manual_seed(3)
        expected = layers().state_dict()
    module = layers()
    initialise(module, torch.Generator().manual_seed(3), "torch")
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, expected[name])


def test_unknown_layers_are_refused() -> None:
    with pytest.raises(InputError, match=r"got '1', a PReLU"):
        initialise(nn.Sequential(nn.ReLU(), nn.PReLU()), torch.Generator())


def test_orders_and_shapes() -> None:
    assert [type(layer) for layer in conv_bn(2, 3, 1)] == [Conv2d, BatchNorm2d]
    assert [type(layer) for layer in conv_bn_relu(2, 3, 1)] == [
        Conv2d,
        BatchNorm2d,
        nn.ReLU,
    ]
    assert [type(layer) for layer in bn_relu_conv(2, 3, 1)] == [
        BatchNorm2d,
        nn.ReLU,
        Conv2d,
    ]
    x = torch.randn(2, 3, 7, 5, generator=torch.Generator().manual_seed(0))
    assert conv_bn(3, 4, 3, stride=2)(x).shape == (2, 4, 4, 3)
    assert conv_bn(3, 4, 1, stride=2)(x).shape == (2, 4, 4, 3)
    torch.testing.assert_close(global_average(x), nn.AdaptiveAvgPool2d(1)(x).flatten(1))


def test_check_sizes() -> None:
    check_sizes(classes=1, channels=2)
    with pytest.raises(InputError, match="channels must be at least 1; got -2"):
        check_sizes(classes=1, channels=-2)
