"""The Genetic CNN space: coding, default wiring, the paper's figures."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_evo.errors import InputError
from nasbench_evo.randomness import stream
from nasbench_evo.spaces.binary_stages import (
    DENSENET_VARIANT,
    EXAMPLES,
    INPUT,
    RESNET,
    TABLE_1_BEST,
    VGG,
    BinaryStages,
    StageGraph,
    residual,
    stage_graph,
)

SPACE = BinaryStages()


def test_default_space_is_the_papers() -> None:
    assert len(SPACE.cardinalities) == 19
    assert set(SPACE.cardinalities) == {2}
    assert SPACE.blocks == (slice(0, 3), slice(3, 9), slice(9, 19))
    assert SPACE.poorest() == (0,) * 19


def test_parse_of_the_papers_table_1() -> None:
    genotype = SPACE.parse(TABLE_1_BEST)
    assert genotype == (1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 1, 0, 0, 0, 1)
    assert SPACE.format(genotype) == "1-01 0-01-100 0-11-101-0001"
    assert SPACE.parse("1010011000111010001") == genotype


def test_figure_1_by_hand() -> None:
    first, second = BinaryStages((4, 5)).stages(
        BinaryStages((4, 5)).parse("1-00-111 0-10-000-0011")
    )
    # Edges (1,2), (1,4), (2,4), (3,4).
    assert first == StageGraph((1, 2, 3, 4), ((0,), (1,), (0,), (1, 2, 3)), (4,))
    # Edges (1,3), (3,5), (4,5); node 2 is isolated and ignored, as the text says of B2.
    assert second == StageGraph((1, 3, 4, 5), ((0,), (1,), (0,), (3, 4)), (5,))
    assert (first.convolutions, second.convolutions) == (6, 6)


def test_figure_2_examples_by_hand() -> None:
    space = BinaryStages((4,))
    assert set(EXAMPLES.values()) == {VGG, RESNET, DENSENET_VARIANT}
    (vgg,) = space.stages(space.parse(VGG))
    assert vgg == StageGraph((1, 2, 3, 4), ((INPUT,), (1,), (2,), (3,)), (4,))
    (resnet,) = space.stages(space.parse(RESNET))
    assert resnet == StageGraph((1, 2, 3, 4), ((INPUT,), (1,), (2,), (1, 3)), (4,))
    (densenet,) = space.stages(space.parse(DENSENET_VARIANT))
    assert densenet == StageGraph((1, 2, 3, 4), ((INPUT,), (1,), (1, 2), (1, 2, 3)), (4,))


def test_residual_blocks_go_on() -> None:
    assert residual(4) == RESNET
    (graph,) = BinaryStages((6,)).stages(BinaryStages((6,)).parse(residual(6)))
    # x = node 1; x + f(x) with f = nodes 2, 3; then node 6 after a second block, nodes 4, 5.
    assert graph == StageGraph(
        (1, 2, 3, 4, 5, 6), ((INPUT,), (1,), (2,), (1, 3), (4,), (1, 3, 5)), (6,)
    )


def test_all_zero_stage_is_one_convolution() -> None:
    assert SPACE.stages(SPACE.poorest()) == (StageGraph((), (), ()),) * 3
    assert StageGraph((), (), ()).convolutions == 1


@pytest.mark.parametrize("bits", list(itertools.product((0, 1), repeat=6)))
def test_stage_graph_against_the_papers_words(bits: tuple[int, ...]) -> None:
    pairs = [(1, 2), (1, 3), (2, 3), (1, 4), (2, 4), (3, 4)]
    edges = {pair for pair, bit in zip(pairs, bits, strict=True) if bit}
    connected = {node for edge in edges for node in edge}
    graph = stage_graph(bits, 4)
    assert set(graph.nodes) == connected
    wired = {
        (source, node)
        for node, inputs in zip(graph.nodes, graph.inputs, strict=True)
        for source in inputs
    }
    without_predecessor = connected - {j for _, j in edges}
    assert wired == edges | {(INPUT, node) for node in without_predecessor}
    assert set(graph.outputs) == connected - {i for i, _ in edges}


@pytest.mark.parametrize("bits", list(itertools.product((0, 1), repeat=3)))
def test_more_nodes_simulate_fewer(bits: tuple[int, ...]) -> None:
    assert stage_graph((*bits, 0, 0, 0), 4) == stage_graph(bits, 3)


@settings(max_examples=30, deadline=None)
@given(nodes=st.lists(st.integers(2, 6), min_size=1, max_size=4), seed=st.integers(0, 2**20))
def test_text_round_trip(nodes: list[int], seed: int) -> None:
    space = BinaryStages(nodes)
    (genotype,) = space.sample(stream(seed, "test"), 1)
    assert space.parse(space.format(genotype)) == genotype
    assert len(space.format(genotype).split()) == len(nodes)
    mutant = space.mutate(genotype, stream(seed, "test", 1))
    assert space.validate(list(mutant)) == mutant
    assert sum(a != b for a, b in zip(genotype, mutant, strict=True)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1-01",
        "1-01 0-01-100 0-11-101-000",
        "1-01 0-01-100 0-11-101-0002",
        "10-1 0-01-100 0-11-101-0001",
        "1-01-0-01-100-0-11-101-0001",
        "101001100011101000",
        "10100110001110100011",
        "1-01 0-01-100 0-11-101-000١",
    ],
)
def test_wrong_text_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="Accepted: the form '0-00 0-00-000 0-00-000-0000'"):
        SPACE.parse(text)


@pytest.mark.parametrize("nodes", [(), (1, 3), (3, 0)])
def test_stages_without_bits_are_refused(nodes: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="at least 2 nodes"):
        BinaryStages(nodes)
