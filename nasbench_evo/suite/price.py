"""What a suite that trains will cost, row by row, before anything is trained.

Each row's search is run with made-up answers, so that it asks for as many trainings as it will;
a step of such networks is measured here; a GPU is assumed. torch is imported when it is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nasbench_evo.errors import ProtocolError, Unsupported
from nasbench_evo.evaluators.partial import PartialTrainings
from nasbench_evo.randomness import Stream, stream
from nasbench_evo.requests import (
    Evaluate,
    EvaluateMixtures,
    Evaluation,
    MeasurePaths,
    Request,
    TrainBilevel,
    TrainPaths,
)
from nasbench_evo.runner import search
from nasbench_evo.spaces.base import Genotype, Space
from nasbench_evo.suite.kinds import units
from nasbench_evo.suite.model import Suite
from nasbench_evo.suite.units import Unit

if TYPE_CHECKING:
    from nasbench_evo.evaluators.standalone import StandaloneEvaluator
    from nasbench_evo.evaluators.supernet import SupernetEvaluator
    from nasbench_evo.training.price import Step

FLOPS_PER_SECOND = {"fp64": 5e12, "fp32": 1e13, "bf16": 2e13, "fp16": 2e13}  # sustained, assumed
SECONDS_PER_KERNEL = 5e-6  # to start one, assumed
ASSUMED = (
    "a GPU that sustains 10 TFLOP/s (20 in bf16 and fp16) and starts a kernel in 5 microseconds"
)
_LINE = 1000  # bytes of a training in a journal
_NETWORKS = 3  # measured for a row


@dataclass
class Work:
    """What one run asks for."""

    trainings: float = 0.0  # full ones; a landmark counts its fraction
    stopped: int = 0  # at a time, at the most
    lines: int = 0  # of the journal
    taught: bool = False
    path_epochs: int = 0
    mixture_epochs: int = 0
    path_answers: int = 0
    mixture_answers: int = 0


class Price(NamedTuple):
    """A row on a data set, all seeds; `seconds_gpu` is an assumption."""

    row: str
    dataset: str
    steps: float
    flops: float
    kernels: float
    disk: float  # bytes
    seconds_here: float
    seconds_gpu: float


class Made:
    """An evaluator whose answers are drawn, of a session that counts what it is asked."""

    name = "made up"

    def __init__(self, space: Space, dataset: str, *, shared: bool) -> None:
        self.space, self.dataset, self.shared = space, dataset, shared
        self.session: MadeSession | None = None

    def identity(self) -> dict[str, Any]:
        """Return that nothing is measured."""
        return {"evaluator": self.name}

    def start(self, seed: int) -> MadeSession:
        """Return the session of a run."""
        self.session = MadeSession(self.space, seed, shared=self.shared)
        return self.session


class MadeSession:
    """Answers by chance and keeps account."""

    def __init__(self, space: Space, seed: int, *, shared: bool) -> None:
        self.notes: dict[str, Any] = {}
        self.work = Work()
        self.genotypes: dict[Genotype, None] = {}
        self._space, self._shared = space, shared
        self._draw: Stream = stream(seed, "price")
        self._stopped: PartialTrainings[None] = PartialTrainings()
        self._halfway = 0

    def answer(self, request: Request) -> Any:
        """Return what has the form of an answer."""
        if isinstance(request, EvaluateMixtures):
            genotypes = request.discretized(self._space)
            if self._shared:
                self.work.mixture_answers += len(genotypes)
            return self._evaluated(Evaluate(genotypes), counted=not self._shared)
        if isinstance(request, Evaluate):
            if self._shared:
                self.work.path_answers += len(request.genotypes)
            return self._evaluated(request, counted=not self._shared)
        if isinstance(request, MeasurePaths):
            self.work.path_answers += len(request.genotypes)
            return self._evaluated(Evaluate(request.genotypes), counted=False)
        if not self._shared:
            return []
        if isinstance(request, TrainPaths):
            self.work.path_epochs += 1
            self.genotypes[request.sample(self._draw)] = None
            return []
        self.work.mixture_epochs += 1
        if isinstance(request, TrainBilevel):
            self.work.mixture_epochs += 1  # a step of alpha is as large as one of the weights
            alpha = np.asarray(request.alpha)
            return alpha if request.edges is None else (alpha, np.asarray(request.edges))
        return []

    def _evaluated(self, request: Evaluate, *, counted: bool) -> list[Evaluation]:
        work, fraction = self.work, request.fraction
        continues = request.continues or [None] * len(request.genotypes)
        answers = []
        for genotype, number in zip(request.genotypes, continues, strict=True):
            self.genotypes[genotype] = None
            started = 0.0
            if number is not None:
                started, _ = self._stopped.resume(number, genotype, fraction)
                self._halfway -= 1
            if fraction < 1:
                number = self._stopped.stop(number, genotype, fraction, None)
                self._halfway += 1
            work.stopped = max(work.stopped, self._halfway)
            work.lines += 1
            work.taught = work.taught or request.teacher is not None
            work.trainings += (fraction - started) if counted else 0
            accuracy = 10 + 80 * self._draw.random()
            answers.append(
                Evaluation(
                    genotype,
                    accuracy,
                    -math.log(accuracy / 100),
                    0.0,
                    fraction,
                    "made up",
                    fraction - started,
                    number if fraction < 1 else None,
                )
            )
        return answers


def prices(suite: Suite) -> Iterator[Price]:
    """Yield what each row costs on each data set; rows that read a table cost nothing.

    Raises DataError where a data set's sizes are known from its files only.
    """
    measured: dict[Any, Step] = {}
    for unit in units(suite):
        if unit.training is not None:
            yield _price(unit, suite.seeds, measured)


def _price(unit: Unit, seeds: int, measured: dict[Any, Step]) -> Price:
    shared = unit.epochs is not None
    trainer: Any = unit.trainer()
    made = Made(trainer.space, unit.dataset, shared=shared)
    search(unit.row.configured, made, seed=0, budget=unit.budget)
    if made.session is None:
        raise ProtocolError(f"{unit.row.label} asked nothing.")
    work, genotypes = made.session.work, _spread(list(made.session.genotypes))
    bill = _Bill(unit, measured)
    if shared:
        _shared(bill, trainer, work, genotypes)
        final = trainer.final
        if final is not None:
            _alone(bill, final, float(final.report_trials), genotypes, ("final", unit.row.label))
    else:
        n = work.trainings + trainer.report_trials
        step = _alone(bill, trainer, n, genotypes, ("own", unit.row.label))
        bill.disk += work.stopped * 8 * step.parameters + work.lines * _LINE  # weights, momentum
        if work.taught:
            _teacher(bill, trainer, seeds)
    return bill.total(seeds)


class _Bill:
    """Adds up what one run needs."""

    def __init__(self, unit: Unit, measured: dict[Any, Step]) -> None:
        self.unit, self._measured = unit, measured
        self.steps = self.flops = self.kernels = self.disk = self.here = self.gpu = 0.0

    def step(self, key: tuple[Any, ...], make: Any) -> Step:
        """Return a step's cost, measured once for a suite."""
        known = (*key, self.unit.training, self.unit.dataset)
        if known not in self._measured:
            self._measured[known] = make()
        return self._measured[known]

    def add(self, step: Step, steps: float, images: float, precision: str) -> None:
        """Add so many steps on so many images in all."""
        flops, kernels = step.flops * images, step.kernels * steps
        self.steps += steps
        self.flops += flops
        self.kernels += kernels
        self.here += flops * step.seconds_per_flop
        self.gpu += max(flops / FLOPS_PER_SECOND[precision], kernels * SECONDS_PER_KERNEL)

    def total(self, seeds: int) -> Price:
        """Return the price of all seeds."""
        values = (self.steps, self.flops, self.kernels, self.disk, self.here, self.gpu)
        return Price(self.unit.row.label, self.unit.dataset, *(seeds * v for v in values))


def _alone(
    bill: _Bill,
    trainer: StandaloneEvaluator,
    trainings: float,
    genotypes: Sequence[Genotype],
    key: tuple[Any, ...],
) -> Step:
    """Add full trainings of networks like some genotypes'; validation costs a third of a step."""
    from nasbench_evo.training import price

    plan = trainer.plan
    device = price.there(trainer.slots[0])
    step = bill.step(key, lambda: price.of_genotypes(plan, genotypes, device))
    train, valid = price.parts(plan.data)
    steps, per_epoch = price.iterations(plan.recipe, train)
    images: float = steps * min(plan.recipe.batch_size, train)
    validations = max(1, steps // per_epoch // plan.execution.valid_every)
    images += validations * valid / 3
    bill.add(step, trainings * steps, trainings * images, plan.execution.precision)
    return step


def _teacher(bill: _Bill, trainer: StandaloneEvaluator, seeds: int) -> None:
    """Add the teacher's trainings, which all seeds share, and its answers: a third of a step.

    It is asked at each step, or once for each image where augmentation moves no pixel.
    """
    from nasbench_evo.training import price

    plan, teacher = trainer.plan, trainer.plan.teacher
    if teacher is None:
        raise Unsupported("mimicry needs a teacher: set teacher_networks.")
    device = price.there(trainer.slots[0])
    step = bill.step(("teacher",), lambda: price.of_teacher(plan, teacher, device))
    train, _ = price.parts(plan.data)
    steps, _ = price.iterations(teacher.recipe, train)
    own = teacher.networks * steps / seeds
    batch = min(plan.recipe.batch_size, train)
    bill.add(step, own, own * batch, plan.execution.precision)
    _, per_epoch = price.iterations(plan.recipe, train)
    asked = bill.steps - own if plan.recipe.augmentation.moves_pixels else per_epoch
    answers = teacher.networks * asked / 3
    bill.add(step, answers, answers * batch, plan.execution.precision)


def _shared(
    bill: _Bill, trainer: SupernetEvaluator, work: Work, genotypes: Sequence[Genotype]
) -> None:
    """Add the epochs of a supernet, and what is measured with its weights."""
    from nasbench_evo.training import price

    plan = trainer.plan
    known = price.sizes(plan.data)
    device = price.there(trainer.device)
    train, valid = price.parts(plan.data)
    _, per_epoch = price.iterations(plan.recipe, train)
    batch = min(plan.recipe.batch_size, train)
    seen = valid
    if plan.measurement.batches is not None:
        seen = min(valid, plan.measurement.batches * plan.measurement.batch_size)
    recalibrated = min(train, plan.measurement.recalibration_size)
    seen += recalibrated if plan.measurement.batch_norm == "recalibrated" else 0
    probe = trainer.probe
    probed = 0 if probe is None else probe.cells * -(-round(plan.recipe.length) // probe.every)
    alphas = getattr(plan.space, "alpha_shape", ())
    for epochs, answers, some in (
        (work.path_epochs, work.path_answers + probed, genotypes),
        (work.mixture_epochs, work.mixture_answers, []),
    ):
        if not epochs + answers:
            continue

        def make(some: Sequence[Genotype] = some) -> Step:
            supernet = plan.supernet(known, 0)
            return price.of_shared(
                supernet, some, alphas, known.shape, plan.execution, plan.threads, device
            )

        row = bill.unit.row.label if some else ""  # mixtures are the same in all rows
        step = bill.step(("shared", row), make)
        steps = epochs * per_epoch
        measured = answers * seen / 3
        bill.add(step, steps, steps * batch + measured, plan.execution.precision)
        bill.disk = max(bill.disk, 8 * step.parameters)  # weights and momentum
    bill.disk += work.lines * _LINE


def _spread(genotypes: list[Genotype]) -> list[Genotype]:
    """Return a few genotypes, evenly over those that were asked for."""
    count = min(_NETWORKS, len(genotypes))
    return [genotypes[(2 * i + 1) * len(genotypes) // (2 * count)] for i in range(count)]
