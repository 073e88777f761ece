"""The cell space of GeneticNAS (Habi and Rafalovich, "Genetic Network Architecture Search").

A network repeats three cells: that of its first block, the normal and the reduction cell. A cell is
a list of nodes; node k adds two operations, each on an input that it chooses among the cell's own
inputs and the nodes before it. Nodes that no node uses are concatenated into the cell's output.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from nasbench_evo.errors import InputError, unknown
from nasbench_evo.spaces.base import IntegerSpace

OPERATIONS = ("dw_conv_3x3", "identity", "dw_conv_5x5", "avg_pool_3x3", "max_pool_3x3")
CELL_TYPES = ("first", "normal", "reduction")
# The inputs of a cell, before its nodes: node j is at input position len(CELL_INPUTS[type]) + j.
CELL_INPUTS = {
    "first": ("input",),
    "normal": ("input", "previous"),
    "reduction": ("input", "previous"),
}

_NODE = re.compile(r"(\w+)\((\w+)\)\+(\w+)\((\w+)\)", re.ASCII)
_GENES = re.compile(r"\d{1,3}(,\d{1,3})*", re.ASCII)
_CELLS = re.compile(";".join(f"{cell_type}:([^;]*)" for cell_type in CELL_TYPES))

Genes = tuple[int, ...]
Node = tuple[int, int, int, int]  # input position a, input position b, operation a, operation b


class MicroCell(IntegerSpace):
    """Genotypes are the genes of the nodes of the first, the normal and the reduction cell.

    A node's genes are (input a, input b, operation a, operation b), operations being indices into
    `OPERATIONS`. Node k of the normal and the reduction cell chooses among k+2 inputs: the cell's
    input (the output of the cell before), the output of the cell before that, nodes 0..k-1. The
    first cell has one input of its own: k+1 to choose from, and its node 0 has no input genes.
    Crossover blocks are the nodes. Raises InputError for fewer than 1 node.
    """

    name: ClassVar[str] = "micro_cell"
    operations = OPERATIONS

    def __init__(self, nodes: int = 5) -> None:
        if nodes < 1:
            raise InputError(f"A cell needs at least 1 node; got nodes={nodes}.")
        self.nodes = nodes
        blocks: list[slice] = []
        cardinalities: list[int] = []
        for cell_type in CELL_TYPES:
            for node in range(nodes):
                start = len(cardinalities)
                inputs = len(CELL_INPUTS[cell_type]) + node
                cardinalities += [inputs] * 2 if inputs > 1 else []
                cardinalities += [len(OPERATIONS)] * 2
                blocks.append(slice(start, len(cardinalities)))
        self.blocks = tuple(blocks)
        self.cardinalities = tuple(cardinalities)

    @classmethod
    def of(cls, text: str) -> MicroCell:
        """Return the space with as many nodes a cell as `text` spells, 5 if it spells none."""
        first = text.split(";")[0].count(",") + 1
        if ";" in text:
            return cls(first)
        nodes, left = divmod(first + 2, 12)  # 12 genes a node, but 2 missing in the first cell
        return cls() if left or not nodes else cls(nodes)

    def describe(self, genotype: Genes) -> dict[str, list[Node]]:
        """Return each cell type's nodes: (input a, input b, operation a, operation b).

        Inputs are positions in the node's list of inputs, 0 being the cell's input.
        """
        described: list[Node] = []
        for block in self.blocks:
            a, b, *operations = genotype[block]
            described.append((a, b, *operations) if operations else (0, 0, a, b))  # type: ignore[arg-type]
        return {
            cell_type: described[i * self.nodes : (i + 1) * self.nodes]
            for i, cell_type in enumerate(CELL_TYPES)
        }

    def outputs(self, genotype: Genes) -> dict[str, tuple[int, ...]]:
        """Return each cell type's nodes that no other node uses, in order: the cell's output."""
        found = {}
        for cell_type, nodes in self.describe(genotype).items():
            used = {position for a, b, _, _ in nodes for position in (a, b)}
            first = len(CELL_INPUTS[cell_type])
            found[cell_type] = tuple(k for k in range(self.nodes) if first + k not in used)
        return found

    def poorest(self) -> Genes:
        """Return the genotype whose nodes all add the cell's input to itself: no convolutions."""
        identity = OPERATIONS.index("identity")
        return self._genes(dict.fromkeys(CELL_TYPES, [(0, 0, identity, identity)] * self.nodes))

    def _genes(self, cells: Mapping[str, Sequence[Node]]) -> Genes:
        """Return the genotype of described cells: the inverse of `describe`."""
        nodes = [node for cell_type in CELL_TYPES for node in cells[cell_type]]
        genes: list[int] = []
        for block, node in zip(self.blocks, nodes, strict=True):
            genes += node[-(block.stop - block.start) :]
        return tuple(genes)

    def format(self, genotype: Genes) -> str:
        """Return the cells as sums, one a node: 'first: max_pool_3x3(input)+identity(input), ...'.

        Operations are applied to 'input' (the output of the cell before), 'previous' (that of the
        cell before it) or the node of that number.
        """
        cells = []
        for cell_type, nodes in self.describe(genotype).items():
            sums = []
            for k, (a, b, operation_a, operation_b) in enumerate(nodes):
                names = input_names(cell_type, k)
                sums.append(
                    f"{OPERATIONS[operation_a]}({names[a]})+{OPERATIONS[operation_b]}({names[b]})"
                )
            cells.append(f"{cell_type}: {', '.join(sums)}")
        return "; ".join(cells)

    def parse(self, text: str) -> Genes:
        """Return the genotype that `text` spells: the printed form, or its genes with commas.

        Raises InputError for anything else; spaces do not matter.
        """
        text = "".join(text.split())
        if _GENES.fullmatch(text):
            return self.validate([int(gene) for gene in text.split(",")])
        match = _CELLS.fullmatch(text)
        if match is None:
            raise self._malformed(text)
        cells = {}
        for cell_type, nodes in zip(CELL_TYPES, match.groups(), strict=True):
            sums = nodes.split(",")
            if len(sums) != self.nodes:
                raise InputError(
                    f"The {cell_type} cell needs {self.nodes} nodes; got {len(sums)}: {nodes!r}."
                )
            cells[cell_type] = [self._parse_node(cell_type, k, node) for k, node in enumerate(sums)]
        return self._genes(cells)

    def _parse_node(self, cell_type: str, k: int, text: str) -> Node:
        match = _NODE.fullmatch(text)
        if match is None:
            raise self._malformed(text)
        operation_a, a, operation_b, b = match.groups()
        names = input_names(cell_type, k)
        for name in (a, b):
            if name not in names:
                raise InputError(
                    f"Node {k} of the {cell_type} cell takes its inputs from {', '.join(names)}; "
                    f"got {name!r}."
                )
        for operation in (operation_a, operation_b):
            if operation not in OPERATIONS:
                raise unknown("operation", operation, OPERATIONS)
        return (
            names.index(a),
            names.index(b),
            OPERATIONS.index(operation_a),
            OPERATIONS.index(operation_b),
        )

    def _malformed(self, text: str) -> InputError:
        return InputError(
            f"Not a {self.name} genotype: {text!r}. Accepted: the form 'first: "
            "OPERATION(INPUT)+OPERATION(INPUT), ...; normal: ...; reduction: ...' with "
            f"{self.nodes} sums a cell, INPUT being input, previous or a node's number and "
            f"OPERATION one of {', '.join(OPERATIONS)}; or its {len(self.cardinalities)} genes "
            "separated by commas."
        )

    def draw(self, genotype: Genes) -> str:
        """Return the cells as text, one line a node and one for the output."""
        lines = []
        outputs = self.outputs(genotype)
        for cell_type, nodes in self.describe(genotype).items():
            lines.append(f"{cell_type} cell")
            for k, (a, b, operation_a, operation_b) in enumerate(nodes):
                names = [f"node {n}" if n.isdigit() else n for n in input_names(cell_type, k)]
                lines.append(
                    f"  node {k}: {OPERATIONS[operation_a]}({names[a]}) + "
                    f"{OPERATIONS[operation_b]}({names[b]})"
                )
            loose = ", ".join(f"node {k}" for k in outputs[cell_type])
            lines.append(f"  output: concatenate({loose}) + input")
        return "\n".join(lines)


def input_names(cell_type: str, node: int) -> list[str]:
    """Return what a node chooses its inputs from, in the order of input positions."""
    return [*CELL_INPUTS[cell_type], *map(str, range(node))]
