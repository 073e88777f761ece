"""Several paths of the NAS-Bench-201 supernet evaluated together.

Individuals that agree on everything up to a feature map form a group, which computes it once; a
group splits where its individuals differ. Within the cell where they differ, nodes and edges that
several of them have in common are computed once as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from nasbench_evo.networks.folding import Folding
from nasbench_evo.networks.nasbench201.network import ResidualBlock
from nasbench_evo.networks.nasbench201.search_cell import (
    CONVOLUTIONS,
    SKIP,
    Plan,
    average_pool,
    convolution_name,
)
from nasbench_evo.networks.supernet import Statistics

if TYPE_CHECKING:
    from nasbench_evo.networks.nasbench201.supernet import NASBench201Supernet

Group = list[int]  # individuals
# An edge to compute: (edge, source, operation, whose statistics its BatchNorm has).
Edge = tuple[int, int, int, int]
Key = tuple[tuple[Edge, ...], ...]  # the edges into node 1, 2 and 3


class PathPopulation:
    """The paths that `plans` (`live_edges` of each genotype) describe, for evaluation."""

    def __init__(
        self, supernet: NASBench201Supernet, plans: Sequence[Plan], statistics: Statistics | None
    ) -> None:
        self.supernet = supernet
        self.plans = plans
        self.folding = Folding(supernet, len(plans), statistics)
        self.found: dict[int, Tensor] = {}

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits of each path; [n, batch, classes]."""
        self.found.clear()
        for group in self._alike(list(range(len(self.plans))), "stem.1"):
            x = self.folding.convolve("stem", images, _first(group))
            self._descend(x.contiguous(memory_format=torch.channels_last), group, 0)
        return torch.stack([self.found[i] for i in range(len(self.plans))])

    def _descend(self, x: Tensor, group: Group, depth: int) -> None:
        """Compute the logits of a group that has x in common before block `depth`."""
        for number in range(depth, len(self.supernet.body)):
            # A generator: a part goes all the way to its logits before the next one's map is
            # computed, so that few maps live at once.
            outputs = self._outputs(number, x, group)
            first, x = next(outputs)
            if len(first) < len(group):
                for part, y in chain([(first, x)], outputs):
                    self._descend(y, part, number + 1)
                return
        # the last BatchNorm is the only layer left in which they may differ
        for part in self._alike(group, "last"):
            features = F.relu(self.folding.normalise("last", x, _first(part)))
            logits = self.supernet.classify(features)
            self.found.update(dict.fromkeys(part, logits))

    def _outputs(self, number: int, x: Tensor, group: Group) -> Iterator[tuple[Group, Tensor]]:
        """Yield the parts of a group that have a block's output in common, and that output."""
        name = f"body.{number}"
        if isinstance(self.supernet.body[number], ResidualBlock):
            for part in self._alike(group, f"{name}.first.1", f"{name}.second.1"):
                yield part, self.folding.residual(name, x, _first(part))
            return
        keys: dict[Key, Group] = {}
        for i in group:
            keys.setdefault(self._key(f"{name}.convolutions", i), []).append(i)
        states = _States(x, f"{name}.convolutions", self.folding)
        # as `_States` wants them
        for key in sorted(keys):
            yield keys[key], states.output(key)

    def _key(self, name: str, individual: int) -> Key:
        """Return what a cell's output depends on, apart from its input."""
        into: tuple[list[Edge], ...] = ([], [], [])
        for edge, source, target, operation in self.plans[individual]:
            # only BatchNorm tells individuals with the same edge apart
            version = 0
            if operation in CONVOLUTIONS:
                norm = f"{name}.{convolution_name(edge, operation)}.1"
                version = self.folding.versions(norm)[individual]
            into[target - 1].append((edge, source, operation, version))
        return tuple(map(tuple, into))

    def _alike(self, group: Group, *norms: str) -> list[Group]:
        """Return the parts of a group that have the same statistics of BatchNorm layers."""
        versions = [self.folding.versions(name) for name in norms]
        parts: dict[tuple[int, ...], Group] = {}
        for i in group:
            parts.setdefault(tuple(version[i] for version in versions), []).append(i)
        return list(parts.values())


class _States:
    """What was computed in a cell of one input, as long as the next output can use it.

    Ask for outputs in sorted order of their keys: then those with the same node 1, and among
    them those with the same node 2, follow each other, and nothing else is kept.
    """

    def __init__(self, x: Tensor, name: str, folding: Folding) -> None:
        self.name = name
        self.folding = folding
        self.key: Key = ()
        self.nodes: list[Tensor | None] = [x, None, None]  # None is zero
        self.values: list[dict[object, Tensor]] = [{}, {}, {}]  # computed from each node
        self.zero = partial(torch.zeros_like, x)

    def output(self, key: Key) -> Tensor:
        """Return the output node."""
        for node in (1, 2):
            # Node 2 reads node 1 as well: it is another one wherever node 1 is.
            if key[:node] != self.key[:node]:
                self.values[node] = {}
                self.nodes[node] = self._sum(key[node - 1])
        self.key = key
        output = self._sum(key[2])
        return self.zero() if output is None else output

    def _sum(self, edges: Sequence[Edge]) -> Tensor | None:
        if not edges:
            return None
        total, *others = (self._value(*edge) for edge in edges)
        if others:
            total = total + others[0]  # a new tensor: a value may be another sum's as well
        for value in others[1:]:
            total.add_(value)
        return total

    def _value(self, edge: int, source: int, operation: int, version: int) -> Tensor:
        """Return what an edge adds to its target."""
        values, node = self.values[source], self.nodes[source]
        if node is None:
            node = self.nodes[source] = self.zero()
        if operation == SKIP:
            return node
        if operation not in CONVOLUTIONS:
            return _once(values, "pooled", lambda: average_pool(node))
        activated = _once(values, "activated", lambda: F.relu(node))
        name = f"{self.name}.{convolution_name(edge, operation)}"
        one = range(version, version + 1)
        return _once(
            values, (edge, operation, version), lambda: self.folding.convolve(name, activated, one)
        )


def _once(values: dict[object, Tensor], key: object, compute: Callable[[], Tensor]) -> Tensor:
    if key not in values:
        values[key] = compute()
    return values[key]


def _first(group: Group) -> range:
    return range(group[0], group[0] + 1)
