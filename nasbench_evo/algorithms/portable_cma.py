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

    def _eigen_decomposition(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return B [n, n] and D [n]; the first covariance, the identity, needs no solver."""
        if self.generation == 0 and self._B is None and (np.eye(self._n_dim) == self._C).all():
            self._B, self._D = np.eye(self._n_dim), np.ones(self._n_dim)
        b, d = super()._eigen_decomposition()
        return b, d

    def _sample_solution(self) -> NDArray[np.float64]:
        """Return one sample of the search distribution; shape [n]."""
        return self._samples(1)[0]

    def population(self) -> NDArray[np.float64]:
        """Return what `population_size` calls of `ask` would, in one product; [lambda, n]."""
        return self._samples(self.population_size)

    def _samples(self, k: int) -> NDArray[np.float64]:
        b, d = self._eigen_decomposition()
        z = self._rng.randn(k, self._n_dim)
        return np.asarray(self._mean + self._sigma * ((z @ b * d) @ b.T))
