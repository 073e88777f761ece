"""CMA-ES whose samples do not depend on the machine's linear algebra library."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from cmaes import CMA
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import DTypeLike, NDArray


class _NoEntropy(ISeedSequence):
    """Zeros for a generator that is seeded next: hashing entropy takes longer than a generation."""

    def generate_state(self, n_words: int, dtype: DTypeLike = np.uint32) -> NDArray[Any]:
        return np.zeros(n_words, dtype=dtype)


@lru_cache(maxsize=8)
def _constants(n: int, population_size: int) -> dict[str, Any]:
    """Return the library's state of a new strategy; all but mean, step and draws are by size.

    The library never changes these arrays in place.
    """
    return dict(vars(CMA(np.zeros(n), 1.0, seed=0, population_size=population_size)))


class PortableCMA(CMA):  # type: ignore[misc]  # cmaes ships no types
    """`cmaes.CMA` that samples with the symmetric square root of the covariance.

    The library draws y = B D z (Hansen 2016, Eq. 39). Eigenvectors B have arbitrary signs, and for
    a repeated eigenvalue an arbitrary basis, which differ between processors: the same seed would
    give another search. y = B D B' z has the same distribution and depends on the covariance only,
    so that machines differ by rounding, which the choice of an operation per edge absorbs.
    """

    _funhist_values: NDArray[np.float64]

    def __init__(
        self, mean: NDArray[np.float64], sigma: float, *, seed: int, population_size: int
    ) -> None:
        """Start at `mean` [n] with step size `sigma` and the identity as covariance."""
        n = len(mean)
        self.__dict__.update(_constants(n, population_size))
        self._mean, self._sigma, self._tolx = mean.copy(), sigma, 1e-12 * sigma
        # the one array that the library writes into: each strategy needs its own
        self._funhist_values = np.empty_like(self._funhist_values)
        self._B, self._D = np.eye(n), np.ones(n)  # the identity needs no solver
        bits = np.random.MT19937(_NoEntropy())  # type: ignore[arg-type]  # numpy's stub is narrower
        self._rng = np.random.RandomState(bits)
        self._rng.seed(seed)

    def _sample_solution(self) -> NDArray[np.float64]:
        """Return one sample of the search distribution; shape [n]."""
        (sample,) = self._samples(1)
        return np.asarray(sample)

    def population(self) -> NDArray[np.float64]:
        """Return what `population_size` calls of `ask` would, in one product; [lambda, n]."""
        return self._samples(self.population_size)

    def _samples(self, k: int) -> NDArray[np.float64]:
        b, d = self._eigen_decomposition()
        z = self._rng.randn(k, self._n_dim)
        x: NDArray[np.float64] = self._mean + self._sigma * ((z @ b * d) @ b.T)
        return x
