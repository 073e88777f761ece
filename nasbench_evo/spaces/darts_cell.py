"""The DARTS cell space (Liu et al. 2019, Section 2.1), in which EG-NAS searches (its Section 4.1).

Two cells, normal and reduction, of 4 nodes each. The states of a cell are its two inputs and its
nodes: 0 is the output of the cell before the previous one, 1 that of the previous one, 2+k is node
k. Node k adds two operations on two different earlier states; the 4 nodes, concatenated, are the
cell's output.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.errors import InputError, unknown
from nasbench_evo.spaces.base import IntegerSpace

OPERATIONS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
CELL_TYPES = ("normal", "reduction")
NODES = 4
EDGES = tuple((j, k) for k in range(NODES) for j in range(k + 2))  # (state, node), in alpha's order
# The pairs of states that node k chooses from, in the order of its pair gene.
PAIRS = tuple(tuple(combinations(range(k + 2), 2)) for k in range(NODES))

_KEYS = {"normal": "normal", "reduction": "reduce"}  # what the published text calls a cell type
_GENES = re.compile(r"\d{1,3}(,\d{1,3})*", re.ASCII)
_TERM = r"\(['\"]\w+['\"],\d{1,3}\)"
_PUBLISHED = re.compile(
    # Spaces are removed before. A log line has a time and a name in front.
    rf"(?:[\w/:.,-]*=)?Genotype\(normal=\[({_TERM}(?:,{_TERM})*),?\],normal_concat=([^=]*),"
    rf"reduce=\[({_TERM}(?:,{_TERM})*),?\],reduce_concat=([^=]*?),?\)",
    re.ASCII,
)
_CONCATENATIONS = ("range(2,6)", "[2,3,4,5]", "(2,3,4,5)")

Genes = tuple[int, ...]
Node = tuple[int, int, int, int]  # state a, state b, operation a, operation b


class DartsCell(IntegerSpace):
    """Genotypes are the genes of the nodes of the normal and of the reduction cell.

    A node's genes are (pair, operation a, operation b): `pair` numbers the two states i < j that
    node k chooses among 0..k+1, in lexicographic order; gene g of an operation is
    `OPERATIONS[g + 1]` (never none), a's applied to i and b's to j. Node 0, with one pair, has no
    pair gene: 22 genes in all. Crossover blocks are the nodes.

    Relaxations weigh all 8 operations, or 7 without `none` (EG-NAS's published code); genotypes
    are the same.
    """

    name: ClassVar[str] = "darts_cell"
    with_none: bool = True

    def __init__(self, with_none: bool = True) -> None:
        if not with_none:
            self.with_none = False  # the default is no part of a space's identity
        blocks: list[slice] = []
        cardinalities: list[int] = []
        for _ in CELL_TYPES:
            for pairs in PAIRS:
                start = len(cardinalities)
                cardinalities += [len(pairs)] if len(pairs) > 1 else []
                cardinalities += [len(OPERATIONS) - 1] * 2
                blocks.append(slice(start, len(cardinalities)))
        self.blocks = tuple(blocks)
        self.cardinalities = tuple(cardinalities)

    def describe(self, genotype: Genes) -> dict[str, list[Node]]:
        """Return each cell type's nodes: (state a, state b, operation a, operation b).

        Operations are indices into `OPERATIONS`, 1..7.
        """
        described: list[Node] = []
        for i, block in enumerate(self.blocks):
            *pair, gene_a, gene_b = genotype[block]
            a, b = PAIRS[i % NODES][pair[0] if pair else 0]
            described.append((a, b, gene_a + 1, gene_b + 1))
        return {"normal": described[:NODES], "reduction": described[NODES:]}

    def poorest(self) -> Genes:
        """Return the genotype whose nodes add the cell's two inputs unchanged."""
        skip = OPERATIONS.index("skip_connect")
        return self._genes(dict.fromkeys(CELL_TYPES, [(0, 1, skip, skip)] * NODES))

    def _genes(self, cells: Mapping[str, Sequence[Node]]) -> Genes:
        """Return the genotype of described cells: the inverse of `describe`."""
        genes: list[int] = []
        for cell_type in CELL_TYPES:
            for pairs, (a, b, operation_a, operation_b) in zip(
                PAIRS, cells[cell_type], strict=True
            ):
                genes += [pairs.index((a, b))] if len(pairs) > 1 else []
                genes += [operation_a - 1, operation_b - 1]
        return tuple(genes)

    @property
    def alpha_shape(self) -> tuple[int, int, int]:
        """Shape of a relaxation: (cell types, edges, operations)."""
        return len(CELL_TYPES), len(EDGES), len(self.operations)

    @property
    def edge_shape(self) -> tuple[int, int]:
        """Shape of the logits that weigh the edges into each node: (cell types, edges)."""
        return len(CELL_TYPES), len(EDGES)

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations that a relaxation weighs."""
        return OPERATIONS if self.with_none else OPERATIONS[1:]

    def discretize(
        self, alphas: NDArray[np.float64], edges: NDArray[np.float64] | None = None
    ) -> list[Genes]:
        """Return the genotype of each relaxation; `alphas` are logits [n, *alpha_shape].

        An edge is as strong as its best operation but none, after the softmax over all; times its
        own share of a node, the softmax of the logits `edges` [n, *edge_shape] over the edges into
        it, where those are given (PC-DARTS). A node keeps its 2 strongest edges (the earlier of
        equals), each with that operation. Raises InputError for another shape.
        """
        if alphas.ndim != 4 or alphas.shape[1:] != self.alpha_shape:
            raise InputError(
                f"A {self.name} relaxation is [n, {', '.join(map(str, self.alpha_shape))}]; "
                f"got {list(alphas.shape)}."
            )
        # The logarithm of the softmax keeps the order where the softmax itself rounds to 0 or 1.
        shifted = alphas - alphas.max(axis=-1, keepdims=True)
        first = int(self.with_none)  # of the operations that an edge may keep
        strengths = shifted[..., first:].max(axis=-1) - np.log(np.exp(shifted).sum(axis=-1))
        operations = alphas[..., first:].argmax(axis=-1) + 1
        if edges is not None:
            strengths = strengths + self._log_shares(edges, len(alphas))
        return [
            self._genes(
                {
                    cell_type: _strongest(strengths[i, c], operations[i, c])
                    for c, cell_type in enumerate(CELL_TYPES)
                }
            )
            for i in range(len(alphas))
        ]

    def _log_shares(self, edges: NDArray[np.float64], n: int) -> NDArray[np.float64]:
        """Return the logarithm of each edge's share of its node, of logits [n, *edge_shape]."""
        if edges.shape != (n, *self.edge_shape):
            raise InputError(
                f"The edges of {n} {self.name} relaxations are [{n}, "
                f"{', '.join(map(str, self.edge_shape))}]; got {list(edges.shape)}."
            )
        shares = []
        for logits in np.split(edges, np.cumsum([k + 2 for k in range(NODES - 1)]), axis=-1):
            shifted = logits - logits.max(axis=-1, keepdims=True)
            shares.append(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))
        return np.concatenate(shares, axis=-1)

    def weights(self, genotype: Genes) -> NDArray[np.float64]:
        """Return the genotype as a mixture: 0 and 1, [*alpha_shape].

        An edge that no node keeps has all its weight on none, or is 0 where there is no none.
        `discretize` gives the genotype back.
        """
        weights = np.zeros((len(CELL_TYPES), len(EDGES), len(OPERATIONS)))
        weights[..., 0] = 1.0
        for c, nodes in enumerate(self.describe(genotype).values()):
            for k, (a, b, operation_a, operation_b) in enumerate(nodes):
                for state, operation in ((a, operation_a), (b, operation_b)):
                    weights[c, EDGES.index((state, k)), [0, operation]] = 0.0, 1.0
        return weights if self.with_none else weights[..., 1:]

    def format(self, genotype: Genes) -> str:
        """Return the text in which DARTS and its successors publish genotypes."""
        parts = []
        for cell_type, nodes in self.describe(genotype).items():
            terms = [
                f"('{OPERATIONS[operation]}', {state})"
                for a, b, operation_a, operation_b in nodes
                for state, operation in ((a, operation_a), (b, operation_b))
            ]
            key = _KEYS[cell_type]
            parts.append(f"{key}=[{', '.join(terms)}], {key}_concat=range(2, 6)")
        return f"Genotype({', '.join(parts)})"

    def parse(self, text: str) -> Genes:
        """Return the genotype that `text` spells: the published text, or its genes with commas.

        The published text may start with 'name = ', as a log line does with a time, and a node's
        two terms come in either order. Raises InputError for anything else.
        """
        text = "".join(text.split())
        if _GENES.fullmatch(text):
            return self.validate([int(gene) for gene in text.split(",")])
        match = _PUBLISHED.fullmatch(text)
        if match is None:
            raise InputError(
                f"Not a {self.name} genotype: {text!r}. Accepted: the published text "
                f"{self.format(self.poorest())!r}, or its {len(self.cardinalities)} genes "
                "separated by commas."
            )
        normal, normal_concatenation, reduction, reduction_concatenation = match.groups()
        for concatenation in (normal_concatenation, reduction_concatenation):
            if concatenation not in _CONCATENATIONS:
                raise InputError(
                    f"A {self.name} cell concatenates all its nodes: range(2, 6) or [2, 3, 4, 5]; "
                    f"got {concatenation}."
                )
        return self._genes(
            {"normal": _nodes("normal", normal), "reduction": _nodes("reduce", reduction)}
        )

    def draw(self, genotype: Genes) -> str:
        """Return the cells as text, one line a node and one for the output."""
        states = ["input 0", "input 1", *(f"node {k}" for k in range(NODES))]
        lines = []
        for cell_type, nodes in self.describe(genotype).items():
            lines.append(f"{cell_type} cell")
            lines += [
                f"  node {k}: {OPERATIONS[operation_a]}({states[a]}) + "
                f"{OPERATIONS[operation_b]}({states[b]})"
                for k, (a, b, operation_a, operation_b) in enumerate(nodes)
            ]
            lines.append(f"  output: concatenate({', '.join(states[2:])})")
        return "\n".join(lines)


def _strongest(strengths: NDArray[np.float64], operations: NDArray[np.intp]) -> list[Node]:
    """Return the nodes of one cell from the strength and the operation of its 14 edges."""
    nodes: list[Node] = []
    start = 0
    for k in range(NODES):
        order = np.argsort(-strengths[start : start + k + 2], kind="stable")
        a, b = sorted(order[:2].tolist())
        nodes.append((a, b, int(operations[start + a]), int(operations[start + b])))
        start += k + 2
    return nodes


def _nodes(key: str, text: str) -> list[Node]:
    """Return the nodes of one cell of the published text, spaces removed."""
    terms = [
        (int(state), operation)
        for operation, state in re.findall(r"\(['\"](\w+)['\"],(\d+)\)", text, re.ASCII)
    ]
    if len(terms) != 2 * NODES:
        raise InputError(f"{key} needs {2 * NODES} terms, 2 a node; got {len(terms)}.")
    nodes: list[Node] = []
    for k in range(NODES):
        (a, name_a), (b, name_b) = sorted(terms[2 * k : 2 * k + 2])
        if (a, b) not in PAIRS[k]:
            raise InputError(
                f"Node {k} of {key} takes two different states of 0..{k + 1}; got {a} and {b}."
            )
        for operation in (name_a, name_b):
            if operation not in OPERATIONS[1:]:
                raise unknown("operation", operation, OPERATIONS[1:])
        nodes.append((a, b, OPERATIONS.index(name_a), OPERATIONS.index(name_b)))
    return nodes
