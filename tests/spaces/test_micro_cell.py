"""The GeneticNAS cell space: genes, spelling, what a cell concatenates."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_evo.errors import InputError
from nasbench_evo.randomness import stream
from nasbench_evo.spaces import get
from nasbench_evo.spaces.micro_cell import CELL_TYPES, OPERATIONS, MicroCell, input_names

SMALL = MicroCell(2)
# Two nodes: the first cell has 2 + 4 genes, the others 4 + 4 each.
GENES = (0, 1, 1, 0, 4, 2, 0, 1, 3, 3, 2, 2, 0, 1, 1, 1, 1, 1, 0, 2, 4, 0)
TEXT = (
    "first: dw_conv_3x3(input)+identity(input), max_pool_3x3(0)+dw_conv_5x5(input); "
    "normal: avg_pool_3x3(input)+avg_pool_3x3(previous), dw_conv_3x3(0)+identity(0); "
    "reduction: identity(previous)+identity(previous), max_pool_3x3(input)+dw_conv_3x3(0)"
)
cells = st.tuples(st.integers(1, 6), st.integers(0, 2**32)).map(
    lambda drawn: (MicroCell(drawn[0]), MicroCell(drawn[0]).sample(stream(drawn[1], "test"), 1)[0])
)


def test_default_genes_by_hand() -> None:
    space = MicroCell()
    node = [(k, k, 5, 5) for k in range(7)]  # with k inputs to choose from
    cell = sum(node[2:7], ())
    assert space.cardinalities == (5, 5, *sum(node[2:6], ()), *cell, *cell)
    assert len(space.cardinalities) == 58
    assert [block.stop - block.start for block in space.blocks] == [2, *[4] * 14]
    assert space.blocks[:3] == (slice(0, 2), slice(2, 6), slice(6, 10))
    assert space.blocks[-1].stop == 58
    assert get("micro_cell").cardinalities == space.cardinalities  # type: ignore[attr-defined]


def test_a_genotype_by_hand() -> None:
    assert SMALL.describe(GENES) == {
        "first": [(0, 0, 0, 1), (1, 0, 4, 2)],
        "normal": [(0, 1, 3, 3), (2, 2, 0, 1)],
        "reduction": [(1, 1, 1, 1), (0, 2, 4, 0)],
    }
    assert SMALL.format(GENES) == TEXT
    for spelling in (TEXT, TEXT.replace(" ", ""), f"\n{TEXT} ", ",".join(map(str, GENES))):
        assert SMALL.parse(spelling) == GENES
        assert MicroCell.of(spelling).nodes == 2


def test_nodes_that_no_node_uses_are_the_output() -> None:
    assert SMALL.outputs(GENES) == {"first": (1,), "normal": (1,), "reduction": (1,)}
    loose = (*GENES[:18], 0, 1, 4, 0)  # the last node on the cell's inputs: node 0 is left over
    assert SMALL.outputs(loose)["reduction"] == (0, 1)


def test_poorest_has_no_operation_but_identity() -> None:
    space = MicroCell()
    assert space.validate(list(space.poorest())) == space.poorest()
    for nodes in space.describe(space.poorest()).values():
        assert nodes == [(0, 0, 1, 1)] * 5
    assert OPERATIONS[1] == "identity"
    assert set(space.outputs(space.poorest()).values()) == {(0, 1, 2, 3, 4)}


def test_drawing_says_every_node_and_output() -> None:
    assert SMALL.draw(GENES).splitlines() == [
        "first cell",
        "  node 0: dw_conv_3x3(input) + identity(input)",
        "  node 1: max_pool_3x3(node 0) + dw_conv_5x5(input)",
        "  output: concatenate(node 1) + input",
        "normal cell",
        "  node 0: avg_pool_3x3(input) + avg_pool_3x3(previous)",
        "  node 1: dw_conv_3x3(node 0) + identity(node 0)",
        "  output: concatenate(node 1) + input",
        "reduction cell",
        "  node 0: identity(previous) + identity(previous)",
        "  node 1: max_pool_3x3(input) + dw_conv_3x3(node 0)",
        "  output: concatenate(node 1) + input",
    ]


@settings(max_examples=40)
@given(cells, st.integers(0, 2**32))
def test_variation_stays_inside_and_text_round_trips(
    drawn: tuple[MicroCell, tuple[int, ...]], seed: int
) -> None:
    space, genotype = drawn
    mutant = space.mutate(genotype, stream(seed, "test", 1))
    neighbours = space.neighbours(genotype)
    assert mutant in neighbours
    assert len(set(neighbours)) == sum(space.cardinalities) - len(space.cardinalities)
    for one in (genotype, mutant, *neighbours[:: len(neighbours) // 5]):
        assert space.validate(list(one)) == one
        assert space.parse(space.format(one)) == one
        assert MicroCell.of(space.format(one)).nodes == space.nodes


@settings(max_examples=40)
@given(cells)
def test_description_obeys_the_papers_words(drawn: tuple[MicroCell, tuple[int, ...]]) -> None:
    space, genotype = drawn
    described = space.describe(genotype)
    assert tuple(described) == CELL_TYPES
    for cell_type, nodes in described.items():
        assert len(nodes) == space.nodes
        own_inputs = 1 if cell_type == "first" else 2
        used = set()
        for k, (a, b, operation_a, operation_b) in enumerate(nodes):
            assert max(a, b) < own_inputs + k == len(input_names(cell_type, k))
            assert max(operation_a, operation_b) < len(OPERATIONS)
            used |= {a - own_inputs, b - own_inputs}
        outputs = space.outputs(genotype)[cell_type]
        assert set(outputs) == set(range(space.nodes)) - used
        assert outputs[-1] == space.nodes - 1  # the last node has nobody to use it


def test_nodes_are_the_crossover_blocks() -> None:
    space = MicroCell()
    other = tuple(c - 1 for c in space.cardinalities)
    block = space.blocks[7]  # node 2 of the normal cell
    genes = list(space.poorest())
    genes[block] = other[block]
    before, after = space.describe(space.poorest()), space.describe(tuple(genes))
    assert after["normal"][2] == (3, 3, 4, 4)
    after["normal"][2] = before["normal"][2]
    assert after == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "resnet50",
        TEXT.replace("; ", ", "),
        TEXT.replace("normal", "reduction"),
        TEXT.replace("first: ", ""),
        TEXT.replace("+", "-"),
        TEXT + ";",
        "first:;normal:;reduction:",
    ],
)
def test_malformed_text_is_refused_with_the_accepted_forms(text: str) -> None:
    with pytest.raises(
        InputError, match=r"Accepted: the form 'first: OPER|The first cell needs 2 nodes"
    ):
        SMALL.parse(text)


def test_errors_say_what_was_expected() -> None:
    with pytest.raises(InputError, match="Did you mean 'max_pool_3x3'"):
        SMALL.parse(TEXT.replace("max_pool_3x3", "max_pool_3"))
    with pytest.raises(InputError, match=r"Node 0 of the first cell takes its inputs from input;"):
        SMALL.parse(TEXT.replace("(input)", "(previous)", 1))
    with pytest.raises(InputError, match="The first cell needs 5 nodes; got 2"):
        MicroCell().parse(TEXT)
    with pytest.raises(InputError, match="22 integers"):
        SMALL.parse("0,1,2")
    with pytest.raises(InputError, match="at least 1 node; got nodes=0"):
        MicroCell(0)


def test_the_number_of_nodes_is_read_from_text() -> None:
    assert MicroCell.of("nonsense").nodes == 5
    assert MicroCell.of(",".join("0" * 10)).nodes == 1
    assert MicroCell.of(",".join("0" * 11)).nodes == 5
