"""What fresh trainings say of found cells and of rankings: arithmetic, files and figures."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from nasbench_evo.figures import retrained as figures
from nasbench_evo.results import measures, retrained
from nasbench_evo.results.retrained import SHARED, TABLE, Final, SharedRanking, Study, Training
from nasbench_evo.spaces import NASBench201

SPACE = NASBench201()
PROBES = [(0, 0, 0, operation, 0, 0) for operation in (1, 2, 3, 4)]
PROBES += [(2, 0, 0, 1, 2, 0), (3, 0, 0, 1, 3, 0)]
FOUND, RECORDED = SPACE.from_index(12_000), SPACE.from_index(13_000)


def trainings(lengths: tuple[int, ...] = (10,)) -> list[Training]:
    """Cell i of the probes has 10 i percent on average, and trials that differ by 2 points."""
    cells = [(probe, 10.0 * i) for i, probe in enumerate(PROBES)]
    cells += [(FOUND, 70.0), (RECORDED, 60.0)]
    return [
        Training(cell, epochs, trial, mean + 2 * trial - 1 + epochs / 10, mean)
        for epochs in lengths
        for cell, mean in cells
        for trial in range(2)
    ]


@pytest.fixture
def study() -> Study:
    finals = [Final("genetic_nas", SHARED, seed, FOUND, 64.0 + seed) for seed in range(3)]
    finals += [Final("genetic_nas", TABLE, seed, RECORDED, 84.0) for seed in range(3)]
    ordered, turned = tuple(range(6)), tuple(range(5, -1, -1))
    rankings = [
        SharedRanking("ws", 0, 100, "fair", "recalibrated", tuple(map(float, ordered))),
        SharedRanking("ws", 1, 100, "fair", "recalibrated", tuple(map(float, turned))),
        SharedRanking("ws", 0, 100, "fair", "running", tuple(map(float, turned))),
    ]
    return Study("digits", 0, PROBES, finals, rankings, trainings((10, 30)))


def test_a_found_cell_is_judged_by_its_fresh_trainings_and_not_by_what_was_recorded(
    study: Study,
) -> None:
    (shared, longer, table, _) = study.judged()
    assert (shared.searched, shared.epochs, shared.runs, shared.trainings) == (SHARED, 10, 3, 2)
    assert shared.recorded == 65.0
    assert shared.fresh.estimate == pytest.approx(71.0)
    assert shared.fresh_test == 70.0
    assert longer.fresh.estimate == pytest.approx(73.0)
    assert (table.recorded, table.fresh.estimate) == (84.0, pytest.approx(61.0))


def test_the_difference_changes_its_sign_where_the_table_only_recorded_luck(study: Study) -> None:
    first, _ = study.differences()
    assert first.recorded == pytest.approx(65.0 - 84.0)
    assert first.fresh.estimate == pytest.approx(10.0)
    assert "-19.00 points by what the table recorded, +10.00" in retrained.sentences(study)[0]


def test_of_one_seed_a_difference_has_no_interval(study: Study) -> None:
    finals = [final for final in study.finals if final.seed == 0]
    (first,) = Study("digits", 0, PROBES, finals, [], trainings()).differences()
    assert np.isnan([first.fresh.low, first.fresh.high, first.p]).all()
    (said,) = retrained.sentences(Study("digits", 0, PROBES, finals, [], trainings()))
    assert "(one seed: no interval)" in said


def test_taus_are_means_over_supernets_for_each_mode_and_length(study: Study) -> None:
    found = {(a.batch_norm, a.truth_epochs): a for a in study.agreements()}
    assert found["recalibrated", 10].tau == pytest.approx(0.0)  # 1 and -1
    assert (found["recalibrated", 10].runs, found["recalibrated", 10].cells) == (2, 6)
    assert found["running", 30].tau == pytest.approx(-1.0)
    assert found["running", 30].truth_trainings == 2


def test_the_reference_counts_cells_that_compute_the_same_once(study: Study) -> None:
    twin = (2, 0, 0, 1, 0, 0)  # its first edge leads nowhere
    more = [Training(twin, 10, trial, 10.0, 10.0) for trial in range(2)]
    (reference,) = Study("digits", 0, [*PROBES, twin], [], [], [*trainings(), *more]).references()
    assert reference.cells == len(PROBES)
    assert reference.single.estimate == pytest.approx(1.0)


def test_files_hold_genotypes_and_every_training(study: Study, tmp_path: Path) -> None:
    retrained.write(study, tmp_path, "weight_sharing")
    content = json.loads((tmp_path / "retrained.json").read_text())
    assert content["judged"][0]["fresh"] == pytest.approx(71.0)
    with (tmp_path / "retrained_finals.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["arch"] for row in rows} == {SPACE.format(FOUND), SPACE.format(RECORDED)}
    with (tmp_path / "retrained_trainings.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(study.trainings)
    rows = {row.row: row.measures for row in measures.read(tmp_path)}
    assert rows["genetic_nas"]["fresh@30"] == [73.0] * 3
    assert rows["genetic_nas, on the table"]["fresh@10"] == [61.0] * 3
    assert rows["ws"]["fresh_tau@10"] == [1.0, -1.0]


def test_the_figure_has_a_panel_for_each_mode_and_length_of_the_truth(study: Study) -> None:
    drawing = figures.tau_study(study.agreements(), study.references())
    assert [axes.get_title() for axes in drawing.axes[:2]] == [
        "BatchNorm: recalibrated",
        "BatchNorm: running",
    ]
    assert len(drawing.axes) == 4
    (point,) = drawing.axes[1].containers
    assert np.asarray(point.lines[0].get_ydata()).tolist() == pytest.approx([-1.0])
    cells = figures.cells(study.judged())
    names = [label.get_text() for label in cells.axes[0].get_yticklabels()]
    assert names == ["genetic_nas, on shared weights", "genetic_nas, on table"]
