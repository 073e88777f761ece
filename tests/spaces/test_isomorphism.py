"""Isomorphic cells: the published number of classes, and that what shares a class is the same."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_evo.spaces import NASBench201, isomorphism
from nasbench_evo.spaces.nasbench201 import EDGES

SPACE = NASBench201()
cells = st.tuples(*[st.integers(0, 4)] * 6)


def output(cell: tuple[int, ...], maps: list[np.ndarray]) -> np.ndarray:
    """The cell on integers: each operation a linear map, so that zero stays zero."""
    nodes = [np.array([3, 5, 7]), None, None, None]
    for target in (1, 2, 3):
        total = np.zeros(3, dtype=np.int64)
        for gene, (source, end) in zip(cell, EDGES, strict=True):
            if end == target:
                total = total + maps[gene] @ nodes[source]
        nodes[target] = total
    return nodes[3]


MAPS = [
    np.zeros((3, 3), dtype=np.int64),
    np.eye(3, dtype=np.int64),
    np.array([[1, 2, 0], [0, 1, 3], [5, 0, 1]]),
    np.array([[2, 1, 1], [7, 1, 0], [0, 4, 1]]),
    np.array([[1, 1, 4], [0, 3, 1], [2, 0, 9]]),
]


def test_there_are_6466_topologies() -> None:
    assert isomorphism.classes().max() + 1 == 6466
    assert isomorphism.classes().shape == (15_625,)


def test_worked_examples() -> None:
    # Two identities in a row are one: node 0 -> 1 -> 3 and node 0 -> 3.
    through = (1, 0, 0, 0, 3, 0)
    assert isomorphism.canonical(through) == "#+#+(x)nor_conv_3x3"
    assert isomorphism.canonical((0, 0, 0, 3, 0, 0)) == "#+#+(x)nor_conv_3x3"
    # Nodes 1 and 2 may change places where neither feeds the other.
    assert isomorphism.canonical((2, 3, 0, 0, 4, 4)) != isomorphism.canonical((2, 3, 0, 0, 4, 2))
    # An operation on zero is zero.
    assert isomorphism.canonical((0, 0, 0, 0, 3, 0)) == isomorphism.canonical((0,) * 6)


def test_classes_follow_the_texts() -> None:
    classes = isomorphism.classes()
    texts = [isomorphism.canonical(SPACE.from_index(i)) for i in range(0, 15_625, 97)]
    for (i, a), (j, b) in itertools.combinations(enumerate(texts), 2):
        assert (a == b) == (classes[97 * i] == classes[97 * j])


def test_cells_of_a_class_compute_the_same() -> None:
    """On every class: the linear stand-ins give one output."""
    seen: dict[int, tuple[int, ...]] = {}
    for index, kind in enumerate(isomorphism.classes().tolist()):
        found = tuple(output(SPACE.from_index(index), MAPS).tolist())
        assert seen.setdefault(kind, found) == found


@settings(max_examples=50)
@given(cells)
def test_a_dead_first_node_may_hold_anything_behind_it(cell: tuple[int, ...]) -> None:
    """With edge (0,1) none, node 1 is zero whatever its outgoing edges are."""
    dead = (0, cell[1], 0, cell[3], 0, cell[5])
    other = (0, cell[1], cell[2], cell[3], cell[4], cell[5])
    assert isomorphism.canonical(dead) == isomorphism.canonical(other)
