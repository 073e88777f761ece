"""EG-NAS's samples depend on the covariance, not on which eigenvectors the machine returns."""

from __future__ import annotations

import numpy as np
import pytest

from nasbench_evo.algorithms.portable_cma import PortableCMA


class Turned(PortableCMA):
    """Another machine's eigenvectors: other signs, another order, another basis where free."""

    def _eigen_decomposition(self) -> tuple[np.ndarray, np.ndarray]:
        b, d = super()._eigen_decomposition()
        if np.allclose(d, d[0]):  # every direction is an eigenvector
            b = np.linalg.qr(np.random.default_rng(0).normal(size=b.shape))[0]
        return -b[:, ::-1], d[::-1]


def asked(cls: type[PortableCMA]) -> np.ndarray:
    """The samples of three generations on a sphere."""
    strategy = cls(np.ones(5), 0.5, seed=7, population_size=6)
    samples = []
    for _ in range(3):
        x = [strategy.ask() for _ in range(6)]
        strategy.tell([(xi, float(xi @ xi)) for xi in x])
        samples += x
    return np.array(samples)


def test_other_eigenvectors_give_the_same_samples() -> None:
    np.testing.assert_allclose(asked(Turned), asked(PortableCMA), rtol=1e-9, atol=1e-12)


def test_samples_have_the_covariance() -> None:
    strategy = PortableCMA(np.zeros(2), 1.0, seed=1, cov=np.array([[4.0, 1.5], [1.5, 1.0]]))
    x = np.array([strategy.ask() for _ in range(20_000)])
    np.testing.assert_allclose(np.cov(x.T), [[4.0, 1.5], [1.5, 1.0]], atol=0.12)
    assert x.mean() == pytest.approx(0, abs=0.05)


def test_a_population_is_what_ask_gives_one_by_one() -> None:
    one, many = (PortableCMA(np.ones(5), 0.5, seed=7, population_size=6) for _ in range(2))
    for _ in range(3):
        asked_for = np.array([one.ask() for _ in range(6)])
        population = many.population()
        np.testing.assert_allclose(population, asked_for, rtol=1e-12)
        for strategy in (one, many):
            strategy.tell([(x, float(x @ x)) for x in population])
