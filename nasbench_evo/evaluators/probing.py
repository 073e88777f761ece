"""Which genotypes are measured while a supernet trains, to see how its ranking comes to be."""

from __future__ import annotations

from dataclasses import dataclass

from nasbench_evo.errors import InputError
from nasbench_evo.randomness import stream
from nasbench_evo.spaces.base import Genotype, Space

# Notes of a session that hold data rather than remarks.
NOTE = "rank_correlation"  # [[epoch, [accuracy of each probed genotype, ...]], ...]
FITNESS = "fitness"  # [[epoch, highest, mean, lowest accuracy that was measured in it], ...]
DATA = (NOTE, FITNESS)
_TRIES = 100  # draws for one new genotype before a space counts as exhausted


@dataclass(frozen=True)
class Probe:
    """`cells` genotypes are measured after each `every` epochs, and after the last."""

    cells: int
    every: int

    def due(self, epoch: int, epochs: int) -> bool:
        """Return whether to measure after an epoch (from 1) of so many."""
        return epoch % self.every == 0 or epoch == epochs


def genotypes(space: Space, n: int) -> list[Genotype]:
    """Return `n` different random genotypes, the same in every run; fewer begin the same way.

    Raises InputError where the space has not that many.
    """
    rng = stream(0, "rank correlation")
    chosen: dict[Genotype, None] = {}
    while len(chosen) < n:
        for _ in range(_TRIES):
            (genotype,) = space.sample(rng, 1)
            if genotype not in chosen:
                break
        else:
            raise InputError(
                f"Found {len(chosen)} different genotypes of {space.name} only; asked for {n}."
            )
        chosen[genotype] = None
    return list(chosen)
