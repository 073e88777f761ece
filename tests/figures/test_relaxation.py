"""The figure of what EG-NAS's steps do to its alpha: who gets it, and what it shows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from report.stored_suite import run

from nasbench_evo import suite as suites
from nasbench_evo.figures import build, style
from nasbench_evo.figures.suites import relaxation
from nasbench_evo.results.folder import Stored, read
from nasbench_evo.results.runs import UnitRuns

BUNDLED = "ablation_eg_nas_update"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    folder = tmp_path_factory.mktemp("relaxation")
    suite = suites.load(suites.find(BUNDLED)).model_copy(update={"seeds": 4})
    return read(run(suite, folder / BUNDLED))


def lines(stored: Stored) -> dict[str, list[np.ndarray]]:
    """Return the line of each row in each of the three panels."""
    with style.using():
        drawing = relaxation.figure(stored.collected)
    found: dict[str, list[np.ndarray]] = {}
    for axes in drawing.axes:
        for line in axes.get_lines():
            found.setdefault(str(line.get_label()), []).append(np.array(line.get_ydata()))
    return found


def test_rows_with_steps_enough_have_a_line_in_each_panel(stored: Stored) -> None:
    drawn = lines(stored)
    assert len(drawn) == 3  # random search has no alpha
    assert all(len(panels) == 3 for panels in drawn.values())
    position, difference = (
        next(panels for label, panels in drawn.items() if name in label)
        for name in ("position", "difference")
    )
    growth = position[0][1:] / position[0][:-1]
    assert growth[-1] == pytest.approx(1.6, abs=0.05)  # alpha + 0.6 alpha: frozen
    assert position[1][-1] > 0.99
    assert position[2][-3:].tolist() == [0, 0, 0]
    assert difference[0].max() < 10
    assert difference[1].max() < 0.9
    assert difference[2].sum() > position[2].sum()
    (published,) = (panels for label, panels in drawn.items() if "published" in label)
    assert np.diff(published[0]).max() < 0.1 * 0.5  # xi times a softmax of a softmax


def test_the_lines_are_medians_of_what_runs_noted(stored: Stored) -> None:
    runs = stored.collected[1]
    noted = [[values["max_alpha"] for values in run.data["epochs"]] for run in runs.records]
    expected = np.median(np.array(noted), axis=0)
    drawn = next(panels for label, panels in lines(stored).items() if "position" in label)
    np.testing.assert_allclose(drawn[0], expected)
    changed = [[values["argmax_changed"] for values in run.data["epochs"]] for run in runs.records]
    np.testing.assert_allclose(drawn[2], 100 * np.mean(changed, axis=0))


def test_the_figure_is_one_of_the_suite(stored: Stored, tmp_path: Path) -> None:
    made = build.draw(stored, tmp_path, ["png"], build.Page())
    assert "relaxation.png" in {path.name for path in made.paths}
    caption = dict(made.sections[0].figures)["relaxation"]
    assert "medians over 4 runs" in caption


def test_an_epoch_that_few_runs_had_is_left_out(stored: Stored) -> None:
    """A budget may end runs at different epochs; the others go on alone for no line."""
    runs = stored.collected[1]
    short = [
        dataclasses.replace(run, data={**run.data, "epochs": run.data["epochs"][:6]})
        for run in runs.records[:3]
    ]
    cut = UnitRuns(runs.unit, [*short, runs.records[3]])
    with style.using():
        drawing = relaxation.figure([cut])
    assert drawing.axes[0].get_lines()[0].get_xdata().tolist() == [16, 17, 18, 19, 20, 21]
    four = dataclasses.replace(short[0], data={"epochs": short[0].data["epochs"][:4]})
    assert not relaxation.has([UnitRuns(runs.unit, [four])])
    none = UnitRuns(runs.unit, [dataclasses.replace(run, data={}) for run in runs.records])
    assert not relaxation.has([none])
    assert not relaxation.has([UnitRuns(runs.unit, [])])
