"""Selection, crossover and mutation: pure functions that take their randomness.

`rng` is a Stream; a NumPy Generator will do.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Container, Sequence
from itertools import accumulate
from typing import TypeVar

from nasbench_evo.randomness import Stream, as_stream
from nasbench_evo.requests import Evaluation

T = TypeVar("T")
Genes = tuple[int, ...]
_TRIES = 30  # to find a genotype that is new


def tournament(
    population: Collection[Evaluation], size: int, rng: Stream, *, replacement: bool = False
) -> Evaluation:
    """Return the fittest of `size` individuals drawn with or without replacement.

    Real et al. 2019 (Algorithm 1) draw with it. Without it a size beyond the population takes all
    of it. Among equals the first drawn wins.
    """
    random, left, n = rng.random, list(population), len(population)
    if replacement:
        best = left[int(random() * n)]
        for _ in range(size - 1):
            rival = left[int(random() * n)]
            if rival.valid_accuracy > best.valid_accuracy:
                best = rival
        return best
    best = left.pop(int(random() * n))
    for alive in range(n - 1, max(n - size, 0), -1):
        rival = left.pop(int(random() * alive))
        if rival.valid_accuracy > best.valid_accuracy:
            best = rival
    return best


class FairPaths:
    """Draws genotypes strictly fairly: each gene takes each of its n values once in n draws.

    FairNAS (Chu et al. 2021, Section 3.2), one step a genotype. Rounds go on from epoch to epoch.
    """

    def __init__(self, cardinalities: Sequence[int]) -> None:
        self._left: list[tuple[int, list[int]]] = [(n, []) for n in cardinalities]

    def __call__(self, rng: Stream) -> Genes:
        """Return the next genotype; `rng` orders the values of the genes that begin a round."""
        for n, left in self._left:
            if not left:
                left.extend(range(n))
                rng.shuffle(left)
        return tuple(left.pop() for _, left in self._left)


def roulette(items: Sequence[T], weights: Sequence[float], n: int, rng: Stream) -> list[T]:
    """Return `n` items drawn with replacement, probability proportional to weight (>= 0).

    Where all weights are zero the draw is uniform.
    """
    cumulative = list(accumulate(weights))
    total = cumulative[-1]
    if total <= 0:
        choice = as_stream(rng).choice
        return [choice(items) for _ in range(n)]
    random, last = rng.random, len(items) - 1
    return [items[min(bisect_right(cumulative, random() * total), last)] for _ in range(n)]


def flip_genes(genotype: Genes, cardinalities: Sequence[int], rate: float, rng: Stream) -> Genes:
    """Return `genotype` with each gene set, with probability `rate`, to another value."""
    rng = as_stream(rng)
    draws = rng.randoms(len(genotype))
    if min(draws) >= rate:
        return genotype
    genes, other = list(genotype), rng.other
    for gene, draw in enumerate(draws):
        if draw < rate:
            genes[gene] = other(genes[gene], cardinalities[gene])
    return tuple(genes)


def reverse_genes(genotype: Genes, cardinalities: Sequence[int], n: int, rng: Stream) -> Genes:
    """Return `genotype` with exactly `n` genes (at most all), drawn at random, at other values."""
    genes, left, rng = list(genotype), list(range(len(genotype))), as_stream(rng)
    for _ in range(n):
        gene = left.pop(rng.below(len(left)))
        genes[gene] = rng.other(genes[gene], cardinalities[gene])
    return tuple(genes)


def step_genes(genotype: Genes, cardinalities: Sequence[int], rate: float, rng: Stream) -> Genes:
    """Return `genotype` with each gene moved, with probability `rate`, by +-1 with wrap-around."""
    rng = as_stream(rng)
    draws, genes = rng.randoms(len(genotype)), list(genotype)
    for gene, draw in enumerate(draws):
        if draw < rate:
            genes[gene] = (genes[gene] + 2 * rng.below(2) - 1) % cardinalities[gene]
    return tuple(genes)


def exchange_blocks(
    a: Genes, b: Genes, blocks: Sequence[slice], rate: float, rng: Stream
) -> tuple[Genes, Genes]:
    """Return both parents with each block exchanged, independently, with probability `rate`."""
    random = rng.random
    first: Genes = ()
    second: Genes = ()
    for block in blocks:
        if random() < rate:
            first += b[block]
            second += a[block]
        else:
            first += a[block]
            second += b[block]
    return first, second


def distinct(
    genotypes: Sequence[T],
    instead: Callable[[T], T],
    known: Container[T] = (),
    tries: int = _TRIES,
) -> list[T]:
    """Return the genotypes, those that are `known` or equal an earlier one replaced.

    `instead` of it is tried up to `tries` times; then it stays, whatever it is.
    """
    seen: set[T] = set()
    found: list[T] = []
    for genotype in genotypes:
        left = tries
        while left and (genotype in seen or genotype in known):
            genotype = instead(genotype)
            left -= 1
        seen.add(genotype)
        found.append(genotype)
    return found
