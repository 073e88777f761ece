"""Successive halving and Hyperband: what each asks, what it costs, and their golden traces."""

from __future__ import annotations

import pytest
from support import evaluation

from nasbench_evo import tables
from nasbench_evo.algorithms.hyperband import Hyperband
from nasbench_evo.algorithms.successive_halving import SuccessiveHalving
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.requests import Evaluate
from nasbench_evo.runner import AskTell, Budget, search
from nasbench_evo.spaces import NASBench201


def rungs(driven: AskTell, n: int) -> list[tuple[int, float]]:
    """Tell ever better accuracies and return what was asked: how many, how long."""
    asked = []
    for _ in range(n):
        request = driven.ask()
        assert isinstance(request, Evaluate)
        asked.append((len(request.genotypes), round(request.fraction, 6)))
        driven.tell([evaluation(g, i) for i, g in enumerate(request.genotypes)])
    return asked


def test_the_best_third_goes_on_from_where_it_stopped() -> None:
    driven = AskTell(SuccessiveHalving(), NASBench201(), seed=0)
    first = driven.ask()
    assert isinstance(first, Evaluate)
    accuracies = [5, 9, 1, 9, 7, 2, 3, 4, 6]
    driven.tell(
        [
            evaluation(g, a)._replace(fraction=1 / 9, training=100 + i)
            for i, (g, a) in enumerate(zip(first.genotypes, accuracies, strict=True))
        ]
    )
    second = driven.ask()
    assert isinstance(second, Evaluate)
    assert second.genotypes == [first.genotypes[i] for i in (1, 3, 4)]
    assert second.continues == [101, 103, 104]
    assert second.fraction == pytest.approx(1 / 3)


def test_the_schedules_are_the_papers() -> None:
    """Algorithm 1 of Li et al. by hand: R = 81, eta = 3, the lengths as parts of R."""
    driven = AskTell(Hyperband(eta=3, rungs=5), NASBench201(), seed=0)
    expected = [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],  # 5 / 4 * 27, rounded up
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]
    flat = [(n, round(length / 81, 6)) for bracket in expected for n, length in bracket]
    assert rungs(driven, 2 * len(flat)) == flat * 2
    halving = AskTell(SuccessiveHalving(candidates=7, eta=2, rungs=4), NASBench201(), seed=0)
    assert rungs(halving, 4) == [(7, 0.125), (3, 0.25), (1, 0.5), (1, 1.0)]


def test_one_rung_is_random_search_in_full() -> None:
    evaluator = LookupEvaluator(tables.load(), "cifar10")
    plain = search(SuccessiveHalving(rungs=1), evaluator, seed=3, budget=Budget(30))
    assert {answer.fraction for answer in plain.history} == {1}
    assert len(plain.history) == 30


@pytest.fixture(scope="module")
def digits() -> LookupEvaluator:
    return LookupEvaluator(tables.load("digits"), "digits")


def test_costs_are_fractions_and_accuracies_are_of_the_curve(digits: LookupEvaluator) -> None:
    result = search(SuccessiveHalving(), digits, seed=1, budget=Budget(7 / 3 + 1e-9))
    history = result.history
    assert len(history) == 13
    assert sum(answer.cost for answer in history) == pytest.approx(1 + 3 * 2 / 9 + 2 / 3)
    assert result.notes == {"landmark_source": "curve"}
    curves = digits.table.valid_curve
    assert curves is not None
    for answer in history[:12]:
        epoch = max(1, round(answer.fraction * 10))
        of_cell = curves[0, digits.space.index(answer.genotype), :, epoch - 1]
        assert answer.valid_accuracy in of_cell
    full = history[-1]
    assert full.fraction == 1
    assert result.genotype == full.genotype


GOLDEN = {
    (
        "successive_halving",
        "cifar10",
    ): "ecfa9134cd4d8131720b1c297d5fb124cd514da18b04d96b8e3bac8f3259ea8c",
    (
        "successive_halving",
        "digits",
    ): "dc31188296e3bee56214308e9445132d99fbb986d06124a0951603bbb0b7de6b",
    ("hyperband", "cifar10"): "353e40db8a2496803a561e4e1892c5bd07ab70e9a2924b9ab74ab6969128dfe6",
    ("hyperband", "digits"): "de9d6de6756bac67e84a0b9027ae54378276a7d58681cca7a6bf1859e02bbd83",
}


@pytest.mark.parametrize("algorithm", [SuccessiveHalving(), Hyperband()], ids=lambda a: a.name)
@pytest.mark.parametrize("dataset", ["cifar10", "digits"])
def test_golden_traces(
    algorithm: SuccessiveHalving | Hyperband, dataset: str, digits: LookupEvaluator,
    cifar10: LookupEvaluator,
) -> None:  # fmt: skip
    """A change of these is a change of behaviour: say so in the change log."""
    evaluator = digits if dataset == "digits" else cifar10
    result = search(algorithm, evaluator, seed=1, budget=Budget(50))
    assert result.trace_sha256 == GOLDEN[algorithm.name, dataset]
