"""EG-NAS's strategy: the library's CMA-ES, sampled so that eigenvectors do not matter."""

from __future__ import annotations

import numpy as np
import pytest
from cmaes import CMA
from numpy.typing import NDArray

from nasbench_evo.algorithms.portable_cma import PortableCMA, symmetric_root, unseeded

Array = NDArray[np.float64]


def strategy(n: int = 5, seed: int = 7, population_size: int = 6) -> PortableCMA:
    rng = unseeded()
    rng.seed(seed)
    return PortableCMA(np.ones(n), 0.5, rng, population_size=population_size)


def sphere(points: Array) -> Array:
    return np.asarray((points * points).sum(1))


def asked(generations: int = 3) -> Array:
    """The samples of some generations on a sphere."""
    cma, samples = strategy(), []
    for _ in range(generations):
        samples.append(cma.population())
        cma.tell(sphere(samples[-1]))
    return np.array(samples)


class SymmetricallySampled(CMA):  # type: ignore[misc]  # cmaes ships no types
    """The library, which samples one by one with the symmetric root."""

    def _sample_solution(self) -> Array:
        b, d = self._eigen_decomposition()
        z = self._rng.randn(self._n_dim)
        return np.asarray(self._mean + self._sigma * (b @ (d * (b.T @ z))))


@pytest.mark.parametrize(("n", "population_size"), [(5, 6), (30, 6), (30, 5), (3, 4), (8, 25)])
def test_it_is_the_library_but_for_its_samples(n: int, population_size: int) -> None:
    """Over generations: the same points, mean, step size and covariance, up to rounding."""
    ours = strategy(n, population_size=population_size)
    theirs = SymmetricallySampled(np.ones(n), 0.5, seed=7, population_size=population_size)
    for _ in range(12):
        points = ours.population()
        one_by_one = np.array([theirs.ask() for _ in range(population_size)])
        np.testing.assert_allclose(points, one_by_one, rtol=1e-9, atol=1e-11)
        ours.tell(sphere(points))
        theirs.tell(list(zip(one_by_one, sphere(one_by_one).tolist(), strict=True)))
        np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-9, atol=1e-11)
        assert ours.sigma == pytest.approx(theirs._sigma, rel=1e-9)
        np.testing.assert_allclose(ours.covariance, theirs._C, rtol=1e-9, atol=1e-11)


def test_equal_values_keep_the_order_of_their_points() -> None:
    ours = strategy()
    theirs = SymmetricallySampled(np.ones(5), 0.5, seed=7, population_size=6)
    points = ours.population()
    values = np.array([1.0, 0.0, 1.0, 0.0, 0.0, 1.0])
    ours.tell(values)
    theirs.tell(list(zip(points, values.tolist(), strict=True)))
    np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-12)


def test_other_eigenvectors_give_the_same_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine's: other signs, another order, another basis where they are free."""
    expected, eigh = asked(), np.linalg.eigh

    def turned(c: Array) -> tuple[Array, Array]:
        d2, b = eigh(c)
        if np.allclose(d2, d2[0]):  # every direction is an eigenvector
            b = np.linalg.qr(np.random.default_rng(0).normal(size=b.shape))[0]
        return d2[::-1], -b[:, ::-1]

    monkeypatch.setattr(np.linalg, "eigh", turned)
    np.testing.assert_allclose(asked(), expected, rtol=1e-9, atol=1e-12)


def test_the_root_is_symmetric_and_squares_to_the_covariance() -> None:
    covariance = np.array([[4.0, 1.5], [1.5, 1.0]])
    root = symmetric_root(covariance)
    np.testing.assert_allclose(root, root.T, atol=1e-15)
    np.testing.assert_allclose(root @ root, covariance, rtol=1e-12)


def test_an_eigenvalue_below_zero_counts_as_the_librarys() -> None:
    root = symmetric_root(np.diag([4.0, -1.0]))
    np.testing.assert_allclose(root, np.diag([2.0, 1e-4]), atol=1e-15)


def test_strategies_one_after_the_other_may_share_a_generator() -> None:
    rng = unseeded()
    for seed in (3, 7, 3):
        rng.seed(seed)
        shared = PortableCMA(np.ones(5), 0.5, rng, population_size=6).population()
        np.testing.assert_array_equal(shared, strategy(seed=seed).population())


def test_strategies_at_once_do_not_share_their_state() -> None:
    first, second = strategy(), strategy()
    samples = []
    for _ in range(3):
        x, other = first.population(), second.population()
        first.tell(sphere(x))
        second.tell(-sphere(other))
        samples.append(x)
    np.testing.assert_array_equal(np.array(samples), asked())


def test_its_numbers_are_those_of_the_library() -> None:
    rng = unseeded()
    rng.seed(3)
    theirs = CMA(np.ones(5), 0.25, seed=3)
    np.testing.assert_array_equal(rng.randn(9), theirs._rng.randn(9))


def test_the_private_attributes_that_it_uses_are_those_of_the_library() -> None:
    """Another release of cmaes may rename them: then its upper bound stays, or PortableCMA goes."""
    strategy = CMA(np.zeros(3), 0.5, seed=1, population_size=4)
    used = {"_weights", "_mu", "_mu_eff", "_c_sigma", "_d_sigma", "_cc", "_c1", "_cmu", "_chi_n"}
    assert used <= set(vars(strategy))
    assert isinstance(strategy._rng, np.random.RandomState)
