"""The simulated cluster: one worker is the ordinary search, K workers are K at a time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from support import ON_TABLES

from nasbench_evo.algorithms import ALGORITHMS
from nasbench_evo.errors import InputError
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.replays import simulated_workers
from nasbench_evo.requests import Evaluation
from nasbench_evo.runner import Budget, search
from nasbench_evo.tables import Table

ASYNCHRONOUS = {"regularized_evolution", "random_search", "local_search"}


def timed(table: Table, seconds: float) -> LookupEvaluator:
    """The embedded table with one training time for all cells."""
    return LookupEvaluator(
        replace(table, train_seconds=np.full_like(table.train_seconds, seconds)), "cifar10"
    )


def most_at_once(history: Sequence[tuple[float, Evaluation]]) -> int:
    """The largest number of trainings under way at one time."""
    ends = [(end, -1) for end, _ in history]
    starts = [(end - answer.cost_seconds, 1) for end, answer in history]
    ordered = sorted((round(time, 6), step) for time, step in starts + ends)
    return max(itertools.accumulate(step for _, step in ordered))


@pytest.mark.parametrize("name", ON_TABLES)
def test_one_worker_is_the_ordinary_search(name: str, cifar10: LookupEvaluator) -> None:
    algorithm = ALGORITHMS[name].configure()
    budget = Budget(120)
    plain = search(algorithm, cifar10, seed=5, budget=budget)
    one = simulated_workers.simulate(algorithm, cifar10, 1, seed=5, budget=budget)
    assert [answer for _, answer in one.history] == plain.history
    assert one.genotype == plain.genotype
    assert one.seconds == pytest.approx(plain.simulated_seconds)
    assert one.busy == pytest.approx(1)
    assert [genotype for _, genotype in one.curve] == [genotype for _, genotype in plain.curve]
    assert one.notes == plain.notes


@pytest.mark.parametrize("name", sorted(set(ON_TABLES) - ASYNCHRONOUS))
def test_generations_are_the_same_on_more_workers(name: str, cifar10: LookupEvaluator) -> None:
    """Only the clock changes: what a generation-wise algorithm sees does not."""
    algorithm = ALGORITHMS[name].configure()
    plain = search(algorithm, cifar10, seed=2, budget=Budget(100))
    many = simulated_workers.simulate(algorithm, cifar10, 4, seed=2, budget=Budget(100))
    assert not many.asynchronous
    assert sorted(a for _, a in many.history) == sorted(plain.history)
    assert plain.simulated_seconds / 4 <= many.seconds < plain.simulated_seconds


@pytest.mark.parametrize("name", ON_TABLES)
@pytest.mark.parametrize("workers", [2, 7])
def test_never_more_than_k_at_once(name: str, workers: int, cifar10: LookupEvaluator) -> None:
    result = simulated_workers.simulate(
        ALGORITHMS[name].configure(), cifar10, workers, budget=Budget(80)
    )
    assert most_at_once(result.history) <= workers
    times = [time for time, _ in result.history]
    assert times == sorted(times)
    assert result.evaluations <= 80 + 1e-6
    total = sum(answer.cost_seconds for _, answer in result.history)
    assert result.busy == pytest.approx(total / workers / result.seconds)


@pytest.mark.parametrize("name", ["regularized_evolution", "random_search"])
def test_asynchronous_workers_never_wait(name: str, cifar10: LookupEvaluator) -> None:
    algorithm = ALGORITHMS[name].configure()
    result = simulated_workers.simulate(algorithm, cifar10, 5, seed=1, budget=Budget(200))
    assert result.asynchronous
    last_start = max(end - answer.cost_seconds for end, answer in result.history)
    ends = sorted(end for end, _ in result.history)
    starts = sorted(end - answer.cost_seconds for end, answer in result.history)
    # After the first five, each training starts the moment that another ends.
    assert starts[5:] == pytest.approx(ends[: len(starts) - 5])
    assert last_start <= result.seconds


def test_worked_example_on_equal_times(table: Table) -> None:
    """100 trainings of 10 s: random search on 4 workers takes 250 s.

    Genetic CNN asks for 20 and then 20 a generation: 8 workers need three rounds each, 30 s.
    """
    evaluator = timed(table, 10.0)
    random = ALGORITHMS["random_search"].configure()
    assert simulated_workers.simulate(random, evaluator, 4, budget=Budget(100)).seconds == 250
    genetic = ALGORITHMS["genetic_cnn"].configure()
    found = simulated_workers.simulate(genetic, evaluator, 8, budget=Budget(100))
    assert found.seconds == 5 * 30
    assert found.busy == pytest.approx(1000 / (8 * 150))


def test_a_deadline_on_the_clock(table: Table) -> None:
    evaluator = timed(table, 10.0)
    random = ALGORITHMS["random_search"].configure()
    result = simulated_workers.simulate(random, evaluator, 3, budget=Budget(None, 45))
    assert len(result.history) == 12
    assert result.seconds == 40


def test_evolution_on_workers_still_learns(cifar10: LookupEvaluator) -> None:
    """More workers see older populations, and still beat random search at equal trainings."""

    def regret(name: str) -> float:
        algorithm = ALGORITHMS[name].configure()
        results = (
            simulated_workers.simulate(algorithm, cifar10, 10, seed=seed, budget=Budget(300))
            for seed in range(20)
        )
        return float(np.mean([cifar10.table.regret("cifar10", r.genotype) for r in results]))

    assert regret("regularized_evolution") < regret("random_search")


def test_what_it_refuses(cifar10: LookupEvaluator) -> None:
    random = ALGORITHMS["random_search"].configure()
    with pytest.raises(InputError, match="1 worker or more"):
        simulated_workers.simulate(random, cifar10, 0)
    with pytest.raises(InputError, match="seed from 0"):
        simulated_workers.simulate(random, cifar10, 1, seed=-1)
    with pytest.raises(InputError, match="below one training"):
        simulated_workers.simulate(random, cifar10, 1, budget=Budget(None, 1))
