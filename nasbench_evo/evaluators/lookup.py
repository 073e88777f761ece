"""The lookup evaluator: every answer is one trial of a table, drawn with the run's own noise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import compress, repeat
from typing import Any

import numpy as np

from nasbench_evo.errors import DataError, InputError, Unsupported
from nasbench_evo.evaluators.base import loss_of, refuse_shared
from nasbench_evo.evaluators.partial import PartialTrainings
from nasbench_evo.randomness import stream
from nasbench_evo.requests import Evaluate, EvaluateMixtures, Evaluation, Request
from nasbench_evo.spaces import Genotype, IntegerSpace
from nasbench_evo.tables import Table, held_out

INFEASIBLE = "infeasible"  # the source of an answer for what the table has not


class Rows(dict[Genotype, list[Evaluation]]):
    """By cell, the answers that full trainings of it can give: one for each trial.

    Their loss is the table's. Where that has none it is None, or -ln of the accuracy with
    `loss_in_any_case`.
    """

    def __init__(self, table: Table, d: int, *, loss_in_any_case: bool = False) -> None:
        super().__init__()
        self._table = table
        self._d = d
        self._loss_in_any_case = loss_in_any_case

    def __missing__(self, genotype: Any) -> list[Evaluation]:
        """Make the row of a cell.

        Raises InputError if it is not in the space, DataError if the table has no trial of it.
        """
        table, d = self._table, self._d
        index = table.space.index(table.space.validate(genotype))
        present = table.present[d, index].tolist()
        accuracies = list(compress(table.valid_accuracy[d, index].tolist(), present))
        losses: Iterable[float | None]
        if table.valid_loss is not None:
            losses = compress(table.valid_loss[d, index].tolist(), present)
        elif self._loss_in_any_case:
            losses = map(loss_of, accuracies)
        else:
            losses = repeat(None, len(accuracies))
        if not accuracies and table.infeasible:
            seconds = float(table.failure_seconds[d])
            asked = self._loss_in_any_case or table.valid_loss is not None
            loss = loss_of(0.0) if asked else None
            failure = Evaluation(genotype, 0.0, loss, seconds, 1.0, INFEASIBLE, 1.0)
            self[genotype] = [failure]
            return self[genotype]
        if not accuracies:
            raise DataError(
                f"The table {table.name} has no trial of {table.space.format(genotype)} on "
                f"{table.datasets[d]}: a search needs a table of all cells, or one imported with "
                'missing = "infeasible", where this is a failure that costs.'
            )
        seconds = float(table.full_seconds[d, index])
        self[genotype] = row = [
            Evaluation(genotype, accuracy, loss, seconds, 1.0, "table", 1.0)
            for accuracy, loss in zip(accuracies, losses, strict=True)
        ]
        return row


class LookupEvaluator:
    """Answers from a table on one data set; evaluation number k takes the k-th noise draw."""

    name = "lookup"

    def __init__(self, table: Table, dataset: str) -> None:
        self.table = table
        self.dataset = dataset
        self._d = table.row(dataset)
        if table.by_test(dataset):
            raise InputError(
                f"The table {table.name} has no validation accuracy of {dataset} at "
                f"{table.epochs} epochs, and a search sees nothing else. Search another length, "
                "--table NAME@EPOCHS: `nasbench-evo table info` lists them."
            )

    @property
    def space(self) -> IntegerSpace:
        """The table's space."""
        return self.table.space

    def identity(self) -> dict[str, Any]:
        """Return the table's name and content hash."""
        return {"evaluator": self.name, "table": self.table.name, "sha256": self.table.sha256}

    def start(self, seed: int) -> LookupSession:
        """Return a session with the noise of run `seed`."""
        return LookupSession(self, seed)

    @cached_property
    def cells(self) -> Rows:
        """The full trainings of each cell, made when first asked for: one look-up an individual."""
        return Rows(self.table, self._d)

    @cached_property
    def mixtures(self) -> Rows:
        """The same, with a loss in any case."""
        if self.table.valid_loss is not None:
            return self.cells
        return Rows(self.table, self._d, loss_in_any_case=True)

    @cached_property
    def has_curves(self) -> bool:
        """Whether the table has learning curves of this data set."""
        return self.table.has_curve(self.dataset)

    def validation_seconds(self, genotype: Genotype) -> float:
        """Return the simulated seconds of one validation; 0 where the table has none."""
        seconds = self.table.valid_seconds
        if seconds is None:
            return 0.0
        return float(np.nan_to_num(seconds[self._d, self.space.index(genotype)]))

    def landmark(self, genotype: Genotype, trial: int, fraction: float) -> float:
        """Return the accuracy (percent) on the learning curve of a trial at `fraction` of it."""
        curves = self.table.valid_curve
        if curves is None or not self.has_curves:
            raise Unsupported(
                f"The table {self.table.name} has no learning curves of {self.dataset}."
            )
        index = self.space.index(genotype)
        kept = np.flatnonzero(self.table.present[self._d, index])
        if not len(kept):  # infeasible
            return 0.0
        epoch = max(1, round(fraction * curves.shape[3]))
        return float(curves[self._d, index, kept[trial], epoch - 1])


class HeldOutEvaluator:
    """Shows each run one trial of every genotype, so that the others can judge what it found.

    Which one goes by the seed. Raises InputError for a data set with single trials.
    """

    name = "lookup"

    def __init__(self, table: Table, dataset: str) -> None:
        held_out.check(table, dataset)
        self.table = table
        self.dataset = dataset
        self._parts: dict[int, LookupEvaluator] = {}

    @property
    def space(self) -> IntegerSpace:
        """The table's space."""
        return self.table.space

    def identity(self) -> dict[str, Any]:
        """Return the table's name and content hash, and that one trial is seen."""
        return {**LookupEvaluator(self.table, self.dataset).identity(), "sees": "one trial"}

    def start(self, seed: int) -> LookupSession:
        """Return a session on the trial of run `seed`."""
        k = held_out.way(self.table, seed)
        if k not in self._parts:
            seen = held_out.split(self.table, seed).seen
            self._parts[k] = LookupEvaluator(seen, self.dataset)
        return self._parts[k].start(seed)


class LookupSession:
    """One run on a table: its noise and its partial trainings."""

    def __init__(self, evaluator: LookupEvaluator, seed: int) -> None:
        self.notes: dict[str, Any] = {}
        self._evaluator = evaluator
        self._cells = evaluator.cells
        self._curves = evaluator.has_curves
        self._random = stream(seed, "evaluator noise").random
        self._partial: PartialTrainings[int] = PartialTrainings()

    def answer(self, request: Request) -> list[Evaluation]:
        """Answer one request.

        Raises InputError for a genotype that is not in the space, Unsupported for a teacher, and
        ProtocolError for a training that cannot be continued.
        """
        if type(request) is Evaluate:
            if request.teacher is not None:
                raise Unsupported(
                    "A lookup table cannot distil from a teacher (mimicry): its accuracies are "
                    "final. Use mimicry=false, or an evaluator that trains."
                )
            if request.fraction == 1.0 and request.continues is None:
                return self._full(request.genotypes, self._cells)
            return self._trained(request)
        if type(request) is EvaluateMixtures:
            space: Any = self._evaluator.space  # algorithms with mixtures check that it can
            return self._mixtures(request.discretized(space))
        refuse_shared(request)
        self.notes["weights"] = "table"  # the table is the trained answer: nothing to train
        return []

    def _full(self, genotypes: Sequence[Genotype], cells: Rows) -> list[Evaluation]:
        random = self._random
        answers = []
        for genotype in genotypes:
            row = cells[genotype]
            answers.append(row[int(random() * len(row))])
        self._count(answers)
        return answers

    def _count(self, answers: Sequence[Evaluation]) -> None:
        """Note how many answers were failures: genotypes that the table has not."""
        if self._evaluator.table.infeasible:
            failed = sum(answer.source == INFEASIBLE for answer in answers)
            self.notes[INFEASIBLE] = self.notes.get(INFEASIBLE, 0) + failed

    def _trained(self, request: Evaluate) -> list[Evaluation]:
        """Train on from a landmark, or to one.

        With learning curves a training stays on its trial. Without, each landmark of a training
        reads another trial of the final accuracy.
        """
        genotypes, fraction, _, continues, *_ = request
        cells, random, curves = self._cells, self._random, self._curves
        resume, stop = self._partial.resume, self._partial.stop
        validated = self._evaluator.table.valid_seconds is not None
        if fraction < 1:
            self.notes["landmark_source"] = "curve" if curves else "trial"
        answers = []
        for genotype, number in zip(genotypes, continues or [None] * len(genotypes), strict=True):
            row = cells[genotype]
            trial = int(random() * len(row))
            paid = fraction
            if number is not None:
                start, earlier = resume(number, genotype, fraction)
                trial = earlier if curves else (earlier + 1) % len(row)
                paid -= start
            _, accuracy, loss, seconds, _, source, _, training = row[trial]
            if fraction < 1:
                training = stop(number, genotype, fraction, trial)
                if curves:
                    accuracy, loss = self._evaluator.landmark(genotype, trial, fraction), None
            validation = self._evaluator.validation_seconds(genotype) if validated else 0.0
            cost = (seconds - validation) * paid + validation
            answers.append(
                Evaluation(genotype, accuracy, loss, cost, fraction, source, paid, training)
            )
        self._count(answers)
        return answers

    def _mixtures(self, genotypes: list[Genotype]) -> list[Evaluation]:
        """Answer for the argmax cell of each mixture, with a loss in any case."""
        measured = self._evaluator.table.valid_loss is not None
        self.notes["loss_source"] = "table" if measured else "-ln(accuracy)"
        return self._full(genotypes, self._evaluator.mixtures)
