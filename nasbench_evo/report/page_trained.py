"""The page of a suite that trains, alone or with shared weights: what was seen, found, trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nasbench_evo import tables
from nasbench_evo.figures.labels import common_changes, short_labels
from nasbench_evo.figures.suites import trained as figures
from nasbench_evo.report import page_rankings, page_training_runs, sections
from nasbench_evo.results import ranking, supernet, trained
from nasbench_evo.results.ablation_text import Section
from nasbench_evo.results.folder import Stored
from nasbench_evo.results.summary import counted
from nasbench_evo.results.supernet import SharedRow
from nasbench_evo.results.trained import TrainedRow
from nasbench_evo.spaces import NASBench201
from nasbench_evo.suite import Suite

Labels = dict[tuple[str, str], str]  # (algorithm, preset) -> what the page calls the row

_SEEN = "so too high: the best of many noisy values"
_FINAL: tuple[sections.Column, ...] = (
    ("final valid %", "number", "Validation accuracy of new networks of what was found; mean."),
    (
        "final test %",
        "number",
        "Their accuracy on test images, which no search saw: mean and standard deviation over runs "
        "and trainings.",
    ),
    ("trainings", "number", "Number of those new networks."),
)
_SECONDS: sections.Column = ("s/run", "number", "Seconds of training and measuring of a run; mean.")
HEAD_STANDALONE: tuple[sections.Column, ...] = (
    sections.ALGORITHM,
    ("data set", "text", "What is trained on."),
    ("evaluations", "number", "Full-training equivalents spent."),
    sections.COUNT,
    (
        "seen %",
        "number",
        "Mean and standard deviation over runs of the incumbent's validation accuracy as its "
        f"search saw it ({_SEEN}).",
    ),
    ("95% interval", "number", "Bootstrap interval of the mean of what was seen."),
    ("rank", "number", "Of that mean on this data set at this number of evaluations."),
    *_FINAL,
    _SECONDS,
    *sections.COMPARED,
)
HEAD_SUPERNET: tuple[sections.Column, ...] = (
    sections.ALGORITHM,
    ("searched on", "text", "Shared weights, or the truth table with the same seeds."),
    ("data set", "text", "What the shared weights are trained on."),
    ("judged on", "text", "Data set of the truth table."),
    sections.COUNT,
    ("seen %", "number", f"Highest accuracy that the search saw, with shared weights ({_SEEN})."),
    (
        "standalone %",
        "number",
        "Validation accuracy of the final architectures trained alone, from the truth table: mean "
        "and standard deviation over runs.",
    ),
    ("95% interval", "number", "Bootstrap interval of that mean."),
    ("regret", "number", "Distance of that mean to the table's best, percentage points."),
    ("standalone test %", "number", "Test accuracy of the final architectures in the table."),
    *_FINAL,
    ("tau-b", "number", "Kendall's, of shared against standalone accuracy after the last epoch."),
    ("95% of tau-b", "number", "Bootstrap interval of the mean tau-b over runs."),
    ("Spearman", "number", "Rank correlation of the same; mean over runs."),
    _SECONDS,
)
_READING = {
    "standalone": "Accuracies are percent. Seen: validation accuracy of the incumbent in its "
    "search, the best of many noisy values and so too high.",
    "supernet": "Accuracies are percent. Seen: with shared weights, not to be compared with the "
    "others. Standalone: trained alone, as the truth table has it.",
}
_READING_FINAL = " Final: new networks of what each run found, trained after the search."


def content(stored: Stored, runs: int) -> dict[str, Any]:
    """Return what the template needs of such a suite; `runs` of a row can be looked into."""
    suite = stored.suite
    make = _standalone if suite.evaluator == "standalone" else _supernet
    labels = _labels(stored)
    units = [
        page_training_runs.unit(
            stored, unit, labels[unit.unit.row.algorithm, unit.unit.row.preset], runs
        )
        for unit in stored.collected
        if unit.records
    ]
    return {
        "needs": _needs(suite),
        "draws_cells": suite.space == NASBench201.name,
        "data": {"units": units},
        **make(stored, labels),
    }


def _standalone(stored: Stored, labels: Labels) -> dict[str, Any]:
    """Return what is of suites that train each candidate alone."""
    suite = stored.suite
    rows = trained.summarise(suite, stored.collected)
    results = [
        {
            "dataset": row.dataset,
            "chosen": row.evaluations,
            "cells": _alone(row, labels, suite.seeds),
        }
        for row in rows
    ]
    return {
        "scope": f"up to {suite.evaluations} evaluations (full trainings) a run. Every candidate "
        f"is a network of its own: {_where(suite)}.",
        "choice": {
            "name": "Evaluations",
            "id": "checkpoint",
            "key": "evaluations",
            "values": suite.checkpoints,
            "chosen": suite.checkpoints[-1],
        },
        **_told(HEAD_STANDALONE, results, _READING["standalone"]),
        "notes": _common(stored) + trained.summary_json(suite, rows, stored.collected)["notes"],
        "sections": _figures(stored, []),
    }


def _supernet(stored: Stored, labels: Labels) -> dict[str, Any]:
    """Return what is of suites whose candidates share weights."""
    suite, collected = stored.suite, stored.collected
    rankings, pairs = ranking.rankings(suite, collected), supernet.pairs(suite, collected)
    rows = supernet.summarise(suite, collected, rankings)
    results = [
        {
            "dataset": row.dataset,
            "chosen": row.truth_dataset,
            "cells": _together(row, labels, suite.seeds),
        }
        for row in rows
    ]
    said = supernet.summary_json(suite, rows, collected, rankings, pairs)
    judged, choice = "", None
    if suite.truth is not None:
        table = tables.reported(suite.truth.table)
        judged = f" Judged by the table {table.name}, {table.label}."
        choice = {
            "name": "Judged on",
            "id": "judged",
            "key": "judged",
            "values": table.datasets,
            "chosen": suite.truth.dataset or suite.datasets[0],
        }
    return {
        "scope": "a run ends with the epochs of its search. Candidates share the weights of a "
        f"supernet: {_where(suite)}.{judged}",
        "choice": choice,
        **_told(HEAD_SUPERNET, results, _READING["supernet"]),
        "notes": _common(stored) + said["notes"],
        "sections": _figures(stored, page_rankings.sections(suite, rankings, said["sentences"])),
    }


def _labels(stored: Stored) -> Labels:
    """Return short labels: changes that all rows of an algorithm share are in a note."""
    rows = [runs.unit.row for runs in stored.collected]
    named = zip(rows, short_labels(rows), strict=True)
    return {(row.algorithm, row.preset): label for row, label in named}


def _common(stored: Stored) -> list[str]:
    """Return a sentence for each algorithm whose rows share changes to their presets."""
    common = common_changes([runs.unit.row for runs in stored.collected])
    return [
        f"{name}: {', '.join(changes)} throughout." for name, changes in common.items() if changes
    ]


def _where(suite: Suite) -> str:
    return f"space {suite.space}, trained on {', '.join(suite.devices)}"


def _needs(suite: Suite) -> str:
    text = "Trainings need torch: pip install 'nasbench-evo[train]'."
    if any(device.startswith("cuda") for device in suite.devices):
        text += (
            f" These ran on {', '.join(suite.devices)}: a CUDA GPU is needed. Another kind of "
            "device rounds otherwise and so makes other runs; so may another kind of GPU."
        )
    return text


def _told(
    head: Sequence[sections.Column], results: Sequence[dict[str, Any]], reading: str
) -> dict[str, Any]:
    """Return the result table without the columns in which no row has anything, and its text."""
    kept = [i for i in range(len(head)) if any(row["cells"][i][0] for row in results)]
    final = any(head[i] in _FINAL for i in kept)
    return {
        "reading": reading + (_READING_FINAL if final else ""),
        "head": [head[i] for i in kept],
        "results": [{**row, "cells": [row["cells"][i] for i in kept]} for row in results],
    }


def _alone(row: TrainedRow, labels: Labels, asked: int) -> list[sections.Cell]:
    """Return the cell of each column of HEAD_STANDALONE."""
    return [
        sections.text(labels[row.algorithm, row.preset]),
        sections.text(row.dataset),
        sections.number(row.evaluations, "d"),
        (counted(row.n, asked), row.n),
        sections.number(row.seen_mean, ".2f", sections.spread(row.seen_std, ".2f")),
        sections.interval(row.seen_low, row.seen_high, ".2f"),
        sections.number(row.rank, "d"),
        *_final(row),
        sections.number(row.training_seconds, ".1f"),
        *sections.compared(row.improvement, row.p_value),
    ]


def _together(row: SharedRow, labels: Labels, asked: int) -> list[sections.Cell]:
    """Return the cell of each column of HEAD_SUPERNET."""
    return [
        sections.text(labels[row.algorithm, row.preset]),
        sections.text(row.searched),
        sections.text(row.dataset),
        sections.text(row.truth_dataset or ""),
        (counted(row.n, asked), row.n),
        sections.number(row.seen, ".2f"),
        sections.number(row.truth, ".2f", sections.spread(row.truth_std, ".2f")),
        sections.interval(row.truth_low, row.truth_high, ".2f"),
        sections.number(row.regret, ".2f"),
        sections.number(row.truth_test, ".2f"),
        *_final(row),
        sections.number(row.kendall_tau, ".2f"),
        sections.interval(row.tau_low, row.tau_high, ".2f"),
        sections.number(row.spearman, ".2f"),
        sections.number(row.search_seconds, ".1f"),
    ]


def _final(row: TrainedRow | SharedRow) -> list[sections.Cell]:
    """Return the cells of _FINAL."""
    return [
        sections.number(row.final_valid, ".2f"),
        sections.number(row.final_test, ".2f", sections.spread(row.final_test_std, ".2f")),
        sections.number(row.final_trainings or None, "d"),
    ]


def _figures(stored: Stored, others: Sequence[Section]) -> list[dict[str, Any]]:
    """Return the section of all figures, on light and on dark ground, and the other sections."""
    captions: dict[str, str] = {}

    def draw(target: Path, look: str) -> list[Path]:
        return figures.make(stored, target, ["png"], look, captions=captions)

    images, paths = sections.on_both_grounds(draw)
    shown = tuple((path.stem, captions[path.stem]) for path in paths)
    return sections.shown([Section("Overview", shown), *others], images)
