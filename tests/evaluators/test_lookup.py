"""The lookup: trials, noise, landmarks, mixtures."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from support import through, with_curves

from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.randomness import stream
from nasbench_evo.requests import Evaluate, EvaluateMixtures, TrainMixture, TrainPaths
from nasbench_evo.tables import Table

CELL = (3, 3, 3, 1, 3, 2)


def test_an_answer_is_one_of_the_trials(cifar10: LookupEvaluator, table: Table) -> None:
    trials = table.valid_accuracy[0, table.space.index(CELL)]
    answers = cifar10.start(0).answer(Evaluate([CELL] * 3000))
    counts = Counter(answer.valid_accuracy for answer in answers)
    assert set(counts) == set(trials)
    assert all(count == pytest.approx(1000, abs=120) for count in counts.values())


def test_missing_trials_are_never_drawn(table: Table) -> None:
    evaluator = LookupEvaluator(table, "cifar100")
    two = table.space.from_index(int((table.trials[1] == 2).argmax()))
    answers = evaluator.start(0).answer(Evaluate([two] * 200))
    trials = table.valid_accuracy[1, table.space.index(two)]
    assert {answer.valid_accuracy for answer in answers} == set(trials[~np.isnan(trials)])


def test_noise_belongs_to_the_evaluation_number(cifar10: LookupEvaluator) -> None:
    cells = cifar10.space.sample(stream(0, "test"), 40)
    at_once = cifar10.start(7).answer(Evaluate(cells))
    session = cifar10.start(7)
    one_by_one = [session.answer(Evaluate([cell]))[0] for cell in cells]
    assert at_once == one_by_one
    assert cifar10.start(8).answer(Evaluate(cells)) != at_once


def test_a_training_continues_and_pays_the_difference(cifar10: LookupEvaluator) -> None:
    session = cifar10.start(0)
    answers = [answer for (answer,) in through(session, [CELL], (0.2, 0.8, 1.0))]
    assert [answer.cost for answer in answers] == pytest.approx([0.2, 0.6, 0.2])
    (anew,) = session.answer(Evaluate([CELL]))
    assert anew.cost == 1
    assert session.notes["landmark_source"] == "trial"


def test_without_curves_each_landmark_reads_another_trial(
    cifar10: LookupEvaluator, table: Table
) -> None:
    trials = set(table.valid_accuracy[0, table.space.index(CELL)])
    assert len(trials) == 3
    for seed in range(20):
        session = cifar10.start(seed)
        read = through(session, [CELL], (0.2, 0.8, 1.0))
        assert {answer.valid_accuracy for (answer,) in read} == trials


def test_with_curves_a_training_stays_on_its_trial(table: Table) -> None:
    evaluator = LookupEvaluator(with_curves(table, epochs=10), "cifar10")
    for seed in range(20):
        session = evaluator.start(seed)
        ((early,), (late,), (final,)) = through(session, [CELL], (0.2, 0.8, 1.0))
        # The curve of the fixture is linear: 2 of 10 epochs give 20% of the final accuracy.
        assert early.valid_accuracy == pytest.approx(0.2 * final.valid_accuracy)
        assert late.valid_accuracy == pytest.approx(0.8 * final.valid_accuracy)
        assert session.notes["landmark_source"] == "curve"


def test_a_mixture_is_its_argmax_cell(cifar10: LookupEvaluator) -> None:
    alphas = np.zeros((2, 6, 5))
    for edge, operation in enumerate(CELL):
        alphas[0, edge, operation] = 1.0
    first, second = cifar10.start(0).answer(EvaluateMixtures(alphas))
    assert first.genotype == CELL
    assert second.genotype == (0,) * 6
    assert first.valid_loss == pytest.approx(-math.log(first.valid_accuracy / 100))


def test_a_mixture_takes_the_tables_loss_where_there_is_one(table: Table) -> None:
    loss = np.full(table.correct.shape, 0.25)
    evaluator = LookupEvaluator(replace(table, valid_loss=loss), "cifar10")
    session = evaluator.start(0)
    (answer,) = session.answer(EvaluateMixtures(np.zeros((1, 6, 5))))
    assert answer.valid_loss == 0.25
    assert session.notes["loss_source"] == "table"


def test_training_costs_nothing_on_a_table(cifar10: LookupEvaluator) -> None:
    session = cifar10.start(0)
    assert session.answer(TrainMixture(np.zeros((6, 5)))) == []
    assert session.answer(TrainPaths(lambda rng: CELL)) == []
    assert session.notes["weights"] == "table"


def test_bad_requests_say_what_is_wrong(cifar10: LookupEvaluator) -> None:
    with pytest.raises(Unsupported, match="mimicry"):
        cifar10.start(0).answer(Evaluate([CELL], teacher="default"))
    with pytest.raises(InputError, match="6 integers"):
        cifar10.start(0).answer(Evaluate([(1, 2, 3)]))
    with pytest.raises(InputError, match="cifar10"):
        LookupEvaluator(cifar10.table, "cifar11")
