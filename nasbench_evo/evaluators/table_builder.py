"""Building a lookup table by training cells for real: restartable, with full learning curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_evo.errors import InputError
from nasbench_evo.evaluators.journal import Journal
from nasbench_evo.evaluators.standalone import StandaloneEvaluator
from nasbench_evo.networks.nasbench201 import network as nasbench201
from nasbench_evo.randomness import stream
from nasbench_evo.spaces import isomorphism
from nasbench_evo.spaces.nasbench201 import SIZE, Cell, NASBench201
from nasbench_evo.tables.importing.collector import Collector
from nasbench_evo.tables.importing.trainings import Trial
from nasbench_evo.training.individuals import Job, training_seed

# Hard enough that cells differ (a study of 60 cells: Spearman 0.73 between two trials, accuracies
# of 29 to 83 %), and short enough for thousands of them: few images, few steps, narrow networks.
DEFAULTS = {
    "digits": (
        "train_size=100",
        "valid_fraction=0.4",
        "epochs=10",
        "batch_size=25",
        "lr=0.05",
        "channels=4",
        "cells=2",
        "jointly=64",
    )
}
_PURPOSE = "table"  # of the seeds: a table shares no training with any search
_SERIES = tuple((split, metric) for split in ("train", "valid") for metric in ("accuracy", "loss"))
_TEST = (("test", "accuracy"), ("test", "loss"))
_MOST_TRIALS = 64


def chosen_cells(which: str) -> list[int]:
    """Return cell indexes: "all", "unique" (one of each isomorphism class), or that many of these.

    A smaller number is the beginning of a larger one's random order. Raises InputError otherwise.
    """
    if which == "all":
        return list(range(SIZE))
    unique = np.unique(isomorphism.classes(), return_index=True)[1].tolist()
    if which == "unique":
        return [int(index) for index in unique]
    if not which.isdecimal() or not 1 <= int(which) <= len(unique):
        raise InputError(f"cells is all, unique, or 1..{len(unique)}; got {which!r}.")
    stream(0, "table cells").shuffle(unique)
    return [int(index) for index in unique[: int(which)]]


def build(
    evaluator: StandaloneEvaluator,
    cells: Sequence[int],
    trials: int,
    log: Path,
    progress: Callable[[int], None],
) -> None:
    """Train `trials` networks of each cell and write what came out to `log`, a journal.

    What is in the log already is not trained again: the same call goes on after a kill, and calls
    with other cells or more trials add to it. `progress` takes the number of finished trainings.
    Raises InputError for another space than nasbench201, DataError for the log of another recipe.
    """
    if evaluator.plan.execution.valid_every != 1 or evaluator.plan.recipe.length % 1:
        raise InputError("A table's curves have every epoch: use valid_every=1 and whole epochs.")
    trained(evaluator, cells, trials, log, progress)


def trained(
    evaluator: StandaloneEvaluator,
    cells: Sequence[int],
    trials: int,
    log: Path,
    progress: Callable[[int], None],
    *,
    purpose: str = _PURPOSE,
) -> dict[tuple[int, int], Any]:
    """Return each training (a `Trained` as plain JSON) by cell and trial; see `build`.

    Trainings of another `purpose` have other seeds, and so share none with a table.
    """
    if not isinstance(evaluator.space, NASBench201):
        raise InputError(f"Tables are of the space nasbench201; got {evaluator.space.name}.")
    if not 1 <= trials <= _MOST_TRIALS:
        raise InputError(f"trials is 1..{_MOST_TRIALS}; got {trials}.")
    evaluator.require_validation()
    journal = _opened(evaluator, log)
    wanted = [(index, trial) for trial in range(trials) for index in cells]
    missing = [key for key in wanted if journal.answer(_name(*key)) is None]
    progress(len(wanted) - len(missing))
    groups = evaluator.groups([_job(evaluator, index, t, purpose) for index, t in missing])
    firsts = [0, *accumulate(map(len, groups))]
    for number, results in evaluator.pool.run(groups):
        for key, one in zip(missing[firsts[number] :], results, strict=False):
            journal.record(_name(*key), asdict(one))
        progress(len(results))
    return {key: journal.answer(_name(*key)) for key in wanted}


def _opened(evaluator: StandaloneEvaluator, log: Path) -> Journal:
    identity = evaluator.identity()
    # Whether networks are trained together changes rounding only: a log may hold both.
    return Journal(log, {key: value for key, value in identity.items() if key != "jointly"})


def _name(index: int, trial: int) -> str:
    return f"{index}/{trial}"


def _job(evaluator: StandaloneEvaluator, index: int, trial: int, purpose: str) -> Job:
    genotype = NASBench201().from_index(index)
    return Job(genotype, training_seed(0, genotype, trial, purpose), test=True)


def collect(evaluator: StandaloneEvaluator, log: Path, *, share: bool) -> Collector:
    """Return what the log holds, ready to be saved as a table.

    With `share` a cell takes the trials of a cell that computes the same (its isomorphism class),
    so that the table covers the space as far as the classes were trained.
    """
    journal = _opened(evaluator, log)
    collector = Collector(str(log))
    epochs = math.ceil(evaluator.plan.recipe.length)
    classes = isomorphism.classes()
    by_class: dict[int, list[dict[str, Any]]] = {}
    own: dict[int, list[dict[str, Any]]] = {}
    for index in range(SIZE):
        answers = list(_answers(journal, index))
        if answers:
            own[index] = answers
            by_class.setdefault(int(classes[index]), answers)
    if not own:
        raise InputError(f"{log} holds no training yet: build some first.")
    for index in range(SIZE):
        found = own.get(index) or (by_class.get(int(classes[index])) if share else None)
        if found:
            trials = [_trial(evaluator, index, t, a, epochs) for t, a in enumerate(found)]
            collector.add(index, epochs, evaluator.dataset, trials)
    return collector


def source(evaluator: StandaloneEvaluator, log: Path, *, share: bool) -> dict[str, Any]:
    """Return what a table says of where it comes from, plain JSON."""
    journal = _opened(evaluator, log)
    found = [len(list(_answers(journal, index))) for index in range(SIZE)]
    trained, trials = sum(map(bool, found)), sum(found)
    shared = "; cells that compute the same share their trials" if share else ""
    counted = f"{trials} trainings of {trained} cells{shared}"
    label = f"{evaluator.dataset}, trained by this package: {counted}"
    return {"label": label, "file": log.name, "evaluator": evaluator.identity()}


def _answers(journal: Journal, index: int) -> Iterator[dict[str, Any]]:
    for trial in range(_MOST_TRIALS):
        answer = journal.answer(_name(index, trial))
        if answer is None:
            return
        yield answer


def _trial(
    evaluator: StandaloneEvaluator, index: int, number: int, answer: dict[str, Any], epochs: int
) -> Trial:
    """Return a training as a trial; after a divergence the curve stays at chance."""
    dataset = evaluator.data
    rows = [[point[f"{split}_{metric}"] for split, metric in _SERIES] for point in answer["curve"]]
    lost = [100 / dataset.classes, math.log(dataset.classes)] * 2
    rows += [lost] * (epochs - len(rows))
    curves = np.full((len(_SERIES) + 2, epochs), np.nan)
    curves[: len(_SERIES)] = np.array(rows, dtype=float).T
    curves[-2:, -1] = answer["test_accuracy"], answer["test_loss"]
    curves[2:4, -1] = answer["valid_accuracy"], answer["valid_loss"]
    genotype: Cell = NASBench201().from_index(index)
    network = dict(evaluator.plan.network)
    channels, height, _ = dataset.shape
    sizes = {"classes": dataset.classes, "in_channels": channels, **network}
    flops = nasbench201.multiply_adds(genotype, image_size=height, **sizes)
    return Trial(
        seed=number,
        series=(*_SERIES, *_TEST),
        curves=curves.astype(np.float32),
        last=curves[:, -1].copy(),
        train_seconds=answer["seconds"],
        seconds={},
        parameters=nasbench201.parameter_count(genotype, **sizes) / 1e6,
        flops=flops / 1e6,
        latency=float("nan"),
    )
