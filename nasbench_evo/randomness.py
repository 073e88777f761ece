"""Independent random streams, one per purpose, all derived from one seed.

A stream is addressed by what it is for, not by when it is drawn from: the number of processes,
the order of runs and a resume cannot change a draw. Nothing here touches global random state.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, MutableSequence, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from nasbench_evo.errors import InputError

T = TypeVar("T")
_BLOCK = 512  # scalar draws taken from NumPy at once: one at a time costs 1 us each


class Stream:
    """Random draws for one purpose: cheap scalars from blocks, and arrays from `generator`.

    Scalars and arrays are drawn from the same bit stream, so a sequence of calls always gives
    the same sequence of values. A NumPy Generator stays what draws come from.
    """

    __slots__ = ("_block", "generator", "random")

    def __init__(self, seed: np.random.SeedSequence | np.random.Generator | int) -> None:
        self.generator = (
            seed
            if isinstance(seed, np.random.Generator)
            else np.random.Generator(np.random.PCG64(seed))
        )
        self._block: list[float] = []
        pop = self._block.pop

        def random() -> float:
            """Return a float, uniform in [0, 1)."""
            try:
                return pop()
            except IndexError:
                self._block += self.generator.random(_BLOCK).tolist()
                return pop()

        self.random = random

    def randoms(self, n: int) -> list[float]:
        """Return `n` floats, uniform in [0, 1): one slice, where n calls would cost the most."""
        block = self._block
        while len(block) < n:
            block[:0] = self.generator.random(_BLOCK).tolist()
        drawn = block[-n:]
        del block[-n:]
        return drawn

    def below(self, n: int) -> int:
        """Return an integer, uniform in 0..n-1 (n far below 2**53)."""
        return int(self.random() * n)

    def other(self, value: int, n: int) -> int:
        """Return an integer, uniform among those of 0..n-1 that are not `value`."""
        drawn = int(self.random() * (n - 1))
        return drawn if drawn < value else drawn + 1

    def choice(self, items: Sequence[T]) -> T:
        """Return one of `items`, uniformly."""
        return items[int(self.random() * len(items))]

    def shuffle(self, items: MutableSequence[T]) -> None:
        """Shuffle `items` in place (Fisher-Yates)."""
        for i in range(len(items) - 1, 0, -1):
            j = int(self.random() * (i + 1))
            items[i], items[j] = items[j], items[i]

    def apart(self) -> Stream:
        """Return a stream of its own, the same in every run, that takes no draw from this one."""
        (child,) = cast("np.random.SeedSequence", self.generator.bit_generator.seed_seq).spawn(1)
        return Stream(child)

    def seed(self) -> int:
        """Return a fresh 32-bit seed, for a library that takes only that."""
        return int(self.random() * 2**32)


def seed_sequence(seed: int, purpose: str, index: int = 0) -> np.random.SeedSequence:
    """Return the seed sequence of `purpose` (and `index` within it) for a run's `seed`."""
    return np.random.SeedSequence(seed, spawn_key=(zlib.crc32(purpose.encode()), index))


def stream(seed: int, purpose: str, index: int = 0) -> Stream:
    """Return the stream of `purpose` (and `index` within it) for a run's `seed`."""
    return Stream(seed_sequence(seed, purpose, index))


def as_stream(rng: Stream | np.random.Generator) -> Stream:
    """Return a stream as it is, a NumPy Generator as a stream that draws from it.

    Raises InputError for anything else.
    """
    if isinstance(rng, Stream):
        return rng
    if isinstance(rng, np.random.Generator):
        return Stream(rng)
    raise InputError(
        f"Randomness comes from a Stream or a NumPy Generator; got {rng!r:.60}. Use "
        "numpy.random.default_rng(seed)."
    )


def seed_of(seed: Any) -> int:
    """Return a run's seed: an integer from 0, or a fresh one drawn from a NumPy Generator.

    Raises InputError for anything else.
    """
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(2**32))
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"A seed is an integer, 0 or above, or a NumPy Generator; got {seed!r}.")
    return int(seed)


def takes_generators(method: Callable[[Any, Any, Any], T]) -> Callable[[Any, Any, Any], T]:
    """Return a method (self, space, rng) that takes a NumPy Generator too."""

    @functools.wraps(method)
    def taking(self: Any, space: Any, rng: Any) -> T:
        return method(self, space, as_stream(rng))

    return taking
