"""The lookup evaluator: every answer is one trial of a table, drawn with the run's own noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from nasbench_evo.errors import Unsupported
from nasbench_evo.evaluators.partial import PartialTrainings
from nasbench_evo.randomness import stream
from nasbench_evo.requests import Evaluate, EvaluateMixtures, Evaluation, Request
from nasbench_evo.spaces.nasbench201 import SIZE, Cell, NASBench201
from nasbench_evo.tables import Table

_MIN_ACCURACY = 1e-3  # percent; keeps -ln(accuracy) finite where a table has no losses

# Accuracies (percent) and losses (nats or None) of a cell's trials, seconds of one training.
Row = tuple[list[float], list[float | None], float]


class LookupEvaluator:
    """Answers from a table on one data set; evaluation number k takes the k-th noise draw."""

    name = "lookup"

    def __init__(self, table: Table, dataset: str) -> None:
        self.table = table
        self.dataset = dataset
        self._d = table.row(dataset)

    @property
    def space(self) -> NASBench201:
        """The table's space."""
        return self.table.space

    def identity(self) -> dict[str, Any]:
        """Return the table's name and content hash."""
        return {"evaluator": self.name, "table": self.table.name, "sha256": self.table.sha256}

    def start(self, seed: int) -> LookupSession:
        """Return a session with the noise of run `seed`."""
        return LookupSession(self, seed)

    @cached_property
    def cells(self) -> dict[Cell, Row]:
        """The table's rows by cell, as plain numbers: one dictionary look-up an individual."""
        table, d = self.table, self._d
        present = table.present[d]
        # Trials that exist first, so that cutting at their number leaves just them.
        order = np.argsort(~present, axis=1, kind="stable")
        accuracies = np.take_along_axis(table.valid_accuracy[d], order, axis=1).tolist()
        trials = table.trials[d].tolist()
        if table.valid_loss is None:
            losses: list[list[float | None]] = [[None] * n for n in trials]
        else:
            losses = np.take_along_axis(table.valid_loss[d], order, axis=1).tolist()
        seconds = table.train_seconds[d].tolist()
        every = np.stack(np.unravel_index(np.arange(SIZE), self.space.cardinalities), axis=1)
        rows = [(accuracies[i][:n], losses[i], seconds[i]) for i, n in enumerate(trials)]
        return dict(zip(map(tuple, every.tolist()), rows, strict=True))

    def landmark(self, genotype: Cell, trial: int, fraction: float) -> float:
        """Return the accuracy (percent) on the learning curve of a trial at `fraction` of it."""
        curves = self.table.valid_curve
        if curves is None:
            raise Unsupported(f"The table {self.table.name} has no learning curves.")
        index = self.space.index(genotype)
        kept = np.flatnonzero(self.table.present[self._d, index])
        epoch = max(1, round(fraction * curves.shape[3]))
        return float(curves[self._d, index, kept[trial], epoch - 1])


class LookupSession:
    """One run on a table: its noise and its partial trainings."""

    def __init__(self, evaluator: LookupEvaluator, seed: int) -> None:
        self.notes: dict[str, str] = {}
        self._evaluator = evaluator
        self._cells = evaluator.cells
        self._random = stream(seed, "evaluator noise").random
        self._partial: PartialTrainings[int] = PartialTrainings()

    def answer(self, request: Request) -> list[Evaluation]:
        """Answer one request.

        Raises InputError for a genotype that is not in the space, and Unsupported for a teacher.
        """
        if type(request) is Evaluate:
            if request.teacher is not None:
                raise Unsupported(
                    "A lookup table cannot distil from a teacher (mimicry): its accuracies are "
                    "final. Use mimicry=false, or an evaluator that trains."
                )
            try:
                if request.fraction == 1.0 and not self._partial.stopped:
                    return self._full(request.genotypes)
                return [self._trained(g, request.fraction) for g in request.genotypes]
            except (KeyError, TypeError):
                for genotype in request.genotypes:
                    self._evaluator.space.validate(genotype)
                raise
        if type(request) is EvaluateMixtures:
            return self._mixtures(self._evaluator.space.discretize(request.alphas))
        self.notes["weights"] = "table"  # the table is the trained answer: nothing to train
        return []

    def _full(self, genotypes: Sequence[Cell]) -> list[Evaluation]:
        cells, random, new = self._cells, self._random, tuple.__new__
        answers: list[Evaluation] = []
        for genotype in genotypes:
            accuracies, losses, seconds = cells[genotype]
            trial = int(random() * len(accuracies))
            # tuple.__new__ is what the named tuple's constructor does, without its call.
            fields = (genotype, accuracies[trial], losses[trial], seconds, 1.0, "table", 1.0)
            answers.append(new(Evaluation, fields))
        return answers

    def _trained(self, genotype: Cell, fraction: float) -> Evaluation:
        """Train on from a landmark, or to one.

        With learning curves a training stays on its trial. Without, each landmark of a training
        reads another trial of the final accuracy.
        """
        accuracies, losses, seconds = self._cells[genotype]
        drawn = int(self._random() * len(accuracies))
        start, earlier = self._partial.resume(genotype, fraction)
        curves = self._evaluator.table.valid_curve is not None
        trial = drawn
        if earlier is not None:
            trial = earlier if curves else (earlier + 1) % len(accuracies)
        accuracy, loss = accuracies[trial], losses[trial]
        if fraction < 1:
            self._partial.stop(genotype, fraction, trial)
            self.notes["landmark_source"] = "curve" if curves else "trial"
            if curves:
                accuracy, loss = self._evaluator.landmark(genotype, trial, fraction), None
        paid = fraction - start
        return Evaluation(genotype, accuracy, loss, seconds * paid, fraction, "table", paid)

    def _mixtures(self, genotypes: list[Cell]) -> list[Evaluation]:
        """Answer for the argmax cell of each mixture, with a loss in any case."""
        answers = self._full(genotypes)
        if self._evaluator.table.valid_loss is not None:
            self.notes["loss_source"] = "table"
            return answers
        self.notes["loss_source"] = "-ln(accuracy)"
        return [
            answer._replace(valid_loss=-math.log(max(answer[1], _MIN_ACCURACY) / 100))
            for answer in answers
        ]
