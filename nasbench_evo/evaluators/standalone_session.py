"""A run of real trainings: who is trained how far, what is replayed, what goes wrong."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from nasbench_evo.errors import Unsupported
from nasbench_evo.evaluators.base import TEACHER, refuse_shared
from nasbench_evo.evaluators.journal import FILE, Journal
from nasbench_evo.evaluators.partial import PartialTrainings
from nasbench_evo.evaluators.prepared_teacher import PreparedTeacher, required
from nasbench_evo.files import digest
from nasbench_evo.requests import Evaluate, EvaluateMixtures, Evaluation, Request
from nasbench_evo.spaces.base import Genotype
from nasbench_evo.training.individuals import Job, Trained, TrainingPlan, training_seed
from nasbench_evo.training.jointly import Picked

DEFAULT_TEACHER = "default"
CHECKPOINT = ".pt"
# Trains groups of jobs, each jointly; yields the number of a group with its results, as they come.
Train = Callable[[Sequence[Sequence[Job]]], Iterator[tuple[int, list[Trained]]]]
# Returns jobs in the groups that train as one network; what "auto" is, if it is that.
Groups = Callable[[Sequence[Job], Picked | None], list[list[Job]]]
# Settles what "auto" is in this run, given what it was before.
Pick = Callable[[Picked | None], Picked]
JOINTLY = "jointly"  # the note, and the journal's line, that say it


@dataclass(frozen=True)
class _Training:
    """One training that a request wants: which, from where, and how far."""

    number: int  # what it is called in this run, however far it is
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

    def __init__(
        self,
        plan: TrainingPlan,
        train: Train,
        seed: int,
        *,
        identity: Mapping[str, Any],
        folder: Path | None,
        groups: Groups,
        pick: Pick | None,
        teacher: PreparedTeacher | None,
    ) -> None:
        self.notes: dict[str, Any] = {}
        self._plan = plan
        self._train = train
        self._seed = seed
        self._folder = folder
        self._groups = groups
        self._pick = pick
        self._picked: Picked | None = None
        self._teacher = teacher
        journal = None if folder is None else folder / FILE
        self._journal = Journal(journal, {"seed": seed, **identity})
        self._trials: Counter[tuple[Genotype, str | None]] = Counter()
        # A training with a teacher is another one than a training without.
        self._stopped: PartialTrainings[tuple[int, Path]] = PartialTrainings()
        self._problems: Counter[str] = Counter()
        self._best_taught = 0.0  # validation accuracy of the best student, percent
        known = self._journal.answer(JOINTLY)
        if known is not None:
            self._settle(Picked(**known))

    def answer(self, request: Request) -> list[Evaluation]:
        """Train what a request wants, or replay it.

        Raises InputError for a genotype that is not in the space, Unsupported for an unknown
        teacher or a space without mixtures, ProtocolError for a training that cannot be continued,
        DataError where a replay differs.
        """
        space = self._plan.space
        if isinstance(request, EvaluateMixtures):
            self.notes["weights"] = "own"
            return self.answer(Evaluate(request.discretized(space)))
        refuse_shared(request)
        if not isinstance(request, Evaluate):
            self.notes["weights"] = "own"  # no shared weights: candidates are trained from scratch
            return []
        if request.teacher not in (None, DEFAULT_TEACHER):
            raise Unsupported(
                f"The standalone evaluator knows the teacher {DEFAULT_TEACHER!r} only; got "
                f"{request.teacher!r}."
            )
        if request.teacher is not None:
            required(self._teacher)  # an error before anything is trained or written
        genotypes = [space.validate(genotype) for genotype in request.genotypes]
        # What a request continues is not part of it here: the trainings' keys tell.
        self._journal.ask([genotypes, request.fraction, request.teacher])
        continues = request.continues or [None] * len(genotypes)
        wanted = [
            self._begin(g, number, request.fraction, request.teacher)
            for g, number in zip(genotypes, continues, strict=True)
        ]
        answers = self._answers(wanted, request.fraction)
        if request.teacher is not None:
            self._compare([answer["valid_accuracy"] for answer in answers])
        return [
            self._evaluation(training, answer, request.fraction)
            for training, answer in zip(wanted, answers, strict=True)
        ]

    def _compare(self, taught: list[float]) -> None:
        """Note how good the teacher is, and whether a student is better."""
        known = self._journal.answer(TEACHER)
        if known is None:
            known = {"valid_accuracy": required(self._teacher).accuracy()}
            self._journal.record(TEACHER, known)
        accuracy = known["valid_accuracy"]
        self._best_taught = max(self._best_taught, *taught)
        self.notes[TEACHER] = f"validation accuracy {accuracy:.2f} %"
        if self._best_taught > accuracy:
            self.notes[TEACHER] += ", weaker than its best student"

    def _begin(
        self, genotype: Genotype, number: int | None, fraction: float, teacher: str | None
    ) -> _Training:
        """Return the stopped training of that number, or a new one."""
        what = (genotype, teacher)
        if number is not None:
            started, (trial, source) = self._stopped.resume(number, what, fraction)
            return _Training(number, genotype, trial, started, source, teacher)
        trial = self._trials[what]
        # a genotype asked for again is trained again, from another seed
        self._trials[what] += 1
        return _Training(self._stopped.begin(), genotype, trial, 0.0, None, teacher)

    def _settle(self, known: Picked | None) -> None:
        """Settle what "auto" is in this run, for good; a device may be measured anew meanwhile."""
        if self._pick is None:
            return
        self._picked = self._pick(known)
        self.notes[JOINTLY] = self._picked.text()
        if known is None:
            self._journal.record(JOINTLY, self._picked._asdict())

    def _answers(self, wanted: list[_Training], fraction: float) -> list[dict[str, Any]]:
        """Return the answer of each training, from the journal or from the pool."""
        keys = [training.key(fraction) for training in wanted]
        answers = {key: self._journal.answer(key) for key in keys}
        missing = [t for t, key in zip(wanted, keys, strict=True) if answers[key] is None]
        jobs = [self._job(training, fraction) for training in missing]
        if len(jobs) > 1 and self._picked is None:
            self._settle(None)
        groups = self._groups(jobs, self._picked)
        firsts = [0, *accumulate(map(len, groups))]
        for number, results in self._train(groups):
            for training, trained in zip(missing[firsts[number] :], results, strict=False):
                answer = asdict(trained)
                answers[training.key(fraction)] = answer
                self._journal.record(training.key(fraction), answer)
                if training.source is not None:
                    # after the answer is on disk: a kill in between costs nothing
                    training.source.unlink(missing_ok=True)
        return [found for key in keys if (found := answers[key]) is not None]

    def _job(self, training: _Training, fraction: float) -> Job:
        return Job(
            training.genotype,
            training_seed(self._seed, training.genotype, training.trial),
            until=fraction,
            start=_existing(training.source),
            keep=self._checkpoint(training, fraction) if fraction < 1 else None,
            teacher=self._teacher_file if training.teacher else None,
        )

    def _checkpoint(self, training: _Training, fraction: float) -> Path:
        return self._scratch / (training.key(fraction) + CHECKPOINT)

    @cached_property
    def _teacher_file(self) -> Path:
        return required(self._teacher).file()

    @cached_property
    def _scratch(self) -> Path:
        """Where checkpoints lie: the run's folder, or one that goes when the run ends."""
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
            what = (training.genotype, training.teacher)
            self._stopped.stop(training.number, what, fraction, state)
            self.notes["landmark_source"] = "training"
        if answer["status"] != "ok":
            self._problems[answer["status"]] += 1
            parts = [f"{number} {status}" for status, number in sorted(self._problems.items())]
            self.notes["status"] = f"{', '.join(parts)}; last: {answer['reason']}"
        elif answer["reason"]:
            self.notes["memory"] = answer["reason"]
        paid = fraction - training.started
        return Evaluation(
            training.genotype,
            answer["valid_accuracy"],
            answer["valid_loss"],
            answer["seconds"],
            fraction,
            "training",
            paid,
            training.number if fraction < 1 else None,
        )


def _existing(checkpoint: Path | None) -> Path | None:
    """Return a checkpoint to go on from; without it the training starts anew, and gives the same.

    It is gone where the journal was cut back to before the answer that it was used for.
    """
    return checkpoint if checkpoint is not None and checkpoint.exists() else None
