"""What every search space offers: sampling, elementary mutation, checking and printing.

A genotype is immutable, hashable and made of plain numbers, strings and tuples, so that it can
be a dictionary key and be written as JSON.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, ClassVar

from nasbench_evo.errors import InputError
from nasbench_evo.files import canonical
from nasbench_evo.randomness import Stream

Genotype = Any  # a nested tuple of plain values; each space says which


class Space(ABC):
    """A set of genotypes and how they vary."""

    name: ClassVar[str]

    @abstractmethod
    def sample(self, rng: Stream, n: int) -> list[Genotype]:
        """Return `n` genotypes, independent and uniform (or as the paper initialises)."""

    @abstractmethod
    def mutate(self, genotype: Genotype, rng: Stream) -> Genotype:
        """Return `genotype` after one elementary mutation; the result is valid and another one."""

    def mutate_steps(self, genotype: Genotype, steps: int, rng: Stream) -> Genotype:
        """Return `genotype` after `steps` elementary mutations, one after the other."""
        for _ in range(steps):
            genotype = self.mutate(genotype, rng)
        return genotype

    @abstractmethod
    def poorest(self) -> Genotype:
        """Return the simplest genotype, from which EIGEN and the naive Genetic CNN start."""

    @abstractmethod
    def validate(self, genotype: Any) -> Genotype:
        """Return `genotype` in canonical form (JSON lists become tuples), or raise InputError."""

    @abstractmethod
    def parse(self, text: str) -> Genotype:
        """Return the genotype that `text` spells; raise InputError naming the accepted forms."""

    @abstractmethod
    def format(self, genotype: Genotype) -> str:
        """Return the printed form; `parse(format(g)) == g`."""

    def encode(self, genotypes: Iterable[Genotype]) -> bytes:
        """Return the canonical bytes of a sequence of genotypes, as trace hashes use them."""
        return canonical(list(genotypes)).encode()


class IntegerSpace(Space):
    """Fixed-length genotypes: gene i is an integer in 0..cardinalities[i]-1.

    `blocks` are the slices of genes that crossover exchanges as wholes.
    """

    cardinalities: tuple[int, ...]
    blocks: tuple[slice, ...]

    def sample(self, rng: Stream, n: int) -> list[tuple[int, ...]]:
        """Return `n` genotypes, each gene uniform and independent."""
        randoms, cardinalities = rng.randoms, self.cardinalities
        genes = len(cardinalities)
        return [
            tuple([int(u * c) for u, c in zip(randoms(genes), cardinalities, strict=True)])
            for _ in range(n)
        ]

    def mutate(self, genotype: tuple[int, ...], rng: Stream) -> tuple[int, ...]:
        """Return `genotype` with one uniformly drawn gene set to another value."""
        genes = list(genotype)
        self.vary(genes, rng)
        return tuple(genes)

    def mutate_steps(self, genotype: tuple[int, ...], steps: int, rng: Stream) -> tuple[int, ...]:
        """Return `genotype` after `steps` elementary mutations, one after the other."""
        genes = list(genotype)
        for _ in range(steps):
            self.vary(genes, rng)
        return tuple(genes)

    def vary(self, genes: list[int], rng: Stream) -> None:
        """Make one elementary mutation in place; a subclass changes all mutation here."""
        random = rng.random
        gene = int(random() * len(genes))
        drawn = int(random() * (self.cardinalities[gene] - 1))
        genes[gene] = drawn if drawn < genes[gene] else drawn + 1

    def poorest(self) -> tuple[int, ...]:
        """Return the all-zero genotype."""
        return (0,) * len(self.cardinalities)

    def neighbours(self, genotype: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Return every genotype that differs in exactly one gene, in gene and value order."""
        return [
            (*genotype[:gene], value, *genotype[gene + 1 :])
            for gene, cardinality in enumerate(self.cardinalities)
            for value in range(cardinality)
            if value != genotype[gene]
        ]

    def validate(self, genotype: Any) -> tuple[int, ...]:
        """Return `genotype` as a tuple of integers, or raise InputError."""
        expected = f"{len(self.cardinalities)} integers below {self.cardinalities}"
        if not isinstance(genotype, Sequence) or len(genotype) != len(self.cardinalities):
            raise InputError(f"A {self.name} genotype is {expected}; got {genotype!r}.")
        for value, cardinality in zip(genotype, self.cardinalities, strict=True):
            if type(value) is not int or not 0 <= value < cardinality:
                raise InputError(f"A {self.name} genotype is {expected}; got {genotype!r}.")
        return tuple(genotype)

    def encode(self, genotypes: Iterable[tuple[int, ...]]) -> bytes:
        """Return one byte a gene (every cardinality is below 256)."""
        return bytes(chain.from_iterable(genotypes))
