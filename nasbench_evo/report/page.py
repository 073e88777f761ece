"""One self-contained HTML page for a results folder: tables, figures, every run, provenance."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from nasbench_evo.errors import DataError
from nasbench_evo.files import write_text
from nasbench_evo.report import page_lookup, page_trained
from nasbench_evo.results.folder import Stored, read
from nasbench_evo.suite import Suite, require_table

FILE = "report.html"
DRILL = 50  # runs of a row that the page lets one look into, by default


def write(folder: Path, *, runs: int = DRILL, gate: Path | None = None) -> Path:
    """Write report.html into a results folder; return its path.

    `runs` is how many runs of a row can be looked into; `gate` a file that `nasbench-evo check
    --json` printed. Raises InputError and DataError, Unsupported for a gate beside trainings.
    """
    stored = read(folder)
    if gate is not None:
        require_table(stored.suite)
    text = render(stored, runs=runs, gate=_gate(gate))
    return write_text(folder / FILE, text)


def render(stored: Stored, *, runs: int = DRILL, gate: dict[str, Any] | None = None) -> str:
    """Return the page as text. The same folder gives the same text."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nasbench_evo.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html.j2")
    kind = page_lookup if stored.suite.evaluator == "lookup" else page_trained
    return template.render(
        suite=stored.suite,
        description=stored.suite.description,
        looked_up=stored.suite.evaluator == "lookup",
        gate=gate,
        manifest=stored.manifest,
        command=command(stored.suite),
        suite_text=json.dumps(stored.suite.model_dump(), indent=1),
        total=sum(len(unit.records) for unit in stored.collected),
        drill=runs,
        **kind.content(stored, runs),
    )


def command(suite: Suite) -> str:
    """Return the exact command that makes the runs again."""
    devices = "" if suite.evaluator == "lookup" else f" --devices {','.join(suite.devices)}"
    return f"nasbench-evo run {shlex.quote(suite.name)} --seeds {suite.seeds}{devices}"


def _gate(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: expected what `nasbench-evo check --json` prints: {error}."
        ) from error
    if not isinstance(content, dict) or "passed" not in content:
        raise DataError(f"{path}: expected what `nasbench-evo check --json` prints.")
    return content
