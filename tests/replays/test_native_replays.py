"""Runs that trained are repeated from their journals: generations, births, and who judges them."""

from __future__ import annotations

import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report.stored_training import make

from nasbench_evo import execution
from nasbench_evo.errors import DataError
from nasbench_evo.figures import build
from nasbench_evo.replays import generations
from nasbench_evo.results import measures
from nasbench_evo.results.folder import Stored, read
from nasbench_evo.results.runs import UnitRuns
from nasbench_evo.training.pool import TrainingPool

pytestmark = pytest.mark.torch

GENETIC_CNN = """
name = "native"
evaluator = "standalone"
space = "binary_stages"
datasets = ["digits"]
seeds = 2
evaluations = 24
[evaluator_set]
nodes = [3]
widths = "2/4"
recipe = "genetic_cnn"
train_size = 60
epochs = 1
batch_size = 30
report_trials = 0
[[rows]]
algorithm = "genetic_cnn"
set = { population_size = 4, generations = 5, q_mutation = 0.4 }
[rows.grid]
initial = ["random", "zeros"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("native"), GENETIC_CNN)


@pytest.fixture
def stored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    """The runs; whoever trains anything now fails."""

    def trained(self: TrainingPool, groups: object) -> object:
        if list(groups):  # type: ignore[call-overload]
            pytest.fail("a replay trained a network")
        return iter(())

    monkeypatch.setattr(TrainingPool, "run", trained)
    return read(folder)


def repeated(stored: Stored) -> generations.Repeated:
    return generations.of_runs(stored.collected[0], 30, stored.folder)


def test_the_generations_are_what_the_journal_answers(stored: Stored) -> None:
    found = repeated(stored)
    assert [one.seed for one in found.replayed] == [0, 1]
    for run in found.generations:
        assert [len(generation.members) for generation in run] == [4] * 6
        assert run[-1].spent == pytest.approx(24)
    first = found.replayed[0]
    assert first.measures["average@5"] == pytest.approx(np.mean(first.generations[5].fitness))
    assert first.births


def test_an_individual_is_judged_by_all_its_trainings(stored: Stored) -> None:
    found = repeated(stored)
    seen: defaultdict[tuple[int, ...], list[float]] = defaultdict(list)
    for run in found.generations:
        for generation in run:
            for member, fitness in zip(generation.members, generation.fitness, strict=True):
                seen[member].append(fitness)
    assert max(map(len, seen.values())) > 1
    for genotype, values in seen.items():
        assert found.judge.accuracy(genotype) == pytest.approx(np.mean(values))
    assert np.isnan(found.judge.accuracy((1, 1, 1, 1)))  # of another space: never trained
    assert found.judge.best is None
    assert found.judge.parameters(found.generations[0][0].champion) > 0


def test_the_papers_figures_and_measures_are_made(stored: Stored, tmp_path: Path) -> None:
    names = {path.name for path in build.make(stored.folder, ["png"], build.Page())}
    assert {
        "genetic_cnn_paper_initial_progress.png",
        "genetic_cnn_population.png",
        "genetic_cnn_lineage.png",
        "genetic_cnn_cells.png",
        measures.REPLAYED,
    } <= names
    known = measures.replayed(stored.folder)
    assert [len(one.by_seed("average@0")) for one in known] == [2, 2]
    text = (stored.folder / "ablation.md").read_text()
    assert "Genetic CNN, Table 1" in text
    assert "regret" not in text.lower()


def test_what_retrain_found_stays(stored: Stored) -> None:
    row = measures.replayed(stored.folder)[0]
    other = measures.Measured(row.row, row.dataset, 0, {"fresh@10": [1.0, 2.0]})
    measures.write(stored.folder / measures.REPLAYED, "native", [other])
    build.make(stored.folder, ["png"], build.Page())
    known = measures.replayed(stored.folder)[0]
    assert known.by_seed("fresh@10") == {0: 1.0, 1: 2.0}
    assert known.by_seed("average@0")


def test_another_trace_is_refused(stored: Stored) -> None:
    runs = stored.collected[0]
    changed = UnitRuns(runs.unit, [replace(runs.records[0], trace_sha256="0" * 64)])
    with pytest.raises(DataError, match="is not the stored 0000"):
        generations.of_runs(changed, 1, stored.folder)


def test_without_journals_nothing_is_repeated(stored: Stored, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(stored.folder, copy)
    shutil.rmtree(execution.journals(copy, stored.collected[0].unit.key()))
    assert generations.of_runs(stored.collected[0], 30, copy).replayed == []
    names = {path.name for path in build.make(copy, ["png"], build.Page())}
    assert "genetic_cnn_population.png" not in names
