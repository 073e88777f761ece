"""The standalone evaluator: every answer is a real training of that genotype's own network."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_evo.errors import Unsupported
from nasbench_evo.evaluators.journal import FILE, Journal, digest
from nasbench_evo.evaluators.partial import PartialTrainings
from nasbench_evo.evaluators.settings import Settings
from nasbench_evo.randomness import seed_sequence
from nasbench_evo.requests import Evaluate, EvaluateMixtures, Evaluation, Request
from nasbench_evo.spaces.base import Genotype, Space
from nasbench_evo.training import Augmentation, Dataset, Execution, Recipe, recipe
from nasbench_evo.training.individuals import DataOptions, Job, Trained, TrainingPlan
from nasbench_evo.training.pool import TrainingPool
from nasbench_evo.training.sources import SOURCES
from nasbench_evo.training.teachers import Teacher

DEFAULT_TEACHER = "default"
CHECKPOINT = ".pt"


class StandaloneEvaluator:
    """Trains individuals of `plan.space` on `plan.data`; answers are validation accuracies.

    With `jointly` > 1, that many full trainings of a request are one network. `devices` and
    `workers` (processes a device) change the time only. In `folder` each run keeps a journal and
    the checkpoints of stopped trainings, so that a killed run goes on; without it nothing stays.
    """

    name = "standalone"

    def __init__(
        self,
        plan: TrainingPlan,
        *,
        jointly: int = 1,
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
            "data": {**asdict(plan.data), "sha256": self.data.sha256},
            "space": _space_identity(plan.space),
            "recipe": asdict(plan.recipe),
            "network": dict(plan.network),
            "execution": {**asdict(plan.execution), "threads": plan.threads},
            "device": sorted({slot.split(":")[0] for slot in self.slots}),
            "jointly": self.jointly,
            "teacher": None if teacher is None else asdict(teacher),
            "report_trials": self.report_trials,
        }

    def start(self, seed: int) -> StandaloneSession:
        """Return a session for the run with this seed; it replays what its journal holds.

        Raises DataError for a journal that is damaged or of another run.
        """
        return StandaloneSession(self, seed)

    def run_folder(self, seed: int) -> Path | None:
        """Return where the run with this seed keeps its journal and checkpoints."""
        return None if self.folder is None else self.folder / f"seed-{seed}"

    def teacher_file(self, scratch: Path) -> Path:
        """Return the file of the trained teacher, made where it is not there yet.

        Runs of all seeds share it where there is a folder, else it lies in `scratch`. Raises
        Unsupported where no teacher is configured.
        """
        teacher = self.plan.teacher
        if teacher is None:
            raise Unsupported(
                "This evaluator has no teacher to distil from (mimicry). Set teacher_networks=4, "
                "or use mimicry=false."
            )
        key = digest([asdict(teacher), self.data.sha256])[:16]
        parent = scratch if self.folder is None else self.folder.parent
        dataset = self.plan.data.load(self.slots[0])
        return teacher.train(dataset, parent / f"teacher-{key}{CHECKPOINT}")

    def report(self, genotype: Genotype, seed: int) -> list[Trained]:
        """Return fresh full trainings of a search's final genotype, with their test accuracy.

        For reports only: this is where test data is read. The trainings share nothing with those
        that the search saw. There are `report_trials` of them.
        """
        jobs = [
            Job(genotype, self.training_seed(genotype, trial, seed, "report"), test=True)
            for trial in range(self.report_trials)
        ]
        return in_order(self.pool.run([[job] for job in jobs]))

    def training_seed(
        self, genotype: Genotype, trial: int, seed: int, purpose: str = "training"
    ) -> np.random.SeedSequence:
        """Return the seed of a training: it depends on run, genotype and trial, not on order."""
        return seed_sequence(seed, purpose, int(digest([genotype, trial])[:16], 16))

    def close(self) -> None:
        """End the processes that train."""
        if "pool" in vars(self):
            self.pool.close()


def in_order(finished: Iterator[tuple[int, list[Trained]]]) -> list[Trained]:
    """Return the results of numbered groups, in the order of their numbers."""
    groups = dict(finished)
    return [trained for number in sorted(groups) for trained in groups[number]]


def _space_identity(space: Space) -> dict[str, Any]:
    derived = {"blocks", "cardinalities"}
    return {"name": space.name, **{k: v for k, v in vars(space).items() if k not in derived}}


@dataclass(frozen=True)
class _Training:
    """One training that a request wants: which, from where, and how far."""

    genotype: Genotype
    trial: int
    started: float  # fraction already paid for
    source: Path | None  # the checkpoint at `started`
    teacher: str | None

    def key(self, fraction: float) -> str:
        """Return the name of this training at a fraction, the same in every process."""
        return digest([self.genotype, self.trial, self.teacher, fraction])


class StandaloneSession:
    """One run: its journal, its count of trials of each genotype, its stopped trainings."""

    def __init__(self, evaluator: StandaloneEvaluator, seed: int) -> None:
        self.notes: dict[str, str] = {}
        self._evaluator = evaluator
        self._seed = seed
        self._folder = evaluator.run_folder(seed)
        journal = None if self._folder is None else self._folder / FILE
        self._journal = Journal(journal, {"seed": seed, **evaluator.identity()})
        self._trials: Counter[tuple[Genotype, str | None]] = Counter()
        # One account a teacher: a training with it is another one than a training without.
        self._stopped: dict[str | None, PartialTrainings[tuple[int, Path]]] = {}
        self._problems: Counter[str] = Counter()

    def answer(self, request: Request) -> list[Evaluation]:
        """Train what a request wants, or replay it.

        Raises InputError for a genotype that is not in the space, Unsupported for an unknown
        teacher or a space without mixtures, DataError where a replay differs.
        """
        evaluator = self._evaluator
        if isinstance(request, EvaluateMixtures):
            self.notes["weights"] = "own"
            return self.answer(Evaluate(evaluator.space.discretize(request.alphas)))  # type: ignore[attr-defined]
        if not isinstance(request, Evaluate):
            self.notes["weights"] = "own"  # no shared weights: candidates are trained from scratch
            return []
        if request.teacher not in (None, DEFAULT_TEACHER):
            raise Unsupported(
                f"The standalone evaluator knows the teacher {DEFAULT_TEACHER!r} only; got "
                f"{request.teacher!r}."
            )
        genotypes = [evaluator.space.validate(genotype) for genotype in request.genotypes]
        self._journal.ask([genotypes, request.fraction, request.teacher])
        wanted = [self._begin(g, request.fraction, request.teacher) for g in genotypes]
        answers = self._answers(wanted, request.fraction)
        return [
            self._evaluation(training, answer, request.fraction)
            for training, answer in zip(wanted, answers, strict=True)
        ]

    def _begin(self, genotype: Genotype, fraction: float, teacher: str | None) -> _Training:
        """Return the furthest stopped training of a genotype, or a new one."""
        stopped = self._stopped.setdefault(teacher, PartialTrainings())
        started, state = stopped.resume(genotype, fraction)
        if state is not None:
            return _Training(genotype, state[0], started, state[1], teacher)
        trial = self._trials[genotype, teacher]
        self._trials[genotype, teacher] += 1
        return _Training(genotype, trial, 0.0, None, teacher)

    def _answers(self, wanted: list[_Training], fraction: float) -> list[dict[str, Any]]:
        """Return the answer of each training, from the journal or from the pool."""
        keys = [training.key(fraction) for training in wanted]
        answers = {key: self._journal.answer(key) for key in keys}
        missing = [t for t, key in zip(wanted, keys, strict=True) if answers[key] is None]
        jobs = [self._job(training, fraction) for training in missing]
        together = self._evaluator.jointly if fraction == 1 and _fresh(missing) else 1
        starts = range(0, len(jobs), together)
        groups = [jobs[start : start + together] for start in starts]
        for number, results in self._evaluator.pool.run(groups):
            first = number * together
            for training, trained in zip(missing[first : first + together], results, strict=True):
                answer = asdict(trained)
                answers[training.key(fraction)] = answer
                self._journal.record(training.key(fraction), answer)
                if training.source is not None:
                    training.source.unlink(missing_ok=True)
        return [found for key in keys if (found := answers[key]) is not None]

    def _job(self, training: _Training, fraction: float) -> Job:
        return Job(
            training.genotype,
            self._evaluator.training_seed(training.genotype, training.trial, self._seed),
            until=fraction,
            start=training.source,
            keep=self._checkpoint(training, fraction) if fraction < 1 else None,
            teacher=self._teacher if training.teacher else None,
        )

    def _checkpoint(self, training: _Training, fraction: float) -> Path:
        return self._scratch / (training.key(fraction) + CHECKPOINT)

    @cached_property
    def _teacher(self) -> Path:
        return self._evaluator.teacher_file(self._scratch)

    @cached_property
    def _scratch(self) -> Path:
        """Where checkpoints lie: the run's folder, or one that ends with this session."""
        if self._folder is not None:
            return self._folder
        folder = tempfile.mkdtemp(prefix="nasbench_evo-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def _evaluation(
        self, training: _Training, answer: dict[str, Any], fraction: float
    ) -> Evaluation:
        """Return the answer to the algorithm, and keep account of what stopped or went wrong."""
        if fraction < 1:
            state = (training.trial, self._checkpoint(training, fraction))
            self._stopped[training.teacher].stop(training.genotype, fraction, state)
            self.notes["landmark_source"] = "training"
        if answer["status"] != "ok":
            self._problems[answer["status"]] += 1
            parts = [f"{number} {status}" for status, number in sorted(self._problems.items())]
            self.notes["status"] = f"{', '.join(parts)}; last: {answer['reason']}"
        paid = fraction - training.started
        return Evaluation(
            training.genotype,
            answer["valid_accuracy"],
            answer["valid_loss"],
            answer["seconds"],
            fraction,
            "training",
            paid,
        )


def _fresh(trainings: Sequence[_Training]) -> bool:
    """Return whether all are plain trainings from the start, which can be done jointly."""
    return all(t.source is None and t.teacher is None for t in trainings)


def standalone(
    space: str,
    dataset: str,
    settings: Settings | None = None,
    *,
    devices: Sequence[str] = ("cpu",),
    workers: int = 1,
    folder: Path | None = None,
) -> StandaloneEvaluator:
    """Return the evaluator of a space and a data set by name; raise InputError or DataError."""
    chosen = settings or Settings()
    chosen.check_space(space)
    data = DataOptions(
        dataset,
        chosen.split_seed,
        chosen.valid_fraction,
        chosen.valid_source,
        chosen.train_size,
        chosen.image_size,
    )
    # Layer graphs depend on the image size; the others need no data set to be described.
    image_size = data.load().shape[1] if space == "layer_graph" else chosen.image_size
    taught = recipe_of(chosen, space, dataset)
    execution = Execution(
        precision=chosen.precision,
        channels_last=chosen.channels_last,
        compile=chosen.compile,
        deterministic=chosen.deterministic,
        valid_every=chosen.valid_every,
    )
    plan = TrainingPlan(
        data,
        chosen.make_space(space, image_size),
        taught,
        execution,
        tuple(chosen.network_options().items()),
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


def recipe_of(settings: Settings, space: str, dataset: str) -> Recipe:
    """Return the recipe that the settings stand for."""
    found = recipe(settings.recipe_name(space, dataset))
    if settings.epochs is not None:
        found = found.scaled(settings.epochs)
    if settings.iterations is not None:
        found = found.scaled(settings.iterations, "iterations")
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
