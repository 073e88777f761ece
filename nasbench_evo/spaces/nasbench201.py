"""The NAS-Bench-201 cell (Dong and Yang 2020): 6 edges, 5 operations, 15,625 genotypes."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.errors import InputError
from nasbench_evo.spaces.base import IntegerSpace

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # (source, target), in gene order
SIZE = len(OPERATIONS) ** len(EDGES)

_NODE = re.compile(r"\|(?:[a-z0-9_]+~\d\|)+")
_ACCEPTED = (
    "a published string such as '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|none~2|', "
    "six operation digits 0-4 in edge order such as '333103', or '#' and an index 0-15624"
)

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
        """Return the position 0..15624 of a cell: its digits read in base 5."""
        a, b, c, d, e, f = genotype
        return ((((a * 5 + b) * 5 + c) * 5 + d) * 5 + e) * 5 + f

    def from_index(self, index: int) -> Cell:
        """Return the cell at position `index`; raise InputError outside 0..15624."""
        if not 0 <= index < SIZE:
            raise InputError(f"A cell index is 0..{SIZE - 1}; got {index}.")
        digits = np.unravel_index(index, self.cardinalities)
        a, b, c, d, e, f = (int(digit) for digit in digits)
        return a, b, c, d, e, f

    def parse(self, text: str) -> Cell:
        """Return the cell that `text` spells: published string, six digits, or '#index'."""
        text = text.strip()
        if text.startswith("|"):
            return self._parse_published(text)
        if re.fullmatch(r"[0-4]{6}", text, re.ASCII):
            a, b, c, d, e, f = map(int, text)
            return a, b, c, d, e, f
        if re.fullmatch(r"#\d{1,5}|\d{1,5}", text, re.ASCII):
            return self.from_index(int(text.removeprefix("#")))
        raise InputError(f"Not a NAS-Bench-201 cell: {text!r}. Accepted: {_ACCEPTED}.")

    def _parse_published(self, text: str) -> Cell:
        nodes = text.split("+")
        if len(nodes) != 3 or not all(_NODE.fullmatch(node) for node in nodes):
            raise InputError(f"Not a NAS-Bench-201 cell: {text!r}. Accepted: {_ACCEPTED}.")
        genes: list[int] = []
        for target, node in enumerate(nodes, start=1):
            entries = [entry.split("~") for entry in node.strip("|").split("|")]
            if [int(source) for _, source in entries] != list(range(target)):
                raise InputError(
                    f"Node {target} of {text!r} needs the inputs {list(range(target))} in order; "
                    f"got {[source for _, source in entries]}."
                )
            for operation, _ in entries:
                if operation not in OPERATIONS:
                    raise InputError(
                        f"Unknown operation {operation!r} in {text!r}. "
                        f"Known: {', '.join(OPERATIONS)}."
                    )
                genes.append(OPERATIONS.index(operation))
        a, b, c, d, e, f = genes
        return a, b, c, d, e, f

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
