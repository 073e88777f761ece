"""The Genetic CNN networks against a plain reading of its Sections 3.1 and 4."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from nasbench_evo.errors import InputError
from nasbench_evo.networks.binary_stages import (
    WIDTHS,
    BinaryStagesNetwork,
    Stage,
    Widths,
    build,
    widths_for,
)
from nasbench_evo.networks.operations import construct
from nasbench_evo.randomness import stream
from nasbench_evo.spaces.binary_stages import EXAMPLES, TABLE_1_BEST, BinaryStages, stage_graph

pytestmark = pytest.mark.torch

SPACE = BinaryStages()
PAPER = ["0-00 0-00-000 0-00-000-0000", TABLE_1_BEST, "1-11 1-11-111 1-11-111-1111"]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def reference_stage(stage: Stage, bits: tuple[int, ...], nodes: int, x: Tensor) -> Tensor:
    """Section 3.1.1 read aloud, on an adjacency matrix."""
    first: Tensor = stage.input(x)
    edge = [[0] * (nodes + 1) for _ in range(nodes + 1)]
    remaining = list(bits)
    for j in range(2, nodes + 1):
        for i in range(1, j):
            edge[i][j] = remaining.pop(0)
    if not any(bits):
        return first
    outputs: dict[int, Tensor] = {}
    total = torch.zeros_like(first)
    for j in range(1, nodes + 1):
        incoming = [i for i in range(1, j) if edge[i][j]]
        outgoing = any(edge[j][k] for k in range(j + 1, nodes + 1))
        if not incoming and not outgoing:
            continue
        summed = torch.zeros_like(first)
        for i in incoming:
            summed = summed + outputs[i]
        outputs[j] = stage.nodes[str(j)](summed if incoming else first)
        if not outgoing:
            total = total + outputs[j]
    result: Tensor = stage.output(total)
    return result


@pytest.mark.parametrize("bits", list(itertools.product((0, 1), repeat=6)))
def test_every_stage_of_4_nodes_equals_the_plain_one(bits: tuple[int, ...]) -> None:
    stage = construct(lambda: Stage(stage_graph(bits, 4), 2, 3), generator()).double()
    x = torch.randn(4, 2, 5, 5, dtype=torch.float64, generator=generator())
    expected = reference_stage(stage, bits, 4, x)
    torch.testing.assert_close(stage(x), expected, rtol=1e-12, atol=1e-12)


def test_whole_network_equals_the_plain_one() -> None:
    (genotype,) = SPACE.sample(stream(4, "test"), 1)
    network = build(genotype, SPACE, classes=5, generator=generator(), image_size=13).double()
    network.eval()
    images = torch.randn(3, 3, 13, 13, dtype=torch.float64, generator=generator(1))
    x = images
    for k, (block, nodes) in enumerate(zip(SPACE.blocks, SPACE.nodes, strict=True)):
        stage = network.body[2 * k]
        assert isinstance(stage, Stage)
        x = reference_stage(stage, genotype[block], nodes, x)
        x = nn.functional.pad(x, (1, 1, 1, 1), value=float("-inf"))
        x = x.unfold(2, 3, 2).unfold(3, 3, 2).amax((4, 5))
    assert x.shape == (3, 16, 2, 2)  # 13, 7, 4, 2
    hidden = network.hidden[0](x.flatten(1))
    torch.testing.assert_close(network.features(images), hidden)
    torch.testing.assert_close(network(images), network.classifier(hidden.clamp(min=0)))


def test_resnet_code_is_a_residual_block() -> None:
    # v4 sums v1 and what two convolutions make of it: y = x + F(x).
    graph = stage_graph(tuple(map(int, EXAMPLES["resnet"].replace("-", ""))), 4)
    stage = construct(lambda: Stage(graph, 3, 3), generator())
    image = torch.randn(2, 3, 6, 6, generator=generator())
    x = stage.nodes["1"](stage.input(image))
    y = x + stage.nodes["3"](stage.nodes["2"](x))
    torch.testing.assert_close(stage(image), stage.output(stage.nodes["4"](y)))


def test_parameter_counts_by_hand() -> None:
    # Sections 3.1.1 and 4.1.1: all bits zero is one convolution a stage; 32x32 ends as 4x4.
    def convolution(inputs: int, outputs: int) -> int:
        return 9 * inputs * outputs + 2 * outputs

    head = (16 * 4 * 4 * 32 + 32) + (32 * 10 + 10)
    chain = convolution(3, 8) + convolution(8, 8) + convolution(8, 16)
    full = chain + 4 * convolution(8, 8) + 5 * convolution(8, 8) + 6 * convolution(16, 16)
    counts = [
        parameters(build(SPACE.parse(text), SPACE, classes=10, generator=generator()))
        for text in PAPER
    ]
    assert counts == [chain + head, full + head, full + head]


def test_transfer_widths() -> None:
    with torch.device("meta"):
        network = BinaryStagesNetwork(
            SPACE.stages(SPACE.poorest()), WIDTHS["transfer"], classes=100
        )
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [64, 128, 256]
    assert network.features(torch.empty(1, 3, 32, 32, device="meta")).shape == (1, 1024)
    dropouts = [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)]
    assert dropouts == [0.5]


def test_imagenet_network_has_the_papers_156_million_parameters() -> None:
    with torch.device("meta"):
        network = BinaryStagesNetwork(
            SPACE.stages(SPACE.parse(TABLE_1_BEST)), WIDTHS["imagenet"], 1000, image_size=224
        )
        images = torch.empty(1, 3, 224, 224)
    assert round(parameters(network) / 1e6) == 156  # Table 3
    shapes = [tuple(network.body[:k](images).shape[1:]) for k in (6, 12)]
    assert shapes == [(128, 56, 56), (512, 7, 7)]  # Section 4.3
    assert network.features(images).shape == (1, 4096)
    assert network(images).shape == (1, 1000)


@pytest.mark.parametrize("size", [8, 9, 28])
@pytest.mark.parametrize("text", PAPER)
def test_shapes_and_gradients(text: str, size: int) -> None:
    network = build(
        SPACE.parse(text), SPACE, classes=7, generator=generator(), in_channels=1, image_size=size
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)  # dropout draws from the global generator
        logits = network(torch.randn(16, 1, size, size, generator=generator(1)))
    assert logits.shape == (16, 7)
    logits.square().sum().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def test_widths_of_your_own() -> None:
    space = BinaryStages((2, 3))
    widths = Widths((4, 6), (9, 5))
    network = build(
        (1, 0, 1, 1), space, classes=3, generator=generator(), widths=widths, dropout=0.0
    )
    assert [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)] == [0.0, 0.0]
    images = torch.randn(2, 3, 32, 32, generator=generator())
    assert network.features(images).shape == (2, 9)
    assert network(images).shape == (2, 3)
    assert widths_for(space, "4,6/9,5") == widths


@pytest.mark.parametrize("text", ["4,6", "4,6/", "/9", "4,0/9", "4,6/9/5", "4, 6/9", "-4,6/9"])
def test_widths_that_do_not_read(text: str) -> None:
    with pytest.raises(InputError, match=r"Unknown widths.*such as 8,8,16/32"):
        widths_for(BinaryStages((2, 3)), text)


def test_wrong_arguments_are_refused() -> None:
    poorest = SPACE.poorest()
    with pytest.raises(InputError, match="Did you mean 'transfer'"):
        build(poorest, SPACE, classes=2, generator=generator(), widths="tranfer")
    with pytest.raises(InputError, match=r"2 stages.*such as 8,8/32"):
        build((0, 0), BinaryStages((2, 2)), classes=2, generator=generator())
    with pytest.raises(InputError, match="at least one hidden"):
        build(poorest, SPACE, classes=2, generator=generator(), widths=Widths((8, 8, 16), ()))
    with pytest.raises(InputError, match="image_size_after_the_stem must be at least 1"):
        build(poorest, SPACE, classes=2, generator=generator(), image_size=3, widths="imagenet")
    with pytest.raises(InputError, match="genotype is 19 integers"):
        build((0,), SPACE, classes=2, generator=generator())
