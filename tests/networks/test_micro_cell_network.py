"""The GeneticNAS cell: one path, the supernet of all paths, and a population evaluated together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.networks.micro_cell import network as micro_cell
from nasbench_evo.networks.micro_cell.network import cell_paths, dropped
from nasbench_evo.networks.micro_cell.supernet import (
    MicroCellSupernet,
    Plan,
    average_pooled,
    build_supernet,
    max_pooled,
)
from nasbench_evo.networks.supernet import Supernet, recalibrated
from nasbench_evo.randomness import stream
from nasbench_evo.spaces.micro_cell import CELL_INPUTS, OPERATIONS, Genes, MicroCell

pytestmark = pytest.mark.torch

SPACE = MicroCell(3)
SMALL: dict[str, Any] = {"classes": 3, "in_channels": 2, "channels": 4, "cells": 2, "nodes": 3}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=generator(9))


def genotypes(n: int, space: MicroCell = SPACE) -> list[Genes]:
    return space.sample(stream(0, "test"), n)


def lively(network: MicroCellSupernet) -> None:
    """Give every BatchNorm a weight and statistics that are not the identity's."""
    drawn = generator(5)
    layers = {n: x for n, x in network.named_modules() if isinstance(x, nn.BatchNorm2d)}
    for layer in layers.values():
        nn.init.uniform_(layer.weight, 0.5, 1.5, generator=drawn)
        nn.init.normal_(layer.bias, std=0.3, generator=drawn)
    # Statistics of some paths' feature maps, so that logits in evaluation mode are moderate.
    x = images(64, 2, 9, 8, dtype=network.classifier.weight.dtype)
    seen = recalibrated(network, [partial(network.forward_path, x, g) for g in genotypes(12)])
    for name, (means, variances) in seen.items():
        layers[name].get_buffer("running_mean").copy_(means.mean(0))
        layers[name].get_buffer("running_var").copy_(variances.mean(0))


class Shared:
    """One supernet for all tests, as a test finds it: it is built once and restored after each."""

    def __init__(self) -> None:
        self.network = build_supernet(generator=generator(), dropout=0.0, **SMALL).double()
        lively(self.network)
        self.state = {name: value.clone() for name, value in self.network.state_dict().items()}

    def restore(self) -> None:
        self.network.double().train().zero_grad(set_to_none=True)
        self.network.load_state_dict(self.state)


@pytest.fixture(scope="module")
def shared() -> Shared:
    return Shared()


@pytest.fixture
def network(shared: Shared) -> Iterator[MicroCellSupernet]:
    yield shared.network
    shared.restore()


def reference_cell(
    block: Any, cell_type: str, nodes: Sequence[Any], x: Tensor, y: Tensor
) -> Tensor:
    """One module per operation, nothing shared, as ALGORITHMS describes the cell."""
    states = [x, y][: len(CELL_INPUTS[cell_type])]
    read = set()
    for k, (a, b, *operations) in enumerate(nodes):
        total = torch.zeros_like(x)
        for position, operation in zip((a, b), operations, strict=True):
            name = OPERATIONS[operation]
            module: nn.Module = {
                "identity": nn.Identity(),
                "avg_pool_3x3": nn.Sequential(nn.ReLU(), nn.AvgPool2d(3, 1, 1)),
                "max_pool_3x3": nn.Sequential(nn.ReLU(), nn.MaxPool2d(3, 1, 1)),
            }.get(name) or nn.Sequential(
                nn.ReLU(), block.operations[f"node{k}_input{position}_{name}"]
            )
            total = total + module(states[position])
            read.add(position)
        states.append(total)
    output = torch.zeros_like(x)
    for k in range(len(nodes)):
        position = len(CELL_INPUTS[cell_type]) + k
        if position not in read:
            output = output + block.slices[str(k)](nn.ReLU()(states[position]))
    output = block.norm(output)
    factors = block.gate(output.mean((2, 3)))
    return output * factors.view(*factors.shape, 1, 1) + x


def reference(network: Any, space: MicroCell, genotype: Genes, x: Tensor) -> Tensor:
    """The layout with two cells a stage, written out."""
    cells = space.describe(genotype)

    def cell(number: int, cell_type: str, current: Tensor, previous: Tensor) -> Tensor:
        return reference_cell(
            network.blocks[number], cell_type, cells[cell_type], current, previous
        )

    pool = nn.AvgPool2d(2, ceil_mode=True)
    x = network.stem[1](network.stem[0](x))
    x, y = cell(0, "first", x, x), x
    x, y = cell(1, "normal", x, y), x
    for start in (2, 5):
        change = network.changes[str(start)]
        x = change["current"](pool(x))
        y = change["previous"](pool(y)) if "previous" in change else x
        x, y = cell(start, "reduction", x, y), x
        x, y = cell(start + 1, "normal", x, y), x
        x, y = cell(start + 2, "normal", x, y), x
    logits: Tensor = network.classifier(nn.ReLU()(x.mean((2, 3))))
    return logits


@pytest.mark.parametrize("training", [True, False])
def test_equals_the_plain_network(network: MicroCellSupernet, training: bool) -> None:
    network.train(training)
    x = images(4, 2, 9, 6)
    for genotype in genotypes(6):
        expected = reference(network, SPACE, genotype, x)
        assert expected.abs().max() > 1e-3
        # In training mode this includes the two passes' batch statistics, which are the same.
        result = network.forward_path(x, genotype)
        torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("training", [True, False])
def test_the_network_of_a_path_equals_the_supernet(
    network: MicroCellSupernet, training: bool
) -> None:
    state = {name: value.clone() for name, value in network.state_dict().items()}
    for genotype in genotypes(4):
        alone = micro_cell.build(genotype, generator=generator(1), dropout=0.0, **SMALL).double()
        own = alone.state_dict()
        assert own.keys() < state.keys()
        alone.load_state_dict({name: state[name] for name in own})
        x = images(3, 2, 8, 8)
        expected = network.train(training).forward_path(x, genotype)
        result = alone.train(training)(x)
        torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-9)
        network.load_state_dict(state)


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 32), (13, 7), (1, 1)])
def test_any_image_size(network: MicroCellSupernet, size: tuple[int, int]) -> None:
    x = images(2, 2, *size)
    lasting = x.contiguous(memory_format=torch.channels_last)
    for genotype in genotypes(2):
        alone = micro_cell.build(genotype, generator=generator(), **SMALL).double().eval()
        assert alone(x).shape == (2, 3)
        torch.testing.assert_close(alone(lasting), alone(x), rtol=1e-9, atol=1e-9)
        result = network.paths_together(x, [genotype])
        assert result.shape == (1, 2, 3)
        expected = network.eval().forward_path(x, genotype)
        torch.testing.assert_close(result[0], expected, rtol=1e-9, atol=1e-9)


def test_sizes_of_the_stages() -> None:
    network = micro_cell.build(
        genotypes(1)[0], classes=10, generator=generator(), channels=8, cells=3, nodes=3
    )
    shapes = []
    for block in network.blocks:
        block.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))  # type: ignore[attr-defined]
    network.eval()(images(1, 3, 9, 32, dtype=torch.float32))
    assert shapes == [(8, 9, 32)] * 3 + [(16, 5, 16)] * 4 + [(32, 3, 8)] * 4
    types = ["first", "normal", "normal"] + ["reduction", "normal", "normal", "normal"] * 2
    assert [block.cell_type for block in network.blocks] == types


def test_parameter_count_by_hand() -> None:
    # One node a cell, 4 channels, one cell a stage, 1 input channel, 2 classes.
    space = MicroCell(1)
    genotype = space.parse(
        "first: dw_conv_3x3(input)+dw_conv_3x3(input); "
        "normal: identity(previous)+max_pool_3x3(input); "
        "reduction: dw_conv_5x5(input)+dw_conv_3x3(input)"
    )
    network = micro_cell.build(
        genotype, classes=2, generator=generator(), in_channels=1, channels=4, cells=1, nodes=1
    )

    def convolutions(kernel: int, c: int) -> int:
        return 2 * (kernel**2 * c + 2 * c + c * c + 2 * c)

    def output(c: int, hidden: int) -> int:
        return c * c + 2 * c + (c * hidden + hidden) + (hidden * c + c)

    stem = 9 * 4 + 8
    # The first cell has one operation twice, with the same weights.
    first = convolutions(3, 4) + output(4, 1)
    changes = (4 * 8 + 16) + (8 * 16 + 32)  # nothing reads the previous output: no weights for it
    reductions = convolutions(5, 8) + convolutions(3, 8) + output(8, 1)
    reductions += convolutions(5, 16) + convolutions(3, 16) + output(16, 2)
    normals = output(8, 1) + output(16, 2)
    total = stem + first + changes + reductions + normals + 16 * 2 + 2
    assert sum(parameter.numel() for parameter in network.parameters()) == total


def test_parameter_count_of_the_supernet() -> None:
    with torch.device("meta"):
        network = MicroCellSupernet(classes=10, channels=16, cells=3, nodes=5)
    pairs = {"first": 1 + 2 + 3 + 4 + 5, "normal": 2 + 3 + 4 + 5 + 6}
    pairs["reduction"] = pairs["normal"]
    expected = 9 * 3 * 16 + 2 * 16 + (64 + 1) * 10
    expected += 2 * (16 * 32 + 64) + 2 * (32 * 64 + 128)
    for c, types in (
        (16, ["first", "normal", "normal"]),
        (32, ["reduction"] + ["normal"] * 3),
        (64, ["reduction"] + ["normal"] * 3),
    ):
        for cell_type in types:
            expected += pairs[cell_type] * 2 * ((9 + 25) * c + 2 * c * c + 8 * c)
            expected += 5 * c * c + 2 * c + 2 * c * (c // 8) + c // 8 + c
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


def used_names(network: MicroCellSupernet, genotype: Genes) -> set[str]:
    """The parameters of a path, from its printed meaning."""
    cells, loose = SPACE.describe(genotype), SPACE.outputs(genotype)
    prefixes = ["stem.", "classifier."]
    for number, block in enumerate(network.blocks):
        here = f"blocks.{number}."
        prefixes += [here + "norm.", here + "gate."]
        prefixes += [f"{here}slices.{node}." for node in loose[block.cell_type]]
        for k, (a, b, x, y) in enumerate(cells[block.cell_type]):
            for position, operation in ((a, x), (b, y)):
                prefixes.append(
                    f"{here}operations.node{k}_input{position}_{OPERATIONS[operation]}."
                )
    reads_previous = any(1 in node[:2] for node in cells["reduction"])
    for number in (2, 5):
        prefixes.append(f"changes.{number}.current.")
        prefixes += [f"changes.{number}.previous."] * reads_previous
    return {n for n, _ in network.named_parameters() if n.startswith(tuple(prefixes))}


def test_gradients_only_on_the_path(network: MicroCellSupernet) -> None:
    some = genotypes(12)
    unread = [g for g in some if all(1 not in node[:2] for node in SPACE.describe(g)["reduction"])]
    assert unread  # a path that does without what leads to the previous cell's output
    for genotype in [*some[:3], unread[0], SPACE.poorest()]:
        network.zero_grad(set_to_none=True)
        running = {n: v for n, v in network.named_buffers() if ".running_" in n}
        before = {name: value.clone() for name, value in running.items()}
        network.forward_path(images(4, 2, 8, 8), genotype).square().sum().backward()
        moved = {name for name, p in network.named_parameters() if p.grad is not None}
        assert moved == used_names(network, genotype)
        # BatchNorm layers off the path keep their statistics.
        for name, value in running.items():
            layer = name.rpartition(".")[0]
            assert torch.equal(before[name], value) == (layer + ".weight" not in moved), name


def test_every_weight_of_a_network_is_used() -> None:
    for genotype in genotypes(4):
        network = micro_cell.build(genotype, generator=generator(), **SMALL)
        network(images(4, 2, 8, 8, dtype=torch.float32)).square().sum().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name


# -- a population together ---------------------------------------------------------------


def population() -> list[Genes]:
    """Strangers, twins and near relations."""
    some, rng = genotypes(4), stream(1, "test")
    return [*some, some[1], SPACE.mutate(some[0], rng), SPACE.mutate(some[2], rng), some[0]]


def statistics_of(
    network: MicroCellSupernet, found: Sequence[Genes]
) -> dict[str, tuple[Tensor, Tensor]]:
    x = images(64, 2, 9, 8, dtype=network.classifier.weight.dtype)
    return recalibrated(network, [partial(network.forward_path, x, g) for g in found])


@pytest.mark.parametrize("own_statistics", [True, False])
@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_together_equals_one_by_one(
    network: MicroCellSupernet, own_statistics: bool, dtype: torch.dtype, within: float
) -> None:
    network, x, found = network.to(dtype), images(6, 2, 9, 8, dtype=dtype), population()
    statistics = statistics_of(network, found) if own_statistics else None
    before = {name: value.clone() for name, value in network.state_dict().items()}
    expected = Supernet.paths_together(network, x, found, statistics)
    result = network.paths_together(x, found, statistics)
    assert result.shape == (8, 6, 3)
    assert not result.requires_grad
    assert network.training
    assert (result - expected).abs().max() <= within
    assert (expected[0] - expected[1]).abs().max() > 1e-2
    assert torch.equal(result[0], result[7])
    for name, value in network.state_dict().items():
        assert torch.equal(before[name], value)


def test_layers_without_statistics_use_the_running_ones(network: MicroCellSupernet) -> None:
    found, x = population(), images(4, 2, 8, 8)
    whole = statistics_of(network, found)
    some = {name: rows for name, rows in whole.items() if name.startswith(("stem", "blocks.3"))}
    expected = Supernet.paths_together(network, x, found, some)
    result = network.paths_together(x, found, some)
    assert (result - expected).abs().max() <= 1e-9
    assert (result - network.paths_together(x, found)).abs().max() > 1e-3


def steps(network: MicroCellSupernet, found: list[Genes], **statistics: Any) -> int:
    plan = Plan(network, statistics.get("statistics", {}))
    for individual, genotype in enumerate(found):
        plan.individual(individual, cell_paths(network.space, genotype))
    return len(plan.steps)


def test_equal_work_is_planned_once() -> None:
    space = MicroCell(1)
    network = build_supernet(generator=generator(), **{**SMALL, "cells": 1, "nodes": 1})
    text = "first: {}; normal: identity(input)+identity(previous); reduction: {}"
    conv, pools = "dw_conv_3x3(input)+identity(input)", "max_pool_3x3(input)+avg_pool_3x3(input)"
    one = space.parse(text.format(conv, pools))
    # stem; first: ReLU, convolution, sum, output; twice: halved, wider, ReLU, two pools, sum,
    # output (reduction), sum, output (normal); head.
    assert steps(network, [one]) == 1 + 4 + 2 * 9 + 1
    assert steps(network, [one] * 7) == steps(network, [one])
    # The sum of the same terms in the other order is the same.
    turned = space.parse(text.format("identity(input)+dw_conv_3x3(input)", pools))
    assert steps(network, [one, turned]) == steps(network, [one])
    # Up to the second stage's reduction cell two individuals are one; its pools are common too.
    other = space.parse(text.format(conv, "max_pool_3x3(input)+max_pool_3x3(input)"))
    ahead = 1 + 4 + 2 + 3
    alone = steps(network, [other])
    assert steps(network, [one, other]) == steps(network, [one]) + alone - ahead + 1


def test_statistics_part_only_what_differs(network: MicroCellSupernet) -> None:
    found = [population()[0]] * 3
    alone = steps(network, found)
    x = images(4, 2, 8, 8)
    statistics = statistics_of(network, found)
    assert steps(network, found, statistics=statistics) == alone
    means, variances = statistics["blocks.7.norm"]
    means[1] += 1
    # One other output of the last block, and its logits.
    assert steps(network, found, statistics=statistics) == alone + 2
    result = network.paths_together(x, found, statistics)
    assert torch.equal(result[0], result[2])
    assert not torch.equal(result[0], result[1])
    expected = Supernet.paths_together(network, x, found, statistics)
    assert (result - expected).abs().max() <= 1e-9
    assert variances.shape == (3, 16)


@pytest.mark.parametrize("size", [(5, 4), (1, 3), (1, 1)])
def test_quick_pools(size: tuple[int, int]) -> None:
    x = images(2, 3, *size)
    assert torch.equal(max_pooled(x), F.max_pool2d(x, 3, 1, 1))
    torch.testing.assert_close(average_pooled(x), F.avg_pool2d(x, 3, 1, 1), rtol=0, atol=1e-12)


def test_paths_only(network: MicroCellSupernet) -> None:
    with pytest.raises(Unsupported, match="MicroCellSupernet has no mixtures"):
        network.forward_mixture(images(1, 2, 8, 8), torch.ones(1))


# -- drop-path, construction, errors -----------------------------------------------------


def test_drop_path() -> None:
    network = micro_cell.build(genotypes(1)[0], generator=generator(), dropout=0.0, **SMALL)
    x = images(8, 2, 8, 8, dtype=torch.float32)
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        plain = network.eval()(x)
        network.drop_path_prob = 0.5
        assert torch.equal(network(x), plain)
        network.train()
        assert not torch.equal(network(x), network(x))
        network.drop_path_prob = 0.0
        assert torch.equal(network(x), network(x))
        kept = dropped(torch.ones(4000, 2, 1, 1), 0.2)
    assert torch.equal(kept[:, 0], kept[:, 1])
    torch.testing.assert_close(kept.unique(), torch.tensor([0, 1.25]))
    assert abs(kept.mean() - 1) < 0.05


def test_construction_draws_from_the_generator_alone() -> None:
    before = torch.get_rng_state()
    first, second, other = (
        build_supernet(generator=generator(seed), **{**SMALL, "nodes": 1}).state_dict()
        for seed in (0, 0, 1)
    )
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    weights = [name for name in first if first[name].ndim > 1]
    assert all(not torch.equal(first[name], other[name]) for name in weights)


@pytest.mark.parametrize("builder", ["path", "supernet"])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"channels": 0}, "channels must be at least 1; got 0"),
        ({"cells": 0}, "cells must be at least 1; got 0"),
        ({"classes": 0}, "classes must be at least 1"),
        ({"nodes": 0}, "at least 1"),
        ({"dropout": 1.0}, r"in \[0, 1\); got 1.0"),
    ],
)
def test_bad_sizes_are_refused(builder: str, wrong: dict[str, Any], message: str) -> None:
    options = {"generator": generator(), **SMALL, **wrong}
    genotype = genotypes(1)[0]
    builders = {"path": partial(micro_cell.build, genotype), "supernet": build_supernet}
    with pytest.raises(InputError, match=message):
        builders[builder](**options)


def test_a_genotype_of_other_cells_is_refused() -> None:
    with pytest.raises(InputError, match="genotype is"):
        micro_cell.build(genotypes(1, MicroCell(2))[0], generator=generator(), **SMALL)
    with pytest.raises(InputError, match="genotype is"):
        micro_cell.build(genotypes(1)[0], generator=generator(), classes=2)  # 5 nodes
