"""The EIGEN space: the nine mutations by hand and at random, blocks, duplication."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_evo.randomness import stream
from nasbench_evo.spaces.layer_graph.mutations import MUTATIONS
from nasbench_evo.spaces.layer_graph.space import LayerGraph
from nasbench_evo.spaces.layer_graph.structure import CHANNELS, POOREST, Graph

SPACE = LayerGraph(8)
CHAIN = "conv3x3@32(0) pool(1) global(2)"
JOINED = "conv3x3@32(0) conv3x3@48(1) concat(2,1) global(3)"


def outcomes(mutation: str, text: str, image_size: int = 8, draws: int = 150) -> set[str | None]:
    """Every result of `mutation` seen in many draws, as text; None where it did not apply."""
    space = LayerGraph(image_size)
    graph = space.parse(text)
    rng = stream(1, mutation)
    children = [MUTATIONS[mutation](graph, image_size, rng) for _ in range(draws)]
    return {None if child is None else space.format(child) for child in children}


def check_graph(graph: Graph, image_size: int) -> None:
    """Independent of the package's own inference: every rule of the space, in words."""
    sizes = {0: image_size}
    read: set[int] = set()
    for number, (kind, inputs, values) in enumerate(graph, start=1):
        assert all(0 <= source < number for source in inputs)
        read.update(inputs)
        (size, *others) = [sizes[source] for source in inputs]
        if kind == "concat":
            assert others == [size]
            assert inputs[0] != inputs[1]
        elif kind == "conv":
            channels, stride, kernel = values
            assert channels in CHANNELS
            assert kernel in (1, 3)
            assert stride == 1 or (stride == 2 and size > 1)
            size = (size + 2 * (kernel // 2) - kernel) // stride + 1
        elif kind == "pool":
            assert size > 1
            size = (size - 2) // 2 + 1
        else:
            assert (kind, number) == ("global", len(graph))
        sizes[number] = size
    assert set(range(1, len(graph))) <= read  # no dead layers


def longest_path(graph: Graph) -> int:
    depth = [0]
    for _, inputs, _ in graph:
        depth.append(1 + max(depth[source] for source in inputs))
    return depth[-1]


# One test a mutation, every outcome derived by hand.


def test_insert_convolution() -> None:
    assert outcomes("insert_convolution", "global(0)") == {"conv3x3@32(0) global(1)"}
    assert outcomes("insert_convolution", "conv1x1@16(0) conv1x1@48(1) concat(2,1) global(3)") == {
        # on each of the five edges,
        "conv3x3@32(0) conv1x1@16(1) conv1x1@48(2) concat(3,2) global(4)",
        "conv1x1@16(0) conv3x3@32(1) conv1x1@48(2) concat(3,1) global(4)",
        "conv1x1@16(0) conv1x1@48(1) conv3x3@32(2) concat(3,1) global(4)",
        "conv1x1@16(0) conv1x1@48(1) conv3x3@32(1) concat(2,3) global(4)",
        "conv1x1@16(0) conv1x1@48(1) concat(2,1) conv3x3@32(3) global(4)",
        # and before both readers of the first convolution.
        "conv1x1@16(0) conv3x3@32(1) conv1x1@48(2) concat(3,2) global(4)",
    }


def test_insert_pooling() -> None:
    assert outcomes("insert_pooling", CHAIN) == {
        "pool(0) conv3x3@32(1) pool(2) global(3)",
        "conv3x3@32(0) pool(1) pool(2) global(3)",
    }
    # Not between the concatenation and one of its inputs only.
    assert outcomes("insert_pooling", JOINED) == {
        "pool(0) conv3x3@32(1) conv3x3@48(2) concat(3,2) global(4)",
        "conv3x3@32(0) pool(1) conv3x3@48(2) concat(3,2) global(4)",
        "conv3x3@32(0) conv3x3@48(1) concat(2,1) pool(3) global(4)",
    }
    assert outcomes("insert_pooling", CHAIN, image_size=2) == {None}


def test_insert_concatenation() -> None:
    assert outcomes("insert_concatenation", "global(0)") == {None}
    assert outcomes("insert_concatenation", "pool(0) global(1)") == {None}  # sizes 8 and 4
    # What precedes the global layer and the image may be joined before it; before the
    # convolution only the image exists, as its own output would close a cycle.
    assert outcomes("insert_concatenation", "conv3x3@32(0) global(1)") == {
        "conv3x3@32(0) concat(1,0) global(2)"
    }
    assert outcomes("insert_concatenation", "conv3x3@32(0) conv3x3@48(1) global(2)") == {
        "conv3x3@32(0) concat(1,0) conv3x3@48(2) global(3)",
        "conv3x3@32(0) conv3x3@48(1) concat(2,0) global(3)",
        "conv3x3@32(0) conv3x3@48(1) concat(2,1) global(3)",
    }


def test_remove_convolution() -> None:
    assert outcomes("remove_convolution", CHAIN) == {"pool(0) global(1)"}
    assert outcomes("remove_convolution", "pool(0) global(1)") == {None}
    assert outcomes("remove_convolution", JOINED) == {
        "conv3x3@48(0) concat(1,0) global(2)",
        "conv3x3@32(0) global(1)",  # both inputs would be the same layer
    }
    # The second convolution halves the map that the pooling's must equal.
    halved = "pool(0) conv3x3@32/2(0) concat(1,2) global(3)"
    assert outcomes("remove_convolution", halved) == {None}


def test_remove_concatenation_keeps_the_first_input() -> None:
    assert outcomes("remove_concatenation", CHAIN) == {None}
    assert outcomes("remove_concatenation", JOINED) == {"conv3x3@32(0) conv3x3@48(1) global(2)"}
    twins = "conv3x3@16(0) conv1x1@96(0) concat(1,2) global(3)"
    assert outcomes("remove_concatenation", twins) == {"conv3x3@16(0) global(1)"}


def test_remove_pooling() -> None:
    assert outcomes("remove_pooling", CHAIN) == {"conv3x3@32(0) global(1)"}
    assert outcomes("remove_pooling", JOINED) == {None}
    halved = "pool(0) conv3x3@32/2(0) concat(1,2) global(3)"
    assert outcomes("remove_pooling", halved) == {None}


def test_alter_channels() -> None:
    assert outcomes("alter_channels", CHAIN) == {
        f"conv3x3@{channels}(0) pool(1) global(2)" for channels in (16, 48, 64, 96)
    }
    assert outcomes("alter_channels", "pool(0) global(1)") == {None}


def test_alter_stride() -> None:
    assert outcomes("alter_stride", CHAIN) == {"conv3x3@32/2(0) pool(1) global(2)"}
    assert outcomes("alter_stride", "conv1x1@16/2(0) global(1)") == {"conv1x1@16(0) global(1)"}
    assert outcomes("alter_stride", "conv1x1@16(0) global(1)", image_size=1) == {None}
    # The second convolution must stay as large as what it is joined with.
    assert outcomes("alter_stride", JOINED) == {
        "conv3x3@32/2(0) conv3x3@48(1) concat(2,1) global(3)"
    }


def test_alter_kernel() -> None:
    assert outcomes("alter_kernel", CHAIN) == {"conv1x1@32(0) pool(1) global(2)"}


def test_a_mutation_that_cannot_apply_is_redrawn() -> None:
    rng = stream(0, "redraw")
    children = [SPACE.format(SPACE.mutate(POOREST, rng)) for _ in range(600)]
    assert set(children) == {"conv3x3@32(0) global(1)", "pool(0) global(1)"}
    assert 240 < children.count("pool(0) global(1)") < 360  # 300 expected, sigma 12


def test_all_nine_are_drawn_equally_often() -> None:
    # Every mutation applies here, and each outcome shows which it was by its kinds or settings.
    space = LayerGraph(32)
    graph = space.parse("conv3x3@32(0) conv3x3@32(1) concat(2,1) pool(3) global(4)")
    rng = stream(3, "equal")
    counts: dict[Any, int] = {}
    for _ in range(1800):
        child = space.mutate(graph, rng)
        kinds = [kind for kind, _, _ in child]
        profile = tuple(kinds.count(kind) for kind in ("conv", "concat", "pool"))
        values = [set(values) for values in zip(*(v for _, _, v in child if v), strict=True)]
        key = (profile, *(len(v) > 1 for v in values)) if profile == (2, 1, 1) else profile
        counts[key] = counts.get(key, 0) + 1
    # Removing the second convolution also takes the concatenation with it.
    removed_convolution = counts.pop((1, 1, 1), 0) + counts.pop((1, 0, 1), 0)
    assert set(counts) == {
        (3, 1, 1),
        (2, 2, 1),
        (2, 1, 2),
        (2, 0, 1),
        (2, 1, 0),
        ((2, 1, 1), True, False, False),
        ((2, 1, 1), False, True, False),
        ((2, 1, 1), False, False, True),
    }
    assert all(140 < count < 260 for count in [*counts.values(), removed_convolution])


# At random.


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**20), image_size=st.sampled_from([1, 2, 7, 8, 28, 32]))
def test_random_mutations_stay_valid(seed: int, image_size: int) -> None:
    space = LayerGraph(image_size)
    rng = stream(seed, "test")
    graph = space.poorest()
    for _ in range(60):
        child = space.mutate(graph, rng)
        assert child != graph
        graph = child
        check_graph(graph, image_size)
    assert space.validate(json.loads(json.dumps(graph))) == graph
    assert space.parse(space.format(graph)) == graph
    assert json.loads(space.encode([graph])) == json.loads(json.dumps([graph]))


@pytest.mark.slow
def test_thousands_of_mutations_and_their_speed() -> None:
    for image_size in (8, 28, 32):
        space = LayerGraph(image_size)
        rng = stream(image_size, "slow")
        graph = space.poorest()
        graphs = [graph]
        begin = time.perf_counter()
        for _ in range(20_000):
            graph = space.mutate(graph, rng)
            graphs.append(graph)
        seconds = time.perf_counter() - begin
        for graph, child in itertools.pairwise(graphs):
            assert child != graph
            check_graph(child, image_size)
        largest = max(map(len, graphs))
        print(
            f"image {image_size}: {seconds / 200 * 1e3:.2f} ms a child of 100 mutations, "
            f"largest graph {largest} layers"
        )
        assert seconds / 200 < 0.1


def test_mutations_are_determined_by_the_stream() -> None:
    first = SPACE.sample(stream(5, "a"), 20)
    assert first == SPACE.sample(stream(5, "a"), 20)
    assert first != SPACE.sample(stream(6, "a"), 20)
    for graph in first:
        check_graph(graph, 8)
    assert len(set(first)) > 10


def test_sample_steps() -> None:
    assert LayerGraph(8, sample_steps=0).sample(stream(0, "a"), 3) == [POOREST] * 3
    one = set(LayerGraph(8, sample_steps=1).sample(stream(0, "a"), 50))
    assert {SPACE.format(graph) for graph in one} == {
        "conv3x3@32(0) global(1)",
        "pool(0) global(1)",
    }


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_duplications_of_random_graphs(seed: int) -> None:
    rng = stream(seed, "test")
    (graph,) = SPACE.sample(rng, 1)
    children = SPACE.duplications(graph, rng, 6)
    assert len(set(children)) == len(children) <= 6
    sizes = set(SPACE.sizes(graph)[:-1])
    for child in children:
        check_graph(child, 8)
        assert SPACE.validate(child) == child
        assert set(SPACE.sizes(child)[:-1]) == sizes
        assert longest_path(child) > longest_path(graph)
