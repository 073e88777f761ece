"""How often a genotype is trained: layers between a search and its answers, off by default.

A training is noisy, and the best of hundreds of answers is mostly luck. `remembering` ends what is
wasted on genotypes that are asked for again and again; `retraining` spends the end of the budget on
the best ones. Neither changes what a search does with its answers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import wraps
from typing import Any

from nasbench_evo.algorithms.base import parameter
from nasbench_evo.requests import (
    BudgetSpent,
    Evaluate,
    EvaluateMixtures,
    Evaluation,
    Request,
    Search,
)
from nasbench_evo.spaces.base import Genotype

_MOST_KEPT = 0.25  # of a budget

Method = Callable[..., Search]  # the `search` of an algorithm


def trainings_parameter() -> Any:
    """Return the field of the hyper-parameter that `remembering` reads."""
    return parameter(
        0, "most trainings of a genotype: then their average is its answer, at no cost; 0: no end",
        low=0, later=True,
    )  # fmt: skip


def retrainings_parameter() -> Any:
    """Return the field of the hyper-parameter that `retraining` and `kept_share` read."""
    return parameter(
        0, "trainings at the end, of the best genotypes again, at most a quarter of the budget",
        low=0, later=True,
    )  # fmt: skip


def kept_share(retrainings: int, evaluations: float | None) -> float:
    """Return the share of a budget (full-training equivalents) that `retrainings` keep."""
    if not retrainings:
        return 0.0
    share = _MOST_KEPT if evaluations is None else retrainings / evaluations
    return min(_MOST_KEPT, share)


class MeanFitness:
    """The average accuracy over all evaluations of a genotype so far (Genetic CNN, 3.2.4)."""

    def __init__(self) -> None:
        self._sums: dict[Genotype, tuple[float, int]] = {}

    def update(self, answers: Sequence[Evaluation]) -> None:
        """Take in new evaluations."""
        sums = self._sums
        for answer in answers:
            total, n = sums.get(answer.genotype, (0.0, 0))
            sums[answer.genotype] = (total + answer.valid_accuracy, n + 1)

    def of(self, genotypes: Sequence[Genotype]) -> list[float]:
        """Return the mean accuracy of each genotype, percent."""
        return [total / n for total, n in map(self._sums.__getitem__, genotypes)]

    def ranked(self, genotypes: Sequence[Genotype] | None = None) -> list[Genotype]:
        """Return genotypes (None: all), the highest mean accuracy first.

        Among equals the most evaluated, then the first.
        """

        def rank(genotype: Genotype) -> tuple[float, int]:
            total, n = self._sums[genotype]
            return -round(total / n, 9), -n  # equal answers have equal averages

        return sorted(self._sums if genotypes is None else genotypes, key=rank)


def remembering(search: Method) -> Method:
    """Return a `search` whose genotypes are trained at most `trainings` times; 0: it is the same.

    On shared weights an answer is of the weights of its time: this is for tables and trainings.
    """

    @wraps(search)
    def searched(self: Any, space: Any, rng: Any) -> Search:
        inner = search(self, space, rng)
        return _remembered(inner, self.trainings, space) if self.trainings else inner

    return searched


def _remembered(inner: Search, trainings: int, space: Any) -> Search:
    memory: dict[Genotype, list[Evaluation]] = {}
    answers: Any = None
    try:
        while True:
            request = inner.send(answers)
            if not isinstance(request, Evaluate | EvaluateMixtures):
                answers = yield request
                continue
            genotypes, asked = _news(request, memory, trainings, space)
            if asked:
                for answer in (yield _only(request, asked)):
                    memory[answer.genotype].append(answer)
            answers = [_average(memory[genotype]) for genotype in genotypes]
    except StopIteration as end:
        return end.value
    except BudgetSpent as end:
        return _end(inner, end)


def _end(inner: Search, spent: BudgetSpent) -> Any:
    """Return what a search ends with when its budget is spent; raise `spent` if it has nothing."""
    try:
        inner.throw(BudgetSpent(spent.answers))
    except StopIteration as end:
        return end.value
    raise spent  # it asks on, which the runner refuses


def _news(
    request: Evaluate | EvaluateMixtures,
    memory: dict[Genotype, list[Evaluation]],
    trainings: int,
    space: Any,
) -> tuple[list[Genotype], list[int]]:
    """Return the genotypes of a request, and the positions of those with trainings left."""
    if isinstance(request, EvaluateMixtures):
        genotypes = request.discretized(space)
    else:
        genotypes = list(request.genotypes)
    asked: list[int] = []
    left: dict[Genotype, int] = {}
    for i, genotype in enumerate(genotypes):
        n = left.get(genotype)
        if n is None:
            n = trainings - len(memory.setdefault(genotype, []))
        if n > 0:
            asked.append(i)
        left[genotype] = n - 1
    return genotypes, asked


def _only(request: Evaluate | EvaluateMixtures, positions: list[int]) -> Request:
    """Return the request for some of its individuals."""
    if isinstance(request, Evaluate):
        return request._replace(genotypes=[request.genotypes[i] for i in positions])
    return request.part(positions)


def _average(answers: list[Evaluation]) -> Evaluation:
    """Return the answer that stands for several trainings of a genotype."""
    first, n = answers[0], len(answers)
    if n == 1:
        return first
    losses = [answer.valid_loss for answer in answers if answer.valid_loss is not None]
    return first._replace(
        valid_accuracy=sum(answer.valid_accuracy for answer in answers) / n,
        valid_loss=sum(losses) / n if losses else None,
    )


def retraining(search: Method) -> Method:
    """Return a `search` that ends with the trainings that `retrainings` keeps; 0: it is the same.

    Whatever ends the search, its budget or itself, its genotypes of the best averages are trained
    again by sequential halving (Karnin et al. 2013, Algorithm 1); the result is the one of the best
    average then.
    """

    @wraps(search)
    def searched(self: Any, space: Any, rng: Any) -> Search:
        inner = search(self, space, rng)
        return _retrained(inner, self.retrainings) if self.retrainings else inner

    return searched


def _retrained(inner: Search, retrainings: int) -> Search:
    measured = MeanFitness()
    answers: Any = None
    teacher = None
    more = True
    try:
        while True:
            request = inner.send(answers)
            answers = yield request
            if isinstance(request, Evaluate | EvaluateMixtures):
                measured.update([answer for answer in answers if answer.fraction == 1])
                teacher = getattr(request, "teacher", None)
    except StopIteration:
        pass
    except BudgetSpent as end:
        inner.close()
        measured.update([answer for answer in end.answers if answer.fraction == 1])
        more = end.more
    if more:
        yield from _halve(measured, retrainings, teacher)
    return next(iter(measured.ranked()), None)


def _halve(
    measured: MeanFitness, trainings: int, teacher: Any
) -> Generator[Request, list[Evaluation], None]:
    """Train the best n again, n the largest power of two with n log2(n) <= `trainings`.

    Each of the log2(n) rounds has an equal part of what is left, at least one a genotype, and keeps
    the better half.
    """
    rounds = 1
    while (rounds + 1) * 2 ** (rounds + 1) <= trainings:
        rounds += 1
    alive = measured.ranked()[: 2**rounds]
    try:
        for left in range(rounds, 0, -1):
            each = max(1, trainings // left // len(alive))
            for _ in range(each):
                measured.update((yield Evaluate(alive, teacher=teacher, whole=True)))
            trainings -= each * len(alive)
            alive = measured.ranked(alive)[: (len(alive) + 1) // 2]
    except BudgetSpent as end:
        measured.update(end.answers)
