"""Single runs, as a page lets one look into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from nasbench_evo.replays.courses import Course
from nasbench_evo.report import packed
from nasbench_evo.results import kind as of_kind
from nasbench_evo.results.folder import Stored
from nasbench_evo.results.runs import Run, UnitRuns, spent_at, used
from nasbench_evo.spaces import Genotype, IntegerSpace, NASBench201, Space
from nasbench_evo.suite import Row, Unit

PLAYED = 5  # runs of a row whose every answer the page can play


class Genotypes:
    """The genotypes that a page names, each once."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._numbers: dict[Genotype, int] = {}

    def number(self, genotype: Genotype) -> int:
        """Return the place of a genotype in the list, which grows with it."""
        return self._numbers.setdefault(genotype, len(self._numbers))

    def listed(self) -> list[dict[str, Any]]:
        """Return text, row of the table and (of a NAS-Bench-201 cell) digits of each."""
        space, integer = self._space, isinstance(self._space, IntegerSpace)
        cells = isinstance(space, NASBench201)
        return [
            {"text": space.format(genotype)}
            | ({"index": space.index(genotype)} if integer else {})  # type: ignore[attr-defined]
            | ({"cell": "".join(map(str, genotype))} if cells else {})
            for genotype in self._numbers
        ]


def units(
    stored: Stored,
    most: int,
    labels: Mapping[Row, str],
    courses: Mapping[Unit, Sequence[Course]],
) -> dict[str, Any]:
    """Return each row's first `most` runs with the command that repeats one, and their genotypes.

    The command lacks the seed.
    """
    genotypes = Genotypes(stored.kind.space(stored.suite))
    found = [
        _unit(stored, runs, labels[runs.unit.row], most, genotypes, courses.get(runs.unit, ()))
        for runs in stored.collected
        if runs.records
    ]
    return {"units": found, "genotypes": genotypes.listed()}


def _unit(
    stored: Stored,
    runs: UnitRuns,
    label: str,
    most: int,
    genotypes: Genotypes,
    courses: Sequence[Course],
) -> dict[str, Any]:
    suite, kind, unit = stored.suite, stored.kind, runs.unit
    track = kind.track(suite, unit, runs.records[0].seed)
    known = {course.seed: course for course in courses[:PLAYED]}
    return {
        "label": label,
        "dataset": unit.dataset,
        "command": kind.command(suite, unit),
        "end": max(used(runs, run) for run in runs.records),
        "measure": track.title,
        "axis": track.axis,
        "log": track.logarithmic,
        "spent": of_kind.spent(suite),
        "runs": [
            _run(stored, runs, run, genotypes) | _played(known.get(run.seed))
            for run in runs.records[:most]
        ],
    }


def _run(stored: Stored, runs: UnitRuns, run: Run, genotypes: Genotypes) -> dict[str, Any]:
    """Return one run: its curve, what it found, and what is to be told of it."""
    track = stored.kind.track(stored.suite, runs.unit, run.seed)
    curve = [
        (spent, track.value(point), genotypes.number(point.genotype))
        for spent, point in zip(spent_at(runs, run), run.curve, strict=True)
    ]
    shown = run.curve[-1].genotype if track.logarithmic else run.genotype
    said = stored.kind.told(stored.suite, runs.unit, run)
    return {
        "seed": run.seed,
        # a truth table may lack some cells
        "curve": [
            [round(spent, 4), round(value, 4), number]
            for spent, value, number in curve
            if value is not None and isfinite(value)
        ],
        "best": genotypes.number(shown),
        "architecture": of_kind.described(stored.kind.space(stored.suite), shown),
        "facts": [*said.items(), ("trace SHA-256", run.trace_sha256)],  # in this order
    }


def _played(course: Course | None) -> dict[str, Any]:
    """Return every answer of a run: the row of the table, and hundredths of what was spent."""
    if course is None:
        return {}
    spent = (course.spent * 100).round()
    return {"answers": packed.integers(course.genotypes), "spent": packed.integers(spent)}
