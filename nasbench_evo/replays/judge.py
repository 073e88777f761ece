"""By what the individuals of repeated runs are judged: a table of their space, or their answers."""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from nasbench_evo import tables
from nasbench_evo.algorithms.generations import Exchange
from nasbench_evo.evaluators.base import Evaluator
from nasbench_evo.spaces import Genotype, Space
from nasbench_evo.suite import Unit
from nasbench_evo.tables import Table

_TRIALS = "mean over a cell's trials, not the noisy value that the search saw"
_TRAININGS = "mean over all trainings of it in the repeated runs of its row"


@dataclass(frozen=True)
class Judge:
    """What the individuals of a unit's runs are worth.

    `accuracy` is a validation accuracy in percent, NaN where it is not known; `words` say of what.
    `best` is the highest that there is, None where nobody knows. `parameters` are counted.
    """

    space: Space
    accuracy: Callable[[Genotype], float]
    parameters: Callable[[Genotype], float]
    words: str
    best: float | None = None


def judge(unit: Unit, evaluator: Evaluator, exchanges: Iterable[Sequence[Exchange]]) -> Judge:
    """Return who judges the individuals of a unit: its table, or all answers to its runs.

    Of shared weights the table is the truth beside them.
    """
    if unit.training is None or (unit.epochs is not None and unit.table):
        return _by_table(tables.reported(unit.table), unit.of_table)
    return _by_answers(evaluator, exchanges)


def _by_table(table: Table, dataset: str) -> Judge:
    d, index = table.row(dataset), table.space.index
    quality, sizes = table.quality[d], table.parameters[d]
    return Judge(
        table.space,
        functools.cache(lambda genotype: float(quality[index(genotype)])),
        lambda genotype: float(sizes[index(genotype)]),
        _TRIALS,
        float(table.best[d]),
    )


def _by_answers(evaluator: Evaluator, runs: Iterable[Sequence[Exchange]]) -> Judge:
    known: defaultdict[Genotype, list[float]] = defaultdict(list)
    for exchanges in runs:
        for _, answers in exchanges:
            for answer in answers:
                if answer.fraction == 1.0:  # what died out was not trained to its end
                    known[answer.genotype].append(answer.valid_accuracy)
    means = {genotype: sum(some) / len(some) for genotype, some in known.items()}
    size: Callable[[Genotype], dict[str, int]] | None = getattr(evaluator, "size", None)
    return Judge(
        evaluator.space,
        lambda genotype: means.get(genotype, math.nan),
        functools.cache(lambda genotype: size(genotype)["parameters"] if size else math.nan),
        _TRAININGS,
    )
