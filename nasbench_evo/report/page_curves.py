"""Mean curves of a suite's rows, as a page draws them: by what was spent, and by simulated time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.figures import style
from nasbench_evo.replays.courses import Course, seconds_at
from nasbench_evo.results import kind as of_kind
from nasbench_evo.results.folder import Stored
from nasbench_evo.results.kind import Track
from nasbench_evo.results.on_table import searched_for
from nasbench_evo.results.rows import mean_intervals
from nasbench_evo.results.runs import Run, UnitRuns, curves, used
from nasbench_evo.suite import Row, Unit

Array = NDArray[np.float64]
Courses = Mapping[Unit, Sequence[Course]]
# The runs of a unit, and what is followed of each: made when asked for, as it holds a whole table.
Followed = tuple[UnitRuns, Callable[[Run], Track]]
_POINTS = 45  # of a curve, spread evenly; as many again spread geometrically
_DIGITS = 4  # of a value


def looks(labels: Mapping[Row, str]) -> dict[str, dict[str, Any]]:
    """Return colours on both grounds and dashes of each row's line, by its label."""
    named = [(row.shown, label) for row, label in labels.items()]
    found: dict[str, dict[str, Any]] = {label: {} for label in labels.values()}
    for name, ground in (("paper", "light"), ("dark", "dark")):
        with style.using(name):
            style.reserve(shown for shown, _ in named)
            for label, look in style.looks(named).items():
                found[label] |= {ground: _hex(look.colour), "dash": _dash(look.dashes)}
    return found


def _dash(dashes: Any) -> list[float]:
    """Return matplotlib's dashes in pixels of a line on a page; empty for a line without gaps."""
    return [] if dashes == "-" else [2.0 * length for length in dashes[1]]


def charts(stored: Stored, labels: Mapping[Row, str], courses: Courses) -> list[dict[str, Any]]:
    """Return a chart for each data set and thing that is followed, with the rows' mean curves."""
    found: list[dict[str, Any]] = []
    for dataset in stored.suite.reported:
        by_title: dict[str, list[Followed]] = {}
        for runs in searched_for(stored.suite, dataset, stored.collected):
            track = partial(_track, stored, _reported_on(runs.unit, dataset))
            by_title.setdefault(track(runs.records[0]).title, []).append((runs, track))
        for some in by_title.values():
            found.append(_chart(stored, dataset, some, labels, courses))
    return found


def _track(stored: Stored, unit: Unit, run: Run) -> Track:
    return stored.kind.track(stored.suite, unit, run.seed)


def _reported_on(unit: Unit, dataset: str) -> Unit:
    return unit if unit.dataset == dataset else dataclasses.replace(unit, dataset=dataset)


def _chart(
    stored: Stored,
    dataset: str,
    some: Sequence[Followed],
    labels: Mapping[Row, str],
    courses: Courses,
) -> dict[str, Any]:
    runs, of_run = some[0]
    track = of_run(runs.records[0])
    end = max(used(runs, run) for runs, _ in some for run in runs.records)
    spent = _lines(some, _grid(min(1.0, end), end, whole=not stored.suite.by_seconds))
    by = [{"title": of_kind.spent(stored.suite), **spent}]
    if not stored.suite.by_seconds and (timed := _by_time(some, courses)):
        by.append(timed)
    return {
        "dataset": dataset,
        "title": track.title,
        "axis": track.axis,
        "log": track.logarithmic,
        "rows": [labels[runs.unit.row] for runs, _ in some],
        "by": by,
    }


def _grid(first: float, last: float, *, whole: bool) -> list[float]:
    """Return rising points that suit a linear and a logarithmic axis."""
    first = max(first, last / 1e4)
    points = np.concatenate([np.geomspace(first, last, _POINTS), np.linspace(first, last, _POINTS)])
    if whole and last > _POINTS:
        points = np.append(np.maximum(points, 1).round(), last)
    return [float(f"{point:.6g}") for point in np.unique(points)]


def _lines(some: Sequence[Followed], points: list[float]) -> dict[str, Any]:
    """Return mean and 95% interval of each row at each point."""
    return {
        "points": points,
        "lines": [_line(_followed(runs, track, points)) for runs, track in some],
    }


def _followed(runs: UnitRuns, track: Callable[[Run], Track], points: Sequence[float]) -> Array:
    """Return what is followed of each run's incumbent at each point; [runs, points]."""
    one_by_one = [UnitRuns(runs.unit, [run]) for run in runs.records]
    return np.concatenate([curves(one, points, track(one.records[0]).value) for one in one_by_one])


def _line(values: Array) -> dict[str, Any]:
    """Return the mean over runs of values [runs, points], with its interval where there is one."""
    known = np.isfinite(values).all(axis=0)
    found = np.full((values.shape[1], 3), math.nan)
    if known.any():
        found[known] = mean_intervals(list(values.T[known]))
    mean, low, high = map(_short, found.T.tolist())
    line: dict[str, Any] = {"n": len(values), "mean": mean}
    return line if len(values) < 2 else {**line, "low": low, "high": high}


def _short(values: Sequence[float]) -> list[float | None]:
    return [float(f"{v:.{_DIGITS}g}") if math.isfinite(v) else None for v in values]


def _by_time(some: Sequence[Followed], courses: Courses) -> dict[str, Any] | None:
    """Return the same by simulated seconds, of the runs that were repeated; None without times."""
    timed = [(runs, track, courses.get(runs.unit, ())) for runs, track in some]
    if not all(found and found[0].seconds[-1] > 0 for _, _, found in timed):
        return None
    last = max(course.seconds[-1] for _, _, found in timed for course in found)
    first = min(course.seconds[0] for _, _, found in timed for course in found)
    points = _grid(float(first), float(last), whole=True)
    lines = []
    for runs, track, found in timed:
        repeated = {course.seed: course for course in found}
        of_runs = [
            _at_times(run, track(run), repeated[run.seed], points)
            for run in runs.records
            if run.seed in repeated
        ]
        lines.append(_line(np.array(of_runs)))
    return {"title": "simulated seconds", "points": points, "lines": lines}


def _at_times(run: Run, track: Track, course: Course, points: Sequence[float]) -> Array:
    """Return what is followed of a run's incumbent at times; [points]."""
    times = seconds_at(course, [point.spent for point in run.curve])
    values = np.array([track.value(point) for point in run.curve], dtype=float)
    at = np.searchsorted(times, np.asarray(points) * (1 + 1e-9), side="right") - 1
    return np.asarray(values[np.maximum(at, 0)])


def _hex(colour: Any) -> str:
    from matplotlib.colors import to_hex

    return str(to_hex(colour))
