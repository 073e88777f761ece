"""The table that this package built itself: what it covers, and how noisy its trials are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from nasbench_evo import tables
from nasbench_evo.algorithms import get
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.runner import search
from nasbench_evo.spaces import isomorphism
from nasbench_evo.tables import Table, bundled


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    """The table as a fresh installation unpacks it."""
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path))
    return tables.load("digits")


def of_classes(table: Table) -> np.ndarray:
    """One row of trials for each isomorphism class; the cells of a class share their trials."""
    return table.valid_accuracy[0][np.unique(isomorphism.classes(), return_index=True)[1]]


def test_it_comes_with_the_package() -> None:
    assert "digits" in tables.known()
    assert bundled.files()["digits"].stat().st_size < 5_000_000


def test_every_cell_has_a_trial_and_500_classes_have_three(digits: Table) -> None:
    assert (digits.trials[0] > 0).all()
    trials = np.isfinite(of_classes(digits)).sum(axis=1)
    assert len(trials) == 6466
    assert np.bincount(trials).tolist() == [0, 5966, 0, 500]


def test_cells_that_compute_the_same_share_their_trials(digits: Table) -> None:
    classes = isomorphism.classes()
    first = np.unique(classes, return_index=True)[1]
    assert np.array_equal(digits.correct[0], digits.correct[0][first][classes])


def test_two_trials_agree_as_the_documentation_says(digits: Table) -> None:
    """docs/training.md: Spearman 0.58 over classes, 0.72 over cells; accuracies from chance up."""
    several = of_classes(digits)
    several = several[np.isfinite(several[:, 2])]
    assert spearmanr(several[:, 0], several[:, 1]).statistic == pytest.approx(0.586, abs=1e-3)
    cells = digits.valid_accuracy[0]
    cells = cells[np.isfinite(cells[:, 1])]
    assert spearmanr(cells[:, 0], cells[:, 1]).statistic == pytest.approx(0.718, abs=1e-3)
    assert digits.best[0] == pytest.approx(84.87, abs=5e-3)


def test_a_search_and_its_landmarks_read_it(digits: Table) -> None:
    result = search(get("eigen").configure("nb201"), LookupEvaluator(digits, "digits"), seed=0)
    assert result.notes["landmark_source"] == "curve"
    assert digits.regret("digits", result.genotype) < 10
