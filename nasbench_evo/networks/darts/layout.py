"""How the population's evaluation keeps the channels of a DARTS search cell's nodes.

They are kept as they are computed, the shuffle and the concatenation left out: both are in the
matrices that read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nasbench_evo.networks.operations import positions
from nasbench_evo.spaces.darts_cell import NODES


@dataclass
class NodeParts:
    """Zeros and ones that read a node's channels in the order that the shuffle gives them.

    A cell keeps the mixed channels of all its nodes in one map [.., 4c], and those that bypass
    the edges of a node in one [.., C - c]: `mixed` and `bypassed` hold, for each node, the pair of
    matrices whose products with these two add up to the channels that go through the next
    operations, and to those that bypass them together with what bypassed before. `inputs` are the
    two matrices that read a cell's input, which is not shuffled.
    """

    inputs: tuple[Tensor, Tensor]
    mixed: list[tuple[Tensor, Tensor]]
    bypassed: list[tuple[Tensor, Tensor]]


def node_parts(channels: int, mixed: int, like: Tensor) -> NodeParts:
    """Return the parts of nodes of `channels` channels, of which `mixed` are; like `like`."""
    order = positions(tuple(_shuffled(channels, mixed)), like.device)
    identity = torch.eye(channels, dtype=like.dtype, device=like.device)
    parts = NodeParts((identity[:, :mixed], identity[:, mixed:]), [], [])
    for k in range(NODES):
        node = like.new_zeros(NODES * mixed, channels)
        node[k * mixed : (k + 1) * mixed] = identity[:mixed].index_select(1, order)
        passed = identity[mixed:].index_select(1, order)
        parts.mixed.append((node[:, :mixed], passed[:, :mixed]))
        # what bypassed the states before this one goes on as it is
        before = identity[mixed:, mixed:]
        parts.bypassed.append((node[:, mixed:], passed[:, mixed:] + before))
    return parts


def _shuffled(channels: int, mixed: int) -> list[int]:
    """Return for each channel of a node which it was before the shuffle, mixed ones first."""
    # The shuffle is a view as (groups, mixed), transposed: q = m * groups + g was g * mixed + m.
    groups = channels // mixed
    return [(q % groups) * mixed + q // groups for q in range(channels)]


def kept_at(channels: int, mixed: int) -> list[int]:
    """Return where each channel of a cell's output is kept.

    First are the mixed channels of all nodes, then what bypassed the first node's edges, ...
    """
    rest = channels - mixed
    return [
        k * mixed + q if q < mixed else NODES * mixed + k * rest + q - mixed
        for k in range(NODES)
        for q in _shuffled(channels, mixed)
    ]


def as_kept(weight: Tensor, kept: Sequence[int] | None) -> Tensor:
    """Return a matrix [inputs, outputs] that reads a cell's output, for it as it is kept."""
    if kept is None:
        return weight
    # the inverse of `kept`: which channel of the output each kept one is
    order = positions(tuple(sorted(range(len(kept)), key=kept.__getitem__)), weight.device)
    phases = weight.view(-1, len(kept), weight.shape[1])  # two where a factorised reduction reads
    return phases.index_select(1, order).flatten(0, 1)
