"""Selection, crossover and mutation: pure functions that take their randomness."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar

from nasbench_evo.randomness import Stream
from nasbench_evo.requests import Evaluation

T = TypeVar("T")
Genes = tuple[int, ...]


def tournament(population: Sequence[Evaluation], size: int, rng: Stream) -> Evaluation:
    """Return the fittest of `size` individuals drawn without replacement (Real et al. 2019)."""
    n = len(population)
    if size >= n:
        return max(population, key=_fitness)
    random = rng.random
    drawn: list[int] = []
    best: Evaluation | None = None
    while len(drawn) < size:
        i = int(random() * n)
        if i not in drawn:
            drawn.append(i)
            individual = population[i]
            if best is None or individual[1] > best[1]:
                best = individual
    return best  # type: ignore[return-value]  # size >= 1 is checked by the hyper-parameter


def _fitness(individual: Evaluation) -> float:
    return individual.valid_accuracy


def roulette(items: Sequence[T], weights: Sequence[float], n: int, rng: Stream) -> list[T]:
    """Return `n` items drawn with replacement, probability proportional to weight (>= 0).

    Where all weights are zero the draw is uniform.
    """
    cumulative = list(accumulate(weights))
    total = cumulative[-1]
    if total <= 0:
        return [rng.choice(items) for _ in range(n)]
    random, last = rng.random, len(items) - 1
    return [items[min(bisect_right(cumulative, random() * total), last)] for _ in range(n)]


def flip_genes(genotype: Genes, cardinalities: Sequence[int], rate: float, rng: Stream) -> Genes:
    """Return `genotype` with each gene set, with probability `rate`, to another value."""
    random, other = rng.random, rng.other
    return tuple(
        [
            other(value, cardinality) if random() < rate else value
            for value, cardinality in zip(genotype, cardinalities, strict=True)
        ]
    )


def step_genes(genotype: Genes, cardinalities: Sequence[int], rate: float, rng: Stream) -> Genes:
    """Return `genotype` with each gene moved, with probability `rate`, by +-1 with wrap-around."""
    random = rng.random
    return tuple(
        [
            (value + (1 if random() < 0.5 else -1)) % cardinality if random() < rate else value
            for value, cardinality in zip(genotype, cardinalities, strict=True)
        ]
    )


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
