"""An objective of one's own: a class that says how good a genotype is, and nothing else.

In Python `nasbench_evo.search("eigen", evaluator=Mine("any", space))`; in a suite
`evaluator = "package.module:Mine"` with `space = "..."`; docs/objectives.md writes one.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from nasbench_evo import external, names, spaces
from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.evaluators.base import loss_of, refuse_shared
from nasbench_evo.evaluators.partial import PartialTrainings
from nasbench_evo.files import canonical
from nasbench_evo.randomness import Stream, stream
from nasbench_evo.requests import Evaluate, EvaluateMixtures, Evaluation, Request
from nasbench_evo.spaces import Genotype, Space
from nasbench_evo.spaces.base import space_identity


class Objective(ABC):
    """What a search asks, as a function of a genotype: a subclass has `name` and `accuracy`.

    `dataset` is one of the names that a suite lists (one objective may have several variants),
    `space` what is searched. More arguments of `__init__` are a suite's `evaluator_set`. What makes
    the answers what they are belongs into attributes: runs are keyed by them.
    """

    name: ClassVar[str]

    def __init__(self, dataset: str, space: Space | str = "nasbench201") -> None:
        self.dataset = dataset
        self.space = spaces.get(space) if isinstance(space, str) else space
        if not isinstance(self.space, Space):
            raise InputError(f"{self.name}: expected a space or its name; got {space!r:.60}.")

    @abstractmethod
    def accuracy(self, genotype: Genotype, rng: Stream) -> float:
        """Return how good a genotype is as a search sees it: 0..100, the higher the better.

        `rng` is the run's own noise: the k-th question of a run always gets the same draws.
        """

    def truth(self, genotype: Genotype) -> float | None:
        """Return what reports say of a genotype, without noise, 0..100; None: what was seen."""
        return None

    def seconds(self, genotype: Genotype) -> float:
        """Return the simulated seconds that one answer costs, for budgets in seconds."""
        return 0.0

    def identity(self) -> dict[str, Any]:
        """Return what makes the answers what they are: name, space, and the plain attributes."""
        own = {
            key: value
            for key, value in vars(self).items()
            if key not in ("dataset", "space") and not key.startswith("_")
        }
        try:
            canonical([own, space_identity(self.space)])
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{self.name}: what makes its answers what they are must be plain JSON ({error}). "
                "Let other attributes begin with '_', or write identity()."
            ) from error
        return {"evaluator": self.name, "space": space_identity(self.space), **own}

    def start(self, seed: int) -> _Session:
        """Return a session with the noise of run `seed`."""
        return _Session(self, seed)


class _Session:
    """One run on an objective: its noise and what it stopped at."""

    def __init__(self, objective: Objective, seed: int) -> None:
        self.notes: dict[str, Any] = {}
        self._objective, self._seed, self._asked = objective, seed, 0
        self._partial: PartialTrainings[None] = PartialTrainings()

    def answer(self, request: Request) -> list[Evaluation]:
        """Answer one request.

        An objective has no trainings: at a landmark it is asked for its value, which costs that
        share; training requests change nothing. Raises InputError for an accuracy that is none.
        """
        if isinstance(request, EvaluateMixtures):
            self.notes["loss_source"] = "-ln(accuracy)"
            genotypes = request.discretized(self._objective.space)
            return [self._one(genotype, 1.0, None, loss=True) for genotype in genotypes]
        if not isinstance(request, Evaluate):
            refuse_shared(request)
            self.notes["weights"] = "none"
            return []
        if request.teacher is not None:
            raise Unsupported(
                f"{self._objective.name} cannot distil from a teacher (mimicry): use mimicry=false."
            )
        if request.fraction < 1:
            self.notes["landmark_source"] = "objective"
        numbers = request.continues or [None] * len(request.genotypes)
        return [
            self._one(genotype, request.fraction, number)
            for genotype, number in zip(request.genotypes, numbers, strict=True)
        ]

    def _one(
        self, genotype: Genotype, fraction: float, number: int | None, *, loss: bool = False
    ) -> Evaluation:
        objective, start = self._objective, 0.0
        if number is not None:
            start, _ = self._partial.resume(number, genotype, fraction)
        rng = stream(self._seed, "evaluator noise", self._asked)
        self._asked += 1
        value = percent(objective.accuracy(genotype, rng), objective, genotype)
        if fraction < 1:
            number = self._partial.stop(number, genotype, fraction, None)
        paid = fraction - start
        cost = float(objective.seconds(genotype)) * paid
        negative = loss_of(value) if loss else None
        return Evaluation(
            genotype, value, negative, cost, fraction, "objective", paid,
            number if fraction < 1 else None,
        )  # fmt: skip


def percent(value: Any, objective: Any, genotype: Genotype) -> float:
    """Return an accuracy of an objective; raise InputError where it is not a number in 0..100."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 100:
        raise InputError(
            f"{objective.name}: an accuracy is a number in 0..100, the higher the better; got "
            f"{value!r:.40} for {genotype!r:.80}. Scale what you measure."
        )
    return number


def reported(evaluator: Any, genotype: Genotype) -> float | None:
    """Return the truth of a genotype, percent; None where an evaluator has none."""
    truth = getattr(evaluator, "truth", None)
    value = None if truth is None else truth(genotype)
    return None if value is None else percent(value, evaluator, genotype)


def has_times(evaluator: Any) -> bool:
    """Return whether answers cost simulated seconds, so that a budget in seconds ends."""
    return not isinstance(evaluator, Objective) or type(evaluator).seconds is not Objective.seconds


def made(name: str, dataset: str, space: Space, values: Mapping[str, Any]) -> Any:
    """Return the objective of `package.module:Class`; raise InputError with what is wrong."""
    cls = external.found(name, "evaluator", Objective)
    if inspect.isabstract(cls):
        raise InputError(f"{name} is not finished: write accuracy(self, genotype, rng).")
    names.checked(f"{name}: its name", getattr(cls, "name", None))
    _check_arguments(name, cls, values)
    try:
        return cls(dataset, space, **values)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{name}({dataset!r}, ...) failed{external.where(error)}: {type(error).__name__}: "
            f"{error!s:.200}."
        ) from error


def _check_arguments(name: str, cls: type[Objective], values: Mapping[str, Any]) -> None:
    try:
        inspect.signature(cls).bind("dataset", "space", **dict.fromkeys(values))
    except TypeError as error:
        known = [*inspect.signature(cls).parameters][2:]
        raise InputError(
            f"{name}: evaluator_set does not fit its __init__(self, dataset, space, ...): {error}. "
            f"It takes: {', '.join(known) or 'nothing more'}."
        ) from None


class StandIn:
    """An evaluator whose code is not imported: its name and its identity, and nothing to ask."""

    def __init__(self, name: str, dataset: str, space: Space, identity: Mapping[str, Any]) -> None:
        self.name, self.dataset, self.space, self._identity = name, dataset, space, dict(identity)

    def identity(self) -> dict[str, Any]:
        """Return the identity that its runs were stored with."""
        return self._identity

    def start(self, seed: int) -> Any:
        """Raise Unsupported: there is nothing to run."""
        raise Unsupported(
            f"{self.name} is known by name only: results are read without importing the code that "
            "made them. To repeat its runs import its module in Python first, or use "
            "`nasbench-evo run`."
        )
