"""Training the individuals of a search: what is trained, and one or several of them at once.

Everything here is plain data or a function of it, so that it can be handed to another process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from nasbench_evo.files import digest
from nasbench_evo.networks import build
from nasbench_evo.randomness import seed_sequence
from nasbench_evo.spaces.base import Genotype, Space
from nasbench_evo.training.data.datasets import Dataset, load_dataset
from nasbench_evo.training.distillation import Ensemble
from nasbench_evo.training.execution import Execution, TooLittleMemory, check_device
from nasbench_evo.training.joint import JointTraining
from nasbench_evo.training.measure import evaluate
from nasbench_evo.training.recipes import Recipe
from nasbench_evo.training.results import TrainingResult, chance, memory_note
from nasbench_evo.training.seeding import weights_generator
from nasbench_evo.training.teachers import Teacher
from nasbench_evo.training.trainer import Training


@dataclass(frozen=True)
class DataOptions:
    """A data set by name and split: the arguments of `load_dataset`, but for the device."""

    name: str = "digits"
    split_seed: int = 0
    valid_fraction: float = 0.2
    valid_source: Literal["train", "test"] = "train"
    train_size: int | None = None
    image_size: int = 64  # pixels; only for folders of image files
    valid_per_class: tuple[int, ...] | None = None

    def load(self, device: str = "cpu") -> Dataset:
        """Return the data set on `device`, kept for the next call of this process.

        Raises InputError for a device that is not there.
        """
        check_device(device)
        return _loaded(self, device)


@lru_cache(maxsize=4)
def _loaded(options: DataOptions, device: str) -> Dataset:
    return load_dataset(**asdict(options), device=device)


@dataclass(frozen=True)
class TrainingPlan:
    """What all individuals of an evaluator have in common."""

    data: DataOptions
    space: Space
    recipe: Recipe
    execution: Execution
    network: tuple[tuple[str, Any], ...] = ()  # options of the space's networks
    threads: int = 1  # of torch on a CPU; sums may depend on it, so it is part of the plan
    teacher: Teacher | None = None

    def ensemble(self, file: Path | None, dataset: Dataset) -> Ensemble | None:
        """Return the trained teacher in a file, on the data set's device; None without one."""
        if file is None or self.teacher is None:
            return None
        return self.teacher.load(file, dataset)

    def network_of(self, genotype: Genotype, seed: np.random.SeedSequence) -> nn.Module:
        """Return the untrained network of a genotype, on the CPU."""
        dataset = self.data.load()
        channels, height, _ = dataset.shape
        return build(
            genotype,
            self.space,
            classes=dataset.classes,
            generator=weights_generator(seed),
            in_channels=channels,
            image_size=height,
            initialisation=self.recipe.initialisation,
            **dict(self.network),
        )


@dataclass(frozen=True)
class Job:
    """One individual: train it to the fraction `until`, from a checkpoint where one is named."""

    genotype: Genotype
    seed: np.random.SeedSequence
    until: float = 1.0
    start: Path | None = None  # checkpoint of an earlier fraction
    keep: Path | None = None  # where to leave a checkpoint
    teacher: Path | None = None  # file of the teacher to distil from
    test: bool = False  # measure the test part too: for reports only

    @property
    def stops(self) -> bool:
        """Whether it goes on from a checkpoint, or leaves one."""
        return self.start is not None or self.keep is not None


@dataclass(frozen=True)
class Trained:
    """What a job gave; diverged and failed trainings have the accuracy and loss of chance.

    Without a validation part, as final trainings may be, `valid_*` are None.
    """

    valid_accuracy: float | None  # percent
    valid_loss: float | None
    seconds: float  # of this job alone
    status: str  # "ok", "diverged" or "failed"
    reason: str  # of what went wrong; of an "ok" training, that batches were split
    curve: list[dict[str, Any]]  # of the whole training so far, one entry an epoch
    test_accuracy: float | None = None  # percent
    test_loss: float | None = None

    def plain(self) -> dict[str, Any]:
        """Return it as a record keeps it: plain JSON, without its curve."""
        return {**asdict(self), "curve": None}


def training_seed(
    seed: int, genotype: Genotype, trial: int, purpose: str = "training"
) -> np.random.SeedSequence:
    """Return the seed of a training: it depends on run, genotype and trial, not on order."""
    return seed_sequence(seed, purpose, int(digest([genotype, trial])[:16], 16))


def train(plan: TrainingPlan, jobs: Sequence[Job], device: str = "cpu") -> list[Trained]:
    """Do some jobs on `device`; more than one are trained jointly, as one network.

    Jobs done together have no teacher, and end at the same fraction.
    """
    dataset = plan.data.load(device)
    with threads(plan.threads):
        return _in_memory(plan, jobs, dataset)


def _in_memory(plan: TrainingPlan, jobs: Sequence[Job], dataset: Dataset) -> list[Trained]:
    """Train jobs jointly, or in halves where the memory does not hold all of them."""
    if len(jobs) == 1:
        return [_alone(plan, jobs[0], dataset)]
    found = _jointly(plan, jobs, dataset)
    if found is not None:
        return found
    middle = len(jobs) // 2
    return [
        *_in_memory(plan, jobs[:middle], dataset),
        *_in_memory(plan, jobs[middle:], dataset),
    ]


def _alone(plan: TrainingPlan, job: Job, dataset: Dataset) -> Trained:
    training = _begun(plan, job, dataset)
    before = training.progress.seconds
    result = training.run(job.until)
    if job.keep is not None:
        training.save(job.keep)
    return _trained(plan, job, dataset, training.model, result, result.seconds - before)


def _begun(plan: TrainingPlan, job: Job, dataset: Dataset) -> Training:
    """Return the training of a job, as far as it is."""
    training = Training(
        plan.network_of(job.genotype, job.seed),
        dataset,
        plan.recipe,
        seed=job.seed,
        execution=plan.execution,
        teacher=plan.ensemble(job.teacher, dataset),
    )
    if job.start is not None:
        training.load(job.start)
    return training


def _jointly(plan: TrainingPlan, jobs: Sequence[Job], dataset: Dataset) -> list[Trained] | None:
    """Train jobs as one network; None where that does not fit into memory."""
    trainings: list[Training] = []
    try:
        if any(job.stops for job in jobs):
            trainings = [_begun(plan, job, dataset) for job in jobs]
            if len({training.iteration for training in trainings}) > 1:
                return [_alone(plan, job, dataset) for job in jobs]  # one had diverged
        networks: list[Any] = [training.model for training in trainings] or [
            plan.network_of(job.genotype, job.seed) for job in jobs
        ]
        training = JointTraining(
            networks,
            dataset,
            plan.recipe,
            seeds=[job.seed for job in jobs],
            execution=plan.execution,
        )
    except TooLittleMemory:
        return None
    before = [one.progress.seconds for one in trainings] or [0.0] * len(jobs)
    if trainings:
        training.take_over(trainings)
    results = training.run(jobs[0].until)
    if all(result.status == "failed" for result in results):
        return None
    if trainings:
        training.hand_over(trainings)
    for job, one in zip(jobs, trainings, strict=False):
        if job.keep is not None:
            one.save(job.keep)
    return [
        _trained(plan, job, dataset, network, result, result.seconds - earlier)
        for job, network, result, earlier in zip(jobs, networks, results, before, strict=True)
    ]


def _trained(
    plan: TrainingPlan,
    job: Job,
    dataset: Dataset,
    model: nn.Module,
    result: TrainingResult,
    seconds: float,
) -> Trained:
    reason = result.reason
    valid: tuple[float | None, float | None] = (result.valid_accuracy, result.valid_loss)
    if result.status == "ok":
        reason = memory_note(result.batch_splits)
    test: tuple[float | None, float | None] = (None, None)
    if result.status != "ok":
        valid = chance(dataset.classes)
    if not len(dataset.valid):
        valid = (None, None)
    if job.test:
        test = chance(dataset.classes)
        if result.status == "ok":
            test = evaluate(
                model,
                dataset,
                "test",
                augmentation=plan.recipe.augmentation,
                precision=plan.execution.precision,
            )
    return Trained(
        *valid,
        seconds,
        result.status,
        reason,
        [asdict(point) for point in result.curve],
        *test,
    )


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Run a block with torch using `number` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
