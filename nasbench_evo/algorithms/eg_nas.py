"""EG-NAS (Cai et al. 2024): weights by gradient, architecture by evolution strategies."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.algorithms import eg_nas_published, relaxations
from nasbench_evo.algorithms.base import Algorithm, parameter
from nasbench_evo.algorithms.generations import (
    Exchange,
    Generation,
    Generational,
    generation,
)
from nasbench_evo.algorithms.repeats import (
    kept_share,
    remembering,
    retraining,
    retrainings_parameter,
    trainings_parameter,
)
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import (
    BudgetSpent,
    EvaluateMixtures,
    Evaluation,
    Request,
    Search,
    TrainMixture,
)
from nasbench_evo.spaces.base import Genotype, Relaxable

Array = NDArray[np.float64]
_INITIAL_SCALE = 1e-3  # of the architecture logits, as in DARTS
_DEAF = 1e17  # so much larger than sigma, logits do not change by what is added to them
_TINY = np.finfo(float).tiny
_VARIANTS = ("paper", "as_published_code")


class Individual(NamedTuple):
    """A relaxation [*alpha_shape] with its validation accuracy (percent) and fitness (Eq. 7)."""

    x: Array
    accuracy: float = -np.inf
    fitness: float = np.inf


@dataclass(frozen=True)
class EGNAS(Algorithm):
    """Algorithm 1 of the paper; the defaults are its CIFAR settings and the reference's."""

    name: ClassVar[str] = "eg_nas"
    paper: ClassVar[str] = "Cai et al. 2024, Algorithm 1"
    incumbent: ClassVar[str] = "mean"
    needs: ClassVar[type] = Relaxable
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "published_code": {
            "variant": "as_published_code",
            "samples": 3,
            "population_size": 50,
            "xi": 0.1,
        },
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
        # Chosen by the same study for a budget of 300: the end of it trains the best again.
        "nb201_300": {
            "epochs": 1000,
            "warmup": 0,
            "samples": 3,
            "population_size": 5,
            "xi": 0.3,
            "zeta": 20.0,
            "eta": 0.01,
            "sigma": 0.5,
            "sigma_min": 0.5,
            "update": "difference",
            "trainings": 1,
            "retrainings": 64,
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
    update: str = parameter(
        "position",
        "what alpha moves by: s itself (Eq. 8 as printed), or difference: s - alpha",
        choices=("position", "difference"),
    )
    variant: str = parameter(
        "paper", "as_published_code: what the published script does", choices=_VARIANTS
    )
    trainings: int = trainings_parameter()
    retrainings: int = retrainings_parameter()

    def shared_settings(self, space: str) -> dict[str, Any]:
        """Return what the published code has of its own in the DARTS space: 7 operations.

        They are without none, and no BatchNorm follows poolings.
        """
        published = self.variant == "as_published_code" and space == "darts_cell"
        return {"with_none": False, "pool_norm": False} if published else {}

    def kept_share(self, evaluations: float | None) -> float:
        """Keep the trainings of the end."""
        return kept_share(self.retrainings, evaluations)

    @retraining
    @remembering
    def search(self, space: Any, rng: Stream) -> Search:
        """Alternate an epoch of weight training with a step of alpha along the best direction.

        The result is the discretized alpha, of the last epoch, when the budget is spent, or when
        alpha has grown too large for any step to change it. Each step says what it did to alpha
        (`Note`).
        """
        if self.variant == "as_published_code":
            return (yield from eg_nas_published.search(self, space, rng))
        alpha = _INITIAL_SCALE * rng.generator.standard_normal(space.alpha_shape)
        try:
            for t in range(self.epochs):
                yield TrainMixture(alpha)  # (Eq. 2, lower level)
                if t >= self.warmup:
                    sigma = max(self.sigma / (t + 1), self.sigma_min)
                    s = yield from self._direction(alpha, sigma, rng)
                    before, alpha = alpha, self._moved(alpha, s)
                    yield relaxations.note(t + 1, before, alpha)
                    if abs(alpha).min() > _DEAF * sigma:  # as printed, Eq. 8 lets it grow
                        break
        except BudgetSpent:
            pass
        return space.discretize(alpha[None])[0]

    def _moved(self, alpha: Array, s: Array) -> Array:
        """Return alpha after a step: alpha + xi s as printed, or alpha + xi (s - alpha) (Eq. 8).

        s is a point near alpha, not a direction from it: as printed, alpha grows by 1 + xi an
        epoch and soon no longer changes its argmax.
        """
        step = s if self.update == "position" else s - alpha
        return np.asarray(alpha + self.xi * step)

    def _direction(
        self, alpha: Array, sigma: float, rng: Stream
    ) -> Generator[Request, list[Evaluation], Array]:
        """Return the x*_n with the best validation accuracy of N strategies (Eq. 9)."""
        # Imported late: --help must stay light.
        from nasbench_evo.algorithms.portable_cma import unseeded

        (current,) = yield EvaluateMixtures(alpha[None])
        best, draws = Individual(alpha), unseeded()
        for _ in range(self.samples):
            mean = alpha + sigma * rng.generator.standard_normal(alpha.shape)
            draws.seed(rng.seed())
            fittest = yield from self.strategy(alpha, current.valid_accuracy, mean, sigma, draws)
            if fittest.accuracy > best.accuracy:
                best = fittest
        return best.x

    def strategy(
        self,
        alpha: Array,
        accuracy: float,
        mean: Array,
        sigma: float,
        draws: np.random.RandomState,
    ) -> Generator[Request, list[Evaluation], Individual]:
        """Run CMA-ES from `mean`; return its fittest individual x*_n.

        P holds the mean m^t beside the individuals (Algorithm 1, line 12).
        """
        from nasbench_evo.algorithms.portable_cma import PortableCMA

        fittest = Individual(mean)
        shape = (-1, *alpha.shape)
        strategy = PortableCMA(mean.ravel(), sigma, draws, population_size=self.population_size)
        for number in range(self.generations):
            points = strategy.population()
            # The mean is measured but not told: the strategy did not draw it.
            z = np.concatenate([strategy.mean.reshape(shape), points.reshape(shape)])
            answers = yield EvaluateMixtures(z)
            f = self.fitness(alpha, accuracy, z, answers)
            i = int(f.argmin())
            if f[i] < fittest.fitness:
                fittest = Individual(z[i], answers[i].valid_accuracy, float(f[i]))
            if number + 1 < self.generations:  # the last tell would change nothing
                strategy.tell(f[1:])
        return fittest

    def fitness(self, alpha: Array, accuracy: float, z: Array, answers: list[Evaluation]) -> Array:
        """Return the compound fitness of each individual, to be minimised (Eq. 7); shape [n].

        alpha is [*shape] and has validation accuracy `accuracy` (percent); z is [n, *shape].
        """
        l1 = np.array([answer.valid_loss for answer in answers])
        l2 = similarity(alpha, z)
        # Minimised: a worse z gains by likeness to alpha, a better one by difference from it.
        eta = [-self.eta if accuracy > answer.valid_accuracy else self.eta for answer in answers]
        return self.zeta * l1 + np.array(eta) * l2

    # -- for figures --

    generational: ClassVar[Generational] = Generational("chosen search direction", name="epoch")

    def read_generations(self, exchanges: Sequence[Exchange]) -> list[Generation[Genotype]]:
        """Find the direction that each epoch took."""
        published = self.variant == "as_published_code"
        if self.trainings:
            return _by_news(exchanges)
        found, spent = [], 0.0
        epoch: list[tuple[Array, list[Evaluation]]] = []
        whole = 1 + self.samples * (2 if published else self.generations)
        for request, answers in exchanges:
            if not isinstance(request, EvaluateMixtures):
                epoch = []
                continue
            epoch.append((request.alphas, answers))
            spent += sum(answer.cost for answer in answers)
            if len(epoch) == whole:
                members = [answer for _, individuals in epoch[1:] for answer in individuals]
                chosen = _measured_best(epoch) if published else self._chosen(epoch)
                found.append(generation(chosen, members, spent))
        return found

    def measures(self, exchanges: Sequence[Exchange]) -> dict[str, float]:
        """Return the parts of the fitness within a population, means over all populations.

        At one L1 a worse individual is fitter than a better one by 2 eta L2: that is the jump;
        beside it the spread of zeta L1. `worse` is the share of strategies whose fittest is less
        accurate than alpha. Empty for the published code, whose fitness is another one.
        """
        if self.variant == "as_published_code":
            return {}
        jumps, spreads, worse = [], [], []
        mixtures = [one for one in exchanges if isinstance(one[0], EvaluateMixtures)]
        whole = 1 + self.samples * self.generations
        for start in range(0, len(mixtures) - whole + 1, whole):
            (first, (current,)), *populations = mixtures[start : start + whole]
            for request, answers in populations:
                z = request.alphas  # type: ignore[union-attr]
                alpha = first.alphas[0]  # type: ignore[union-attr]
                l1 = np.array([answer.valid_loss for answer in answers])
                f = self.fitness(alpha, current.valid_accuracy, z, answers)
                jumps.append(2 * self.eta * float(similarity(alpha, z).mean()))
                spreads.append(float((self.zeta * l1).std(ddof=1)))
                fittest = answers[int(f.argmin())]
                worse.append(float(fittest.valid_accuracy < current.valid_accuracy))
        if not jumps:
            return {}
        known = {"jump": jumps, "spread": spreads, "worse": worse}
        return {name: float(np.mean(values)) for name, values in known.items()}

    def _chosen(self, epoch: list[tuple[Array, list[Evaluation]]]) -> Evaluation:
        """Return of each strategy the fittest, of those the most accurate."""
        (alpha,), (current,) = epoch[0]
        chosen: list[Evaluation] = []
        for start in range(1, len(epoch), self.generations):
            best: list[tuple[float, Evaluation]] = []
            for z, answers in epoch[start : start + self.generations]:
                f = self.fitness(alpha, current.valid_accuracy, z, answers)
                best.append((float(f.min()), answers[int(f.argmin())]))
            chosen.append(min(best, key=lambda pair: pair[0])[1])
        return max(chosen, key=lambda answer: answer.valid_accuracy)


def similarity(alpha: Array, z: Array) -> Array:
    """Return L2 = (cos(alpha, z) + 1) / 2 of each individual (Eq. 6); shape [n].

    One relaxation is [edges, operations]; with cell types in front, [types, edges, operations],
    the cosine is taken per cell type and averaged.
    """
    types = alpha.shape[0] if alpha.ndim == 3 else 1
    a = alpha.reshape(types, -1)
    b = z.reshape(len(z), types, -1)
    norms = np.sqrt(np.vecdot(a, a)) * np.sqrt(np.vecdot(b, b))
    cosine = np.vecdot(a, b) / np.maximum(norms, _TINY)
    return np.asarray((cosine.sum(-1) / types + 1) / 2)


def _measured_best(epoch: list[tuple[Array, list[Evaluation]]]) -> Evaluation:
    """Return the direction that the published code took: each population is followed by one."""
    directions = [answers[0] for _, answers in epoch[2::2]]
    return min(directions, key=lambda one: eg_nas_published.score(one.valid_accuracy))


def _by_news(exchanges: Sequence[Exchange]) -> list[Generation[Genotype]]:
    """Return the epochs of a run that remembers, by their new cells: no record has the others."""
    found, spent = [], 0.0
    members: list[Evaluation] = []
    for request, answers in [*exchanges, (None, [])]:
        if isinstance(request, EvaluateMixtures):
            members += answers
            spent += sum(answer.cost for answer in answers)
        elif members:
            champion = max(members, key=lambda answer: answer.valid_accuracy)
            found.append(generation(champion, members, spent))
            members = []
    return found
