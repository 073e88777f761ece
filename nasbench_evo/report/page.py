"""One self-contained HTML page for a results folder: answers, charts, tables, runs, provenance.

The page shows the answer first and lets one explore after it. Its charts are drawn in the browser
by uPlot, which the page holds; without JavaScript answers, tables and figures are there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo import suite as suites
from nasbench_evo.errors import DataError
from nasbench_evo.figures import build
from nasbench_evo.files import write_text
from nasbench_evo.replays import courses, pareto
from nasbench_evo.report import (
    answers,
    page_curves,
    page_runs,
    page_space,
    rankings,
    reproduce,
    sections,
)
from nasbench_evo.results import claims, comparison, measures
from nasbench_evo.results.ablation_text import Section
from nasbench_evo.results.folder import Stored, read
from nasbench_evo.results.labels import row_labels
from nasbench_evo.suite import Suite, Unit, require_table

FILE = "report.html"
DRILL = 50  # runs of a row that the page lets one look into, by default
SEEDS_REPEATED = 20  # runs of a row that are repeated, for simulated times and Pareto fronts
_IN_CHARTS = {"regret", "final", "accuracy"}  # figures whose content the charts show


def write(
    folder: Path, *, runs: int = DRILL, gate: Path | None = None, target: Path | None = None
) -> Path:
    """Write report.html into a results folder, or to the file `target`; return its path.

    `runs` is how many runs of a row can be looked into; `gate` a file that `nasbench-evo check
    --json` printed. Raises InputError and DataError, Unsupported for a gate beside trainings.
    """
    stored = read(folder)
    if gate is not None:
        require_table(stored.suite)
    text = render(stored, runs=runs, gate=read_gate(gate))
    return write_text(target or folder / FILE, text)


def render(
    stored: Stored, *, runs: int = DRILL, gate: dict[str, Any] | None = None, live: bool = False
) -> str:
    """Return the page as text. The same folder gives the same text.

    A `live` page is of a suite that is still running: nothing is repeated, no figure is drawn, and
    it asks the server that it came from (`report.watch`) when to load itself again.
    """
    suite, kind, found = stored.suite, stored.kind, stored.found
    reads_table = suites.kind_of(suite).reads_table
    repeated = _repeated(stored) if reads_table and not live else {}
    labels = row_labels(stored.collected)
    data = {
        "charts": page_curves.charts(stored, labels, repeated),
        "looks": page_curves.looks(labels),
        "space": page_space.scatter(stored),
        **page_runs.units(stored, runs, labels, repeated),
    }
    choice = kind.choice(suite)
    return _rendered(
        "report.html.j2",
        suite=suite,
        description=suite.description,
        live=live,
        gate=gate,
        judged_by_gate=reads_table,
        manifest=stored.manifest,
        call=stored.call,
        again=None if stored.call else reproduce.again(suite, devices=kind.devices),
        suite_text=json.dumps(suite.model_dump(), indent=1),
        total=found.runs,
        drill=runs,
        repeated=SEEDS_REPEATED,
        played=page_runs.PLAYED,
        scope=kind.scope(suite),
        needs=kind.needs(suite),
        reading=kind.meaning,
        choice=choice,
        answers=answers.answers(stored),
        tables=answers.tables(stored),
        notes=kind.notes(found),
        sections=[] if live else _figures(stored, repeated),
        published=comparison.beside(suite, found.rows) if reads_table else [],
        published_note=comparison.NOTE,
        published_columns=comparison.COLUMNS,
        data=data,
    )


def waiting(message: str) -> str:
    """Return the live page of a suite that has nothing to show yet."""
    return _rendered("waiting.html.j2", message=message)


def _rendered(name: str, **values: Any) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nasbench_evo.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "separators": (",", ":")}
    return str(environment.get_template(name).render(**values, **_assets()))


@cache
def _assets() -> Mapping[str, str]:
    """Return what a page holds inline and is not escaped: styles, scripts and uPlot's licence."""
    here = resources.files("nasbench_evo.report")
    files = {
        "page_css": "templates/report.css",
        "page_js": "templates/report.js",
        "live_js": "templates/live.js",
        "uplot_css": "uplot/uPlot.min.css",
        "uplot_js": "uplot/uPlot.iife.min.js",
        "uplot_licence": "uplot/LICENSE",
    }
    return {name: here.joinpath(file).read_text("utf-8") for name, file in files.items()}


def _repeated(stored: Stored) -> dict[Unit, list[courses.Course]]:
    """Return the courses of the first runs of each unit on a table."""
    return {
        runs.unit: courses.of_runs(runs, SEEDS_REPEATED)
        for runs in stored.collected
        if runs.records
    }


def _figures(
    stored: Stored, repeated: Mapping[Unit, Sequence[courses.Course]]
) -> list[dict[str, Any]]:
    """Return the sections of figures, each image drawn on light and on dark ground."""
    replayed = measures.replayed(stored.folder)
    fronts = None
    if "pareto" in stored.kind.figures:
        fronts = _fronts(stored.suite, repeated)
    repeats = None if stored.kind.trains else build.Repeats(stored)  # for both grounds

    def draw(target: Path, look: str) -> list[Section]:
        return build.draw(
            stored,
            target,
            ["png"],
            build.Page(look, notes=False),
            fronts=fronts,
            repeats=repeats,
            measured=replayed,
            without=_IN_CHARTS,
        ).sections

    images, drawn = sections.on_both_grounds(draw)
    found = stored.found
    more: list[Section] = []
    if stored.kind.trains:
        more = rankings.sections(stored.suite, found.rankings, found.sentences)
    more += claims.of_suite(stored.suite.name, stored.folder, stored.measures)
    return sections.shown([*drawn, *more], images)


def _fronts(suite: Suite, repeated: Mapping[Unit, Sequence[courses.Course]]) -> pareto.Fronts:
    """Return the Pareto fronts of the runs that are repeated already."""

    def visits(unit: Unit, seeds: Sequence[int]) -> list[NDArray[np.int64]]:
        return [courses.visited(course) for course in repeated.get(unit, ())]

    return pareto.pareto(suite, repeat=visits)


def read_gate(path: Path | None) -> dict[str, Any] | None:
    """Return what `nasbench-evo check --json` printed into a file; raise DataError for another."""
    if path is None:
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: expected what `nasbench-evo check --json` prints: {error}."
        ) from error
    if not isinstance(content, dict) or "passed" not in content:
        raise DataError(f"{path}: expected what `nasbench-evo check --json` prints.")
    return content
