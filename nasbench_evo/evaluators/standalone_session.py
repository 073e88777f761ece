"""A run of real trainings: who is trained how far, what is replayed, what goes wrong."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_evo.errors import Unsupported
from nasbench_evo.evaluators.journal import FILE, Journal, digest
from nasbench_evo.evaluators.partial import PartialTrainings
from nasbench_evo.requests import Evaluate, EvaluateMixtures, Evaluation, Request, TrainBilevel
from nasbench_evo.spaces.base import Genotype
from nasbench_evo.training.individuals import Job

if TYPE_CHECKING:
    from nasbench_evo.evaluators.standalone import StandaloneEvaluator

DEFAULT_TEACHER = "default"
CHECKPOINT = ".pt"


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
        self.notes: dict[str, Any] = {}
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
        if isinstance(request, TrainBilevel):
            raise Unsupported(
                "This evaluator has no weights to descend on: algorithms that follow gradients of "
                "the architecture (darts) need the supernet evaluator."
            )
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
