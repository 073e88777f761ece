"""The only search loop: it stands between an algorithm and an evaluator, and keeps the budget."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.errors import InputError, ProtocolError
from nasbench_evo.evaluators.base import Evaluator, Session
from nasbench_evo.incumbents import check_rule, incumbents
from nasbench_evo.randomness import Stream, seed_of, stream
from nasbench_evo.requests import (
    BudgetSpent,
    Ended,
    Evaluate,
    EvaluateMixtures,
    Evaluation,
    MeasurePaths,
    Note,
    Request,
    Search,
    TrainBilevel,
    TrainMixture,
    TrainPaths,
)
from nasbench_evo.spaces.base import Genotype, Space

_MOST = 1e12  # evaluations or seconds of a budget
# Requests without individuals that count.
_UNCOUNTED = (TrainPaths, TrainMixture, TrainBilevel, MeasurePaths)
_SLACK = 1e-9  # fractions like 0.2 + 0.6 + 0.2 add up to just about 1


@dataclass(frozen=True)
class Budget:
    """When a search ends: full-training equivalents, simulated seconds, whichever comes first.

    An individual that would overstep a limit is not counted. Raises InputError for limits that
    are not positive, or if there is none.
    """

    evaluations: float | None = 300
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.evaluations is None and self.seconds is None:
            raise InputError("A budget needs evaluations, simulated seconds, or both.")
        for name in ("evaluations", "seconds"):
            value = getattr(self, name)
            number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            if value is not None and not (number and 0 < value <= _MOST):
                raise InputError(
                    f"Budget {name} must be positive, at most {_MOST:g}; got {str(value)[:40]}."
                )


class Progress(NamedTuple):
    """How far a search is, after a request was answered."""

    evaluations: float  # full-training equivalents spent
    best: Evaluation  # the most accurate answer so far, as the search saw it
    answers: Sequence[Evaluation]  # of this request


Callback: TypeAlias = Callable[[Progress], bool | None]  # True ends the search


@dataclass(frozen=True)
class Result:
    """One finished search. The reporter looks the incumbent's true quality up; the search did not.

    `returned` is what the algorithm ended with, by itself or when its budget was spent; None if it
    has no result of its own. `genotype` is what the run recommends: the last incumbent by the rule
    `incumbent`; on shared weights `returned`, if there is one. `curve` holds the points where the
    incumbent changed: (full-training equivalents spent, genotype). `history` is every answer in
    order, and is not stored.
    """

    genotype: Genotype
    returned: Genotype | None
    incumbent: str  # "seen" or "mean"
    curve: list[tuple[float, Genotype]]
    evaluations: float  # full-training equivalents
    simulated_seconds: float
    trace_sha256: str
    wall_seconds: float
    notes: dict[str, Any]
    history: list[Evaluation] = field(repr=False)

    def recommended(self, rule: str) -> Genotype:
        """Return the last incumbent by a rule, "seen" or "mean"."""
        if rule == self.incumbent:
            return self.curve[-1][1]
        genotypes, accuracies, _, _, fractions, _, costs, _ = zip(*self.history, strict=True)
        return incumbents(genotypes, accuracies, fractions, costs, rule)[-1][1]


class AskTell:
    """A search driven by hand: `ask` for a request, `tell` its answers.

    `done` turns True when the algorithm ends by itself, or by `end`; `returned` is then the result
    of its own, None if it has none; `epochs` are its notes so far. Raises ProtocolError on a second
    ask before tell, on a tell before ask, and on the wrong number of answers.
    """

    def __init__(
        self, algorithm: Algorithm, space: Space, *, seed: int | np.random.Generator
    ) -> None:
        _require(algorithm, space)
        self._name, self._space = algorithm.name, space
        self._generator = begun(algorithm, space, stream(seed_of(seed), "algorithm"))
        self._pending: Request | None = None
        self._answers: list[Evaluation] | None = None
        self._started = False
        self.epochs: list[dict[str, Any]] = []
        self.done = False
        self.returned: Genotype | None = None

    def ask(self) -> Request | None:
        """Return the next request, or None when the algorithm has ended."""
        if self._pending is not None:
            raise ProtocolError("ask() was called twice: tell(answers) of the last request first.")
        if self.done:
            return None
        try:
            if self._started:
                request = self._generator.send(self._answers or [])
            else:
                self._started = True
                request = next(self._generator)
            while isinstance(request, Note):
                self.epochs.append(dict(request.values))
                request = self._generator.send(None)
            individuals(request, self._name)
            self._pending = request
        except StopIteration as end:
            self.done, (self.returned, _) = True, _ended(end.value, self._space)
        return self._pending

    def end(self) -> Genotype | None:
        """End the search as a spent budget does, and return what the algorithm ends with, or None.

        A pending request stays without answers.
        """
        if not self.done:
            self.done, self._pending = True, None
            try:
                self._generator.throw(BudgetSpent())
            except StopIteration as end:
                self.returned, _ = _ended(end.value, self._space)
            except BudgetSpent:
                pass  # a search without a result of its own
            else:
                raise ProtocolError(f"{self._name} goes on asking after BudgetSpent.")
        return self.returned

    def tell(self, answers: Sequence[Evaluation]) -> None:
        """Give the answers of the pending request, one for each individual, in its order.

        A TrainBilevel has no answers by hand: use `search` with a supernet for it.
        """
        if self._pending is None:
            raise ProtocolError("tell() without a pending request: ask() first.")
        expected = requested(self._pending)
        if len(answers) != expected:
            raise ProtocolError(f"Expected {expected} answers; got {len(answers)}.")
        self._answers, self._pending = list(answers), None


def requested(request: Request) -> int:
    """Return how many answers a request wants."""
    if isinstance(request, Evaluate | MeasurePaths):
        return len(request.genotypes)
    return len(request.alphas) if isinstance(request, EvaluateMixtures) else 0


def search(
    algorithm: Algorithm,
    evaluator: Evaluator,
    *,
    seed: int | np.random.Generator = 0,
    budget: Budget | None = None,
    incumbent: str | None = None,
    callback: Callback | None = None,
) -> Result:
    """Run an algorithm on an evaluator until its budget is spent or it ends by itself.

    `callback` sees each answered request; where it returns True the search ends as if its budget
    were spent, and what it did so far is what it does without a callback.
    `incumbent` is the rule of recommendation, "seen" or "mean" (see `nasbench_evo.incumbents`);
    None takes the algorithm's own; on shared weights "seen", as there two answers of a genotype are
    of different weights. One seed gives the same result in any process and any order. Raises
    InputError for a seed below 0 or an unknown rule, and what algorithm and evaluator raise.
    """
    seed = seed_of(seed)
    _require(algorithm, getattr(evaluator, "space", None))
    rule = check_rule(incumbent or algorithm.incumbent)
    algorithm.check_space(evaluator.space)
    started = time.perf_counter()
    session = evaluator.start(seed)
    history, final = _converse(algorithm, evaluator, session, seed, budget or Budget(), callback)
    returned, said = _ended(final, evaluator.space)
    if not history:
        raise InputError(
            f"{algorithm.name} evaluated nothing: the budget is below one individual, or its "
            "hyper-parameters leave nothing to do."
        )
    genotypes, accuracies, _, seconds, fractions, sources, costs, _ = zip(*history, strict=True)
    shared = sources[0] == "supernet"
    rule = "seen" if shared and incumbent is None else rule
    curve = incumbents(genotypes, accuracies, fractions, costs, rule)
    return Result(
        genotype=returned if shared and returned is not None else curve[-1][1],
        returned=returned,
        incumbent=rule,
        curve=curve,
        evaluations=round(sum(costs), 9),
        simulated_seconds=sum(seconds),
        trace_sha256=trace_hash(evaluator.space, genotypes, accuracies, fractions),
        wall_seconds=time.perf_counter() - started,
        notes={**session.notes, **said},
        history=history,
    )


class _Watch:
    """Tells a callback how far a search is."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback
        self._spent = 0.0
        self._best: tuple[Evaluation, ...] = ()  # at most one

    def ends(self, answers: Sequence[Evaluation]) -> bool:
        """Return whether the callback ends the search after these answers, one or more."""
        self._spent += sum(answered.cost for answered in answers)
        best = max((*self._best, *answers), key=lambda answered: answered.valid_accuracy)
        self._best = (best,)
        return bool(self._callback(Progress(round(self._spent, 9), best, answers)))


class _Account:
    """What is left of a budget, but for the share that is kept."""

    def __init__(self, budget: Budget, share: float = 0.0) -> None:
        evaluations, seconds = budget.evaluations or math.inf, budget.seconds or math.inf
        self.evaluations = evaluations * (1 - share) + _SLACK
        self.seconds = seconds * (1 - share)
        self.timed = budget.seconds is not None
        self._kept = (evaluations * share, seconds * share) if share else None

    def release(self) -> bool:
        """Add what was kept; return whether anything was."""
        if self._kept is None:
            return False
        self.evaluations += self._kept[0]
        self.seconds += self._kept[1]
        self._kept = None
        return True

    def end(self) -> None:
        """Leave nothing, so that the next request is refused."""
        self.evaluations, self._kept = 0.0, None

    def affords(self, answer: Evaluation) -> bool:
        """Take the cost of one answer if it fits; return whether it did."""
        if answer.cost > self.evaluations or answer.cost_seconds > self.seconds:
            return False
        self.evaluations -= answer.cost
        self.seconds -= answer.cost_seconds
        return True


def _converse(
    algorithm: Algorithm,
    evaluator: Evaluator,
    session: Session,
    seed: int,
    budget: Budget,
    callback: Callback | None,
) -> tuple[list[Evaluation], Genotype | Ended | None]:
    """Return every answer that the budget covers, in order, and what the algorithm returned."""
    account = _Account(budget, algorithm.kept_share(budget.evaluations))
    watch = None if callback is None else _Watch(callback)
    history: list[Evaluation] = []
    generator = begun(algorithm, evaluator.space, stream(seed, "algorithm"))
    send, answer = generator.send, session.answer
    final = None
    whole = True  # every request so far was for full trainings: each costs exactly 1
    try:
        request = send(None)
        while True:
            if type(request) is Evaluate:
                n = individuals(request, algorithm.name)
                limit = n * request.fraction  # continuing an earlier training costs less
                whole = whole and limit == n
            elif type(request) is EvaluateMixtures:
                limit = n = individuals(request, algorithm.name)
            elif isinstance(request, Note):
                session.notes.setdefault("epochs", []).append(dict(request.values))
                request = send(None)
                continue
            else:
                individuals(request, algorithm.name)
                request = send(answer(request))
                continue
            # What surely fits is asked at once. Else an individual at a time: costs are known
            # afterwards only.
            if limit <= account.evaluations and not account.timed:
                answers = answer(request)
                account.evaluations -= n if whole else sum([answered.cost for answered in answers])
            else:
                answers = _answer_one_by_one(request, answer, account, whole)
            history += answers
            if watch is not None and answers and watch.ends(answers):
                account.end()
            if len(answers) == n:
                request = send(answers)
            else:
                more = account.release()
                request = generator.throw(BudgetSpent(answers, more=more))
                if not more:
                    raise ProtocolError(f"{algorithm.name} goes on asking after BudgetSpent.")
    except StopIteration as end:
        final = end.value
    except BudgetSpent:
        pass  # a search that has nothing to say
    finally:
        generator.close()
    return history, final


def _ended(value: Any, space: Space) -> tuple[Genotype | None, Mapping[str, str]]:
    """Return a search's own result and notes; raise InputError if that is not of the space."""
    genotype, notes = value if isinstance(value, Ended) else (value, {})
    return (None if genotype is None else space.validate(genotype)), notes


def _require(algorithm: Any, space: Any) -> None:
    """Raise InputError where an algorithm or a space is something else."""
    if not isinstance(algorithm, Algorithm):
        raise InputError(
            f"Expected an Algorithm object, such as algorithms.get('eigen').configure(); got "
            f"{algorithm!r:.60}."
        )
    if not isinstance(space, Space):
        raise InputError(
            f"Expected a space, such as spaces.get('nasbench201'), or an evaluator of one; got "
            f"{space!r:.60}."
        )


def begun(algorithm: Algorithm, space: Space, rng: Stream) -> Search:
    """Return the generator of a search; raise ProtocolError where `search` is no generator."""
    generator = algorithm.search(space, rng)
    if not isinstance(generator, Generator):
        raise ProtocolError(
            f"{algorithm.name}: search must be a generator, which asks by `answers = yield "
            f"Evaluate(genotypes)`; it returned {generator!a:.60}."
        )
    return generator


def individuals(request: Any, name: str) -> int:
    """Return how many answers a request wants; raise ProtocolError where it is no sound request."""
    fraction, continues = 1.0, None
    try:
        if isinstance(request, Evaluate):  # first: a search on a table asks 250,000 times a second
            n, fraction, continues = len(request.genotypes), request.fraction, request.continues
        elif isinstance(request, EvaluateMixtures):
            n = len(request.alphas)
        elif isinstance(request, _UNCOUNTED):
            return 0
        else:
            raise ProtocolError(
                f"{name} yielded {request!a:.60}: expected a request of nasbench_evo.requests, "
                "such as Evaluate(genotypes)."
            )
        sound = 0 < fraction <= 1 + _SLACK
        continued = n if continues is None else len(continues)
    except TypeError:
        raise ProtocolError(
            f"{name} yielded {request!a:.80}: expected a list of genotypes, and a fraction in "
            "(0, 1]."
        ) from None
    if not n:
        raise ProtocolError(f"{name} asked to evaluate no individual.")
    if not sound:
        raise ProtocolError(f"{name}: a fraction is in (0, 1]; got {fraction!a:.40}.")
    if continued != n:
        raise ProtocolError(
            f"{name} asked for {n} individuals and named {continued} trainings that continue: "
            "one each, or None."
        )
    return n


def _answer_one_by_one(
    request: Evaluate | EvaluateMixtures,
    answer: Callable[[Request], list[Evaluation]],
    account: _Account,
    whole: bool,
) -> list[Evaluation]:
    """Return the answers up to the first individual that oversteps the budget."""
    if whole and not account.timed:  # each costs 1: what fits can be trained side by side
        fit = min(requested(request), int(account.evaluations))
        account.evaluations -= fit
        return answer(request.part(slice(fit))) if fit else []
    answers: list[Evaluation] = []
    for i in range(requested(request)):
        if account.evaluations <= _SLACK:
            break
        single = request.part(slice(i, i + 1))
        if isinstance(single, Evaluate):
            new = single.continues is None or single.continues[0] is None
            if new and single.fraction > account.evaluations:
                break  # a training may take days: none is begun that cannot count
        (result,) = answer(single)
        if not account.affords(result):
            break
        answers.append(result)
    return answers


def trace_hash(
    space: Space,
    genotypes: Sequence[Genotype],
    accuracies: Sequence[float],
    fractions: Sequence[float],
) -> str:
    """Return the SHA-256 of a whole trace: genotypes, then accuracies, then fractions."""
    digest = hashlib.sha256(space.encode(genotypes))
    for values in (accuracies, fractions):
        digest.update(np.array(values, dtype="<f8").tobytes())
    return digest.hexdigest()
