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

    def _sample_solution(self) -> NDArray[np.float64]:
        """Return one sample of the search distribution; shape [n]."""
        b, d = self._eigen_decomposition()
        z = self._rng.randn(self._n_dim)
        return np.asarray(self._mean + self._sigma * (b @ (d * (b.T @ z))))
