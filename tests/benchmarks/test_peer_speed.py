"""Each algorithm beside a peer of its kind: speed and quality on one table, in one run.

A peer is another package's optimizer as its manual sets it, behind the adapter that ran fastest of
those that we tried. Both sides make the same number of evaluations and draw their noise in the
same way; their runs take turns, one run of the peer against several of ours, which are too short
to be timed alone. CPU seconds of the process are counted, so that threads are no advantage. Needs
the extra `rivals`; a peer that is not installed is skipped.
"""

from __future__ import annotations

import random
import statistics
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest

from nasbench_evo import tables
from nasbench_evo.algorithms import ALGORITHMS
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.requests import Evaluate, Evaluation
from nasbench_evo.runner import Budget, Result, search
from nasbench_evo.spaces.nasbench201 import OPERATIONS, SIZE, Cell

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # the peers' own warnings

EVALUATIONS = 300
SEEDS = 20
REPEATS = 10  # of our run of a seed
GENES = 6
CHOICES = len(OPERATIONS)

Accuracy = Callable[[Cell], float]


def optuna_study(sampler: str, accuracy: Accuracy, seed: int) -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize", sampler=getattr(optuna.samplers, sampler)(seed=seed)
    )

    def objective(trial: Any) -> float:
        return accuracy(
            tuple(trial.suggest_categorical(f"{i}", range(CHOICES)) for i in range(GENES))
        )

    study.optimize(objective, n_trials=EVALUATIONS)


def pymoo_ga(accuracy: Accuracy, seed: int) -> None:
    """The genetic algorithm of pymoo's manual for integers: SBX, polynomial mutation, rounding."""
    pytest.importorskip("pymoo")
    from pymoo.algorithms.soo.nonconvex.ga import GA
    from pymoo.core.problem import Problem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    class Cells(Problem):
        def __init__(self) -> None:
            super().__init__(n_var=GENES, n_obj=1, xl=0, xu=CHOICES - 1, vtype=int)

        def _evaluate(self, x: Any, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            out["F"] = np.array([[-accuracy(tuple(cell))] for cell in x.tolist()])

    operators = {"prob": 1.0, "eta": 3.0, "vtype": float, "repair": RoundingRepair()}
    algorithm = GA(
        pop_size=20,
        sampling=IntegerRandomSampling(),
        crossover=SBX(**operators),
        mutation=PM(**operators),
        eliminate_duplicates=True,
    )
    minimize(Cells(), algorithm, ("n_eval", EVALUATIONS), seed=seed, verbose=False)


def nevergrad_optimizer(name: str, accuracy: Accuracy, seed: int) -> None:
    """An array cast to integers; a `Choice` a gene is 25 times slower."""
    ng = pytest.importorskip("nevergrad")
    genes = ng.p.Array(shape=(GENES,), lower=0, upper=CHOICES - 1).set_integer_casting()
    genes.random_state.seed(seed)
    optimizer = ng.optimizers.registry[name](parametrization=genes, budget=EVALUATIONS)
    optimizer.minimize(lambda x: -accuracy(tuple(x.tolist())))


class _Spent(Exception):
    """A search of DEAP is over: it counts generations, not evaluations."""


def deap_loop(accuracy: Accuracy, seed: int) -> None:
    """DEAP's own loop, `eaSimple`, with the operators and rates of its manual's first example."""
    pytest.importorskip("deap")
    from deap import algorithms, base, creator, tools

    if not hasattr(creator, "Cell"):
        creator.create("Best", base.Fitness, weights=(1.0,))
        creator.create("Cell", list, fitness=creator.Best)
    left = EVALUATIONS

    def evaluate(cell: list[int]) -> tuple[float]:
        nonlocal left
        if not left:
            raise _Spent
        left -= 1
        return (accuracy(tuple(cell)),)

    toolbox = base.Toolbox()
    toolbox.register("gene", random.randrange, CHOICES)
    toolbox.register("cell", tools.initRepeat, creator.Cell, toolbox.gene, GENES)
    toolbox.register("evaluate", evaluate)
    toolbox.register("mate", tools.cxTwoPoint)
    toolbox.register("mutate", tools.mutUniformInt, low=0, up=CHOICES - 1, indpb=0.1)
    toolbox.register("select", tools.selTournament, tournsize=3)
    before = random.getstate()  # the library draws from the interpreter's own generator
    random.seed(seed)
    try:
        first = tools.initRepeat(list, toolbox.cell, 20)
        algorithms.eaSimple(first, toolbox, 0.5, 0.2, EVALUATIONS, verbose=False)
    except _Spent:
        pass
    finally:
        random.setstate(before)


PEERS: dict[str, tuple[str, Callable[[Accuracy, int], None]]] = {  # name: package, search
    "RandomSampler": ("optuna", lambda f, seed: optuna_study("RandomSampler", f, seed)),
    "NSGAIISampler": ("optuna", lambda f, seed: optuna_study("NSGAIISampler", f, seed)),
    "GA": ("pymoo", pymoo_ga),
    "eaSimple": ("deap", deap_loop),
    "DiscreteOnePlusOne": (
        "nevergrad",
        lambda f, seed: nevergrad_optimizer("DiscreteOnePlusOne", f, seed),
    ),
    "DE": ("nevergrad", lambda f, seed: nevergrad_optimizer("DE", f, seed)),
}
# Algorithm, its preset for this space, and the peer that searches in the most similar way.
ROWS = [
    ("random_search", "paper", "RandomSampler"),
    ("genetic_cnn", "nb201", "GA"),  # generations, crossover
    ("genetic_cnn", "paper", "eaSimple"),  # the same, without elitism
    ("genetic_nas", "nb201", "NSGAIISampler"),  # elitist generations, crossover
    ("regularized_evolution", "paper", "GA"),  # tournaments
    ("local_search", "paper", "DiscreteOnePlusOne"),  # one individual that climbs
    ("eigen", "nb201", "DiscreteOnePlusOne"),  # one parent, mutation alone
    ("eg_nas", "nb201", "DE"),  # a population of real vectors
]


def peer_run(
    run: Callable[[Accuracy, int], None], evaluator: LookupEvaluator, seed: int
) -> Evaluation:
    """Return the best that a peer saw, after checking that it made its evaluations."""
    answer = evaluator.start(seed).answer
    seen: list[Evaluation] = []

    def accuracy(cell: Cell) -> float:
        seen.extend(answer(Evaluate((cell,))))
        return seen[-1].valid_accuracy

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(accuracy, seed)
    assert len(seen) == EVALUATIONS
    return max(seen, key=lambda evaluation: evaluation.valid_accuracy)


def seconds(function: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    result = function()
    return time.process_time() - started, result


def with_error(regrets: list[float]) -> str:
    """Return a mean and its standard error."""
    return f"{np.mean(regrets):.2f} ± {np.std(regrets, ddof=1) / len(regrets) ** 0.5:.2f}"


@pytest.fixture(scope="module")
def evaluator() -> LookupEvaluator:
    """The lookup with the rows of every cell made, as they are after the first runs of a suite."""
    evaluator = LookupEvaluator(tables.load(), "cifar10")
    for rows in (evaluator.cells, evaluator.mixtures):
        for index in range(SIZE):
            rows[evaluator.space.from_index(index)]
    return evaluator


@pytest.mark.parametrize(("name", "preset", "peer"), ROWS)
def test_beside_a_peer(
    benchmark: Any, evaluator: LookupEvaluator, name: str, preset: str, peer: str
) -> None:
    package, run = PEERS[peer]
    pytest.importorskip(package)
    algorithm, budget = ALGORITHMS[name].configure(preset), Budget(EVALUATIONS)

    def ours(seed: int) -> Result:
        results = [search(algorithm, evaluator, seed=seed, budget=budget) for _ in range(REPEATS)]
        return results[0]

    ours(0), peer_run(run, evaluator, 0)  # late imports
    times: tuple[list[float], list[float]] = [], []
    regrets: tuple[list[float], list[float]] = [], []
    for seed in range(SEEDS):
        own, result = seconds(lambda seed=seed: ours(seed))
        other, best = seconds(lambda seed=seed: peer_run(run, evaluator, seed))
        for k, value in enumerate((own / REPEATS, other)):
            times[k].append(value)
        for k, cell in enumerate((result.curve[-1][1], best.genotype)):
            regrets[k].append(evaluator.table.regret("cifar10", cell))
    ratio = statistics.median(b / a for a, b in zip(*times, strict=True))
    rates = [round(EVALUATIONS / statistics.median(t)) for t in times]
    benchmark.extra_info.update(
        {
            "evaluations/s/core": rates[0],
            "peer": f"{package} {version(package)} {peer}",
            "peer's evaluations/s/core": rates[1],
            "ratio": round(ratio, 1),
            "mean regret": with_error(regrets[0]),
            "peer's mean regret": with_error(regrets[1]),
            "seeds": SEEDS,
        }
    )
    print(f"\n{name} ({preset}): {benchmark.extra_info}")
    benchmark.pedantic(ours, (0,), rounds=SEEDS)
    assert ratio > 1
