"""The same of real trainings: who goes on goes on from its own checkpoint."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from test_standalone import make
from test_stopped_trainings import CELLS, Life, check_account, lived, plans

from nasbench_evo.evaluators.standalone import StandaloneEvaluator
from nasbench_evo.files import digest
from nasbench_evo.requests import Evaluate
from nasbench_evo.training.individuals import Job, Trained

pytestmark = pytest.mark.torch

Plan = list[tuple[float, list[int], list[int]]]


class Ledger:
    """A pool that trains nothing: a checkpoint lists the seeds of the jobs that led to it.

    The loss of a training tells whose it is; seeds are told by their digest.
    """

    jobs = 0

    def run(self, groups: Sequence[Sequence[Job]]) -> Iterator[tuple[int, list[Trained]]]:
        for i, group in enumerate(groups):
            yield i, [self.one(job) for job in group]

    def one(self, job: Job) -> Trained:
        self.jobs += 1
        own = digest([int(word) for word in job.seed.generate_state(4)])
        past = job.start.read_text().split() if job.start is not None else []
        assert set(past) <= {own}, "a training went on from another's checkpoint"
        if job.keep is not None:
            job.keep.write_text("\n".join([*past, own]))
        return Trained(50.0, int(own[:12], 16), float(len(past) + 1), "ok", "", [])


def ledger(folder: Path | None = None) -> StandaloneEvaluator:
    evaluator = make(folder=folder)
    evaluator.pool = Ledger()  # type: ignore[misc, assignment]
    return evaluator


def check_networks(lives: list[Life]) -> None:
    check_account(lives)
    for life in lives:
        assert len({answer.valid_loss for answer in life.answers}) == 1  # one network for life
        assert [a.cost_seconds for a in life.answers] == list(range(1, len(life.answers) + 1))
    assert len({life.answers[0].valid_loss for life in lives}) == len(lives)  # no two share one


@settings(max_examples=20)
@given(plans())
def test_each_goes_on_from_its_own_checkpoint_and_replays(plan: Plan) -> None:
    with tempfile.TemporaryDirectory() as name:
        first = ledger(Path(name))
        lives = lived(first.start(0), plan)
        check_networks(lives)
        again = ledger(Path(name))
        assert lived(again.start(0), plan) == lives
        assert again.pool.jobs == 0  # type: ignore[attr-defined]  # all of it from the journal


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_journal_of_a_version_without_identities_goes_on(
    tmp_path: Path, order: tuple[int, int]
) -> None:
    """A journal does not say what a request continued; its trainings are found by their keys.

    Where that version would have continued the wrong twin, the right one is trained on from its
    own checkpoint, which is still there.
    """
    twins = [CELLS[0]] * 2
    old = ledger(tmp_path).start(0)
    early = old.answer(Evaluate(twins, 0.2))
    old.answer(Evaluate(twins[:1], 0.8, continues=[early[0].training]))
    new = ledger(tmp_path)
    session = new.start(0)
    early = session.answer(Evaluate(twins, 0.2))
    chosen = early[order[0]]
    (late,) = session.answer(Evaluate(twins[:1], 0.8, continues=[chosen.training]))
    assert late.valid_loss == chosen.valid_loss
    assert new.pool.jobs == order[0]  # type: ignore[attr-defined]
