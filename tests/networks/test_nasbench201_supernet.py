"""The NAS-Bench-201 supernet: values and gradients against a plain one, shared work counted."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.nasbench201_reference import PlainSupernet
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from nasbench_evo.errors import InputError
from nasbench_evo.networks.nasbench201.network import live_edges
from nasbench_evo.networks.nasbench201.search_cell import average_pool
from nasbench_evo.networks.nasbench201.supernet import NASBench201Supernet, build_supernet
from nasbench_evo.networks.supernet import Statistics, Supernet, recalibrated

pytestmark = pytest.mark.torch

ZERO: Any = (0, 0, 0, 0, 0, 0)
TRAP: Any = (0, 1, 3, 1, 2, 0)  # convolutions of the zero node 1
CELLS: list[Any] = [
    (3, 3, 3, 3, 3, 3),
    (2, 3, 4, 1, 4, 2),
    ZERO,
    TRAP,
    (0, 4, 1, 0, 4, 3),  # skip and pooling of the zero node 1
    (3, 0, 0, 1, 0, 0),  # a convolution that nothing reads
    (3, 2, 3, 0, 0, 0),  # nothing reaches the output
]
GENOTYPES = st.tuples(*[st.integers(0, 4)] * 6)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def supernet(cells: int = 1, dtype: torch.dtype = torch.float64) -> NASBench201Supernet:
    """A tiny one, whose BatchNorm layers are not the identity."""
    source = generator(1)
    made = build_supernet(classes=5, generator=source, in_channels=2, channels=2, cells=cells)
    for layer in made.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight, layer.bias, layer.running_mean):
                nn.init.normal_(values, generator=source)  # type: ignore[arg-type]
            nn.init.uniform_(layer.running_var, 0.5, 2.0, generator=source)  # type: ignore[arg-type]
    return made.to(dtype)


def pictures(size: int = 8, batch: int = 3, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(batch, 2, size, size, generator=generator(2)).to(dtype)


def mixtures(n: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(n, 6, 5, generator=generator(3)).to(dtype).softmax(-1)


def noise(net: nn.Module, n: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Statistics that differ between all individuals, in every layer."""
    source = generator(4)
    return {
        name: (
            torch.randn(n, layer.num_features, generator=source).to(layer.weight.dtype),
            torch.rand(n, layer.num_features, generator=source).to(layer.weight.dtype) + 0.5,
        )
        for name, layer in net.named_modules()
        if isinstance(layer, nn.BatchNorm2d)
    }


class Kernels(TorchDispatchMode):
    """Counts what torch computes; views are not counted."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.convolutions = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        returned = [value.alias_info for value in func._schema.returns]
        self.count += not any(alias is not None and not alias.is_write for alias in returned)
        self.convolutions += func is torch.ops.aten.convolution.default
        return func(*args, **(kwargs or {}))


NET = supernet()
PLAIN = PlainSupernet(NET)


def compare_to_derived(net: NASBench201Supernet, cell: Any, images: Tensor) -> None:
    for training in (True, False):
        network = net.train(training).derived(cell)
        assert network.training is training
        with torch.no_grad():
            # The network first: in training both update the statistics that they then own.
            expected, logits = network(images), net.forward_path(images, cell)
        torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [8, 9, 32])
def test_path_is_the_derived_network(size: int) -> None:
    net = supernet(cells=2)
    for cell in CELLS:
        compare_to_derived(net, cell, pictures(size))


@given(cell=GENOTYPES)
@settings(max_examples=25)
def test_any_path_is_the_derived_and_the_plain_network(cell: Any) -> None:
    net = copy.deepcopy(NET)
    compare_to_derived(net, cell, pictures())
    expected = PLAIN.paths(pictures(), [cell])[0]
    with torch.no_grad():
        torch.testing.assert_close(
            NET.eval().forward_path(pictures(), cell), expected, rtol=1e-10, atol=1e-10
        )


def test_derived_networks_hold_copies() -> None:
    net = supernet()
    network = net.eval().derived((3, 1, 2, 0, 3, 4))
    before = {name: values.clone() for name, values in net.state_dict().items()}
    for values in network.state_dict().values():
        values.zero_()
    for name, values in net.state_dict().items():
        assert torch.equal(values, before[name])
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float64}


def test_only_the_path_gets_gradients() -> None:
    net = supernet().train()
    net.forward_path(pictures(), (3, 2, 0, 1, 2, 0)).sum().backward()
    on_path = {"0_nor_conv_3x3", "4_nor_conv_1x1"}  # node 2 is not read
    for name, parameter in net.named_parameters():
        used = ".convolutions." not in name or name.split(".")[3] in on_path
        assert (parameter.grad is not None) == used, name


@pytest.mark.parametrize("shape", [(2, 3, 8, 5), (1, 1, 1, 1), (2, 4, 1, 2), (3, 16, 2, 2)])
def test_average_pool(shape: tuple[int, ...]) -> None:
    outcomes = []
    gradient = torch.randn(shape, generator=generator(1))
    pool = partial(
        nn.functional.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False
    )
    for function in (pool, average_pool):
        x = torch.randn(shape, generator=generator()).requires_grad_()
        y = function(x)
        outcomes.append((y.detach(), *torch.autograd.grad(y, x, gradient)))
    for ours, expected in zip(*outcomes, strict=True):
        torch.testing.assert_close(ours, expected)


def test_zeros_do_not_go_through_convolutions() -> None:
    net = supernet().eval()
    with torch.no_grad():
        cell: Any = net.body[0]
        x = pictures()[:, :1].expand(-1, 2, -1, -1)
        two, three = (cell.convolutions[name][1] for name in ("2_nor_conv_3x3", "4_nor_conv_1x1"))

        def emitted(norm: nn.BatchNorm2d) -> Tensor:
            zero = x.new_zeros(1, 2, 1, 1)
            return nn.functional.batch_norm(
                zero, norm.running_mean, norm.running_var, norm.weight, norm.bias
            )

        # TRAP: node 3 = node 0 + what the convolution of the zero node 1 emits.
        torch.testing.assert_close(cell(x, live_edges(TRAP)), x + emitted(three))
        # Node 2 = that of the other one, and node 3 = node 2.
        torch.testing.assert_close(
            cell(x, live_edges((0, 0, 3, 0, 0, 1))), emitted(two).expand_as(x)
        )
        assert emitted(two).abs().max() > 0.01
        torch.testing.assert_close(cell(x, live_edges(ZERO)), torch.zeros_like(x))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [8, 32])
def test_mixture_equals_one_module_per_operation(size: int, training: bool) -> None:
    net = supernet(cells=2).train(training)
    plain = PlainSupernet(net).train(training)
    outcomes = []
    for forward in (net.forward_mixture, plain):
        weights, images = mixtures(1)[0].requires_grad_(), pictures(size).requires_grad_()
        logits = forward(images, weights=weights)
        loss = (logits * torch.arange(5) ** 2).sum()  # not in the kernel of BatchNorm
        loss.backward()
        assert weights.grad is not None
        assert images.grad is not None
        outcomes.append((logits.detach(), weights.grad, images.grad))
    for ours, expected in zip(*outcomes, strict=True):
        assert expected.abs().max() > 1e-3
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)
    assert not outcomes[0][1][:, 0].any()  # the weight of `none` has no effect
    for name, layer, own in plain.pairs:
        for key, parameter in layer.named_parameters():
            gradient, expected = own.get_parameter(key).grad, parameter.grad
            assert gradient is not None, name
            assert expected is not None, name
            torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-10)
        for key in ("running_mean", "running_var") if isinstance(layer, nn.BatchNorm2d) else ():
            values = layer.get_buffer(key)
            torch.testing.assert_close(own.get_buffer(key), values, rtol=1e-12, atol=1e-12)


def test_a_path_is_a_mixture() -> None:
    # Of 0 and 1: then dead edges and their gradients are the only difference.
    net = supernet().eval()
    for cell in CELLS:
        weights = nn.functional.one_hot(torch.tensor(cell), 5).double()
        with torch.no_grad():
            expected = net.forward_path(pictures(), cell)
            torch.testing.assert_close(net.forward_mixture(pictures(), weights), expected)


def population(n: int) -> list[Any]:
    draws = np.random.default_rng(0).integers(0, 5, (n, 6)).tolist()
    return [*map(tuple, draws), *CELLS, CELLS[0], (1, 0, 0, 1, 0, 0)]  # two with a twin


def check_paths(
    net: NASBench201Supernet, cells: list[Any], statistics: Statistics | None, size: int = 8
) -> None:
    images = pictures(size, dtype=net.classifier.weight.dtype)
    tolerance = 1e-9 if images.dtype == torch.float64 else 1e-4
    expected = Supernet.paths_together(net, images, cells, statistics)
    logits = net.paths_together(images, cells, statistics)
    scale = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(logits, expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("size", [8, 32])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_paths_together(dtype: torch.dtype, size: int) -> None:
    net, cells = supernet(2, dtype), population(12)
    images = pictures(size, dtype=dtype)
    check_paths(net, cells, None, size)
    measured = recalibrated(net, [partial(net.forward_path, images, cell) for cell in cells])
    check_paths(net, cells, measured, size)
    check_paths(net, cells, noise(net, len(cells)), size)


def test_nodes_of_equal_edges_may_differ() -> None:
    # Node 2 is node 1 in all of them; they are evaluated in this order.
    check_paths(NET, [(2, 0, 1, 0, 0, 1), (3, 0, 1, 0, 0, 1), (3, 0, 1, 0, 0, 2)], None)


@given(cells=st.lists(GENOTYPES, min_size=1, max_size=6), own=st.sets(st.integers(0, 40)))
@settings(max_examples=25)
def test_any_paths_together(cells: list[Any], own: set[int]) -> None:
    rows = list(noise(NET, len(cells)).items())  # individuals 0 and 2 agree
    for _, statistics in rows:
        for values in statistics:
            values[min(2, len(cells) - 1)] = values[0]
    check_paths(NET, cells, {name: row for i, (name, row) in enumerate(rows) if i in own})


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mixtures_together(dtype: torch.dtype, folded: bool) -> None:
    net, weights, images = supernet(2, dtype), mixtures(5, dtype), pictures(9, dtype=dtype)
    net.folded = folded
    measured = recalibrated(net, [partial(net.forward_mixture, images, row) for row in weights])
    different = noise(net, 5)
    some = {name: rows for name, rows in different.items() if name.startswith(("body.3", "last"))}
    tolerance = 1e-9 if dtype == torch.float64 else 1e-4
    for statistics in (None, measured, different, some):
        expected = Supernet.mixtures_together(net, images, weights, statistics)
        scale = max(1.0, float(expected.abs().max()))
        for chunk_elements in (2**28, 15 * 2 * images[:, :1].numel() * 2, 1):  # 5, 2, 1 at once
            net.chunk_elements = chunk_elements
            logits = net.mixtures_together(images, weights, statistics)
            torch.testing.assert_close(logits, expected, rtol=0, atol=tolerance * scale)


@given(
    logits=st.lists(st.lists(st.floats(-20, 20), min_size=30, max_size=30), min_size=1, max_size=3),
    folded=st.booleans(),
)
@settings(max_examples=15)
def test_any_mixtures_together(logits: list[list[float]], folded: bool) -> None:
    NET.folded = folded
    weights = torch.tensor(logits, dtype=torch.float64).view(-1, 6, 5).softmax(-1)
    together = NET.mixtures_together(pictures(), weights)
    torch.testing.assert_close(together, PLAIN.mixtures(pictures(), weights), rtol=1e-9, atol=1e-9)


def test_mixtures_together_at_32_pixels() -> None:
    for folded in (False, True):
        NET.folded = folded
        logits = NET.mixtures_together(pictures(32), mixtures(3))
        expected = PLAIN.mixtures(pictures(32), mixtures(3))
        torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)


def test_evaluation_leaves_the_supernet_as_it_was() -> None:
    for training in (True, False):
        net = supernet().train(training)
        before = copy.deepcopy(net.state_dict())
        net.paths_together(pictures(), CELLS, noise(net, len(CELLS)))
        net.mixtures_together(pictures(), mixtures(2).requires_grad_(), noise(net, 2))
        assert all(layer.training is training for layer in net.modules())
        assert all(torch.equal(values, before[name]) for name, values in net.state_dict().items())
        assert all(parameter.grad is None for parameter in net.parameters())


def convolutions(cells: list[Any], statistics: Statistics | None = None) -> int:
    with Kernels() as kernels:
        NET.paths_together(pictures(), cells, statistics)
    return kernels.convolutions


def test_equal_work_of_paths_is_done_once() -> None:
    outside = 1 + 2 * 3  # stem and two residual blocks
    one: Any = (3, 1, 0, 2, 0, 3)  # in each of the 3 cells: edges 0 -> 1 -> no other, 0, 5
    assert convolutions([one]) == outside + 3 * 2  # edge (0, 1) is dead
    assert convolutions([one, one, (2, 1, 0, 2, 0, 3)]) == outside + 3 * 2  # the same live edges
    # Node 1 and the edges from it are the same in the first cell, which adds one convolution.
    other: Any = (3, 0, 0, 3, 2, 0)
    another: Any = (3, 0, 0, 2, 2, 0)
    apart = convolutions([other]) + convolutions([another])
    assert apart == 2 * (outside + 3 * 3)
    assert convolutions([other, another]) == apart - 1 - 2  # the stem, two of the first cell
    # Individuals with equal statistics are the same one; others share what these leave alike.
    rows = noise(NET, 2)
    alike = {name: (m[[0, 0]], v[[0, 0]]) for name, (m, v) in rows.items()}
    assert convolutions([one, one], alike) == outside + 3 * 2
    last = {name: row for name, row in rows.items() if name.startswith("body.4")}
    assert convolutions([one, one], last) == outside + 4 * 2
    assert convolutions([one, one], {"last": rows["last"]}) == outside + 3 * 2


def test_folding_individuals_divides_the_kernels() -> None:
    net = build_supernet(classes=3, generator=generator(), channels=2, cells=5)
    plain = PlainSupernet(net)
    images, weights = torch.randn(2, 3, 8, 8, generator=generator()), mixtures(50).float()
    net.folded = True
    with Kernels() as folded:
        logits = net.mixtures_together(images, weights)
    with Kernels() as usual:  # the same number for each individual
        expected = plain.mixtures(images, weights[:2])
    torch.testing.assert_close(logits[:2], expected, rtol=1e-4, atol=1e-4)
    print(f"kernels per individual: {usual.count / 2} and {folded.count / 50}")
    assert usual.count / 2 >= 50 * folded.count / 50
    net.folded = False
    with Kernels() as one_by_one:
        net.mixtures_together(images, weights[:10])
    assert usual.count / 2 >= 3 * one_by_one.count / 10


def test_construction_is_deterministic() -> None:
    state = torch.random.get_rng_state()
    one, same, other = (
        build_supernet(classes=4, generator=generator(seed), channels=2, cells=1).state_dict()
        for seed in (7, 7, 8)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(values, same[name]) for name, values in one.items())
    assert not torch.equal(one["stem.0.weight"], other["stem.0.weight"])


def test_sizes_of_the_benchmark() -> None:
    net = build_supernet(classes=10, generator=generator())
    assert len(net.body) == 17
    counts = [2 * c + k * k * c * c for c in (16, 32, 64) for k in (1, 3)]
    cells = sum(p.numel() for n, p in net.named_parameters() if ".convolutions." in n)
    assert cells == 5 * 6 * sum(counts)


@pytest.mark.parametrize("in_channels", [1, 3])
def test_feature_maps_are_channels_last(in_channels: int) -> None:
    net = build_supernet(
        classes=3, generator=generator(), in_channels=in_channels, channels=4, cells=1
    )
    lasting = []

    def look(_: Any, inputs: Any) -> None:
        lasting.append(inputs[0].is_contiguous(memory_format=torch.channels_last))

    for layer in net.body.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.register_forward_pre_hook(look)
    images = torch.randn(2, in_channels, 8, 8, generator=generator())
    for cell in CELLS:
        net.forward_path(images, cell)
    assert len(lasting) > 30
    assert all(lasting)


def test_autocast() -> None:
    net, images, weights = supernet(1, torch.float32), pictures(dtype=torch.float32), mixtures(2)
    expected = net.paths_together(images, CELLS), net.mixtures_together(images, weights)
    net.train()
    with torch.autocast("cpu", torch.bfloat16):
        rough = net.paths_together(images, CELLS), net.mixtures_together(images, weights)
        net.forward_mixture(images, weights[0]).float().sum().backward()
    for ours, exact in zip(rough, expected, strict=True):
        assert (ours - exact).abs().max() < 0.1 * exact.abs().max()
    assert net.classifier.weight.grad is not None


def test_bad_input() -> None:
    images = pictures()
    with pytest.raises(InputError, match="channels must be at least 1"):
        build_supernet(classes=3, generator=generator(), channels=0)
    bad: Any = (0, 1, 2)
    calls = [NET.forward_path, lambda x, cell: NET.paths_together(x, [cell])]
    for call in [*calls, lambda _, cell: NET.derived(cell)]:
        with pytest.raises(InputError):
            call(images, bad)
    with pytest.raises(InputError, match="at least one genotype"):
        NET.paths_together(images, [])
    for weights in (mixtures(1), mixtures(1)[0, :, :4]):
        with pytest.raises(InputError, match=r"shape \[6, 5\]"):
            NET.forward_mixture(images, weights)
    for weights in (mixtures(1)[0], mixtures(2)[:0], torch.tensor(1.0)):
        with pytest.raises(InputError, match=r"Expected weights of shape"):
            NET.mixtures_together(images, weights)
    rows = {"stem.1": noise(NET, 3)["stem.1"]}
    with pytest.raises(InputError, match="of 2 individuals; got 3"):
        NET.paths_together(images, CELLS[:2], rows)
    with pytest.raises(InputError, match=r"'stem\.0'"):
        NET.mixtures_together(images, mixtures(3), {"stem.0": rows["stem.1"]})
