"""Kinds of suite: one column reaches every report, Holm covers a suite, a search has one answer."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report.stored_suite import make
from support import cli, tiny

from nasbench_evo.analysis import statistics
from nasbench_evo.report import export, page
from nasbench_evo.results import kinds, manifest
from nasbench_evo.results.columns import Column
from nasbench_evo.results.folder import Stored, read
from nasbench_evo.results.on_table import OnTable
from nasbench_evo.results.rows import Group, compare, mean_intervals, ranked
from nasbench_evo.results.runs import UnitRuns
from nasbench_evo.suite import units

SUITE = tiny("random_search", "local_search", "eigen", datasets=["cifar10", "cifar100"], seeds=20)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return read(make(tmp_path_factory.mktemp("kinds")))


def groups() -> list[Group]:
    """A group a unit: random search far behind, the others close together."""
    rng = np.random.default_rng(0)
    shift = {"random_search": 1.0, "local_search": 0.1, "eigen": 0.12}
    made = []
    for unit in units(SUITE):
        losses = shift[unit.row.algorithm] + 0.3 * rng.random(20)
        (interval,) = mean_intervals([losses])
        runs = UnitRuns(unit, [None] * 20)  # type: ignore[list-item]
        made.append(Group(runs, unit.dataset, 9, losses, interval))
    return made


def test_holm_covers_both_data_sets() -> None:
    found = groups()
    compare(found)
    compared = [group for group in found if group.p_value is not None]
    assert len(compared) == 4
    baselines = {g.dataset: g.losses for g in found if g not in compared}
    raw = [statistics.mann_whitney(g.losses, baselines[g.dataset]) for g in compared]
    assert [g.p_value for g in compared] == pytest.approx(statistics.holm(raw).tolist())
    alone = statistics.holm(raw[:2]).tolist()  # of one data set
    assert [g.p_value for g in compared[:2]] != pytest.approx(alone)


def test_the_best_and_its_ties_are_marked() -> None:
    found = ranked([group for group in groups() if group.dataset == "cifar10"])
    assert [group.best for group in found] == ["best", "tied", ""]
    assert [group.rank for group in found] == [1, 2, 3]
    assert found[-1].runs.unit.row.algorithm == "random_search"


def test_a_column_is_added_to_every_report_by_one_line(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    worst = Column("worst", lambda g: float(g.losses.max()), "worst regret", "points")
    monkeypatch.setattr(OnTable, "columns", (*OnTable.columns, worst))
    monkeypatch.setattr(page, "_figures", lambda stored, repeated: [])
    fresh = Stored(stored.folder, stored.suite, stored.collected, {}, {})
    kind, found = kinds.of(fresh.suite), fresh.found
    value = f"{found.rows[0].worst:.2f}"
    assert found.rows[0].worst >= found.rows[0].mean_regret
    table = next(csv.DictReader(io.StringIO(manifest.summary_csv(found.rows))))
    assert float(table["worst"]) == pytest.approx(found.rows[0].worst)
    assert kind.summary(found)["rows"][0]["worst"] == pytest.approx(found.rows[0].worst)
    for text in (export.latex(fresh), export.markdown(fresh), page.render(fresh, runs=1)):
        assert "worst regret (points)" in text
    shown = kind.sheets(found)[0].fitted(400)
    assert "worst regret (points)" in shown.head
    assert value in page.render(fresh, runs=1)


def test_a_narrow_console_keeps_what_matters(stored: Stored) -> None:
    whole = stored.kind.sheets(stored.found)[0]
    narrow = whole.fitted(80)
    assert set(narrow.head) < set(whole.head)
    assert [column.key for column in narrow.columns][:2] == ["label", "mean_regret"]
    assert whole.fitted(1).head == ("algorithm (preset)", "regret (points)")


def test_a_stored_run_and_a_search_have_one_answer(stored: Stored) -> None:
    """All keys, and all values but seconds and those that only the command knows."""
    (runs,) = [u for u in stored.collected if u.unit.row.label == "random_search (paper)"][:1]
    ours = stored.kind.answer(stored.suite, runs.unit, runs.records[3]).to_json()
    done = cli("search", "random_search", "--evaluations", 130, "--seed", 3, "--json")
    theirs: dict[str, Any] = json.loads(done.stdout)
    assert set(ours) <= set(theirs)
    for key in set(ours) - {"wall_seconds", "genotype", "details"}:
        assert ours[key] == pytest.approx(theirs[key]), key
    assert list(ours["genotype"]) == theirs["genotype"]
    assert ours["details"].items() <= theirs["details"].items()


def test_the_files_of_a_suite_say_the_same(stored: Stored, tmp_path: Path) -> None:
    found = stored.found
    paths = manifest.write_summary(tmp_path, found.rows, stored.kind.summary(found))
    rows = list(csv.DictReader(io.StringIO(paths[0].read_text())))
    content = json.loads(paths[1].read_text())["rows"]
    assert len(rows) == len(content) == len(found.rows)
    for line, row in zip(rows, content, strict=True):
        assert line == {key: "" if value is None else str(value) for key, value in row.items()}
