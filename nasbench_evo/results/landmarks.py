"""What a landmark tells: how early accuracies of a table's learning curves rank the final ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nasbench_evo.analysis.bootstrap import Array
from nasbench_evo.errors import Unsupported
from nasbench_evo.tables import Table

BEST = 0.1  # the share of trainings that a search is about


class Landmarks(NamedTuple):
    """Spearman's correlation of the accuracy after each part of a training with its last.

    `fractions` [E - 1] of the training, `every` [E - 1] over all trainings of all genotypes, `best`
    [E - 1] over the tenth of them whose final accuracy is highest.
    """

    fractions: Array
    every: Array
    best: Array


def landmarks(table: Table, dataset: str) -> Landmarks:
    """Return what the learning curves of a data set tell at each epoch before the last.

    Raises Unsupported for a data set without curves.
    """
    from scipy.stats import spearmanr

    if table.valid_curve is None or not table.has_curve(dataset):
        raise Unsupported(f"The table {table.name} has no learning curves of {dataset}.")
    d = table.row(dataset)
    curves = table.valid_curve[d][table.present[d]]  # [trainings, E]
    final = table.valid_accuracy[d][table.present[d]]
    good = final >= np.quantile(final, 1 - BEST)
    epochs = range(curves.shape[1] - 1)
    every = [float(spearmanr(curves[:, e], final).statistic) for e in epochs]
    best = [float(spearmanr(curves[good, e], final[good]).statistic) for e in epochs]
    fractions = np.arange(1, curves.shape[1]) / curves.shape[1]
    return Landmarks(fractions, np.array(every), np.array(best))
