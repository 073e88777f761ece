"""Who was trained how far: the account behind landmarks (EIGEN Algorithm 1)."""

from __future__ import annotations

from typing import Generic, TypeVar

from nasbench_evo.spaces.base import Genotype

State = TypeVar("State")


class PartialTrainings(Generic[State]):
    """Trainings of one run that stopped before the end, by genotype.

    Two individuals may share a genotype; each has a training, and a state, of its own.
    """

    def __init__(self) -> None:
        self.stopped: dict[Genotype, list[tuple[float, State]]] = {}

    def resume(self, genotype: Genotype, fraction: float) -> tuple[float, State | None]:
        """Take out the training of `genotype` that is furthest but short of `fraction`.

        Returns its fraction and state, or (0.0, None) where a new training has to start.
        """
        stopped = self.stopped.get(genotype)
        if stopped is None:
            return 0.0, None
        short = [training for training in stopped if training[0] < fraction]
        if not short:
            return 0.0, None
        furthest = max(short, key=lambda training: training[0])
        stopped.remove(furthest)
        if not stopped:
            del self.stopped[genotype]
        return furthest

    def stop(self, genotype: Genotype, fraction: float, state: State) -> None:
        """Keep a training that stopped at `fraction` < 1."""
        self.stopped.setdefault(genotype, []).append((fraction, state))
