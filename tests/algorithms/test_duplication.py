"""EIGEN's duplication has a share of the budget, and the record says what became of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.algorithms.eigen import Eigen
from nasbench_evo.errors import ProtocolError
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.evaluators.partial import PartialTrainings
from nasbench_evo.randomness import Stream, stream
from nasbench_evo.requests import BudgetSpent, Ended, Evaluate, Evaluation, Request, Search
from nasbench_evo.runner import Budget, Result, search
from nasbench_evo.spaces import LayerGraph
from nasbench_evo.spaces.base import Space


class Deeper:
    """An evaluator of layer graphs without torch: the more layers the better, with some noise."""

    name, dataset = "deeper", "none"
    space: Space = LayerGraph(8)

    def identity(self) -> dict[str, Any]:
        return {}

    def start(self, seed: int) -> Deeper:
        self.notes: dict[str, str] = {}
        self._random = stream(seed, "noise").random
        self._stopped: PartialTrainings[None] = PartialTrainings()
        return self

    def answer(self, request: Request) -> list[Evaluation]:
        assert isinstance(request, Evaluate)
        continues = request.continues or [None] * len(request.genotypes)
        return [
            self._one(genotype, request.fraction, number)
            for genotype, number in zip(request.genotypes, continues, strict=True)
        ]

    def _one(self, genotype: Any, fraction: float, number: int | None) -> Evaluation:
        done = 0.0
        if number is not None:
            done, _ = self._stopped.resume(number, genotype, fraction)
        if fraction < 1:
            number = self._stopped.begin() if number is None else number
            self._stopped.stop(number, genotype, fraction, None)
        accuracy = len(genotype) + 3 * self._random()
        paid = fraction - done
        return Evaluation(genotype, accuracy, None, paid, fraction, "training", paid, number)


def run(budget: Budget, seed: int = 0, **changes: Any) -> Result:
    values = {"primary_step": 6, "secondary_step": 2, "duplication": True, **changes}
    return search(Eigen(**values), Deeper(), seed=seed, budget=budget)


def numbers(result: Result) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", result.notes["duplication"])]


@given(
    st.integers(0, 1000),
    st.floats(12, 80),
    st.integers(2, 12),
    st.integers(1, 40),
    st.booleans(),
)
@example(451, 15.0, 2, 2, False)  # the mean of two answers chooses another
def test_the_children_are_trained_and_counted(
    seed: int, evaluations: float, n: int, patience: int, timed: bool
) -> None:
    """Whether the successions end by themselves or their part of the budget is spent."""
    budget = Budget(None, evaluations) if timed else Budget(evaluations)
    result = run(budget, seed, population_size=n, patience=patience)
    made, trained, better = numbers(result)
    assert result.evaluations <= evaluations + 1e-6
    assert better <= trained <= made <= n
    if made:  # a graph of layers has blocks: the share affords some children
        kept = min(n, evaluations / 5)
        assert trained >= min(made, int(kept + 1e-9))
    if trained == 0:
        return
    children = result.history[-trained:]
    assert {child.fraction for child in children} == {1.0}
    space = LayerGraph(8)
    parents = [a for a in result.history[:-trained] if a.fraction == 1]
    parent = max(parents, key=lambda a: a.valid_accuracy)
    possible = set(space.duplications(parent.genotype, stream(0, "all"), 100_000))
    assert {child.genotype for child in children} <= possible
    assert better == sum(child.valid_accuracy > parent.valid_accuracy for child in children)
    best = max([parent, *children], key=lambda a: a.valid_accuracy)
    assert result.recommended("seen") == best.genotype


def test_without_duplication_nothing_is_kept() -> None:
    assert Eigen().kept_share(300) == 0
    result = run(Budget(30), duplication=False, patience=1000)
    assert result.evaluations > 29
    assert "duplication" not in result.notes


def test_the_share_is_a_training_a_child_and_at_most_a_fifth() -> None:
    algorithm = Eigen(duplication=True, population_size=10)
    assert algorithm.kept_share(300) == pytest.approx(10 / 300)
    assert algorithm.kept_share(30) == 0.2
    assert algorithm.kept_share(None) == 0.2


class Keeping(Algorithm):
    """Asks until it is stopped; then for three more, one by one."""

    name, paper = "keeping", "none"
    stubborn = False

    def kept_share(self, evaluations: float | None) -> float:
        return 0.25

    def search(self, space: Any, rng: Stream) -> Search:
        said = []
        for n in (3, 1):
            answered = 0
            try:
                while True:
                    answered += len((yield Evaluate(space.sample(rng, n))))
            except BudgetSpent as end:
                said.append(f"{answered} + {len(end.answers)}, more {end.more}")
        if self.stubborn:
            yield Evaluate(space.sample(rng, 1))
        return Ended(None, {"parts": "; ".join(said)})


def test_a_share_comes_after_the_rest(cifar10: LookupEvaluator) -> None:
    result = search(Keeping(), cifar10, budget=Budget(22))
    assert result.notes["parts"] == "15 + 1, more True; 6 + 0, more False"
    assert len(result.history) == 22
    assert result.genotype == result.curve[-1][1]  # it has no result of its own


def test_who_goes_on_asking_is_told(cifar10: LookupEvaluator) -> None:
    class Stubborn(Keeping):
        stubborn = True

    with pytest.raises(ProtocolError, match="after BudgetSpent"):
        search(Stubborn(), cifar10, budget=Budget(20))


def test_no_training_is_begun_that_the_budget_does_not_cover(cifar10: LookupEvaluator) -> None:
    asked = []

    class Watched(LookupEvaluator):
        def start(self, seed: int) -> Any:
            session = super().start(seed)
            answer = session.answer
            session.answer = lambda request: asked.append(request) or answer(request)  # type: ignore
            return session

    watched = Watched(cifar10.table, "cifar10")
    result = search(Keeping(), watched, budget=Budget(22.5))
    assert sum(len(request.genotypes) for request in asked) == len(result.history) == 22
