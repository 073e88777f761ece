"""The DARTS cell space: genes, the published text, relaxations."""

from __future__ import annotations

from math import comb, prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nasbench_evo.errors import InputError
from nasbench_evo.randomness import stream
from nasbench_evo.spaces import get
from nasbench_evo.spaces.darts_cell import EDGES, OPERATIONS, PAIRS, DartsCell

SPACE = DartsCell()
# DARTS (second order) on CIFAR-10 as its authors publish it.
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=[2, 3, 4, 5])"
)
CELLS = {
    "normal": [(0, 1, 4, 4), (0, 1, 4, 4), (0, 1, 3, 4), (0, 2, 3, 6)],
    "reduction": [(0, 1, 1, 1), (1, 2, 1, 3), (0, 2, 1, 3), (1, 2, 1, 3)],
}
GENES = (3, 3, 0, 3, 3, 0, 2, 3, 1, 2, 5, 0, 0, 2, 0, 2, 1, 0, 2, 4, 0, 2)
genotypes = st.integers(0, 2**32).map(lambda seed: SPACE.sample(stream(seed, "test"), 1)[0])
logits = arrays(np.float64, (2, *SPACE.alpha_shape), elements=st.floats(-1e3, 1e3))


def test_the_space_by_hand() -> None:
    cell = (7, 7, 3, 7, 7, 6, 7, 7, 10, 7, 7)
    assert SPACE.cardinalities == cell * 2
    # The count of Section 3.2 of DARTS: 7 operations on 2 of 2, 3, 4 and 5 states.
    assert prod(cell) == prod(comb(k + 2, 2) * 7**2 for k in range(4)) == 180 * 7**8
    assert SPACE.blocks[:5] == (slice(0, 2), slice(2, 5), slice(5, 8), slice(8, 11), slice(11, 13))
    assert EDGES[:5] == ((0, 0), (1, 0), (0, 1), (1, 1), (2, 1))
    assert (len(EDGES), EDGES[-1]) == (14, (4, 3))
    assert PAIRS[2] == ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
    assert SPACE.alpha_shape == (2, 14, 8)
    assert isinstance(get("darts_cell"), DartsCell)


def test_the_published_genotype_by_hand() -> None:
    assert SPACE.parse(DARTS_V2) == GENES
    assert SPACE.describe(GENES) == CELLS
    assert SPACE.format(GENES).startswith(
        "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
        "('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1), "
    )


@pytest.mark.parametrize(
    "spelling",
    [
        ",".join(map(str, GENES)),
        f"DARTS_V2 = {DARTS_V2}\n",
        f"11/12 08:15:00 AM genotype = {DARTS_V2}",
        f"2026-01-02 10:00:00,123 genotype = {DARTS_V2}",
        DARTS_V2.replace("[2, 3, 4, 5]", "range(2, 6)"),
        DARTS_V2.replace("'", '"').replace(", ", ",\n    "),
        DARTS_V2.replace(")], ", "),], ").replace("5])", "5],)"),
    ],
)
def test_spellings_of_one_genotype(spelling: str) -> None:
    assert SPACE.parse(spelling) == GENES


@settings(max_examples=40)
@given(genotypes, st.integers(0, 2**32))
def test_variation_stays_inside_and_text_round_trips(genotype: tuple[int, ...], seed: int) -> None:
    mutant = SPACE.mutate(genotype, stream(seed, "test", 1))
    neighbours = SPACE.neighbours(genotype)
    assert mutant in neighbours
    assert len(set(neighbours)) == sum(SPACE.cardinalities) - 22
    for one in (genotype, mutant, *neighbours[::20]):
        assert SPACE.validate(list(one)) == one
        assert SPACE.parse(SPACE.format(one)) == one
        well_formed(one)


def well_formed(genotype: tuple[int, ...]) -> None:
    """Two different earlier states a node, an operation that is not none on each."""
    described = SPACE.describe(genotype)
    assert list(described) == ["normal", "reduction"]
    for nodes in described.values():
        assert len(nodes) == 4
        for k, (a, b, operation_a, operation_b) in enumerate(nodes):
            assert 0 <= a < b <= k + 1
            assert operation_a in range(1, 8)
            assert operation_b in range(1, 8)


def test_poorest_is_all_skips() -> None:
    assert SPACE.describe(SPACE.poorest())["normal"] == [(0, 1, 3, 3)] * 4
    assert OPERATIONS[3] == "skip_connect"


def test_sampling_is_uniform_over_pairs_and_operations() -> None:
    sample = np.array(SPACE.sample(stream(0, "test"), 4200))
    assert np.bincount(sample[:, 8], minlength=10) == pytest.approx(np.full(10, 420), abs=90)
    assert np.bincount(sample[:, 9], minlength=7) == pytest.approx(np.full(7, 600), abs=110)


def test_discretisation_by_hand() -> None:
    alpha = np.zeros(SPACE.alpha_shape)
    # All edges equal: the earliest two, and of equal operations the first but none.
    assert SPACE.describe(SPACE.discretize(alpha[None])[0])["normal"] == [(0, 1, 1, 1)] * 4
    # none is never kept, however strong; here it makes every edge of node 1 but the last weak.
    alpha[0, 2:5, 0] = 5, 5, 1
    alpha[0, 4, 6] = 2
    alpha[0, 2, 3] = 1
    # Node 3: a strong operation counts by its weight in the softmax, not by its logit. Edge 9 has
    # the highest logit (4) but shares its weight with 7 equals; edges 12 and 13 have one of 3.
    alpha[0, 9] = 4
    alpha[0, [12, 13], [7, 2]] = 3
    (found,) = SPACE.discretize(alpha[None])
    assert SPACE.describe(found) == {
        "normal": [(0, 1, 1, 1), (0, 2, 3, 6), (0, 1, 1, 1), (3, 4, 7, 2)],
        "reduction": [(0, 1, 1, 1)] * 4,
    }


@settings(max_examples=40)
@given(logits)
def test_discretisation_is_the_definition(alphas: np.ndarray) -> None:
    found = SPACE.discretize(alphas)
    for genotype, alpha in zip(found, alphas, strict=True):
        assert SPACE.validate(genotype) == genotype
        well_formed(genotype)
        for nodes, logit in zip(SPACE.describe(genotype).values(), alpha, strict=True):
            softmax = np.exp(logit - logit.max(axis=1, keepdims=True))
            softmax /= softmax.sum(axis=1, keepdims=True)
            strength = softmax[:, 1:].max(axis=1)
            for k, (a, b, operation_a, operation_b) in enumerate(nodes):
                edges = {state: i for i, (state, node) in enumerate(EDGES) if node == k}
                kept = [edges.pop(a), edges.pop(b)]
                for edge, operation in zip(kept, (operation_a, operation_b), strict=True):
                    assert logit[edge, operation] == logit[edge, 1:].max()
                assert all(strength[edges[s]] <= strength[kept].min() + 1e-12 for s in edges)


@settings(max_examples=40)
@given(genotypes)
def test_weights_are_the_path(genotype: tuple[int, ...]) -> None:
    weights = SPACE.weights(genotype)
    assert weights.shape == SPACE.alpha_shape
    assert set(np.unique(weights)) == {0.0, 1.0}
    assert (weights.sum(axis=2) == 1).all()
    assert weights[..., 1:].sum() == 16  # 2 cells of 4 nodes of 2 edges
    assert SPACE.discretize(weights[None]) == [genotype]
    assert SPACE.discretize(np.stack([100 * weights, weights - 7])) == [genotype] * 2


def test_weights_by_hand() -> None:
    normal, reduction = SPACE.weights(GENES)
    assert normal.argmax(axis=1).tolist() == [4, 4, 4, 4, 0, 3, 4, 0, 0, 3, 0, 6, 0, 0]
    assert reduction.argmax(axis=1).tolist() == [1, 1, 0, 1, 3, 1, 0, 3, 0, 0, 1, 3, 0, 0]


def test_relaxations_without_none() -> None:
    """The genotypes, and so their names in stored runs, stay; a relaxation has 7 operations."""
    seven = DartsCell(with_none=False)
    assert (seven.alpha_shape, seven.operations) == ((2, 14, 7), OPERATIONS[1:])
    assert seven.cardinalities == SPACE.cardinalities
    assert "with_none" not in vars(SPACE)
    assert vars(seven)["with_none"] is False
    weights = seven.weights(GENES)
    assert np.array_equal(weights, SPACE.weights(GENES)[..., 1:])
    assert seven.discretize(weights[None]) == [GENES]
    alphas = np.random.default_rng(0).normal(size=(3, 2, 14, 7))
    never = np.concatenate([np.full((3, 2, 14, 1), -1e3), alphas], -1)
    assert seven.discretize(alphas) == SPACE.discretize(never)
    with pytest.raises(InputError, match=r"\[n, 2, 14, 7\]; got \[1, 2, 14, 8\]"):
        seven.discretize(np.zeros((1, 2, 14, 8)))


def test_shape_of_relaxations_is_checked() -> None:
    with pytest.raises(InputError, match=r"\[n, 2, 14, 8\]; got \[2, 14, 8\]"):
        SPACE.discretize(np.zeros(SPACE.alpha_shape))


def test_drawing_says_every_node() -> None:
    lines = SPACE.draw(GENES).splitlines()
    assert lines[0] == "normal cell"
    assert lines[4:6] == [
        "  node 3: skip_connect(input 0) + dil_conv_3x3(node 0)",
        "  output: concatenate(node 0, node 1, node 2, node 3)",
    ]
    assert lines[8] == "  node 1: max_pool_3x3(input 1) + skip_connect(node 0)"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "resnet50",
        DARTS_V2[:-1],
        DARTS_V2.replace("Genotype", "print"),
        DARTS_V2.replace("normal=", "usual="),
        DARTS_V2.replace(", 0)", ", -1)", 1),
        DARTS_V2.replace("'sep_conv_3x3'", "__import__('os')", 1),
    ],
)
def test_malformed_text_is_refused_with_the_accepted_forms(text: str) -> None:
    with pytest.raises(InputError, match=r'Accepted: the published text "Genotype\(.* 22 genes'):
        SPACE.parse(text)


def test_errors_say_what_was_expected() -> None:
    with pytest.raises(InputError, match=r"Node 0 of normal takes two different states of 0\.\.1"):
        SPACE.parse(DARTS_V2.replace("3x3', 1)", "3x3', 0)", 1))
    with pytest.raises(InputError, match=r"Node 0 of normal .* got 0 and 2"):
        SPACE.parse(DARTS_V2.replace("3x3', 1)", "3x3', 2)", 1))
    with pytest.raises(InputError, match="Did you mean 'sep_conv_3x3'"):
        SPACE.parse(DARTS_V2.replace("sep_conv_3x3", "sep_conv_3", 1))
    with pytest.raises(InputError, match="Unknown operation 'none'"):
        SPACE.parse(DARTS_V2.replace("skip_connect", "none", 1))
    with pytest.raises(InputError, match="reduce needs 8 terms, 2 a node; got 7"):
        SPACE.parse(DARTS_V2.replace(", ('max_pool_3x3', 1)], reduce_c", "], reduce_c"))
    with pytest.raises(InputError, match=r"all its nodes.*got \[2,3,4\]"):
        SPACE.parse(DARTS_V2.replace("[2, 3, 4, 5]", "[2, 3, 4]", 1))
    with pytest.raises(InputError, match="22 integers"):
        SPACE.parse("1,2,3")
