"""Held-out trials: a search sees one trial of a cell, and the others judge what it found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from report.stored_suite import run
from support import cli, loaded

from nasbench_evo import suite, tables
from nasbench_evo.errors import InputError
from nasbench_evo.requests import Evaluate
from nasbench_evo.results.folder import read
from nasbench_evo.suite import identity, units
from nasbench_evo.tables import held_out

TEXT = """
name = "held"
datasets = ["cifar10"]
seeds = 6
evaluations = 20
report = "{report}"
[[rows]]
algorithm = "random_search"
[[rows]]
algorithm = "genetic_nas"
"""


def chosen(folder: Path, text: str = TEXT, **values: str) -> suite.Suite:
    return loaded(folder, text.format(**{"report": "held_out", **values}))


def test_every_trial_is_either_seen_or_judges() -> None:
    table = tables.load()
    for seed in range(3):
        seen, others = held_out.split(table, seed)
        assert (seen.trials == 1).all()
        assert ((seen.present ^ others.present) == table.present).all()
        assert not (seen.present & others.present).any()
    first, second = (held_out.split(table, seed).seen for seed in (0, 1))
    assert not (first.present & second.present).any()
    assert held_out.split(table, 3) is held_out.split(table, 0)


def test_a_session_answers_with_its_trial_alone(tmp_path: Path) -> None:
    unit = units(chosen(tmp_path))[0]
    table, cell = tables.load(), (4, 4, 4, 1, 2, 3)
    for seed in (7, 8):
        seen = held_out.split(table, seed).seen.valid_accuracy[0, table.space.index(cell)]
        session = unit.evaluator().start(seed)
        answers = session.answer(Evaluate([cell] * 20))
        assert {answer.valid_accuracy for answer in answers} == {seen[np.isfinite(seen)][0]}


def test_the_report_reads_what_the_search_did_not_see(tmp_path: Path) -> None:
    stored = read(run(chosen(tmp_path), tmp_path / "held"))
    table = tables.load()
    for row, runs in zip(
        sorted(stored.found.rows, key=lambda one: one.label),
        sorted(stored.collected, key=lambda one: one.unit.row.label),
        strict=True,
    ):
        halves = [held_out.split(table, run.seed) for run in runs.records]
        cells = [run.curve[-1].genotype for run in runs.records]
        by = [
            np.mean([t.regret("cifar10", c) for t, c in zip(some, cells, strict=True)])
            for some in ([h.others for h in halves], [h.seen for h in halves], [table] * 6)
        ]
        assert row.mean_regret == pytest.approx(by[0])
        assert row.regret_of_seen_trial == pytest.approx(by[1])
        assert row.regret_of_all_trials == pytest.approx(by[2])
        measured = stored.kind.known_of_runs(stored.found, runs, "cifar10")
        assert np.mean(measured["regret"]) == pytest.approx(by[0])
    notes = stored.kind.notes(stored.found)
    assert any("one trial of every genotype" in note for note in notes)
    assert "--held-out" in stored.kind.command(stored.suite, stored.collected[0].unit)


def test_only_held_out_suites_have_other_keys(tmp_path: Path) -> None:
    held, mean = chosen(tmp_path), chosen(tmp_path, report="mean")
    without = chosen(tmp_path, TEXT.replace('report = "{report}"\n', ""))
    assert identity(mean) == identity(without) != identity(held)
    assert units(mean)[0].key() == units(without)[0].key() != units(held)[0].key()
    assert "regret_of_seen_trial" not in {c.key for c in _columns(mean)}


def _columns(one: suite.Suite) -> list[object]:
    from nasbench_evo.results import kind, kinds

    return list(kind.columns_of(kinds.of(one), one))


def test_single_trials_are_refused_and_marked(tmp_path: Path) -> None:
    digits = TEXT.replace('datasets = ["cifar10"]', 'table = "digits"\ndatasets = ["digits"]')
    with pytest.raises(InputError, match="14274 of 15625 genotypes of digits on digits have one"):
        chosen(tmp_path, digits)
    with pytest.raises(InputError, match="full length"):
        chosen(tmp_path, TEXT.replace("seeds", 'table = "nasbench201@200"\nseeds'))
    stored = read(run(chosen(tmp_path, digits, report="mean"), tmp_path / "digits"))
    table = tables.load("digits")
    for row in stored.found.rows:
        runs = next(r for r in stored.collected if r.unit.row.algorithm == row.algorithm)
        cells = [table.space.index(run.curve[-1].genotype) for run in runs.records]
        assert row.one_trial == (table.trials[0, cells] == 1).mean() > 0
    assert any("no measure of quality" in note for note in stored.kind.notes(stored.found))


def test_search_can_hold_trials_out() -> None:
    done = cli("search", "random_search", "--held-out", "--evaluations", "5", "--json")
    assert done.returncode == 0
    assert '"trials": 1' in done.stdout or '"trials": 2' in done.stdout
    assert cli("search", "random_search", "--held-out", "--table", "digits").returncode == 2
