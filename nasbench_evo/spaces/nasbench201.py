"""The NAS-Bench-201 cell (Dong and Yang 2020): 6 edges, 5 operations, 15,625 genotypes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.errors import InputError
from nasbench_evo.spaces.base import IntegerSpace

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # (source, target), in gene order
SIZE = len(OPERATIONS) ** len(EDGES)

Cell = tuple[int, int, int, int, int, int]


class NASBench201(IntegerSpace):
    """Genotypes are tuples of 6 operation numbers, one per edge of `EDGES`.

    Crossover blocks are the nodes: genes (0), (1, 2), (3, 4, 5).
    """

    name: ClassVar[str] = "nasbench201"
    cardinalities = (len(OPERATIONS),) * len(EDGES)
    blocks = (slice(0, 1), slice(1, 3), slice(3, 6))
    operations = OPERATIONS

    def validate(self, genotype: Any) -> Cell:
        """Return `genotype` as a tuple of 6 operation numbers, or raise InputError."""
        a, b, c, d, e, f = super().validate(genotype)
        return a, b, c, d, e, f

    def index(self, genotype: Cell) -> int:
        """Return a cell's row in tables, 0..15624: its digits in base 5, not the official index."""
        a, b, c, d, e, f = genotype
        return ((((a * 5 + b) * 5 + c) * 5 + d) * 5 + e) * 5 + f

    def from_index(self, index: int) -> Cell:
        """Return the cell of row `index` (base 5); raise InputError outside 0..15624."""
        if not 0 <= index < SIZE:
            raise InputError(f"A cell index is 0..{SIZE - 1}; got {index}.")
        digits = np.unravel_index(index, self.cardinalities)
        a, b, c, d, e, f = (int(digit) for digit in digits)
        return a, b, c, d, e, f

    def parse(self, text: str) -> Cell:
        """Return the cell that `text` spells; see `spellings` for what is accepted."""
        from nasbench_evo.spaces import spellings  # reads this module

        return spellings.parse(text)

    def format(self, genotype: Cell) -> str:
        """Return the published string of a cell."""
        nodes: dict[int, str] = {1: "|", 2: "|", 3: "|"}
        for gene, (source, target) in zip(genotype, EDGES, strict=True):
            nodes[target] += f"{OPERATIONS[gene]}~{source}|"
        return "+".join(nodes.values())

    def draw(self, genotype: Cell) -> str:
        """Return the cell as text, one line a node, strongest reading order first."""
        lines = ["node 0: cell input"]
        for node in (1, 2, 3):
            terms = [
                f"{OPERATIONS[gene]}(node {source})"
                for gene, (source, target) in zip(genotype, EDGES, strict=True)
                if target == node and OPERATIONS[gene] != "none"
            ]
            lines.append(f"node {node}: {' + '.join(terms) or 'zero'}")
        lines[-1] += "  = cell output"
        return "\n".join(lines)

    def discretize(self, alphas: NDArray[np.float64]) -> list[Cell]:
        """Return the per-edge argmax cell of each relaxation; `alphas` is [n, 6, 5]."""
        return list(map(tuple, alphas.argmax(axis=2).tolist()))

    @property
    def alpha_shape(self) -> tuple[int, int]:
        """Shape of a relaxation of one cell: (edges, operations)."""
        return len(EDGES), len(OPERATIONS)
