"""What is known of each single run, by name, in small files that are committed with a result.

runs.json has what runs end with, written by `nasbench-evo run`; replayed.json what repeating them
shows, written by `nasbench-evo figures` and `retrain`. Published claims are judged by both.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_evo.analysis.bootstrap import Array
from nasbench_evo.errors import DataError
from nasbench_evo.files import write_text

FILE = "runs.json"
REPLAYED = "replayed.json"
_DIGITS = 6  # of a value that is written: enough for figures, and small

# What a measure is, and its unit. A name may end in @N: after N evaluations, or in generation N.
MEANING = {
    "regret": ("regret", "points"),
    "returned_regret": ("regret of what the algorithm ended with", "points"),
    "test": ("test accuracy in the table", "%"),
    "parameters": ("parameters", "million"),
    "evaluations": ("evaluations spent", "full trainings"),
    "seconds": ("simulated seconds spent", "s"),
    "seen": ("validation accuracy as the search saw it", "%"),
    "final_valid": ("validation accuracy of fresh trainings", "%"),
    "final_test": ("test accuracy of fresh trainings", "%"),
    "final_test_untaught": ("test accuracy of fresh trainings without the teacher", "%"),
    "fresh": ("validation accuracy of fresh trainings whose epochs end", "%"),
    "fresh_tau": ("tau-b with the mean of fresh trainings whose epochs end", ""),
    "fresh_tau_running": (
        "tau-b by running BatchNorm with the mean of fresh trainings whose epochs end",
        "",
    ),
    "standalone": ("standalone accuracy", "%"),
    "seen_standalone": ("standalone accuracy of the best that was seen", "%"),
    "kendall_tau": ("Kendall's tau-b of shared and standalone accuracy", ""),
    "average": ("average accuracy of the population", "%"),
    "highest": ("highest accuracy in the population", "%"),
    "parents": ("Spearman's correlation of parents and children", ""),
    "neighbour": ("genes in which it differs from what the next seed found", "genes"),
    "champion": ("accuracy of what stands for a generation, in the last fifth of them", "%"),
    "dropped": ("drop-outs a generation", "individuals"),
    "dropped_first": ("drop-outs a generation at the first landmark", "individuals"),
    "dropped_second": ("drop-outs a generation at the second landmark", "individuals"),
    "generation_cost": ("full trainings spent in a generation", "full trainings"),
    "distance": ("genes in which a child differs from its parent", "genes"),
    "jump": ("what a worse individual is fitter by, 2 eta L2", ""),
    "spread": ("standard deviation of zeta L1 within a population", ""),
    "worse": ("share of strategies whose fittest is worse than alpha", ""),
}
# Of replayed runs: what an algorithm says of its parts, see `Algorithm.measures`.
STUDIED = (
    "dropped", "dropped_first", "dropped_second", "distance", "jump", "spread", "worse", "champion",
    "generation_cost",
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """The runs of a row on a data set: values [n] by measure, those of the seeds from `first_seed`.

    `row` is the label in the suite's tables. None stands for what a run does not say.
    """

    row: str
    dataset: str
    first_seed: int
    measures: Mapping[str, Sequence[float | None]] = field(default_factory=dict)

    def by_seed(self, measure: str) -> dict[int, float]:
        """Return the values of a measure that are known, by seed."""
        values = enumerate(self.measures.get(measure, ()), self.first_seed)
        return {seed: value for seed, value in values if value is not None}


def meaning(measure: str) -> tuple[str, str]:
    """Return what a measure is and its unit; an unknown one stands for itself."""
    name, _, at = measure.partition("@")
    words, unit = MEANING.get(name, (name, ""))
    return (f"{words} at {at}" if at else words), unit


def heading(measure: str) -> str:
    """Return what a measure is, with its unit in brackets."""
    words, unit = meaning(measure)
    return f"{words} ({unit})" if unit else words


def measured(
    row: str,
    dataset: str,
    first_seed: int,
    seeds: Sequence[int],
    values: Mapping[str, Sequence[float | None] | Array],
) -> Measured:
    """Return the values [n] of some seeds in the order of all seeds, what is not finite as None."""
    last = max(seeds)
    placed: dict[str, Sequence[float | None]] = {}
    for name, some in values.items():
        known = dict(zip(seeds, np.array(some, dtype=float).tolist(), strict=True))
        if any(map(math.isfinite, known.values())):
            placed[name] = [_written(known.get(seed)) for seed in range(first_seed, last + 1)]
    return Measured(row, dataset, first_seed, placed)


def _written(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.{_DIGITS}g}")
    return int(rounded) if rounded.is_integer() else rounded


def write(path: Path, suite: str, rows: Iterable[Measured]) -> Path:
    """Write runs.json or replayed.json, a line a row and data set; return its path."""
    lines = [
        json.dumps(
            {
                "row": one.row,
                "dataset": one.dataset,
                "first_seed": one.first_seed,
                "measures": one.measures,
            },
            separators=(",", ":"),
        )
        for one in rows
    ]
    text = ",\n".join(lines)
    return write_text(path, f'{{"suite": {json.dumps(suite)}, "rows": [\n{text}\n]}}\n')


def read(folder: Path) -> list[Measured]:
    """Return what both files of a results folder say; empty where there is neither.

    Raises DataError where one cannot be read.
    """
    return merged([*_rows(folder / FILE), *_rows(folder / REPLAYED)])


def replayed(folder: Path) -> list[Measured]:
    """Return what replayed.json says; empty where it is not there."""
    return _rows(folder / REPLAYED)


def merged(rows: Iterable[Measured]) -> list[Measured]:
    """Return one entry for each row and data set; of a measure that comes twice the later."""
    found: dict[tuple[str, str], Measured] = {}
    for one in rows:
        before = found.get((one.row, one.dataset))
        known = {} if before is None else before.measures
        found[one.row, one.dataset] = replace(one, measures={**known, **one.measures})
    return list(found.values())


def _rows(path: Path) -> list[Measured]:
    if not path.is_file():
        return []
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        return [Measured(**row) for row in content["rows"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path}: expected the measures of runs as `nasbench-evo run` writes them: {error}. "
            "Run the suite again."
        ) from error
