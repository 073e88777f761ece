"""The standalone evaluator: every answer is a real training of that genotype's own network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_evo.errors import InputError
from nasbench_evo.evaluators.journal import run_folder
from nasbench_evo.evaluators.prepared_teacher import PreparedTeacher, required
from nasbench_evo.evaluators.settings import Settings, TrainingSettings
from nasbench_evo.evaluators.standalone_session import StandaloneSession
from nasbench_evo.networks import binary_stages, counting
from nasbench_evo.spaces.base import Genotype, Space, space_identity
from nasbench_evo.spaces.binary_stages import BinaryStages
from nasbench_evo.training import Augmentation, Dataset, Execution, Recipe, recipe, recipes
from nasbench_evo.training.data.sources import SIZES, SOURCES
from nasbench_evo.training.individuals import (
    DataOptions,
    Job,
    Trained,
    TrainingPlan,
    training_seed,
)
from nasbench_evo.training.joint import obstacles
from nasbench_evo.training.jointly import Jointly, Picked, grouped, picked
from nasbench_evo.training.pool import TrainingPool
from nasbench_evo.training.teachers import Teacher


class StandaloneEvaluator:
    """Trains individuals of `plan.space` on `plan.data`; answers are validation accuracies.

    With `jointly` > 1, that many full trainings of a request or a report are one network; "auto"
    takes what was measured on the kind of device when a run first trains, which the run keeps and
    notes, and trains alone what cannot be joined.
    `devices` and `workers` (processes a device) change the time only. In `folder` each run keeps a
    journal and the checkpoints of stopped trainings, so that a killed run goes on; without it
    nothing stays.
    """

    name = "standalone"

    def __init__(
        self,
        plan: TrainingPlan,
        *,
        jointly: Jointly = 1,
        report_trials: int = 1,
        devices: Sequence[str] = ("cpu",),
        workers: int = 1,
        folder: Path | None = None,
    ) -> None:
        self.plan = plan
        self.jointly = jointly
        self.report_trials = report_trials
        self.folder = folder
        self.slots = tuple(device for device in devices for _ in range(workers))
        self._picked: dict[int, Picked] = {}  # by seed: what "auto" is in a run

    @property
    def space(self) -> Space:
        """The space whose genotypes it trains."""
        return self.plan.space

    @property
    def dataset(self) -> str:
        """The name of the data set."""
        return self.plan.data.name

    @cached_property
    def pool(self) -> TrainingPool:
        """What trains; raises InputError for a device that is not there."""
        return TrainingPool(self.plan, self.slots)

    @cached_property
    def data(self) -> Dataset:
        """The data set, on the CPU."""
        return self.plan.data.load()

    def identity(self) -> dict[str, Any]:
        """Return all that the answers depend on, as plain JSON; raise DataError without the data.

        Kinds of device belong to it, their number and that of processes do not.
        """
        plan = self.plan
        teacher = plan.teacher
        return {
            "evaluator": self.name,
            "data": {**recipes.identity(plan.data), "sha256": self.data.sha256},
            "space": space_identity(plan.space),
            "recipe": recipes.identity(plan.recipe),
            "network": dict(plan.network),
            "execution": {**asdict(plan.execution), "threads": plan.threads},
            "device": sorted({slot.split(":")[0] for slot in self.slots}),
            "jointly": self.jointly,
            "teacher": None if teacher is None else recipes.identity(teacher),
            "report_trials": self.report_trials,
        }

    def start(self, seed: int) -> StandaloneSession:
        """Return a session for the run with this seed; it replays what its journal holds.

        Raises DataError for a journal that is damaged or of another run, InputError where no images
        validate.
        """
        self.require_validation()
        return StandaloneSession(
            self.plan,
            lambda groups: self.pool.run(groups),  # the processes start when something is trained
            seed,
            identity=self.identity(),
            folder=self.run_folder(seed),
            groups=self.groups,
            pick=partial(self._pick, seed) if self._automatic else None,
            teacher=self.teacher,
        )

    def require_validation(self) -> None:
        """Raise InputError where no images validate: candidates could not be compared."""
        if not self.plan.data.valid_fraction:
            raise InputError(
                "No images validate (valid_fraction=0), so candidates cannot be compared; that is "
                "for final trainings. Use a fraction above 0."
            )

    def run_folder(self, seed: int) -> Path | None:
        """Return where the run with this seed keeps its journal and checkpoints."""
        return None if self.folder is None else run_folder(self.folder, seed)

    @cached_property
    def teacher(self) -> PreparedTeacher | None:
        """What mimicry distils from, shared by the runs of all seeds; None: nothing."""
        if self.plan.teacher is None:
            return None
        folder = None if self.folder is None else self.folder.parent
        return PreparedTeacher(self.plan.teacher, self.plan, self.slots[0], folder)

    def report(self, genotype: Genotype, seed: int, *, taught: bool = False) -> list[Trained]:
        """Return fresh full trainings of a search's final genotype, with their test accuracy.

        For reports only: this is where test data is read. The trainings share nothing with those
        that the search saw but, if `taught`, the teacher. There are `report_trials` of them.
        """
        teacher = required(self.teacher).file() if taught and self.report_trials else None
        jobs = [
            Job(
                genotype,
                training_seed(seed, genotype, trial, "report"),
                teacher=teacher,
                test=True,
            )
            for trial in range(self.report_trials)
        ]
        return in_order(self.pool.run(self.groups(jobs, self._picked.get(seed))))

    def size(self, genotype: Genotype) -> dict[str, int]:
        """Return `parameters` and `multiply_adds` (for one image) of a genotype's network."""
        network = self.plan.network_of(genotype, np.random.SeedSequence(0))
        return counting.measure(network, self.data.shape)._asdict()

    @property
    def _automatic(self) -> bool:
        """Whether it is measured how many networks train as one."""
        unfit = self.space.name != "nasbench201" or obstacles(self.plan.recipe, self.plan.execution)
        return self.jointly == "auto" and not unfit

    def _pick(self, seed: int, known: Picked | None) -> Picked:
        """Return what "auto" is in a run: what it was so far, or else what is measured now."""
        self._picked[seed] = known or picked(self.slots[0])
        return self._picked[seed]

    def groups(self, jobs: Sequence[Job], auto: Picked | None = None) -> list[list[Job]]:
        """Return jobs of one fraction in the groups that train as one network, the taught alone.

        `auto` is what "auto" stands for (None: what is measured now).
        """
        together: int | Picked = 1
        if all(job.teacher is None for job in jobs):
            if isinstance(self.jointly, int):
                together = self.jointly
            elif self._automatic and len(jobs) > 1:
                together = auto or picked(self.slots[0])
        return grouped(jobs, together)

    def close(self) -> None:
        """End the processes that train."""
        if "pool" in vars(self):
            self.pool.close()


def in_order(finished: Iterator[tuple[int, list[Trained]]]) -> list[Trained]:
    """Return the results of numbered groups, in the order of their numbers."""
    groups = dict(finished)
    return [trained for number in sorted(groups) for trained in groups[number]]


def standalone(
    space: str,
    dataset: str,
    settings: Settings | None = None,
    *,
    devices: Sequence[str] = ("cpu",),
    workers: int = 1,
    folder: Path | None = None,
) -> StandaloneEvaluator:
    """Return the evaluator of a space and a data set by name.

    Raises InputError for settings that do not fit each other or the devices, DataError without the
    data set where its sizes are needed.
    """
    chosen = settings or Settings()
    chosen.check_space(space)
    data = data_of(chosen, space, dataset)
    # Layer graphs depend on the image size; the others need no data set to be described.
    image_size = _height(data) if space == "layer_graph" else chosen.image_size
    taught = recipe_of(chosen, space, dataset)
    execution = _execution_of(chosen)
    for device in devices:
        execution.check_device(device)
    made = chosen.make_space(space, image_size)
    options = network_of(chosen, made)
    if taught.auxiliary_weight and space == "darts_cell":
        options["auxiliary"] = True
    plan = TrainingPlan(
        data,
        made,
        taught,
        execution,
        tuple(options.items()),
        chosen.threads,
        _teacher(chosen, taught, execution),
    )
    return StandaloneEvaluator(
        plan,
        jointly=chosen.jointly,
        report_trials=chosen.report_trials,
        devices=devices,
        workers=workers,
        folder=folder,
    )


def network_of(settings: TrainingSettings, space: Space) -> dict[str, Any]:
    """Return the options of the space's networks; raise InputError for widths that do not fit."""
    options = settings.network_options()
    if isinstance(space, BinaryStages):
        binary_stages.widths_for(space, options.get("widths", "search"))
    return options


def data_of(settings: TrainingSettings, space: str, dataset: str) -> DataOptions:
    """Return the data set and split that the settings stand for."""
    return DataOptions(
        dataset,
        settings.split_seed,
        settings.validation_share(space, dataset),
        settings.valid_source,
        settings.train_size,
        settings.image_size,
        settings.valid_per_class,
    )


def _height(data: DataOptions) -> int:
    """Return the height of a data set's images; raise DataError where only its files say it."""
    known = SIZES.get(data.name)
    return data.load().shape[1] if known is None else known.shape[1]


def _execution_of(settings: Settings) -> Execution:
    return Execution(
        precision=settings.precision,
        channels_last=settings.channels_last,
        compile=settings.compile,
        deterministic=settings.deterministic,
        valid_every=settings.valid_every,
    )


def recipe_of(settings: TrainingSettings, space: str, dataset: str) -> Recipe:
    """Return the recipe that the settings stand for."""
    found = recipe(settings.recipe_name(space, dataset))
    length = settings.length()
    if length is not None:
        found = found.scaled(*length)
    augmentation: Augmentation = replace(found.augmentation, **settings.augmentation_changes())
    return replace(found, augmentation=augmentation, **settings.recipe_changes())


def _teacher(settings: Settings, taught: Recipe, execution: Execution) -> Teacher | None:
    if not settings.teacher_networks:
        return None
    own = taught if settings.teacher_epochs is None else taught.scaled(settings.teacher_epochs)
    return Teacher(
        settings.teacher_networks, settings.teacher_depth, settings.teacher_growth, own, execution
    )


__all__ = ["SOURCES", "StandaloneEvaluator", "StandaloneSession", "recipe_of", "standalone"]
