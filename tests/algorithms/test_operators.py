"""Selection, crossover and mutation, by hand and by their distributions."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import Scripted, evaluation

from nasbench_evo.algorithms.operators import (
    exchange_blocks,
    flip_genes,
    roulette,
    step_genes,
    tournament,
)
from nasbench_evo.randomness import stream
from nasbench_evo.spaces import NASBench201

POPULATION = [evaluation("abcd"[i], 90.0 + i) for i in range(4)]
BLOCKS = NASBench201().blocks


def test_tournament_takes_the_fittest_of_those_drawn() -> None:
    # Of [a b c d] the draw 0.25 takes b; of [a c d] left, 0.0 takes a.
    assert tournament(POPULATION, 2, Scripted([0.25, 0.0])).genotype == "b"
    assert tournament(POPULATION, 2, Scripted([0.0, 0.99])).genotype == "d"


def test_tournament_draws_without_replacement() -> None:
    rng = stream(0, "test")
    # The two worst of four can only win a tournament of 3 if an individual is drawn twice.
    winners = {tournament(POPULATION, 3, rng).genotype for _ in range(500)}
    assert winners == {"c", "d"}


def test_a_tournament_of_all_takes_the_best() -> None:
    assert tournament(POPULATION, 9, stream(0, "test")).genotype == "d"


def test_among_equals_in_a_tournament_the_first_drawn_wins() -> None:
    equals = [evaluation(name, 90.0) for name in "abcd"]
    # Of [a b c d] the draw 0.6 takes c; of what is left, 0.0 takes a.
    assert tournament(equals, 2, Scripted([0.6, 0.0])).genotype == "c"
    assert tournament(equals, 2, Scripted([0.6, 0.0]), replacement=True).genotype == "c"


def test_a_tournament_of_one_is_uniform() -> None:
    rng = stream(1, "test")
    counts = Counter(tournament(POPULATION, 1, rng).genotype for _ in range(4000))
    assert all(count == pytest.approx(1000, abs=120) for count in counts.values())


def test_roulette_by_hand() -> None:
    # Weights 0, 1, 3: the wheel is b below 0.25 and c from there on.
    draws = Scripted([0.0, 0.2499, 0.25, 0.9999])
    assert roulette("abc", [0.0, 1.0, 3.0], 4, draws) == ["b", "b", "c", "c"]


def test_roulette_without_weights_is_uniform() -> None:
    counts = Counter(roulette("abcd", [0.0] * 4, 4000, stream(2, "test")))
    assert all(count == pytest.approx(1000, abs=120) for count in counts.values())


def test_exchange_blocks_by_hand() -> None:
    a, b = (0, 1, 2, 3, 4, 0), (1, 0, 0, 4, 3, 2)
    # Only the second block (genes 1 and 2, node 2) is below the rate.
    assert exchange_blocks(a, b, BLOCKS, 0.5, Scripted([0.9, 0.1, 0.5])) == (
        (0, 0, 0, 3, 4, 0),
        (1, 1, 2, 4, 3, 2),
    )


def test_flip_draws_among_the_other_values() -> None:
    # Gene 0 flips: value 2 and draw 0.5 of {0, 1, 3, 4} is 3. Gene 5 flips from 0 to 1.
    draws = Scripted([0.1, 0.9, 0.9, 0.9, 0.9, 0.1, 0.5, 0.0])
    assert flip_genes((2, 0, 0, 0, 0, 0), (5,) * 6, 0.2, draws) == (3, 0, 0, 0, 0, 1)


def test_step_wraps_around() -> None:
    draws = Scripted([0.1, 0.1, 0.9, 0.9, 0.9, 0.9, 0.0, 0.9])
    assert step_genes((0, 4, 2, 2, 2, 2), (5,) * 6, 0.2, draws) == (4, 0, 2, 2, 2, 2)


genotypes = st.tuples(*[st.integers(0, 4)] * 6)


@given(genotypes, genotypes, st.integers(0, 2**32))
def test_crossover_keeps_every_gene_at_its_place(
    a: tuple[int, ...], b: tuple[int, ...], seed: int
) -> None:
    c, d = exchange_blocks(a, b, BLOCKS, 0.5, stream(seed, "test"))
    assert [{x, y} for x, y in zip(a, b, strict=True)] == [
        {x, y} for x, y in zip(c, d, strict=True)
    ]


@given(genotypes, st.integers(0, 2**32))
def test_rates_zero_and_one(genotype: tuple[int, ...], seed: int) -> None:
    rng = stream(seed, "test")
    for mutate in (flip_genes, step_genes):
        assert mutate(genotype, (5,) * 6, 0.0, rng) == genotype
        changed = mutate(genotype, (5,) * 6, 1.0, rng)
        assert all(x != y for x, y in zip(genotype, changed, strict=True))
        assert all(0 <= x < 5 for x in changed)


def test_a_tournament_with_replacement_may_draw_one_twice() -> None:
    """Of two individuals a tournament of two misses the fitter with probability 1/4."""
    population = [evaluation(0, 1.0), evaluation(1, 2.0)]
    rng, n = stream(0, "test"), 4000
    worse = sum(tournament(population, 2, rng, replacement=True).genotype == 0 for _ in range(n))
    assert worse / n == pytest.approx(0.25, abs=0.03)
    assert all(tournament(population, 2, rng).genotype == 1 for _ in range(50))
