"""CMA-ES whose samples do not depend on the machine's linear algebra library."""

from __future__ import annotations

import numpy as np
from cmaes import CMA
from numpy.typing import NDArray


class PortableCMA(CMA):  # type: ignore[misc]  # cmaes ships no types
    """`cmaes.CMA` that samples with the symmetric square root of the covariance.

    The library draws y = B D z (Hansen 2016, Eq. 39). Eigenvectors B have arbitrary signs, and for
    a repeated eigenvalue an arbitrary basis, which differ between processors: the same seed would
    give another search. y = B D B' z has the same distribution and depends on the covariance only,
    so that machines differ by rounding, which the choice of an operation per edge absorbs.
    """

    _B: NDArray[np.float64] | None
    _D: NDArray[np.float64] | None

    def _eigen_decomposition(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return B [n, n] and D [n]; the first covariance, the identity, needs no solver."""
        n = self._n_dim
        if self._B is None and self.generation == 0 and np.array_equal(self._C, np.eye(n)):
            self._B, self._D = np.eye(n), np.ones(n)
        b, d = super()._eigen_decomposition()
        return b, d

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
