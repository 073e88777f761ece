"""Single runs of a suite that trains, as its page lets one look into them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from nasbench_evo.report import sections
from nasbench_evo.results import runs as run_curves
from nasbench_evo.results.folder import Stored
from nasbench_evo.results.runs import Run
from nasbench_evo.results.summary import UnitRuns
from nasbench_evo.spaces import Genotype, NASBench201, Space
from nasbench_evo.suite import Suite, Unit


def unit(stored: Stored, runs: UnitRuns, label: str, most: int) -> dict[str, Any]:
    """Return a row's first `most` runs, and the command that repeats one but for the seed."""
    suite, of, on_table = stored.suite, runs.unit, runs.unit.row.on_table
    space = run_curves.space_of(suite)
    return {
        "label": f"{label}{', on the table' if on_table else ''}",
        "dataset": of.dataset,
        "command": _command(suite, of),
        "evaluations": max(record.evaluations for record in runs.records),
        "measure": "Standalone accuracy of the incumbent"
        if on_table
        else "Accuracy of the incumbent as seen",
        "axis": "in the truth table (%)" if on_table else "validation accuracy as seen (%)",
        "spent": "evaluations (full trainings)"
        if suite.evaluator == "standalone"
        else "evaluations",
        "runs": [_run(space, run) for run in run_curves.of_unit(stored, of, runs.records[:most])],
    }


def _run(space: Space, run: Run) -> dict[str, Any]:
    """Return one run: its curve, what it found, and what is to be told of it."""
    record = run.record
    said = {} if run.on_table else {"seen": f"{run.curve[-1][1]:.2f} %"}
    if run.standalone is not None:
        said["standalone, in the truth table"] = f"{run.standalone:.2f} %"
    said |= _trained_anew(run.final)
    said["found after"] = f"{run.curve[-1][0]:g} of {record.evaluations:g} evaluations"
    if not run.on_table:
        said["training and measuring"] = f"{record.simulated_seconds:,.1f} s"
    said["trace SHA-256"] = record.trace_sha256
    return {
        "seed": record.seed,
        # a truth table may lack some cells
        "curve": [[spent, round(v, 4)] for spent, v in run.curve if math.isfinite(v)],
        "architecture": _described(space, run.genotype),
        "cell": "".join(map(str, run.genotype)) if isinstance(space, NASBench201) else "",
        "facts": list(said.items()),  # in this order
    }


def _trained_anew(found: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the accuracies of the new networks of what a run found; empty without any."""
    failed = sorted({one["reason"] or one["status"] for one in found if one["status"] != "ok"})
    said = {
        f"final trainings, {name}": ", ".join(f"{one[key]:.2f}" for one in found) + " %"
        for name, key in (("test", "test_accuracy"), ("validation", "valid_accuracy"))
        if found
    }
    return {**said, "failed trainings": "; ".join(failed)} if failed else said


def _described(space: Space, genotype: Genotype) -> str:
    """Return a genotype as its space prints it, and drawn in text where the space does that."""
    draw = getattr(space, "draw", None)
    printed = space.format(genotype)
    return printed if draw is None else f"{printed}\n\n{draw(genotype)}"


def _command(suite: Suite, unit: Unit) -> str:
    """Return the command that repeats a run of a unit but for its seed."""
    words = sections.search_command(unit.row, unit.table_dataset or unit.dataset)
    if unit.row.on_table:
        words += ["--table", unit.table, "--evaluations", f"{unit.budget.evaluations:.0f}"]
        return sections.as_command(words)
    words += ["--evaluator", suite.evaluator, "--space", suite.space]
    words += ["--devices", ",".join(suite.devices)]
    for option, values in (
        ("--evaluator-set", suite.evaluator_set),
        ("--final-set", suite.final_set),
    ):
        for key, value in (values or {}).items():
            words += [option, f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    if suite.evaluator == "standalone":
        words += ["--evaluations", f"{suite.evaluations}"]
        seconds = suite.simulated_seconds
        words += [] if seconds is None else ["--simulated-seconds", f"{seconds:g}"]
    return sections.as_command(words)
