"""A stopped training has an identity: who goes on is who stopped, also among equal genotypes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import with_curves

from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.algorithms.eigen import Eigen
from nasbench_evo.errors import ProtocolError
from nasbench_evo.evaluators.base import Session
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.evaluators.partial import PartialTrainings
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import Evaluate, Evaluation, Request, Search
from nasbench_evo.runner import Budget, search
from nasbench_evo.tables import Table

FRACTIONS = (0.1, 0.2, 0.5, 0.8, 1.0)
CELLS = [(3, 3, 1, 2, 0, 3), (1, 0, 3, 4, 2, 0)]


@dataclass
class Life:
    """All that was answered of one individual."""

    answers: list[Evaluation] = field(default_factory=list)

    @property
    def open(self) -> bool:
        return self.answers[-1].fraction < 1


@st.composite
def plans(draw: st.DrawFn) -> list[tuple[float, list[int], list[int]]]:
    """Requests: a fraction, indices into CELLS of new individuals, and of which lives go on."""
    some = st.lists(st.integers(0, 1), max_size=4)
    going = st.lists(st.integers(0, 30), max_size=5, unique=True)
    steps = st.tuples(st.sampled_from(FRACTIONS), some, going)
    found: list[tuple[float, list[int], list[int]]] = draw(st.lists(steps, max_size=8))
    return found


def lived(session: Session, plan: list[tuple[float, list[int], list[int]]]) -> list[Life]:
    """Carry a plan out; return the lives. Those that cannot go on to the fraction do not."""
    lives: list[Life] = []
    for fraction, new, going in plan:
        chosen = [
            lives[i]
            for i in going
            if i < len(lives) and lives[i].open and lives[i].answers[-1].fraction < fraction
        ]
        born = [Life() for _ in new]
        genotypes = [*(life.answers[-1].genotype for life in chosen), *(CELLS[i] for i in new)]
        continues = [*(life.answers[-1].training for life in chosen), *(None for _ in new)]
        if not genotypes:
            continue
        answers = session.answer(Evaluate(genotypes, fraction, continues=continues))
        for life, answer in zip([*chosen, *born], answers, strict=True):
            life.answers.append(answer)
        lives += born
    return lives


def check_account(lives: list[Life]) -> None:
    """Each training has one number for life and pays the differences of its own fractions."""
    for life in lives:
        reached = 0.0
        for answer in life.answers:
            assert answer.genotype == life.answers[0].genotype
            assert answer.cost == pytest.approx(answer.fraction - reached)
            reached = answer.fraction
            assert answer.training == (life.answers[0].training if reached < 1 else None)
    numbers = [life.answers[0].training for life in lives if life.answers[0].fraction < 1]
    assert len(set(numbers)) == len(numbers)


@pytest.fixture(scope="module")
def on_curves(table: Table) -> LookupEvaluator:
    return LookupEvaluator(with_curves(table, epochs=10), "cifar10")


@given(plans(), st.integers(0, 1000))
def test_on_curves_each_stays_on_its_own_trial(
    on_curves: LookupEvaluator, plan: list[tuple[float, list[int], list[int]]], seed: int
) -> None:
    lives = lived(on_curves.start(seed), plan)
    check_account(lives)
    for life in lives:  # the curves are linear, so accuracy / fraction tells the trial
        trials = [answer.valid_accuracy / answer.fraction for answer in life.answers]
        assert np.ptp(trials) < 1e-9


@given(plans(), st.integers(0, 1000))
def test_without_curves_each_reads_the_trial_after_its_own(
    cifar10: LookupEvaluator, plan: list[tuple[float, list[int], list[int]]], seed: int
) -> None:
    lives = lived(cifar10.start(seed), plan)
    check_account(lives)
    for life in lives:
        row = [trial.valid_accuracy for trial in cifar10.cells[life.answers[0].genotype]]
        read = [row.index(answer.valid_accuracy) for answer in life.answers]
        assert read == [(read[0] + i) % len(row) for i in range(len(read))]


class Watched(Algorithm):
    """An algorithm whose requests and answers are kept."""

    name = "watched"
    paper = "none"

    def __init__(self, inner: Algorithm) -> None:
        object.__setattr__(self, "inner", inner)
        object.__setattr__(self, "seen", [])

    def search(self, space: Any, rng: Stream) -> Search:
        inner: Algorithm = self.inner  # type: ignore[attr-defined]
        seen: list[tuple[Request, list[Evaluation]]] = self.seen  # type: ignore[attr-defined]
        generator = inner.search(space, rng)
        answers: Any = None
        while True:
            request = generator.send(answers)
            answers = yield request
            seen.append((request, answers))


@pytest.mark.parametrize("curves", [True, False])
def test_eigens_survivors_are_those_that_passed(
    cifar10: LookupEvaluator, on_curves: LookupEvaluator, curves: bool
) -> None:
    """All children are the parent's twins here; each survivor of a landmark goes on itself."""
    watched = Watched(Eigen(primary_step=0, patience=1000, p=3))
    for seed in range(6):
        search(watched, on_curves if curves else cifar10, seed=seed, budget=Budget(40))
    seen: list[tuple[Any, list[Evaluation]]] = watched.seen  # type: ignore[attr-defined]
    passed = 0
    for (_, before), (request, after) in itertools.pairwise(seen):
        if request.continues is None:
            continue
        own_answers = {answer.training: answer for answer in before}
        for number, answer in zip(request.continues, after, strict=True):
            stopped = own_answers[number]  # of the request just before: this generation's
            assert answer.cost == pytest.approx(answer.fraction - stopped.fraction)
            if curves:
                ratio = answer.valid_accuracy / stopped.valid_accuracy
                assert ratio == pytest.approx(answer.fraction / stopped.fraction)
            passed += 1
        weakest = min(own_answers[number].valid_accuracy for number in request.continues)
        extinct = [a for n, a in own_answers.items() if n not in request.continues]
        assert all(answer.valid_accuracy < weakest for answer in extinct)
    assert passed > 100


BAD: list[tuple[Callable[[Evaluation], Evaluate], str]] = [
    (lambda a: Evaluate([CELLS[0]], 0.8, continues=[99]), "99 cannot be continued"),
    (lambda a: Evaluate([CELLS[1]], 0.8, continues=[a.training]), "stopped at 0.5"),
    (lambda a: Evaluate([CELLS[0]], 0.5, continues=[a.training]), "to 0.5"),
    (lambda a: Evaluate([CELLS[0]] * 2, 0.8, continues=[a.training] * 2), "stopped at 0.8"),
]


@pytest.mark.parametrize(("request_", "message"), BAD)
def test_what_cannot_be_continued_is_refused(
    cifar10: LookupEvaluator, request_: Callable[[Evaluation], Evaluate], message: str
) -> None:
    session = cifar10.start(0)
    (stopped,) = session.answer(Evaluate([CELLS[0]], 0.5))
    with pytest.raises(ProtocolError, match=message):
        session.answer(request_(stopped))


def test_each_individual_needs_a_training_or_none(cifar10: LookupEvaluator) -> None:
    class Careless(Algorithm):
        name = "careless"
        paper = "none"

        def search(self, space: Any, rng: Stream) -> Search:
            yield Evaluate(space.sample(rng, 3), continues=[None])

    with pytest.raises(ProtocolError, match="3 individuals and named 1"):
        search(Careless(), cifar10)


def test_numbers_are_the_runs_own() -> None:
    partial: PartialTrainings[str] = PartialTrainings()
    first, second = partial.begin(), partial.begin()
    partial.stop(first, "a", 0.2, "one")
    partial.stop(second, "a", 0.2, "two")
    assert partial.resume(second, "a", 0.8) == (0.2, "two")
    assert partial.resume(first, "a", 0.8) == (0.2, "one")
    assert PartialTrainings().begin() == first
