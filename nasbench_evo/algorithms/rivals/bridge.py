"""The bridge: theirs asks for genotypes and is told accuracies, ours yields and receives."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from numpy.random import MT19937, mtrand

from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.errors import Unsupported, unknown
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import BudgetSpent, Ended, Evaluate, Search
from nasbench_evo.spaces.base import Integer, IntegerSpace


class Optimiser(Protocol):
    """One run of another library's optimiser."""

    def ask(self) -> Sequence[Sequence[int]]:
        """Return the next genotypes, gene by gene; none ends the search."""

    def tell(self, accuracies: Sequence[float]) -> None:
        """Take the accuracies (percent, higher is better) of what was asked last, in order."""


@dataclass(frozen=True)
class Rival(Algorithm):
    """An optimiser of another library, by its name there. Every gene is an integer to it.

    The record of a run names the library and its version: the trace is that version's.
    """

    library: ClassVar[str]
    optimiser: ClassVar[str]
    listed: ClassVar[tuple[str, ...]] = ()  # names that need no import to be known
    needs: ClassVar[type] = Integer

    @abstractmethod
    def open(self, cardinalities: Sequence[int], seed: int) -> Optimiser:
        """Begin a run on genes in 0..cardinality-1, with all draws from `seed` (32 bits)."""

    @classmethod
    def check_optimiser(cls, optimiser: str) -> None:
        """Raise InputError with near misses if the library has no such optimiser."""
        if optimiser not in cls.listed:
            raise unknown(f"optimiser of {cls.library}", optimiser, cls.listed)

    def search(self, space: IntegerSpace, rng: Stream) -> Search:
        """Hand genotypes over as theirs asks for them, and accuracies back.

        Raises Unsupported with the library's words where it fails, as on a space it is not for.
        """
        own = OwnState(rng.seed(), self.name)
        with own.inside():
            theirs = self.open(space.cardinalities, rng.seed())
        code = f"{self.library} {importlib.metadata.version(self.library)}"
        try:
            while True:
                with own.inside():
                    asked = theirs.ask()
                if not asked:
                    return Ended(None, {"library": f"{code}, which asked for no more"})
                answers = yield Evaluate([tuple(map(int, genes)) for genes in asked])
                with own.inside():
                    theirs.tell([answer.valid_accuracy for answer in answers])
        except BudgetSpent:
            return Ended(None, {"library": code})

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by name: workers make the class again."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return _remade, (self.name, values)


def _remade(name: str, values: Mapping[str, Any]) -> Algorithm:
    from nasbench_evo.algorithms import rivals  # it imports this module

    return rivals.get(name)(**values)


class OwnState:
    """What NumPy's global functions draw from in one run: some libraries use those.

    Inside, draws come from the run's seed, whatever the process drew before. After it the process
    goes on where it was, but for a normal number that the old functions keep of each pair. The
    libraries' advice on settings (warnings) is not shown.
    """

    def __init__(self, seed: int, name: str) -> None:
        self._own, self._name = MT19937(seed), name

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Run a block with this run's draws."""
        # Generators change places: copying a state of 624 words takes as long as many an ask.
        outside = mtrand.get_bit_generator()
        mtrand.set_bit_generator(self._own)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except Exception as error:  # whatever another library raises
            raise Unsupported(
                f"{self._name} failed in its library: {type(error).__name__}: {error!s:.200}. "
                "Use another optimiser on this space."
            ) from error
        finally:
            mtrand.set_bit_generator(outside)
