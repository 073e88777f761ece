"""Who was trained how far: the account behind landmarks (EIGEN Algorithm 1)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from nasbench_evo.errors import ProtocolError

State = TypeVar("State")


class PartialTrainings(Generic[State]):
    """Trainings of one run that stopped before the end, by their number.

    Individuals may share a genotype, in one generation or over several; each has a training, a
    number and a state of its own.
    """

    def __init__(self) -> None:
        self._stopped: dict[int, tuple[Hashable, float, State]] = {}
        self._begun = 0

    def begin(self) -> int:
        """Return the number of a training that starts."""
        self._begun += 1
        return self._begun - 1

    def resume(self, number: int, what: Hashable, fraction: float) -> tuple[float, State]:
        """Take out training `number` of `what` to go on to `fraction`; return where it stopped.

        Raises ProtocolError if it did not stop, is of something else or not short of `fraction`.
        """
        if number not in self._stopped:
            raise ProtocolError(
                f"Training {number} cannot be continued: it did not stop at a landmark, or went on "
                "already. `continues` takes the `training` of the latest Evaluation of each."
            )
        known, reached, state = self._stopped[number]
        if known != what or not reached < fraction:
            raise ProtocolError(
                f"Training {number} is of {known!r} and stopped at {reached:g}; asked was to "
                f"continue {what!r} to {fraction:g}."
            )
        del self._stopped[number]
        return reached, state

    def stop(self, number: int | None, what: Hashable, fraction: float, state: State) -> int:
        """Keep training `number` of `what`, which stopped at `fraction` < 1; return its number.

        None is one that has just started.
        """
        if number is None:
            number = self.begin()
        self._stopped[number] = (what, fraction, state)
        return number
