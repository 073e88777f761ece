"""EG-NAS as its published CIFAR search script has it, not as the paper prints it.

The script stops with a TypeError where it calls its fitness with six of seven arguments; the
missing one is passed here. It starts every strategy of an epoch at the same mean and with the same
seed, so that all N draw the same individuals: N changes how often they are measured, not which.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.algorithms import relaxations
from nasbench_evo.errors import InputError
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import (
    BudgetSpent,
    EvaluateMixtures,
    Evaluation,
    Request,
    Search,
    TrainMixture,
)

if TYPE_CHECKING:
    from nasbench_evo.algorithms.eg_nas import EGNAS

Array = NDArray[np.float64]
_INITIAL_SCALE = 1e-3
_SPREAD = 0.01  # of the mean of an epoch's strategies around softmax(alpha)
_SEED = 1  # of every strategy


def search(settings: EGNAS, space: Any, rng: Stream) -> Search:
    """Explore, then train the weights, epoch by epoch.

    The result is the discretized alpha, of the last epoch or when the budget is spent.
    """
    if settings.generations != 1:
        raise InputError(
            f"The published code has one generation a strategy; got {settings.generations}. Leave "
            "generations at 1, or use variant=paper."
        )
    alpha = _INITIAL_SCALE * rng.generator.standard_normal(space.alpha_shape)
    try:
        for t in range(settings.epochs):
            if t >= settings.warmup:
                before = alpha
                alpha = alpha + settings.xi * (yield from _direction(settings, alpha, rng))
                yield relaxations.note(t + 1, before, alpha)
            yield TrainMixture(alpha)
    except BudgetSpent:
        pass
    return space.discretize(alpha[None])[0]


def _direction(
    settings: EGNAS, alpha: Array, rng: Stream
) -> Generator[Request, list[Evaluation], Array]:
    """Return the direction with the least score of N strategies; [*alpha_shape].

    All of it is measured on one batch of validation images, where weights are shared.
    """
    # Imported late: --help must stay light.
    from nasbench_evo.algorithms.portable_cma import PortableCMA, unseeded

    (current,) = yield EvaluateMixtures(alpha[None])
    mean = softmax(alpha) + _SPREAD * rng.generator.standard_normal(alpha.shape)
    sigma = max(settings.sigma, settings.sigma_min)  # the counter that decays it stays 0
    directions: list[Array] = []
    scores: list[float] = []
    draws = unseeded()
    for _ in range(settings.samples):
        draws.seed(_SEED)
        strategy = PortableCMA(mean.ravel(), sigma, draws, population_size=settings.population_size)
        z = unit_rows(strategy.population().reshape(-1, *alpha.shape))
        # whoever answers takes one softmax of z, as the script's network does
        answers = yield EvaluateMixtures(z, same_images=True)
        f = fitness(settings, alpha, current.valid_accuracy, z, answers)
        fittest = len(f) - 1 - int(f[::-1].argmin())  # the later of equals
        once = softmax(z[fittest])
        # mixed by softmax(softmax(z))
        (measured,) = yield EvaluateMixtures(once[None], same_images=True)
        directions.append(softmax(once))
        scores.append(score(measured.valid_accuracy))
    return directions[int(np.argmin(scores))]


def fitness(
    settings: EGNAS, alpha: Array, accuracy: float, z: Array, answers: list[Evaluation]
) -> Array:
    """Return what the script minimises, for individuals z [n, *alpha_shape] with unit rows; [n].

    `accuracy` is that of alpha, percent. The similarity is a mean over edges, and an individual
    that is as good as alpha counts as better.
    """
    l1 = np.array([answer.valid_loss for answer in answers])
    cosine = (unit_rows(softmax(alpha)) * z).sum(-1)
    l2 = ((cosine + 1) / 2).reshape(len(z), -1).mean(-1)
    better = np.array([answer.valid_accuracy >= accuracy for answer in answers])
    return np.asarray(settings.zeta * l1 + np.where(better, settings.eta, -settings.eta) * l2)


def score(accuracy: float) -> float:
    """Return 1 / accuracy, of which the least is taken; 0, the best, for an accuracy of 0."""
    return 1 / accuracy if accuracy else 0.0


def unit_rows(z: Array) -> Array:
    """Return z with each edge's row divided by its Euclidean norm."""
    norms = np.sqrt((z * z).sum(-1, keepdims=True))
    return np.asarray(z / np.maximum(norms, np.finfo(float).tiny))


def softmax(z: Array) -> Array:
    """Return the softmax over the operations, the last axis."""
    e = np.exp(z - z.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))
