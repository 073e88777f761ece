"""Training anew what a suite on supernets found, and the cells that its weights are asked to rank.

The final cells of every row and a random sample of cells are trained with seeds that no search and
no table has, at several lengths; the accuracies of the sample are measured with the weights that
each run left, by every kind of BatchNorm statistics. Trainings are kept in a journal: after an
interruption the same call goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nasbench_evo.claim import CHECKPOINTS
from nasbench_evo.errors import InputError
from nasbench_evo.evaluators import probing, settings
from nasbench_evo.evaluators.journal import run_folder
from nasbench_evo.evaluators.specifications import training_module
from nasbench_evo.execution import journals
from nasbench_evo.results.folder import Stored
from nasbench_evo.results.labels import ON_TABLE, row_labels
from nasbench_evo.results.ranking import final_genotypes, standalone_accuracy
from nasbench_evo.results.retrained import SHARED, TABLE, Final, SharedRanking, Study, Training
from nasbench_evo.results.runs import Run, UnitRuns
from nasbench_evo.spaces import Genotype, NASBench201
from nasbench_evo.suite import Suite
from nasbench_evo.suite.model import Truth
from nasbench_evo.tables import reported

if TYPE_CHECKING:
    from nasbench_evo.evaluators.standalone import StandaloneEvaluator

BATCH_NORMS = ("recalibrated", "batch", "running")
_PURPOSE = "retrained"  # of the seeds
_JOINTLY = 64
_CHECKPOINT = "supernet.pt"

Progress = Callable[[int], None]


class Trainings(NamedTuple):
    """What is trained anew: final cells `trials` times, `cells` random ones `probe_trials` times.

    Each at every one of `lengths`, epochs, by `workers` processes a device.
    """

    lengths: Sequence[int]
    cells: int
    trials: int
    probe_trials: int
    workers: int = 1


def number(stored: Stored, asked: Trainings) -> int:
    """Return how many trainings that is; raises what `retrain` raises for another suite."""
    _check(stored.suite)
    of_finals = len(_distinct(_finals(stored))) * asked.trials
    return len(asked.lengths) * (asked.cells * asked.probe_trials + of_finals)


def retrain(stored: Stored, asked: Trainings, progress: Progress = lambda trainings: None) -> Study:
    """Return the study of a suite on supernets of nasbench201 that has one data set and a truth.

    `progress` takes numbers of finished trainings. Raises InputError for another suite, and where
    the weights that its runs left are gone.
    """
    _check(stored.suite)
    probes = probing.genotypes(NASBench201(), asked.cells)
    rankings = _rankings(stored, asked.cells)
    finals = _finals(stored)
    wanted = [(probes, asked.probe_trials), (_distinct(finals), asked.trials)]
    trainings: dict[tuple[Genotype, int, int], Training] = {}
    for epochs in asked.lengths:
        for genotypes, n in wanted:
            for one in _trained(stored, genotypes, n, epochs, asked.workers, progress):
                trainings[one[:3]] = one
    suite = stored.suite
    values = list(trainings.values())
    return Study(suite.datasets[0], suite.first_seed, probes, finals, rankings, values)


def _check(suite: Suite) -> Truth:
    """Return the truth of a suite that fits; raise InputError for another."""
    fits = suite.by_epochs and suite.space == "nasbench201" and len(suite.datasets) == 1
    if not fits or suite.truth is None:
        raise InputError(
            'Training anew needs a suite on supernets (evaluator = "supernet") in the space '
            f"nasbench201, with one data set and a truth; {suite.name} is another. "
            "weight_sharing is one."
        )
    return suite.truth


def _distinct(finals: Sequence[Final]) -> list[Genotype]:
    return list(dict.fromkeys(final.genotype for final in finals))


def _labelled(stored: Stored) -> list[tuple[str, UnitRuns]]:
    """Return the units that have runs, labelled: a search and its twin on the table alike."""
    present = [runs for runs in stored.collected if runs.records]
    labels = row_labels(stored.collected)
    return [(labels[runs.unit.row].removesuffix(ON_TABLE), runs) for runs in present]


def _finals(stored: Stored) -> list[Final]:
    truth, dataset = _check(stored.suite), stored.suite.datasets[0]
    table = reported(truth.table)
    found = []
    for label, runs in _labelled(stored):
        searched = TABLE if runs.unit.row.on_table else SHARED
        genotypes = final_genotypes(runs)
        recorded = standalone_accuracy(table, truth.dataset or dataset, genotypes).tolist()
        found += [
            Final(label, searched, run.seed, genotype, value)
            for run, genotype, value in zip(runs.records, genotypes, recorded, strict=True)
        ]
    return found


def _rankings(stored: Stored, cells: int) -> list[SharedRanking]:
    """Measure the probed cells with the weights that each run left."""
    checkpointed = training_module("checkpointed")
    found = []
    for label, runs in _labelled(stored):
        if runs.unit.row.on_table:
            continue
        folder = journals(stored.folder, runs.unit.key())
        algorithm: Any = runs.unit.row.configured
        sampling = str(getattr(algorithm, "sampling", ""))
        for run in runs.records:
            path = _checkpoint(folder, run)
            for mode in BATCH_NORMS:
                values = checkpointed.accuracies(path, cells, run.seed, batch_norm=mode)
                found.append(
                    SharedRanking(
                        label, run.seed, algorithm.epochs, sampling, mode, tuple(values.values())
                    )
                )
    return found


def _checkpoint(folder: Path, run: Run) -> Path:
    path = run_folder(folder, run.seed) / _CHECKPOINT
    if not path.is_file():
        raise InputError(
            f"The weights of seed {run.seed} are gone: there is no {path}. They are not kept in "
            "version control; make them with: nasbench-evo run SUITE --fresh."
        )
    return path


def _trained(
    stored: Stored,
    genotypes: Sequence[Genotype],
    trials: int,
    epochs: int,
    workers: int,
    progress: Progress,
) -> list[Training]:
    builder = training_module("table_builder")
    space = NASBench201()
    evaluator = _evaluator(stored.suite, epochs, workers)
    log = stored.folder / CHECKPOINTS / f"retrained-{epochs}.jsonl"
    cells = [space.index(genotype) for genotype in genotypes]
    try:
        found = builder.trained(evaluator, cells, trials, log, progress, purpose=_PURPOSE)
    finally:
        evaluator.close()
    return [
        Training(
            space.from_index(index), epochs, trial, one["valid_accuracy"], one["test_accuracy"]
        )
        for (index, trial), one in found.items()
    ]


def _evaluator(suite: Suite, epochs: int, workers: int) -> StandaloneEvaluator:
    """Return what trains a cell alone with the data, network and recipe of the suite."""
    known = settings.Settings.model_fields
    values = {name: value for name, value in suite.evaluator_set.items() if name in known}
    chosen = settings.settings({**values, "epochs": epochs, "jointly": _JOINTLY})
    made: StandaloneEvaluator = training_module("standalone").standalone(
        suite.space, suite.datasets[0], chosen, devices=suite.devices, workers=workers
    )
    return made
