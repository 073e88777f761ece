"""What every search space offers: sampling, elementary mutation, checking and printing.

A genotype is immutable, hashable and made of plain numbers, strings and tuples, so that it can
be a dictionary key and be written as JSON.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from itertools import accumulate, chain
from typing import Any, ClassVar, Protocol, runtime_checkable

from nasbench_evo.errors import InputError
from nasbench_evo.files import canonical
from nasbench_evo.randomness import Stream, as_stream

Genotype = Any  # a nested tuple of plain values; each space says which

_LISTS = (list, tuple)
_MOST = 128  # mutations drawn at once: what is remembered of them grows with its square


def frozen(value: Any) -> Any:
    """Return lists as tuples, however deep: genotypes are hashable, and JSON has lists only."""
    if not isinstance(value, _LISTS):
        return value
    return tuple([frozen(one) if isinstance(one, _LISTS) else one for one in value])


class Space(ABC):
    """A set of genotypes and how they vary; `rng` is a Stream or a NumPy Generator."""

    name: ClassVar[str]

    @abstractmethod
    def sample(self, rng: Stream, n: int) -> list[Genotype]:
        """Return `n` genotypes, independent and uniform (or as the paper initialises)."""

    @abstractmethod
    def mutate(self, genotype: Genotype, rng: Stream) -> Genotype:
        """Return `genotype` after one elementary mutation; the result is valid and another one."""

    def mutate_steps(self, genotype: Genotype, steps: int, rng: Stream) -> Genotype:
        """Return `genotype` after `steps` elementary mutations, one after the other."""
        rng = as_stream(rng)
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


@runtime_checkable
class Integer(Protocol):
    """Its genes are integers, in blocks that crossover exchanges, with neighbours."""

    cardinalities: tuple[int, ...]
    blocks: tuple[slice, ...]

    def neighbours(self, genotype: Any) -> list[Any]:
        """Return every genotype that differs in exactly one gene."""


@runtime_checkable
class Relaxable(Protocol):
    """Its genotypes have relaxations: logits of each choice."""

    @property
    def alpha_shape(self) -> tuple[int, ...]:
        """The shape of one relaxation."""

    def discretize(self, alphas: Any) -> list[Any]:
        """Return the genotype of each relaxation; `alphas` is `[n, *alpha_shape]`."""


@runtime_checkable
class Duplicable(Protocol):
    """Its genotypes have blocks of layers that can be repeated."""

    def duplications(self, genotype: Any, rng: Stream, n: int) -> list[Any]:
        """Return up to `n` genotypes, each with one block of `genotype` repeated."""


def space_identity(space: Space) -> dict[str, Any]:
    """Return a space's name and parameters, as plain JSON."""
    derived = {"blocks", "cardinalities"}
    return {"name": space.name, **{k: v for k, v in vars(space).items() if k not in derived}}


class IntegerSpace(Space):
    """Fixed-length genotypes: gene i is an integer in 0..cardinalities[i]-1.

    `blocks` are the slices of genes that crossover exchanges as wholes.
    """

    cardinalities: tuple[int, ...]
    blocks: tuple[slice, ...]

    def sample(self, rng: Stream, n: int) -> list[tuple[int, ...]]:
        """Return `n` genotypes, each gene uniform and independent."""
        randoms, cardinalities = as_stream(rng).randoms, self.cardinalities
        genes = len(cardinalities)
        return [
            tuple([int(u * c) for u, c in zip(randoms(genes), cardinalities, strict=True)])
            for _ in range(n)
        ]

    def mutate(self, genotype: tuple[int, ...], rng: Stream) -> tuple[int, ...]:
        """Return `genotype` with one uniformly drawn gene set to another value."""
        genes = list(genotype)
        self.vary(genes, rng)  # which needs random() only, as a Generator has it, too
        return tuple(genes)

    def mutate_steps(self, genotype: tuple[int, ...], steps: int, rng: Stream) -> tuple[int, ...]:
        """Return `genotype` after `steps` elementary mutations, one after the other.

        More than two a gene are drawn together, so that there are at most 4 draws a gene; the
        distribution is the same. A subclass with a `vary` of its own goes step by step.
        """
        genes = list(genotype)
        # Mutations of different genes commute and each gene's value is a Markov chain of its own:
        # how many mutations hit each gene is all that counts, not their order.
        if type(self).vary is IntegerSpace.vary:
            while steps > 2 * len(genes):
                self._vary_together(genes, min(steps, _MOST), rng)
                steps -= min(steps, _MOST)
            self._vary_one_by_one(genes, steps, rng)
        else:
            for _ in range(steps):
                self.vary(genes, rng)
        return tuple(genes)

    def _vary_one_by_one(self, genes: list[int], steps: int, rng: Stream) -> None:
        """Make `steps` elementary mutations in place, in half the time of as many `vary`."""
        random, n, cardinalities = rng.random, len(genes), self.cardinalities
        for _ in range(steps):
            gene = int(random() * n)
            drawn = int(random() * (cardinalities[gene] - 1))
            genes[gene] = drawn if drawn < genes[gene] else drawn + 1

    def _vary_together(self, genes: list[int], steps: int, rng: Stream) -> None:
        """Make `steps` elementary mutations in place: how many hit each gene, then where it ends.

        The numbers of hits are multinomial: binomial in what the genes before have left.
        """
        random, cardinalities = rng.random, self.cardinalities
        last = len(genes) - 1
        for gene, cardinality in enumerate(cardinalities):
            hits = bisect(_hits(steps, last - gene + 1), random()) if gene < last else steps
            if not hits:
                continue
            steps -= hits
            unchanged, scale = _shift(cardinality, hits)
            u = random()
            if u >= unchanged:
                genes[gene] = (genes[gene] + 1 + int((u - unchanged) * scale)) % cardinality

    def vary(self, genes: list[int], rng: Stream) -> None:
        """Make one elementary mutation in place; a subclass changes all mutation here."""
        self._vary_one_by_one(genes, 1, rng)

    @cached_property
    def size(self) -> int:
        """Number of genotypes."""
        return math.prod(self.cardinalities)

    def index(self, genotype: Any) -> int:
        """Return a genotype's row in tables, 0..size-1: the first gene counts most."""
        position = 0
        for gene, cardinality in zip(genotype, self.cardinalities, strict=True):
            position = position * cardinality + gene
        return position

    def from_index(self, index: int) -> Any:
        """Return the genotype of row `index`; raise InputError outside 0..size-1."""
        if not 0 <= index < self.size:
            raise InputError(f"A {self.name} index is 0..{self.size - 1}; got {index}.")
        genes = []
        for cardinality in reversed(self.cardinalities):
            index, gene = divmod(index, cardinality)
            genes.append(gene)
        return tuple(reversed(genes))

    def poorest(self) -> tuple[int, ...]:
        """Return the all-zero genotype."""
        return (0,) * len(self.cardinalities)

    def draw(self, genotype: Any) -> str:
        """Return the genotype as text for people; a space of graphs shows its graph."""
        return self.format(genotype)

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
        cardinalities = self.cardinalities
        listed = type(genotype) is tuple or isinstance(genotype, Sequence)
        if listed and len(genotype) == len(cardinalities):
            for value, cardinality in zip(genotype, cardinalities, strict=True):
                if type(value) is not int or not 0 <= value < cardinality:
                    break
            else:
                return tuple(genotype)
        raise InputError(
            f"A {self.name} genotype is {len(cardinalities)} integers below {cardinalities}; got "
            f"{genotype!r}."
        )

    def encode(self, genotypes: Iterable[tuple[int, ...]]) -> bytes:
        """Return one byte a gene (every cardinality is below 256)."""
        return bytes(chain.from_iterable(genotypes))


@lru_cache(maxsize=16384)
def _hits(steps: int, genes: int) -> list[float]:
    """Return P(at most i of `steps` uniform draws among `genes` are the first), i < `steps`.

    Whole numbers until the last division, so that every platform has the same values.
    """
    weights = [(genes - 1) ** steps]  # C(n, i) (genes - 1)^(n - i), with n = steps
    for i in range(steps - 1):
        weights.append(weights[-1] * (steps - i) // ((i + 1) * (genes - 1)))
    total = genes**steps
    return [weight / total for weight in accumulate(weights)]


@lru_cache(maxsize=16384)
def _shift(cardinality: int, hits: int) -> tuple[float, float]:
    """Return P(a value is what it was) after `hits` times another one, and what scales the rest.

    With c values that is 1/c + (1 - 1/c) (-1/(c - 1))^hits; all other values are alike. The scale
    maps a uniform number above it onto 0..c-2.
    """
    others = cardinality - 1
    # The chain steps to each other value alike: its eigenvalues are 1 and -1/(c - 1). All whole
    # numbers until the division.
    unchanged = (others**hits + others * (-1) ** hits) / (cardinality * others**hits)
    return unchanged, others / (1 - unchanged) if unchanged < 1 else 0.0
