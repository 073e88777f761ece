"""The search loop: budgets, traces, incumbents, and the ask/tell view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from support import ON_TABLES, evaluation

from nasbench_evo.algorithms import ALGORITHMS
from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.algorithms.eigen import Eigen
from nasbench_evo.algorithms.genetic_cnn import GeneticCNN
from nasbench_evo.algorithms.random_search import RandomSearch
from nasbench_evo.errors import InputError, ProtocolError
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.incumbents import incumbents
from nasbench_evo.randomness import Stream
from nasbench_evo.replays.simulated_workers import simulate
from nasbench_evo.requests import BudgetSpent, Evaluate, EvaluateMixtures, Note, Search
from nasbench_evo.runner import AskTell, Budget, search, trace_hash
from nasbench_evo.spaces import NASBench201


@dataclass(frozen=True)
class Empty(Algorithm):
    """Asks for nobody."""

    name: ClassVar[str] = "empty"
    paper: ClassVar[str] = "none"

    def search(self, space: NASBench201, rng: Stream) -> Search:
        yield Evaluate([])


@dataclass(frozen=True)
class Talkative(Algorithm):
    """Says how it does, before and between its questions, or keeps quiet."""

    name: ClassVar[str] = "talkative"
    paper: ClassVar[str] = "none"
    talks: bool = True

    def search(self, space: NASBench201, rng: Stream) -> Search:
        for epoch in range(4):
            if self.talks:
                yield Note({"epoch": epoch})
            yield Evaluate(space.sample(rng, 3))


@dataclass(frozen=True)
class Stray(Algorithm):
    """Asks for a genotype outside the space."""

    name: ClassVar[str] = "stray"
    paper: ClassVar[str] = "none"

    def search(self, space: NASBench201, rng: Stream) -> Search:
        yield Evaluate([(0, 0, 0, 0, 0, 7)])


@dataclass(frozen=True)
class Silent(Algorithm):
    """Ends at once."""

    name: ClassVar[str] = "silent"
    paper: ClassVar[str] = "none"

    def search(self, space: NASBench201, rng: Stream) -> Search:
        yield from ()


@dataclass(frozen=True)
class Last(Algorithm):
    """Walks for ever; its result is where it stands."""

    name: ClassVar[str] = "last"
    paper: ClassVar[str] = "none"

    def search(self, space: NASBench201, rng: Stream) -> Search:
        (here,) = space.sample(rng, 1)
        try:
            while True:
                yield Evaluate([here])
                here = space.mutate(here, rng)
        except BudgetSpent:
            return here


@dataclass(frozen=True)
class Deaf(Algorithm):
    """Does not hear that its budget is spent."""

    name: ClassVar[str] = "deaf"
    paper: ClassVar[str] = "none"

    def search(self, space: NASBench201, rng: Stream) -> Search:
        while True:
            try:
                yield Evaluate(space.sample(rng, 1))
            except BudgetSpent:
                continue


@dataclass(frozen=True)
class Wrong(Algorithm):
    """Returns what is no genotype."""

    name: ClassVar[str] = "wrong"
    paper: ClassVar[str] = "none"

    def search(self, space: NASBench201, rng: Stream) -> Search:
        yield Evaluate(space.sample(rng, 1))
        return "the best one"


def test_a_search_ends_with_a_result_of_its_own_beside_the_incumbent(
    cifar10: LookupEvaluator,
) -> None:
    run = search(Last(), cifar10, seed=3, budget=Budget(20))
    shorter = search(Last(), cifar10, seed=3, budget=Budget(19))
    assert len(run.history) == 20
    assert shorter.returned == run.history[-1].genotype  # asked for, but not answered any more
    assert run.genotype == run.curve[-1][1]
    assert search(RandomSearch(), cifar10, budget=Budget(20)).returned is None


def test_a_result_must_be_a_genotype_and_an_end_an_end(cifar10: LookupEvaluator) -> None:
    with pytest.raises(ProtocolError, match="deaf goes on asking after BudgetSpent"):
        search(Deaf(), cifar10, budget=Budget(5))
    with pytest.raises(InputError, match="6 integers"):
        search(Wrong(), cifar10, budget=Budget(5))


@pytest.mark.parametrize("algorithm", [Last(), GeneticCNN(population_size=7), RandomSearch()])
@pytest.mark.parametrize("budget", [7, 26])
def test_ask_tell_ends_as_the_runner_does(
    algorithm: Algorithm, budget: int, cifar10: LookupEvaluator
) -> None:
    driven, session, left = AskTell(algorithm, cifar10.space, seed=9), cifar10.start(9), budget
    while True:
        request = driven.ask()
        assert isinstance(request, Evaluate)
        left -= len(request.genotypes)
        if left < 0:
            break
        driven.tell(session.answer(request))
    returned = driven.end()
    assert returned == search(algorithm, cifar10, seed=9, budget=Budget(budget)).returned
    assert (returned is None) == isinstance(algorithm, RandomSearch)
    assert driven.done
    assert driven.end() == driven.returned == returned
    assert driven.ask() is None
    unasked = AskTell(algorithm, cifar10.space, seed=9)
    assert unasked.end() is None


def test_a_seconds_budget_ends_the_search(cifar10: LookupEvaluator) -> None:
    whole = search(RandomSearch(), cifar10, seed=0, budget=Budget(100))
    costs = [answer.cost_seconds for answer in whole.history]
    limit = sum(costs[:10]) + costs[10] / 2
    timed = search(RandomSearch(), cifar10, seed=0, budget=Budget(None, limit))
    assert timed.history == whole.history[:10]
    assert timed.simulated_seconds == sum(costs[:10])


def test_whichever_budget_ends_first(cifar10: LookupEvaluator) -> None:
    assert search(RandomSearch(), cifar10, budget=Budget(5, 1e9)).evaluations == 5
    assert search(RandomSearch(), cifar10, budget=Budget(500, 5000.0)).simulated_seconds <= 5000


def test_fractions_fill_the_budget(cifar10: LookupEvaluator) -> None:
    # One poorest, then trainings to 20%: after 1 + 0.2 * 4 nothing more fits into 1.9.
    result = search(Eigen(), cifar10, budget=Budget(1.9))
    assert [answer.cost for answer in result.history] == [1.0, *[0.2] * 4]
    assert result.evaluations == pytest.approx(1.8)


def test_simulated_seconds_count_only_what_was_trained(cifar10: LookupEvaluator) -> None:
    history = search(Eigen(), cifar10, budget=Budget(30)).history
    for answer in history:
        seconds = cifar10.cells[answer.genotype][0].cost_seconds
        assert answer.cost_seconds == pytest.approx(seconds * answer.cost)


@pytest.mark.parametrize(
    "limits", [(0, None), (-1, None), (None, 0.0), (None, None), (float("nan"), None)]
)
def test_senseless_budgets_are_refused(limits: tuple[float | None, float | None]) -> None:
    with pytest.raises(InputError, match="udget"):
        Budget(*limits)


def test_misbehaving_algorithms_are_named(cifar10: LookupEvaluator) -> None:
    with pytest.raises(ProtocolError, match="empty asked to evaluate no individual"):
        search(Empty(), cifar10)
    with pytest.raises(InputError, match="6 integers"):
        search(Stray(), cifar10)
    with pytest.raises(InputError, match="silent evaluated nothing"):
        search(Silent(), cifar10)
    with pytest.raises(InputError, match="seed"):
        search(RandomSearch(), cifar10, seed=-1)


def test_incumbents_by_hand() -> None:
    points = incumbents("abcda", [50, 40, 60, 60, 70], [1.0] * 5, [1.0] * 5)
    assert points == [(1.0, "a"), (3.0, "c"), (5.0, "a")]


def test_a_full_training_comes_before_a_better_partial_one() -> None:
    points = incumbents("abcd", [90, 50, 95, 60], [0.2, 1.0, 0.2, 1.0], [0.2, 1.0, 0.2, 1.0])
    assert points == [(0.2, "a"), (1.2, "b"), (2.4, "d")]


def test_the_trace_hash_sees_every_part() -> None:
    space = NASBench201()
    base = ([(0,) * 6, (1,) * 6], [50.0, 60.0], [1.0, 1.0])
    others = [
        ([(0,) * 6, (2,) * 6], [50.0, 60.0], [1.0, 1.0]),
        ([(0,) * 6, (1,) * 6], [50.0, 60.5], [1.0, 1.0]),
        ([(0,) * 6, (1,) * 6], [50.0, 60.0], [0.2, 1.0]),
        ([(1,) * 6, (0,) * 6], [50.0, 60.0], [1.0, 1.0]),
    ]
    hashes = {trace_hash(space, *columns) for columns in (base, *others)}
    assert len(hashes) == 5


@pytest.mark.parametrize("name", ON_TABLES)
def test_ask_tell_gives_the_runners_trace(name: str, cifar10: LookupEvaluator) -> None:
    algorithm = ALGORITHMS[name].configure()
    driven, session, seen = AskTell(algorithm, cifar10.space, seed=9), cifar10.start(9), []
    while len(seen) < 60:
        request = driven.ask()
        assert request is not None
        answers = session.answer(request)
        driven.tell(answers)
        seen += answers
    run = search(algorithm, cifar10, seed=9, budget=Budget(1000)).history
    assert [a.genotype for a in seen] == [a.genotype for a in run[: len(seen)]]


def test_ask_tell_refuses_misuse() -> None:
    driven = AskTell(RandomSearch(), NASBench201(), seed=0)
    with pytest.raises(ProtocolError, match="ask"):
        driven.tell([])
    request = driven.ask()
    assert isinstance(request, Evaluate)
    with pytest.raises(ProtocolError, match="tell"):
        driven.ask()
    with pytest.raises(ProtocolError, match="Expected 50 answers; got 1"):
        driven.tell([evaluation((0,) * 6, 10.0)])


def test_ask_tell_says_when_it_is_done() -> None:
    driven = AskTell(Silent(), NASBench201(), seed=0)
    assert driven.ask() is None
    assert driven.done


def test_notes_are_kept_cost_nothing_and_change_nothing(cifar10: LookupEvaluator) -> None:
    talking, quiet = (search(Talkative(talks), cifar10, seed=2) for talks in (True, False))
    assert talking.notes["epochs"] == [{"epoch": epoch} for epoch in range(4)]
    assert "epochs" not in quiet.notes
    assert talking.trace_sha256 == quiet.trace_sha256
    assert talking.evaluations == quiet.evaluations == 12


def test_notes_after_the_budget_are_not_kept(cifar10: LookupEvaluator) -> None:
    assert len(search(Talkative(), cifar10, budget=Budget(7)).notes["epochs"]) == 3


def test_ask_tell_collects_the_notes_and_never_asks_them(cifar10: LookupEvaluator) -> None:
    driven, session = AskTell(Talkative(), cifar10.space, seed=2), cifar10.start(2)
    while (request := driven.ask()) is not None:
        assert isinstance(request, Evaluate)
        driven.tell(session.answer(request))
    assert driven.epochs == [{"epoch": epoch} for epoch in range(4)]


def test_simulated_workers_pass_over_notes(cifar10: LookupEvaluator) -> None:
    talking, quiet = (simulate(Talkative(talks), cifar10, 2, seed=2) for talks in (True, False))
    assert talking.history == quiet.history


def test_what_a_budget_covers_of_a_request_is_asked_at_once(table) -> None:  # type: ignore[no-untyped-def]
    """So that it can be trained side by side; the answers are those of one at a time."""
    evaluator = LookupEvaluator(table, "cifar10")
    asked: list[int] = []
    start = evaluator.start

    class Counted:
        def __init__(self, seed: int) -> None:
            self._inner = start(seed)
            self.notes = self._inner.notes

        def answer(self, request: Evaluate) -> object:
            asked.append(len(request.genotypes))
            return self._inner.answer(request)

    whole = search(Talkative(), evaluator, seed=0, budget=Budget(9))
    evaluator.start = Counted  # type: ignore[assignment, method-assign]
    part = search(Talkative(), evaluator, seed=0, budget=Budget(8))
    assert asked == [3, 3, 2]
    assert part.history == whole.history[:8]


def test_a_part_of_a_request_has_all_that_belongs_to_its_individuals() -> None:
    mixtures = EvaluateMixtures(np.arange(6.0).reshape(3, 2), np.arange(9.0).reshape(3, 3))
    some = mixtures.part(slice(1, 3))
    assert some.edges is not None
    assert some.alphas.tolist() == [[2, 3], [4, 5]]
    assert some.edges.tolist() == [[3, 4, 5], [6, 7, 8]]
    assert EvaluateMixtures(mixtures.alphas).part(slice(1)).edges is None
    whole = Evaluate(["a", "b", "c"], 0.5, "teacher", [None, 4, 5])
    assert whole.part(slice(1, 2)) == Evaluate(["b"], 0.5, "teacher", [4])
    assert Evaluate(["a", "b"]).part(slice(1)) == Evaluate(["a"])
