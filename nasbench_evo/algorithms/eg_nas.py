"""EG-NAS (Cai et al. 2024): weights by gradient, architecture by evolution strategies."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.algorithms.base import Algorithm, parameter
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import (
    EvaluateMixtures,
    Evaluation,
    Request,
    Search,
    TrainMixture,
)

Array = NDArray[np.float64]
_INITIAL_SCALE = 1e-3  # of the architecture logits, as in DARTS


@dataclass(frozen=True)
class EGNAS(Algorithm):
    """Algorithm 1 of the paper; the defaults are its CIFAR settings and the reference's."""

    name: ClassVar[str] = "eg_nas"
    paper: ClassVar[str] = "Cai et al. 2024, Algorithm 1"
    needs: ClassVar[tuple[str, ...]] = ("alpha_shape", "discretize")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        # Chosen on cifar10 by suites/nb201_presets.toml; the budget ends the search.
        "nb201": {
            "epochs": 1000,
            "warmup": 0,
            "population_size": 6,
            "generations": 5,
            "xi": 0.3,
            "zeta": 20.0,
            "eta": 0.1,
            "sigma": 4.0,
        },
    }

    epochs: int = parameter(50, "T, epochs of the search", low=1)
    warmup: int = parameter(15, "epochs that train weights only", low=0)
    samples: int = parameter(5, "N, evolution strategies started in an epoch", low=1)
    population_size: int = parameter(25, "lambda, individuals of each strategy", low=4)
    generations: int = parameter(1, "CMA-ES generations of each strategy", low=1)
    xi: float = parameter(0.6, "step size of alpha (Eq. 8)", low=0)
    zeta: float = parameter(1.0, "weight of the cross-entropy L1 (Eq. 7)", low=0)
    eta: float = parameter(0.4, "weight of the similarity L2 (Eq. 7)", low=0)
    sigma: float = parameter(1.0, "first step size of the strategies", low=1e-6)
    sigma_min: float = parameter(0.02, "floor of sigma / (t + 1)", low=1e-6)

    def search(self, space: Any, rng: Stream) -> Search:
        """Alternate an epoch of weight training with a step of alpha along the best direction."""
        alpha = _INITIAL_SCALE * rng.generator.standard_normal(space.alpha_shape)
        for t in range(self.epochs):
            yield TrainMixture(alpha)  # (Eq. 2, lower level)
            if t >= self.warmup:
                sigma = max(self.sigma / (t + 1), self.sigma_min)
                s = yield from self._direction(alpha, sigma, rng)
                alpha = alpha + self.xi * s  # (Eq. 8)

    def _direction(
        self, alpha: Array, sigma: float, rng: Stream
    ) -> Generator[Request, list[Evaluation], Array]:
        """Return the x*_n with the best validation accuracy of N strategies (Eq. 9)."""
        (current,) = yield EvaluateMixtures(alpha[None])
        best, best_accuracy = alpha, -np.inf
        for _ in range(self.samples):
            y = rng.generator.standard_normal(alpha.shape)
            x, accuracy = yield from self.strategy(
                alpha, current.valid_accuracy, alpha + sigma * y, sigma, rng.seed()
            )
            if accuracy > best_accuracy:
                best, best_accuracy = x, accuracy
        return best

    def strategy(
        self, alpha: Array, accuracy: float, mean: Array, sigma: float, seed: int
    ) -> Generator[Request, list[Evaluation], tuple[Array, float]]:
        """Run CMA-ES from `mean`; return its fittest individual x*_n and that one's accuracy."""
        # Imported late: --help must stay light.
        from nasbench_evo.algorithms.portable_cma import PortableCMA

        strategy = PortableCMA(mean.ravel(), sigma, seed=seed, population_size=self.population_size)
        x_star, x_accuracy, x_fitness = mean, -np.inf, np.inf
        for generation in range(self.generations):
            z = strategy.population()
            answers = yield EvaluateMixtures(z.reshape(-1, *alpha.shape))
            f = self.fitness(alpha, accuracy, z.reshape(-1, *alpha.shape), answers)
            i = int(f.argmin())
            if f[i] < x_fitness:
                x_star, x_accuracy = z[i].reshape(alpha.shape), answers[i].valid_accuracy
                x_fitness = f[i]
            if generation + 1 < self.generations:  # the last tell would change nothing
                strategy.tell(list(zip(z, f.tolist(), strict=True)))
        return x_star, x_accuracy

    def fitness(self, alpha: Array, accuracy: float, z: Array, answers: list[Evaluation]) -> Array:
        """Return the compound fitness of each individual, to be minimised (Eq. 7); shape [n].

        alpha is [*shape] and has validation accuracy `accuracy` (percent); z is [n, *shape].
        """
        l1 = np.array([answer.valid_loss for answer in answers])
        l2 = similarity(alpha, z)
        worse = np.array([accuracy > answer.valid_accuracy for answer in answers])
        return self.zeta * l1 + np.where(worse, -self.eta, self.eta) * l2


def similarity(alpha: Array, z: Array) -> Array:
    """Return L2 = (cos(alpha, z) + 1) / 2 of each individual (Eq. 6); shape [n].

    One relaxation is [edges, operations]; with cell types in front, [types, edges, operations],
    the cosine is taken per cell type and averaged.
    """
    types = alpha.shape[0] if alpha.ndim == 3 else 1
    a = alpha.reshape(types, -1)
    b = z.reshape(len(z), types, -1)
    norms = np.sqrt((a * a).sum(-1)) * np.sqrt((b * b).sum(-1))
    cosine = (a * b).sum(-1) / np.maximum(norms, np.finfo(float).tiny)
    return np.asarray((cosine.mean(-1) + 1) / 2)
