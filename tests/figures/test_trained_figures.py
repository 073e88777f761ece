"""Figures of suites that train: which files, the same bytes, and what they show."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from report.stored_training import STANDALONE, SUPERNET, make

from nasbench_evo.figures import build, style
from nasbench_evo.figures.suites import accuracy, final_accuracy
from nasbench_evo.results.folder import Stored, read
from nasbench_evo.results.runs import UnitRuns

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return read(make(tmp_path_factory.mktemp("figures_standalone"), STANDALONE))


@pytest.fixture(scope="module")
def supernet(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return read(make(tmp_path_factory.mktemp("figures_supernet"), SUPERNET))


def test_every_figure_of_trainings_is_written(standalone: Stored, tmp_path: Path) -> None:
    paths = build.draw(standalone, tmp_path, ["png", "svg"], build.Page()).paths
    assert [path.name for path in paths] == [
        "accuracy.png", "accuracy.svg", "final_accuracy.png", "final_accuracy.svg",
    ]  # fmt: skip
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_the_same_runs_give_the_same_bytes(standalone: Stored, tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    first = build.draw(standalone, tmp_path, ["png"], build.Page("dark")).paths
    for path in build.draw(standalone, again, ["png"], build.Page("dark")).paths:
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()
    other = build.draw(standalone, again, ["png"], build.Page()).paths
    assert first[0].read_bytes() != other[0].read_bytes()


def test_captions_are_given_rather_than_drawn(supernet: Stored, tmp_path: Path) -> None:
    made = build.draw(supernet, tmp_path, ["svg"], build.Page("paper", notes=False))
    captions, paths = dict(made.sections[0].figures), made.paths
    assert list(captions) == [path.stem for path in paths]
    assert list(captions) == [
        "fitness", "tau", "scatter_genetic_nas", "scatter_eg_nas", "final_cells", "final_accuracy",
    ]  # fmt: skip
    assert all(len(words) > 40 for words in captions.values())
    assert "95% bootstrap interval" in captions["final_accuracy"]
    drawn = {path.stem: path.read_text() for path in paths}
    with_notes = tmp_path / "notes"
    with_notes.mkdir()
    for path in build.draw(supernet, with_notes, ["svg"], build.Page()).paths:
        shorter = len(drawn[path.stem]) < len(path.read_text())
        assert shorter == (not path.stem.startswith("scatter"))  # those have no note


def test_final_accuracy_shows_each_run_and_its_mean(standalone: Stored) -> None:
    with style.using():
        drawing = final_accuracy.figure(standalone.collected)
        (axes,) = drawing.axes
        dots = [line for line in axes.get_lines() if line.get_marker() == "o"]
        diamonds = [line for line in axes.get_lines() if line.get_marker() == "D"]
        labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == ["random_search (paper)", "eigen (paper)"]
    for runs, dot, diamond in zip(standalone.collected, dots, diamonds, strict=True):
        tests = [np.mean([one["test_accuracy"] for one in run.final]) for run in runs.records]
        assert list(dot.get_xdata()) == pytest.approx(tests)
        assert np.mean(np.asarray(diamond.get_xdata())) == pytest.approx(np.mean(tests))


def test_without_final_trainings_there_is_no_such_figure(standalone: Stored) -> None:
    none = [
        UnitRuns(runs.unit, [dataclasses.replace(run, final=()) for run in runs.records])
        for runs in standalone.collected
    ]
    assert final_accuracy.has(standalone.collected)
    assert not final_accuracy.has(none)


def test_accuracy_as_seen_names_each_row_once_and_shortly(standalone: Stored) -> None:
    with style.using():
        drawing = accuracy.figure(standalone.suite, standalone.collected)
        labels = [text.get_text() for text in drawing.legends[0].get_texts()]
        lines = drawing.axes[0].get_lines()
    assert labels == ["random_search (paper)", "eigen (paper)"]
    for runs, line in zip(standalone.collected, lines, strict=True):
        last = [run.seen for run in runs.records]
        assert line.get_ydata()[-1] == pytest.approx(np.mean(last))  # type: ignore[index]


def test_one_epoch_of_fitness_has_whole_numbers_below_it(supernet: Stored, tmp_path: Path) -> None:
    from nasbench_evo.figures.suites import supernet as shared

    weights = [runs for runs in supernet.collected if runs.unit.training is not None]
    with style.using():
        drawing = shared.fitness(weights)
        drawing.draw_without_rendering()
        panels = [[text.get_text() for text in axes.get_xticklabels()] for axes in drawing.axes]
    for ticks in panels:
        assert 1 <= len(ticks) <= 6
        assert all(tick.lstrip("−").isdigit() for tick in ticks)


def test_fitness_shows_every_epoch_of_rows_of_unequal_length(supernet: Stored) -> None:
    from nasbench_evo.figures.suites import supernet as shared

    first, *others = [runs for runs in supernet.collected if runs.unit.training is not None]
    short = [dataclasses.replace(run, fitness=run.fitness[:1]) for run in first.records]
    with style.using():
        drawing = shared.fitness([UnitRuns(first.unit, short), *others])
    for axes in drawing.axes:
        low, high = axes.get_xlim()
        assert low == 0
        assert high > axes.dataLim.x1
