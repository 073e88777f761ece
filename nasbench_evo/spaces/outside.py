"""Spaces of other people's code, `package.module:Class`, and what stands for them where results
are read: the name of a space whose genotypes are printed as JSON.
"""

from __future__ import annotations

import inspect
import json
from typing import Any, ClassVar

from nasbench_evo import external, names
from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.files import canonical
from nasbench_evo.randomness import Stream
from nasbench_evo.spaces.base import Genotype, Space, frozen


def get(name: str) -> Space:
    """Return the space of a class, made without arguments; raise InputError with what it lacks."""
    cls = external.found(name, "space", Space)
    if inspect.isabstract(cls):
        missing = ", ".join(sorted(cls.__abstractmethods__))
        raise InputError(f"{name} is not finished: write its {missing}.")
    try:
        made: Space = cls()
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{name}() failed{external.where(error)}: {type(error).__name__}: {error!s:.200}. A "
            "space that a suite names is made without arguments."
        ) from error
    names.checked(f"{name}: its name", getattr(made, "name", None))
    return made


class StandIn(Space):
    """A space whose code is not imported: it knows its name, and prints genotypes as JSON."""

    name: ClassVar[str]

    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]  # of an instance: there is no class a space

    def _nothing(self) -> Unsupported:
        return Unsupported(
            f"The space {self.name} is known by name only: results are read without importing the "
            "code that made them. Import its module in Python first."
        )

    def sample(self, rng: Stream, n: int) -> list[Genotype]:
        """Raise Unsupported: there is nothing to draw from."""
        raise self._nothing()

    def mutate(self, genotype: Genotype, rng: Stream) -> Genotype:
        """Raise Unsupported: there is nothing that varies."""
        raise self._nothing()

    def poorest(self) -> Genotype:
        """Raise Unsupported: it is not known."""
        raise self._nothing()

    def validate(self, genotype: Any) -> Genotype:
        """Return lists as tuples; nothing can be checked."""
        return frozen(genotype)

    def parse(self, text: str) -> Genotype:
        """Return the genotype of a JSON text; raise InputError for another text."""
        try:
            return frozen(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise InputError(f"Expected a genotype as JSON; got {text!a:.80}.") from error

    def format(self, genotype: Genotype) -> str:
        """Return the genotype as JSON."""
        return canonical(genotype)
