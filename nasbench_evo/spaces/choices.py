"""Any space of a fixed number of choices: what a table of one's own, or of hyper-parameters, has.

A gene is a choice among values. Where the values are ordered, an elementary mutation takes a step
to a neighbouring value; elsewhere it takes any other value.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo import names as names_
from nasbench_evo.errors import InputError, unknown
from nasbench_evo.randomness import Stream
from nasbench_evo.spaces.base import IntegerSpace

_MOST_CHOICES = 255  # a gene is a byte in trace hashes
_MOST_GENOTYPES = 10_000_000  # rows of a table
_KEYS = {"name", "genes", "blocks", "printed", "edges", "metric", "missing"}
_GENE_KEYS = {"name", "choices", "ordered"}

Value = str | int | float


@dataclass(frozen=True)
class Gene:
    """One choice: its name, its values, and whether their order means something."""

    name: str
    choices: tuple[Value, ...]
    ordered: bool = False


class Choices(IntegerSpace):
    """Genotypes are tuples of positions in each gene's choices.

    The printed form is `gene=value,gene=value` in any order, or `printed`, which names each gene
    once in braces: "{stem}-{width}". `edges` are (source, target) of each gene in a graph whose
    nodes are numbered, for drawing. Raises InputError for genes that make no space. Where all genes
    have equally many choices the space has relaxations, [genes, choices].
    """

    def __init__(
        self,
        name: str,
        genes: Sequence[Gene],
        blocks: Sequence[int] | None = None,
        printed: str | None = None,
        edges: Sequence[Sequence[int]] | None = None,
    ) -> None:
        """`blocks` are the numbers of genes that crossover exchanges as wholes (default: one)."""
        sizes = [1] * len(genes) if blocks is None else list(blocks)
        _check(name, genes, sizes)
        self.name = name  # type: ignore[misc]  # of an instance: there is no class a space
        self.genes = tuple(genes)
        self.cardinalities = tuple(len(gene.choices) for gene in genes)
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        self.blocks = tuple(slice(a, a + n) for a, n in zip(starts, sizes, strict=True))
        self._positions = [
            {_text(value): i for i, value in enumerate(gene.choices)} for gene in genes
        ]
        self.printed = printed
        self._pattern = None if printed is None else _pattern(printed, self.genes)
        self.edges = None if edges is None else _edges(edges, len(genes))
        if self.size > _MOST_GENOTYPES:
            raise InputError(f"{name} has {self.size} genotypes; {_MOST_GENOTYPES} are the most.")
        if len(set(self.cardinalities)) == 1:
            self.alpha_shape = (len(genes), self.cardinalities[0])
            self.discretize = _discretize

    def __eq__(self, other: object) -> bool:
        """Two spaces are the same if their content is."""
        return isinstance(other, Choices) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        """Hash by content."""
        return hash((self.name, self.genes))

    def vary(self, genes: list[int], rng: Stream) -> None:
        """Change one uniformly drawn gene: a step where its values are ordered, any other else."""
        gene = int(rng.random() * len(genes))
        value, last = genes[gene], self.cardinalities[gene] - 1
        if not self.genes[gene].ordered:
            drawn = int(rng.random() * last)
            genes[gene] = drawn if drawn < value else drawn + 1
        elif value in (0, last):
            genes[gene] = 1 if value == 0 else last - 1
        else:
            genes[gene] = value + (1 if rng.random() < 0.5 else -1)

    def neighbours(self, genotype: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Return every genotype that one elementary mutation can make, in gene and value order."""
        return [
            other
            for other in super().neighbours(genotype)
            if all(
                a == b or not gene.ordered or abs(a - b) == 1
                for a, b, gene in zip(genotype, other, self.genes, strict=True)
            )
        ]

    def format(self, genotype: tuple[int, ...]) -> str:
        """Return `gene=value` for each gene, with commas; or the space's own printed form."""
        pairs = zip(self.genes, genotype, strict=True)
        if self.printed is not None:
            text = self.printed
            for gene, i in pairs:
                text = text.replace("{" + gene.name + "}", _text(gene.choices[i]))
            return text
        return ",".join(f"{gene.name}={_text(gene.choices[i])}" for gene, i in pairs)

    def parse(self, text: str) -> tuple[int, ...]:
        """Return the genotype of a printed form; raise InputError naming what is wrong."""
        if self._pattern is not None and (match := self._pattern.fullmatch(text.strip())):
            found = [match[f"g{i}"] for i in range(len(self.genes))]
            return tuple(self.position(i, value) for i, value in enumerate(found))
        values = {}
        for part in text.strip().split(","):
            name, equals, value = part.partition("=")
            if not equals or name.strip() in values:
                raise InputError(self._expected(text))
            values[name.strip()] = value.strip()
        if set(values) != {gene.name for gene in self.genes}:
            raise InputError(self._expected(text))
        return tuple(self.position(i, values[gene.name]) for i, gene in enumerate(self.genes))

    def position(self, gene: int, value: Any) -> int:
        """Return the position of a value among a gene's choices; InputError if it is none."""
        found = self._positions[gene].get(_text(value))
        if found is None:
            raise unknown(f"{self.genes[gene].name}", _text(value), self._positions[gene])
        return found

    def _expected(self, text: str) -> str:
        return f"Not a {self.name} genotype: {text!r}. Expected {self.format(self.poorest())!r}."

    def to_json(self) -> dict[str, Any]:
        """Return the space as plain JSON; `of_content` makes it again."""
        genes = [
            {"name": g.name, "choices": list(g.choices), "ordered": g.ordered} for g in self.genes
        ]
        blocks = [block.stop - block.start for block in self.blocks]
        content: dict[str, Any] = {"name": self.name, "genes": genes, "blocks": blocks}
        if self.printed is not None:  # what is not given must not change older tables
            content["printed"] = self.printed
        if self.edges is not None:
            content["edges"] = [list(edge) for edge in self.edges]
        return content


def of_content(content: Any, origin: str) -> Choices:
    """Return the space of a space.toml's content; raise InputError naming `origin` and the key."""
    try:
        for key in sorted(set(content) - _KEYS):
            raise unknown("key", key, _KEYS)
        genes = []
        for gene in content["genes"]:
            for key in sorted(set(gene) - _GENE_KEYS):
                raise unknown("key", key, _GENE_KEYS)
            ordered = gene.get("ordered", False)
            if type(ordered) is not bool:
                raise InputError(f"ordered is true or false; got {ordered!r}.")
            genes.append(Gene(str(gene["name"]), tuple(gene["choices"]), ordered))
        return Choices(
            str(content["name"]),
            genes,
            content.get("blocks"),
            content.get("printed"),
            content.get("edges"),
        )
    except InputError as error:
        raise InputError(f"{origin}: {error}") from error
    except KeyError as error:
        raise InputError(f"{origin}: the key {error} is missing.") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{origin}: expected name and [[genes]] with choices: {error}.") from error


def read(path: Path) -> dict[str, Any]:
    """Return the content of a space.toml; raise InputError where it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check the path.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no TOML file: {error}.") from error


def _check(name: str, genes: Sequence[Gene], blocks: Sequence[int]) -> None:
    names_.checked("a space's name", name)
    for gene in genes:
        names_.checked("a gene's name", gene.name)
        for text in map(_text, gene.choices):
            names_.checked(f"a choice of {gene.name}", text)
    names = [gene.name for gene in genes]
    if not genes or len(set(names)) < len(names):
        raise InputError(f"{name} needs genes of different names; got {names}.")
    for gene in genes:
        texts = {_text(value) for value in gene.choices}
        plain = all(type(value) in (str, int, float) for value in gene.choices)
        odd = any(mark in f"{gene.name}{''.join(texts)}" for mark in ",=")
        if not plain or odd or len(texts) < len(gene.choices):
            raise InputError(f"{gene.name}: choices are different texts or numbers without , or =.")
        if not 2 <= len(gene.choices) <= _MOST_CHOICES:
            raise InputError(f"{gene.name} needs 2 to {_MOST_CHOICES} choices.")
    if any(type(n) is not int or n < 1 for n in blocks) or sum(blocks) != len(genes):
        raise InputError(f"blocks are numbers of genes, {len(genes)} in all; got {list(blocks)}.")


def _pattern(printed: Any, genes: Sequence[Gene]) -> re.Pattern[str]:
    """Return what reads a printed form; raise InputError for one that cannot be read back."""
    names = re.findall(r"\{([^{}]*)\}", printed) if isinstance(printed, str) else []
    if sorted(names) != sorted(gene.name for gene in genes):
        expected = " ".join(f"{{{gene.name}}}" for gene in genes)
        raise InputError(f"printed names each gene once in braces: {expected}; got {printed!r}.")
    places = {gene.name: i for i, gene in enumerate(genes)}
    pattern = ""
    for number, part in enumerate(re.split(r"\{[^{}]*\}", printed)):
        if number and not part and number < len(names):  # the next gene follows at once
            lengths = {len(_text(value)) for value in genes[places[names[number - 1]]].choices}
            if len(lengths) > 1:
                raise InputError(
                    f"printed has {{{names[number - 1]}}} right before another gene, and its "
                    "choices have different lengths: put something between them."
                )
        pattern += re.escape(part)
        if number < len(names):
            i = places[names[number]]
            texts = sorted(map(_text, genes[i].choices), key=len, reverse=True)
            pattern += f"(?P<g{i}>{'|'.join(map(re.escape, texts))})"
    return re.compile(pattern)


def _edges(edges: Any, n: int) -> tuple[tuple[int, int], ...]:
    """Return the edges of a graph, one a gene; raise InputError where they are none."""
    plain = isinstance(edges, list | tuple) and all(
        isinstance(edge, list | tuple) and len(edge) == 2 and all(type(x) is int for x in edge)
        for edge in edges
    )
    if not plain or len(edges) != n or not all(0 <= a < b for a, b in edges):
        raise InputError(
            f"edges are [source, target] with 0 <= source < target, one a gene ({n}); got "
            f"{edges!r}."
        )
    return tuple((a, b) for a, b in edges)


def _text(value: Any) -> str:
    """Return a value as it is printed: 16, 16.0 and '16' are one."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return str(value).strip()
    return f"{int(number)}" if number.is_integer() and abs(number) < 1e15 else f"{number!r}"


def _discretize(alphas: NDArray[np.float64]) -> list[tuple[int, ...]]:
    """Return the argmax choice of each gene; `alphas` is [n, genes, choices]."""
    return list(map(tuple, alphas.argmax(axis=2).tolist()))
