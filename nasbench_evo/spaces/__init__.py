"""Search spaces: genotypes and their variation."""

from __future__ import annotations

from nasbench_evo.errors import unknown
from nasbench_evo.external import is_outside
from nasbench_evo.spaces.base import Genotype, IntegerSpace, Space
from nasbench_evo.spaces.binary_stages import BinaryStages
from nasbench_evo.spaces.choices import Choices
from nasbench_evo.spaces.darts_cell import DartsCell
from nasbench_evo.spaces.layer_graph.space import LayerGraph
from nasbench_evo.spaces.micro_cell import MicroCell
from nasbench_evo.spaces.nasbench201 import NASBench201

SPACES: dict[str, type[Space]] = {
    space.name: space for space in (NASBench201, BinaryStages, LayerGraph, MicroCell, DartsCell)
}


def get(name: str) -> Space:
    """Return the space called `name`, or of `package.module:Class`.

    Raises InputError with the near miss if there is none, or with what a class lacks.
    """
    if is_outside(name):
        from nasbench_evo.spaces import outside  # late: few runs need it

        return outside.get(name)
    if name not in SPACES:
        raise unknown("space", name, SPACES)
    return SPACES[name]()


__all__ = [
    "SPACES",
    "BinaryStages",
    "Choices",
    "DartsCell",
    "Genotype",
    "IntegerSpace",
    "LayerGraph",
    "MicroCell",
    "NASBench201",
    "Space",
    "get",
]
