"""`retrain`: what a suite on supernets found and what its weights rank are trained anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import loaded

from nasbench_evo import execution, suite
from nasbench_evo.errors import InputError
from nasbench_evo.replays import retrained as replay
from nasbench_evo.results import folder as results
from nasbench_evo.results.retrained import SHARED, TABLE

SUITE = """
name = "small"
evaluator = "supernet"
space = "nasbench201"
datasets = ["digits"]
seeds = 1
truth = { table = "digits" }
[evaluator_set]
train_size = 50
valid_fraction = 0.1
batch_size = 25
channels = 2
cells = 1
recalibration_size = 20
[[rows]]
algorithm = "random_search_ws"
set = { epochs = 1, candidates = 2, sampling = "fair" }
[[rows]]
algorithm = "random_search_ws"
set = { epochs = 1, candidates = 2, sampling = "fair" }
evaluator = "lookup"
"""
ASKED = replay.Trainings(lengths=[1], cells=3, trials=2, probe_trials=2)

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> results.Stored:
    folder = tmp_path_factory.mktemp("small")
    chosen = loaded(folder, SUITE)
    with execution.opened(chosen, folder / "out") as store:
        work = execution.plan(chosen, store)
        execution.execute(work, store, engine="serial", workers=1, progress=lambda n: None)
    return results.read(folder / "out")


def test_finals_and_probes_are_trained_with_seeds_of_their_own(stored: results.Stored) -> None:
    advanced: list[int] = []
    study = replay.retrain(stored, ASKED, advanced.append)
    assert {final.searched for final in study.finals} == {SHARED, TABLE}
    assert {one.batch_norm for one in study.rankings} == set(replay.BATCH_NORMS)
    assert len({ranking.accuracies for ranking in study.rankings}) > 1
    cells = {*study.probes, *(final.genotype for final in study.finals)}
    assert {(t.genotype, t.trial) for t in study.trainings} == {
        (c, t) for c in cells for t in (0, 1)
    }
    assert sum(advanced) == replay.number(stored, ASKED)
    assert all(len(study.fresh(cell, 1)) == 2 for cell in cells)

    log = stored.folder / "checkpoints" / "retrained-1.jsonl"
    before = log.read_bytes()
    assert replay.retrain(stored, ASKED).to_json() == study.to_json()  # nothing is trained again
    assert log.read_bytes() == before


def test_without_the_weights_it_says_how_to_make_them(
    stored: results.Stored, tmp_path: Path
) -> None:
    moved = results.Stored(tmp_path, stored.suite, stored.collected, {}, {})
    with pytest.raises(InputError, match="The weights of seed 0 are gone"):
        replay.retrain(moved, ASKED)


def test_only_suites_on_supernets_with_a_truth_fit(stored: results.Stored) -> None:
    other = suite.load(suite.find("nb201"))
    with pytest.raises(InputError, match="needs a suite on supernets"):
        replay.number(results.Stored(stored.folder, other, [], {}, {}), ASKED)
