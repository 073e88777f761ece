"""EG-NAS's samples depend on the covariance, not on which eigenvectors the machine returns."""

from __future__ import annotations

import numpy as np
import pytest
from cmaes import CMA

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
    strategy = PortableCMA(np.zeros(2), 1.0, seed=1, population_size=6)
    strategy._C = np.array([[4.0, 1.5], [1.5, 1.0]])
    strategy._B = strategy._D = None
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


def test_a_new_strategy_is_the_librarys() -> None:
    """Its constants are kept between strategies: an earlier one must leave no mark on them."""
    asked(PortableCMA)
    ours = vars(PortableCMA(np.ones(5), 0.25, seed=3, population_size=6))
    theirs = vars(CMA(np.ones(5), 0.25, seed=3, population_size=6))
    assert ours.keys() == theirs.keys()
    for name in ours.keys() - {"_B", "_D", "_rng", "_funhist_values"}:  # not made yet, or unset
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    assert ours["_funhist_values"].shape == theirs["_funhist_values"].shape
    np.testing.assert_array_equal(ours["_B"] * ours["_D"], theirs["_C"])
    np.testing.assert_array_equal(ours["_rng"].randn(9), theirs["_rng"].randn(9))


def test_strategies_at_once_do_not_share_their_state() -> None:
    alone = asked(PortableCMA)
    first, second = (PortableCMA(np.ones(5), 0.5, seed=7, population_size=6) for _ in range(2))
    samples = []
    for _ in range(3):
        x, other = first.population(), second.population()
        first.tell([(xi, float(xi @ xi)) for xi in x])
        second.tell([(xi, -float(xi @ xi)) for xi in other])
        samples += list(x)
    np.testing.assert_allclose(np.array(samples), alone, rtol=1e-12)


def test_the_private_attributes_that_it_uses_are_those_of_the_library() -> None:
    """Another release of cmaes may rename them: then its upper bound stays, or PortableCMA goes."""
    strategy = CMA(np.zeros(3), 0.5, seed=1, population_size=4)
    strategy.ask()  # fills the decomposition
    used = {"_mean", "_sigma", "_tolx", "_funhist_values", "_B", "_D", "_rng", "_n_dim"}
    assert used <= set(vars(strategy))
    assert isinstance(strategy._rng, np.random.RandomState)
    b, d = strategy._eigen_decomposition()
    assert b.shape == (3, 3)
    assert d.shape == (3,)
    assert callable(CMA._sample_solution)
