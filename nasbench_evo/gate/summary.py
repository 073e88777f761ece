"""Layer D of the gate: the figures that people read, made again and compared with the file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasbench_evo.errors import DataError
from nasbench_evo.gate import layers
from nasbench_evo.gate.measured import Key, Measured
from nasbench_evo.results import kinds
from nasbench_evo.results.runs import UnitRuns
from nasbench_evo.suite import Suite

_SAME = 1e-7  # relative: figures have nine digits, and machines differ in the last of 16
_WORDS = ("notes", "published")  # are no figures of these runs
_KEYS = ("algorithm", "preset", "dataset", "evaluations")  # that name a row


@dataclass(frozen=True)
class SummaryCheck:
    """Layer D: the figures compared, the first that differ, or why nothing was compared."""

    file: str
    figures: int = 0
    differences: tuple[str, ...] = ()
    skipped: str | None = None


NOT_ASKED = SummaryCheck("summary.json", skipped="not asked for")


def check(path: Path, suite: Suite, measured: Mapping[Key, Measured]) -> SummaryCheck:
    """Compare a summary.json with the summary of what was measured.

    Nothing is compared where the file is not there or is of another number of seeds. Raises
    DataError for a file that cannot be read.
    """
    file = str(path)
    if not path.is_file():
        return SummaryCheck(file, skipped="there is no such file")
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        seeds = {row["asked"] for row in kept["rows"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}). Restore it, or run the suite."
        ) from error
    if seeds != {suite.seeds}:
        of = ", ".join(map(str, sorted(seeds)))
        return SummaryCheck(file, skipped=f"it is of {of} seeds, this check of {suite.seeds}")
    kind = kinds.of(suite)
    collected = [UnitRuns(m.unit, list(m.runs)) for m in layers.own(measured).values()]
    now = json.loads(json.dumps(kind.summary(kind.find(suite, collected))))
    for content in (kept, now):
        for name in _WORDS:
            content.pop(name, None)
    figures = sum(map(len, kept["rows"]))
    return SummaryCheck(file, figures, tuple(_differences(kept, now, "")))


def _differences(old: Any, new: Any, place: str) -> Iterator[str]:
    """Yield in words where a JSON value is not what it was; a key that is new is no difference."""
    if isinstance(old, dict) and isinstance(new, dict):
        where = place if "algorithm" not in old else _row(old)
        for key in old:
            there = f"{where}, {key}" if where else key
            if key not in new:
                yield f"{there}: no longer there"
            else:
                yield from _differences(old[key], new[key], there)
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"{place}: {len(new)} instead of {len(old)}"
        for i, (a, b) in enumerate(zip(old, new, strict=False)):
            yield from _differences(a, b, f"{place} {i + 1}")
    elif not _same(old, new):
        yield f"{place}: {new} instead of {old}"


def _row(row: Mapping[str, Any]) -> str:
    return " ".join(str(row[key]) for key in _KEYS if key in row)


def _same(old: Any, new: Any) -> bool:
    numbers = all(isinstance(value, int | float) for value in (old, new))
    return math.isclose(old, new, rel_tol=_SAME) if numbers else bool(old == new)
