"""Search spaces: genotypes and their variation."""

from __future__ import annotations

from nasbench_evo.errors import unknown
from nasbench_evo.spaces.base import Genotype, IntegerSpace, Space
from nasbench_evo.spaces.nasbench201 import NASBench201

SPACES: dict[str, type[Space]] = {NASBench201.name: NASBench201}


def get(name: str) -> Space:
    """Return the space called `name`; raise InputError with the near miss if there is none."""
    if name not in SPACES:
        raise unknown("space", name, SPACES)
    return SPACES[name]()


__all__ = ["SPACES", "Genotype", "IntegerSpace", "NASBench201", "Space", "get"]
