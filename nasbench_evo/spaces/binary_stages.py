"""The binary stage space of Genetic CNN (Xie and Yuille 2017, Section 3.1).

A network is S stages; stage s holds K_s ordered nodes (each a convolution) and K_s(K_s-1)/2 bits,
one for each possible connection, in the order (1,2), (1,3), (2,3), (1,4), (2,4), (3,4), ...
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nasbench_evo.errors import InputError
from nasbench_evo.spaces.base import IntegerSpace

Bits = tuple[int, ...]

INPUT = 0  # the number by which a StageGraph names the default input node v_{s,0}


@dataclass(frozen=True)
class StageGraph:
    """What one stage computes once the default nodes are wired (Section 3.1.1).

    `nodes` are the ordinary nodes that are kept, by their numbers 1..K_s, in order; `inputs[k]`
    are the nodes that `nodes[k]` sums, where `INPUT` is the default input node; `outputs` are the
    nodes that the default output node sums. An all-zero stage has no nodes and no outputs: the
    default input node's convolution is then the whole stage.
    """

    nodes: tuple[int, ...]
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[int, ...]

    @property
    def convolutions(self) -> int:
        """Convolutions in the stage: the kept nodes and both default nodes, or just one."""
        return len(self.nodes) + 2 if self.nodes else 1


def stage_graph(bits: Sequence[int], nodes: int) -> StageGraph:
    """Return the graph of a stage with `nodes` ordinary nodes and these connection `bits`."""
    predecessors: dict[int, list[int]] = {node: [] for node in range(1, nodes + 1)}
    successors: dict[int, list[int]] = {node: [] for node in range(1, nodes + 1)}
    edges = ((i, j) for j in range(2, nodes + 1) for i in range(1, j))
    for bit, (i, j) in zip(bits, edges, strict=True):
        if bit:
            predecessors[j].append(i)
            successors[i].append(j)
    kept = [node for node in predecessors if predecessors[node] or successors[node]]
    return StageGraph(
        nodes=tuple(kept),
        inputs=tuple(tuple(predecessors[node]) or (INPUT,) for node in kept),
        outputs=tuple(node for node in kept if not successors[node]),
    )


class BinaryStages(IntegerSpace):
    """Genotypes are tuples of bits; crossover blocks are the stages.

    `nodes` are the K_s; the default (3, 4, 5) is the paper's: 19 bits, 524,288 genotypes.
    Raises InputError for a stage of fewer than 2 nodes, which would have no bits.
    """

    name: ClassVar[str] = "binary_stages"

    def __init__(self, nodes: Sequence[int] = (3, 4, 5)) -> None:
        self.nodes = tuple(nodes)
        if not self.nodes or min(self.nodes) < 2:
            raise InputError(f"Each stage needs at least 2 nodes; got nodes={self.nodes}.")
        blocks = []
        start = 0
        for count in self.nodes:
            stop = start + count * (count - 1) // 2
            blocks.append(slice(start, stop))
            start = stop
        self.blocks = tuple(blocks)
        self.cardinalities = (2,) * start

    def stages(self, genotype: Bits) -> tuple[StageGraph, ...]:
        """Return the resolved graph of each stage, first stage first."""
        return tuple(
            stage_graph(genotype[block], count)
            for block, count in zip(self.blocks, self.nodes, strict=True)
        )

    def parse(self, text: str) -> Bits:
        """Return the genotype that `text` spells: '1-01 0-01-100 ...', or its bits alone."""
        text = text.strip()
        lengths = [list(range(1, count)) for count in self.nodes]
        written = [[len(group) for group in stage.split("-")] for stage in text.split()]
        plain = re.fullmatch(f"[01]{{{len(self.cardinalities)}}}", text, re.ASCII)
        digits = re.sub(r"[-\s]", "", text)
        if not plain and (written != lengths or not re.fullmatch("[01]+", digits, re.ASCII)):
            example = self.format(self.poorest())
            raise InputError(
                f"Not a {self.name} genotype for nodes={self.nodes}: {text!r}. "
                f"Accepted: the form {example!r}, or its {len(self.cardinalities)} bits alone."
            )
        return tuple(map(int, digits))

    def format(self, genotype: Bits) -> str:
        """Return the form of the paper's Table 1, such as '1-01 0-01-100 0-11-101-0001'."""
        stages = []
        for block, count in zip(self.blocks, self.nodes, strict=True):
            bits = "".join(map(str, genotype[block]))
            starts = [j * (j - 1) // 2 for j in range(1, count)]
            stages.append(
                "-".join(bits[start : start + j] for j, start in enumerate(starts, start=1))
            )
        return " ".join(stages)


# The hand-made blocks of Figure 2, as stages of 4 nodes.
VGG = "1-01-001"  # a chain
RESNET = "1-01-101"  # a chain, and the first node added to what leaves two convolutions
DENSENET_VARIANT = "1-11-111"  # every earlier node summed (DenseNet itself concatenates)
EXAMPLES = {"vgg": VGG, "resnet": RESNET, "densenet": DENSENET_VARIANT}


def residual(nodes: int) -> str:
    """Return a stage of residual blocks, as it is printed: RESNET goes on for `nodes` nodes.

    Two convolutions are a block: an even node sums the first node and what every block before it
    added (all odd nodes), an odd node follows the node before it.
    """
    groups = []
    for target in range(2, nodes + 1):
        sources = range(1, target, 2) if target % 2 == 0 else [target - 1]
        groups.append("".join(str(int(node in sources)) for node in range(1, target)))
    return "-".join(groups)


# The best structure after 50 generations (Table 1).
TABLE_1_BEST = "1-01 0-01-100 0-11-101-0001"
