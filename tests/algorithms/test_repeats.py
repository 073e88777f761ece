"""How often a genotype is trained: remembered answers, new children, the retrainings of the end."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from nasbench_evo import algorithms
from nasbench_evo.algorithms.operators import distinct
from nasbench_evo.algorithms.repeats import kept_share
from nasbench_evo.errors import InputError
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.requests import Evaluate
from nasbench_evo.runner import AskTell, Budget, Result, search

SETTINGS: dict[str, dict[str, Any]] = {
    "genetic_cnn": {"population_size": 2, "generations": 100_000, "distinct": True},
    "eigen": {"population_size": 2, "extinction": False, "patience": 3, "repeated": True},
    "genetic_nas": {"generation_size": 4, "population_size": 4},
    "eg_nas": {"epochs": 1000, "warmup": 0, "samples": 2, "population_size": 4},
}


def found(evaluator: LookupEvaluator, name: str, budget: float = 120, **more: Any) -> Result:
    algorithm = algorithms.get(name).configure("paper", {**SETTINGS[name], **more})
    return search(algorithm, evaluator, seed=1, budget=Budget(budget))


@pytest.mark.parametrize("name", ["genetic_cnn", "eg_nas"])
@pytest.mark.parametrize("trainings", [1, 2])
def test_no_genotype_has_more_than_its_trainings(
    name: str, trainings: int, cifar10: LookupEvaluator
) -> None:
    """And where none is remembered, some have more."""
    times = Counter(a.genotype for a in found(cifar10, name, trainings=trainings).history)
    assert max(times.values()) == trainings
    without = Counter(a.genotype for a in found(cifar10, name).history)
    assert max(without.values()) > trainings


def test_a_remembered_answer_is_the_average(cifar10: LookupEvaluator) -> None:
    """What the search sees of a genotype with two trainings is their mean."""
    algorithm = algorithms.get("genetic_cnn")(
        population_size=1, generations=9, p_mutation=0.0, p_crossover=0.0, trainings=2
    )
    driven = AskTell(algorithm, cifar10.space, seed=0)
    asked = 0
    while (request := driven.ask()) is not None:
        asked += len(request.genotypes)
        (answer,) = cifar10.start(0).answer(request)
        driven.tell([answer])
    assert asked == 2  # of the 10 that the paper's generations ask for


@pytest.mark.parametrize("name", SETTINGS)
def test_the_end_of_a_budget_trains_the_best_again(name: str, cifar10: LookupEvaluator) -> None:
    """64 trainings by sequential halving: 16 once, 8 twice, 4 four times, 2 eight times."""
    result = found(cifar10, name, 300, retrainings=64)
    before = found(cifar10, name, 236)
    assert [a.genotype for a in result.history[:236]] == [a.genotype for a in before.history]
    times = Counter(a.genotype for a in result.history[236:])
    assert sorted(times.values()) == [1] * 8 + [3] * 4 + [7] * 2 + [15] * 2
    assert result.returned == result.genotype
    assert times[result.genotype] == 15


def test_no_more_than_a_quarter_of_a_budget_is_kept(cifar10: LookupEvaluator) -> None:
    assert kept_share(0, 300) == 0
    assert kept_share(64, 300) == pytest.approx(64 / 300)
    assert kept_share(64, 100) == kept_share(64, None) == 0.25
    result = found(cifar10, "genetic_nas", 40, retrainings=64)
    assert result.evaluations == 40
    assert [a.genotype for a in result.history[:30]] == [
        a.genotype for a in found(cifar10, "genetic_nas", 30).history
    ]


def test_a_search_that_ends_by_itself_retrains_too(cifar10: LookupEvaluator) -> None:
    result = found(cifar10, "genetic_cnn", 300, generations=10, retrainings=8)
    # 22 individuals, then the best 4 once and of these 2 twice
    assert result.evaluations == 22 + 8


def test_children_of_eigen_are_new(cifar10: LookupEvaluator) -> None:
    more = {"primary_step": 3, "secondary_step": 2}
    history = found(cifar10, "eigen", distinct=True, **more).history
    assert len({a.genotype for a in history}) == len(history)
    again = found(cifar10, "eigen", **more).history
    assert len({a.genotype for a in again}) < len(again)


def test_eigen_begins_anew_until_the_budget_ends(cifar10: LookupEvaluator) -> None:
    once = found(cifar10, "eigen", 300, repeated=False)
    assert once.evaluations < 100
    anew = found(cifar10, "eigen", 300)
    assert anew.evaluations == 300
    n = len(once.history)
    assert anew.history[:n] == once.history
    best = max(anew.history, key=lambda answer: answer.valid_accuracy)
    assert anew.returned == best.genotype


def test_eigen_is_read_generation_by_generation_when_it_begins_anew(
    cifar10: LookupEvaluator,
) -> None:
    """The parent of a new succession is the poorest again."""
    algorithm = algorithms.get("eigen")(**SETTINGS["eigen"], retrainings=16)
    result = search(algorithm, cifar10, seed=1, budget=Budget(100))
    poorest, trained = result.history[0], result.history[1:84]
    exchanges: list[Any] = [(Evaluate((poorest.genotype,)), [poorest])]
    exchanges += [
        (Evaluate([a.genotype for a in pair]), pair)
        for pair in (trained[i : i + 2] for i in range(0, len(trained), 2))
    ]
    exchanges.append((Evaluate([poorest.genotype], whole=True), [poorest]))
    generations = algorithm.read_generations(exchanges)
    assert len(generations) == len(exchanges) - 1
    best = [generation.best for generation in generations]
    falls = [i for i in range(1, len(best)) if best[i] < best[i - 1]]
    assert falls, "no succession began anew"


def test_children_of_genetic_nas_are_new(cifar10: LookupEvaluator) -> None:
    history = found(cifar10, "genetic_nas", duplicates="mutated").history
    assert len({a.genotype for a in history}) == len(history)
    again = found(cifar10, "genetic_nas").history
    assert len({a.genotype for a in again}) < len(again)


def test_distinct_gives_up_after_its_tries() -> None:
    assert distinct(["a", "a", "b"], lambda _: "a", tries=3) == ["a", "a", "b"]
    assert distinct([1, 1, 5], lambda n: n + 1, known={2}) == [1, 3, 5]


@pytest.mark.parametrize("more", [{"retrainings": 8}, {"repeated": True}])
def test_the_duplication_has_the_end_of_the_budget(more: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="use it without retrainings and repeated"):
        algorithms.get("eigen")(duplication=True, **more)
