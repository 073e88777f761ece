"""A search on K simulated workers: an event-driven clock on the table's training times.

An algorithm with a `schedule` is asynchronous: a worker that finishes gets its next training at
once, chosen from what has finished by then. The others wait: a request's individuals are spread
over the workers, and the next request comes when all are done.
With one worker the trace is that of the ordinary search.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.algorithms.schedules import Schedule
from nasbench_evo.errors import InputError
from nasbench_evo.evaluators.base import Evaluator, Session
from nasbench_evo.incumbents import changes, check_rule
from nasbench_evo.randomness import Stream, stream
from nasbench_evo.requests import Evaluate, EvaluateMixtures, Evaluation, Note, Request
from nasbench_evo.runner import Budget, begun, individuals, requested
from nasbench_evo.spaces.base import Genotype, Space

_SLACK = 1e-9


class _Generational:
    """Any algorithm as it is: the next request comes when the last one is answered in full."""

    def __init__(self, algorithm: Algorithm, space: Space, rng: Stream, session: Session) -> None:
        self._generator = begun(algorithm, space, rng)
        self._session, self._name = session, algorithm.name
        self._answers: list[Evaluation | None] | None = None
        self._waiting: deque[tuple[int, Request]] = deque()

    def propose(self) -> tuple[int, Request] | None:
        while not self._waiting:
            if self._answers is not None and None in self._answers:
                return None
            answers = self._answers
            request = (
                next(self._generator)
                if answers is None
                else self._generator.send([a for a in answers if a is not None])
            )
            if isinstance(request, Note):
                self._answers = []
                continue
            individuals(request, self._name)
            self._waiting = deque(enumerate(_singles(request)))
            self._answers = [None] * len(self._waiting)
            if not self._waiting:  # training on shared weights: a table has nothing to do
                self._session.answer(request)
        return self._waiting.popleft()

    def absorb(self, ticket: int, answer: Evaluation) -> None:
        if self._answers is not None:
            self._answers[ticket] = answer


def _singles(request: Request) -> Iterator[Request]:
    """Yield a request's individuals as requests of their own."""
    if isinstance(request, Evaluate | EvaluateMixtures):
        for i in range(requested(request)):
            yield request.part(slice(i, i + 1))


@dataclass(frozen=True)
class ClusterResult:
    """One search on simulated workers; seconds are those of the simulated clock."""

    workers: int
    genotype: Genotype
    curve: list[tuple[float, Genotype]]  # (seconds, incumbent) where the incumbent changed
    history: list[tuple[float, Evaluation]] = field(repr=False)  # (finished, answer), in time
    seconds: float  # when the last counted training finished
    busy: float  # part of the workers' time until then that they trained, 0..1
    notes: dict[str, Any]
    asynchronous: bool  # no worker ever waited for a generation

    @property
    def evaluations(self) -> float:
        """Full-training equivalents."""
        return sum(answer.cost for _, answer in self.history)


def simulate(
    algorithm: Algorithm,
    evaluator: Evaluator,
    workers: int,
    *,
    seed: int = 0,
    budget: Budget | None = None,
    incumbent: str | None = None,
) -> ClusterResult:
    """Run a search on `workers` simulated workers.

    `incumbent` is the rule of recommendation, as `runner.search` takes it.
    `budget.evaluations` bounds what is handed out, `budget.seconds` the simulated clock: a
    training that would end later is not counted. Raises InputError for fewer than one worker, a
    seed below 0, or a budget below one training.
    """
    if workers < 1 or seed < 0:
        raise InputError(f"Expected 1 worker or more and a seed from 0; got {workers}, {seed}.")
    algorithm.check_space(evaluator.space)
    session = evaluator.start(seed)
    space, rng = evaluator.space, stream(seed, "algorithm")
    own = algorithm.schedule(space, rng)
    schedule = own or _Generational(algorithm, space, rng, session)
    history = list(_events(schedule, session, workers, budget or Budget()))
    if not history:
        raise InputError(f"{algorithm.name} evaluated nothing: the budget is below one training.")
    end = history[-1][0]
    trained = sum(answer.cost_seconds for _, answer in history)
    curve = _curve(history, check_rule(incumbent or algorithm.incumbent))
    return ClusterResult(
        workers=workers,
        genotype=curve[-1][1],
        curve=curve,
        history=history,
        seconds=end,
        busy=min(1.0, trained / (workers * end)) if end > 0 else 0.0,
        notes=dict(session.notes),
        asynchronous=own is not None,
    )


def _events(
    schedule: Schedule, session: Session, workers: int, budget: Budget
) -> Iterator[tuple[float, Evaluation]]:
    """Yield (time, answer) as trainings finish; among equals the one handed out first."""
    left = (budget.evaluations or math.inf) + _SLACK
    deadline = budget.seconds or math.inf
    running: list[tuple[float, int, int, Evaluation]] = []
    now, number, open_ = 0.0, 0, True
    while True:
        # A spent budget leaves about one slack, by how `left` began.
        while open_ and len(running) < workers and left > 2 * _SLACK:
            try:
                proposed = schedule.propose()
            except StopIteration:
                open_ = False
                break
            if proposed is None:
                break
            ticket, request = proposed
            # The table knows the answer at once; the schedule learns it when the training ends on
            # the clock.
            (answer,) = session.answer(request)
            if answer.cost > left:
                open_ = False
                break
            left -= answer.cost
            heapq.heappush(running, (now + answer.cost_seconds, number, ticket, answer))
            number += 1
        if not running:
            return
        now, _, ticket, answer = heapq.heappop(running)
        # the earliest of all that run: no other ends in time
        if now > deadline:
            return
        schedule.absorb(ticket, answer)
        yield now, answer


def _curve(history: list[tuple[float, Evaluation]], rule: str) -> list[tuple[float, Genotype]]:
    """Return when the incumbent changed."""
    genotypes, accuracies, _, _, fractions, *_ = zip(*(a for _, a in history), strict=True)
    points: list[tuple[float, Genotype]] = []
    for i, genotype, _ in changes(rule, genotypes, accuracies, fractions):
        if not points or points[-1][1] != genotype:
            points.append((history[i][0], genotype))
    return points
