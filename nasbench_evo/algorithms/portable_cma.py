"""CMA-ES whose samples do not depend on the machine's linear algebra library."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from cmaes import CMA
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import DTypeLike, NDArray

Array = NDArray[np.float64]
_EPS = 1e-8  # the library's: instead of an eigenvalue below 0, and beside a squared norm


class _NoEntropy(ISeedSequence):
    """Zeros for a generator that is seeded next: hashing entropy takes longer than a generation."""

    def generate_state(self, n_words: int, dtype: DTypeLike = np.uint32) -> NDArray[Any]:
        return np.zeros(n_words, dtype=dtype)


def unseeded() -> np.random.RandomState:
    """Return a generator for strategies that run one after the other: `seed` it for each.

    It is the library's kind, which takes longer to make than a population.
    """
    bits = np.random.MT19937(_NoEntropy())  # type: ignore[arg-type]  # numpy's stub is narrower
    return np.random.RandomState(bits)


class _Constants(NamedTuple):
    """What follows from n and lambda alone (Hansen 2016, Eqs. 49 to 56)."""

    weights: Array  # of the best first; [lambda]
    mu: int
    c_sigma: float
    d_sigma: float
    c_c: float
    c_1: float
    c_mu: float
    of_step: float  # sqrt(c_sigma (2 - c_sigma) mu_eff)
    of_path: float  # sqrt(c_c (2 - c_c) mu_eff)
    kept: float  # of the covariance, where h_sigma is 1
    chi_n: float  # E||N(0, I)||


@lru_cache(maxsize=8)
def _constants(n: int, population_size: int) -> _Constants:
    """Return the library's constants."""
    new = CMA(np.zeros(n), 1.0, seed=0, population_size=population_size)
    return _Constants(
        weights=new._weights,
        mu=new._mu,
        c_sigma=new._c_sigma,
        d_sigma=new._d_sigma,
        c_c=new._cc,
        c_1=new._c1,
        c_mu=new._cmu,
        of_step=math.sqrt(new._c_sigma * (2 - new._c_sigma) * new._mu_eff),
        of_path=math.sqrt(new._cc * (2 - new._cc) * new._mu_eff),
        kept=1 - new._c1 - new._cmu * float(new._weights.sum()),
        chi_n=new._chi_n,
    )


class PortableCMA:
    """CMA-ES as in `cmaes.CMA`, but sampled with the symmetric square root of the covariance.

    The library draws y = B D z (Hansen 2016, Eq. 39). Eigenvectors B have arbitrary signs, and for
    a repeated eigenvalue an arbitrary basis, which differ between processors: the same seed would
    give another search. y = B D B' z has the same distribution and depends on the covariance only,
    so that machines differ by rounding, which the choice of an operation per edge absorbs. With it
    C^(-1/2) y is z, which is known: the update inverts nothing.
    """

    def __init__(
        self, mean: Array, sigma: float, rng: np.random.RandomState, *, population_size: int
    ) -> None:
        """Start at `mean` [n] with step size `sigma` and the identity as covariance."""
        n = len(mean)
        self.mean, self.sigma, self.covariance = mean, sigma, np.eye(n)
        self._constants = _constants(n, population_size)
        self._shape = population_size, n
        self._generation = 0
        self._root: Array | None = None  # of the covariance; None: the identity
        self._p_sigma: Any = 0.0  # evolution paths; [n] from the first generation on
        self._p_c: Any = 0.0
        self._rng = rng

    def population(self) -> Array:
        """Return a new population; [lambda, n]."""
        self._z = self._rng.randn(*self._shape)  # (Eq. 38)
        self._y = self._z if self._root is None else self._z @ self._root  # (Eq. 39)
        x: Array = self.mean + self.sigma * self._y  # (Eq. 40)
        return x

    def tell(self, values: Array) -> None:
        """Adapt to the values [lambda], to be minimised, of the population drawn last."""
        c, n = self._constants, len(self.mean)
        self._generation += 1
        best_first = values.argsort(kind="stable")
        z, y = self._z[best_first], self._y[best_first]
        # Selection and recombination
        y_w = c.weights[: c.mu] @ y[: c.mu]  # (Eq. 41)
        self.mean = self.mean + self.sigma * y_w  # (Eq. 42)
        # Step-size control
        z_w = c.weights[: c.mu] @ z[: c.mu]  # C^(-1/2) y_w
        self._p_sigma = (1 - c.c_sigma) * self._p_sigma + c.of_step * z_w  # (Eq. 43)
        length = math.sqrt(self._p_sigma @ self._p_sigma)
        self.sigma *= math.exp(c.c_sigma / c.d_sigma * (length / c.chi_n - 1))  # (Eq. 44)
        # Covariance matrix adaptation
        unbiased = length / math.sqrt(1 - (1 - c.c_sigma) ** (2 * (self._generation + 1)))
        h_sigma = unbiased < (1.4 + 2 / (n + 1)) * c.chi_n
        self._p_c = (1 - c.c_c) * self._p_c + h_sigma * c.of_path * y_w  # (Eq. 45)
        w = c.weights * np.where(c.weights >= 0, 1, n / (np.vecdot(z, z) + _EPS))  # (Eq. 46)
        kept = c.kept + c.c_1 * (1 - h_sigma) * c.c_c * (2 - c.c_c)
        rank_one = self._p_c[:, None] * (c.c_1 * self._p_c)
        rank_mu = (y.T * (c.c_mu * w)) @ y
        self.covariance = kept * self.covariance + rank_one + rank_mu  # (Eq. 47)
        self._root = symmetric_root(self.covariance)


def symmetric_root(covariance: Array) -> Array:
    """Return the symmetric square root of a symmetric matrix; eigenvalues below 0 count as 1e-8."""
    d2, b = np.linalg.eigh(covariance)
    if d2[0] < 0:
        d2 = np.where(d2 < 0, _EPS, d2)
    return np.asarray((b * np.sqrt(d2)) @ b.T)
