"""Many elementary mutations of an integer genotype at once: the distribution of one by one."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chisquare

from nasbench_evo.randomness import Stream, stream
from nasbench_evo.spaces import NASBench201
from nasbench_evo.spaces.base import IntegerSpace

DRAWN = 30_000


class Mixed(IntegerSpace):
    """Three genes of unequal cardinality: 30 genotypes."""

    name: ClassVar[str] = "mixed"
    cardinalities = (2, 3, 5)
    blocks = (slice(0, 3),)

    def parse(self, text: str) -> tuple[int, ...]:
        raise NotImplementedError

    def format(self, genotype: tuple[int, ...]) -> str:
        raise NotImplementedError


class OneByOne(Mixed):
    """The same mutation, but said by a subclass: it is made step by step."""

    def vary(self, genes: list[int], rng: Stream) -> None:
        super().vary(genes, rng)


SPACE = Mixed()
GENOTYPES = list(itertools.product(*map(range, SPACE.cardinalities)))


def exact(start: tuple[int, ...], steps: int) -> NDArray[np.float64]:
    """Return the probability of each genotype after `steps` steps of the Markov chain."""
    step = np.zeros((len(GENOTYPES), len(GENOTYPES)))
    for i, genotype in enumerate(GENOTYPES):
        for neighbour in SPACE.neighbours(genotype):
            gene = next(g for g in range(3) if genotype[g] != neighbour[g])
            step[i, GENOTYPES.index(neighbour)] = 1 / 3 / (SPACE.cardinalities[gene] - 1)
    return np.linalg.matrix_power(step, steps)[GENOTYPES.index(start)]


def counts(space: Mixed, start: tuple[int, ...], steps: int, seed: int) -> NDArray[np.int64]:
    rng = stream(seed, "test")
    drawn = Counter(space.mutate_steps(start, steps, rng) for _ in range(DRAWN))
    return np.array([drawn[genotype] for genotype in GENOTYPES])


@pytest.mark.parametrize("steps", [7, 8, 11, 20])
def test_the_distribution_is_that_of_the_markov_chain(steps: int) -> None:
    start = (1, 0, 3)
    found = counts(SPACE, start, steps, seed=steps)
    assert chisquare(found, DRAWN * exact(start, steps)).pvalue > 1e-3
    if steps < 10:  # the test can tell: one step more is another distribution
        assert chisquare(found, DRAWN * exact(start, steps + 1)).pvalue < 1e-3


def test_few_mutations_are_those_of_one_by_one() -> None:
    ours, theirs = stream(3, "test"), stream(3, "test")
    for start, steps in itertools.product(GENOTYPES, range(7)):
        together = SPACE.mutate_steps(start, steps, ours)
        assert together == OneByOne().mutate_steps(start, steps, theirs)


def test_step_by_step_has_the_same_distribution() -> None:
    found = counts(OneByOne(), (0, 2, 4), 7, seed=1)
    assert chisquare(found, DRAWN * exact((0, 2, 4), 7)).pvalue > 1e-3


def test_more_steps_than_are_drawn_at_once_keep_parity() -> None:
    """A binary gene tells the parity of its mutations: here of all of them."""

    class Bits(Mixed):
        cardinalities = (2, 2, 2)

    space, rng = Bits(), stream(0, "test")
    for steps in (7, 127, 128, 129, 300, 1001):
        children = {space.mutate_steps((0, 0, 0), steps, rng) for _ in range(40)}
        assert {sum(child) % 2 for child in children} == {steps % 2}
        assert len(children) == 4


class Counted(Stream):
    """A stream that counts its draws."""

    __slots__ = ("draws",)

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.draws = 0
        plain = self.random

        def random() -> float:
            self.draws += 1
            return plain()

        self.random = random


@given(st.integers(0, 120), st.integers(0, 2**32))
def test_the_draws_do_not_grow_with_the_steps(steps: int, seed: int) -> None:
    space, rng = NASBench201(), Counted(seed)
    child = space.mutate_steps((0, 1, 2, 3, 4, 0), steps, rng)
    assert space.validate(child) == child
    assert rng.draws <= min(2 * steps, 4 * len(child))
