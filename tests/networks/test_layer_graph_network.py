"""The EIGEN networks against a plain recursive reading of the graph."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor, nn

from nasbench_evo.errors import InputError
from nasbench_evo.networks.layer_graph import LayerGraphNetwork, build
from nasbench_evo.randomness import stream
from nasbench_evo.spaces.layer_graph.space import LayerGraph
from nasbench_evo.spaces.layer_graph.structure import POOREST, Graph

pytestmark = pytest.mark.torch


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def reference(network: LayerGraphNetwork, graph: Graph, images: Tensor) -> tuple[Tensor, list[int]]:
    """Return the logits and each layer's width, computing from the output backwards."""

    @cache
    def value(layer: int) -> Tensor:
        if layer == 0:
            return images
        kind, inputs, settings = graph[layer - 1]
        sources = [value(source) for source in inputs]
        if kind == "conv":
            channels, stride, kernel = settings
            block = network.convolutions[str(layer)]
            assert isinstance(block, nn.Sequential)
            weight = block[0].weight
            assert isinstance(weight, Tensor)
            assert weight.shape == (channels, sources[0].shape[1], kernel, kernel)
            x = nn.functional.conv2d(sources[0], weight, None, stride, (kernel - 1) // 2)
            result: Tensor = block[1](x).clamp(min=0)
            return result
        if kind == "pool":
            return sources[0].unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5))
        if kind == "concat":
            return torch.cat((sources[0], sources[1]), dim=1)
        return sources[0].flatten(2).sum(2) / sources[0][0, 0].numel()

    logits: Tensor = network.classifier(value(len(graph)))
    maps = [value(layer) for layer in range(len(graph))]
    assert all(m.shape[2] == m.shape[3] for m in maps)
    return logits, [m.shape[3] for m in maps]


@pytest.mark.parametrize("image_size", [8, 14])
@pytest.mark.parametrize("training", [True, False])
def test_equals_the_plain_network(image_size: int, training: bool) -> None:
    space = LayerGraph(image_size)
    graphs = space.sample(stream(image_size, "test"), 15)
    assert sum("concat" in space.format(graph) for graph in graphs) > 2
    for graph in graphs:
        network = build(
            graph, classes=3, generator=generator(), in_channels=2, image_size=image_size
        )
        network.double().train(training)
        shape = (4, 2, image_size, image_size)
        images = torch.randn(shape, dtype=torch.float64, generator=generator(1))
        expected, sizes = reference(network, graph, images)
        torch.testing.assert_close(network(images), expected, rtol=1e-11, atol=1e-11)
        assert sizes == space.sizes(graph)[:-1]


def test_gradient_reaches_all_parameters() -> None:
    for graph in LayerGraph(8).sample(stream(0, "test"), 15):
        network = build(graph, classes=3, generator=generator(), in_channels=1, image_size=8)
        # 64 images: BatchNorm of a 1x1 map is over the batch alone
        network(torch.randn(64, 1, 8, 8, generator=generator(1))).square().sum().backward()
        for parameter in network.parameters():
            assert parameter.grad is not None
            assert parameter.grad.abs().sum() > 0


def test_parameter_counts_by_hand() -> None:
    def count(text: str, in_channels: int) -> int:
        graph = LayerGraph(32).parse(text)
        network = build(graph, classes=10, generator=generator(), in_channels=in_channels)
        return sum(parameter.numel() for parameter in network.parameters())

    assert count("global(0)", 3) == 3 * 10 + 10
    assert count("conv3x3@32(0) pool(1) global(2)", 1) == 9 * 32 + 64 + 32 * 10 + 10
    assert count(
        "conv3x3@32(0) conv1x1@48/2(1) pool(1) concat(2,3) conv3x3@16(4) global(5)", 3
    ) == ((27 * 32 + 64) + (32 * 48 + 96) + (9 * 80 * 16 + 32) + 16 * 10 + 10)


def test_poorest_network_is_a_linear_classifier_of_the_mean_colour() -> None:
    network = build(POOREST, classes=4, generator=generator())
    images = torch.randn(5, 3, 32, 32, generator=generator(1))
    torch.testing.assert_close(network(images), network.classifier(images.mean((2, 3))))


def test_graphs_that_do_not_fit_the_images_are_refused() -> None:
    graph = LayerGraph(32).parse("pool(0) pool(1) pool(2) pool(3) global(4)")
    with pytest.raises(InputError, match="8x8 images: layer 4"):
        build(graph, classes=2, generator=generator(), image_size=8)
    with pytest.raises(InputError, match="classes must be at least 1"):
        build(POOREST, classes=0, generator=generator())
