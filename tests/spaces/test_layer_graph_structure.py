"""EIGEN's layer graphs: blocks and duplication by hand, and what users may write."""

from __future__ import annotations

from typing import Any

import pytest

from nasbench_evo.errors import InputError
from nasbench_evo.randomness import stream
from nasbench_evo.spaces.layer_graph.space import LayerGraph
from nasbench_evo.spaces.layer_graph.structure import POOREST, duplicate_blocks

SPACE = LayerGraph(8)


# Blocks and duplication.


def test_blocks_by_hand() -> None:
    graph = SPACE.parse(
        "conv3x3@32(0) pool(1) conv3x3@16(2) conv3x3@48/2(1) concat(3,4) pool(5) global(6)"
    )
    assert SPACE.sizes(graph) == [8, 8, 4, 4, 4, 4, 2, 1]
    assert SPACE.blocks(graph) == [(1,), (2, 3, 4, 5), (6,)]
    assert SPACE.blocks(POOREST) == []


def test_duplicated_block_by_hand() -> None:
    graph = SPACE.parse("conv3x3@32(0) pool(1) conv1x1@16(2) concat(3,2) global(4)")
    first, second = SPACE.blocks(graph)
    assert SPACE.format(duplicate_blocks(graph, {first: 2})) == (
        "conv3x3@32(0) conv3x3@32(1) conv3x3@32(2) pool(3) conv1x1@16(4) concat(5,4) global(6)"
    )
    assert SPACE.format(duplicate_blocks(graph, {second: 1})) == (
        "conv3x3@32(0) pool(1) conv1x1@16(2) concat(3,2) conv1x1@16(4) concat(5,4) global(6)"
    )
    assert duplicate_blocks(graph, {first: 0, second: 0}) == graph


def test_copies_do_not_halve_again() -> None:
    graph = SPACE.parse("conv3x3@32/2(0) global(1)")
    (block,) = SPACE.blocks(graph)
    assert SPACE.format(duplicate_blocks(graph, {block: 1})) == (
        "conv3x3@32/2(0) conv3x3@32(1) global(2)"
    )


def test_several_exits_move_to_the_last_copy() -> None:
    graph = SPACE.parse("conv3x3@32(0) pool(1) conv3x3@48(1) conv1x1@16/2(3) concat(2,4) global(5)")
    first = SPACE.blocks(graph)[0]
    assert first == (1, 3)
    child = duplicate_blocks(graph, {first: 1})
    assert SPACE.validate(child) == child
    # The copy reads the block's last layer; both halving layers read the copy.
    assert SPACE.format(child) == (
        "conv3x3@32(0) conv3x3@48(1) conv3x3@32(2) pool(3) conv3x3@48(3) conv1x1@16/2(5) "
        "concat(4,6) global(7)"
    )


def test_duplications_are_all_the_combinations() -> None:
    graph = SPACE.parse("conv3x3@32(0) pool(1) conv1x1@16(2) global(3)")
    children = SPACE.duplications(graph, stream(0, "d"), 100)
    copies = {(text.count("@32"), text.count("@16")) for text in map(SPACE.format, children)}
    assert copies == {(a, b) for a in (1, 2, 3) for b in (1, 2, 3)} - {(1, 1)}
    assert len(children) == 8
    few = SPACE.duplications(graph, stream(0, "d"), 3)
    assert few == children[:3]
    assert SPACE.duplications(graph, stream(1, "d"), 8) != children
    assert SPACE.duplications(POOREST, stream(0, "d"), 5) == []
    assert SPACE.duplications(SPACE.parse("pool(0) global(1)"), stream(0, "d"), 5) == []


# What users may write.


def test_validate_makes_graphs_canonical() -> None:
    dead_and_doubled = [
        ["conv", [0], [32, 1, 3]],
        ["conv", [1], [48, 1, 3]],
        ["concat", [1, 1], []],
        ["global", [3], []],
    ]
    assert SPACE.validate(dead_and_doubled) == SPACE.parse("conv3x3@32(0) global(1)")
    swapped = "conv1x1@16(0) conv3x3@32(0) concat(2,1) global(3)"
    assert SPACE.format(SPACE.parse(swapped)) == (
        "conv3x3@32(0) conv1x1@16(0) concat(1,2) global(3)"
    )


@pytest.mark.parametrize(
    ("genotype", "message"),
    [
        ([], "sequence of"),
        ("global(0)", "sequence of"),
        (7, "sequence of"),
        ([["conv", [0], [32, 1, 3]]], "only global layer"),
        ([["global", [0], []], ["global", [1], []]], "only global layer"),
        ([["global", [1], []]], "Layer 1"),
        ([["global", [0, 0], []]], "Layer 1"),
        ([["global", [-1], []]], "Layer 1"),
        ([["global", [True], []]], "Layer 1"),
        ([["global", [0], [1]]], "Layer 1"),
        ([["bypass", [0], []], ["global", [1], []]], "Layer 1"),
        ([[["conv"], [0], []], ["global", [1], []]], "Layer 1"),
        ([["conv", [0], [33, 1, 3]], ["global", [1], []]], "Layer 1"),
        ([["conv", [0], [32, 1, 3], 0], ["global", [1], []]], "Layer 1"),
        ([["pool", [0], []], ["pool"]], "Layer 2"),
        ([["pool", [k], []] for k in range(4)] + [["global", [4], []]], "already 1x1"),
        (
            [["pool", [0], []], ["concat", [1, 0], []], ["global", [2], []]],
            r"unequal size: 4 \(layer 1\) and 8 \(layer 0\)",
        ),
    ],
)
def test_wrong_graphs_are_refused(genotype: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SPACE.validate(genotype)


@pytest.mark.parametrize("text", ["conv3x1@32(0) global(1)", "fc(0)", "pool(0", "conv3x3(0)"])
def test_wrong_text_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="Accepted: layers as in"):
        SPACE.parse(text)


def test_space_parameters_are_checked() -> None:
    with pytest.raises(InputError, match="image_size >= 1"):
        LayerGraph(0)
    with pytest.raises(InputError, match="sample_steps >= 0"):
        LayerGraph(8, sample_steps=-1)
