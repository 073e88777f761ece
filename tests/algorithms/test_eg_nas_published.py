"""EG-NAS as its published code has it: what is drawn, measured and added."""

from __future__ import annotations

import numpy as np
import pytest
from support import evaluation

from nasbench_evo.algorithms import eg_nas_published
from nasbench_evo.algorithms.eg_nas import EGNAS
from nasbench_evo.errors import InputError
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.requests import EvaluateMixtures
from nasbench_evo.runner import AskTell, Budget, Result, search
from nasbench_evo.spaces import NASBench201

SPACE = NASBench201()


def run(evaluator: LookupEvaluator, seed: int, budget: int = 314, **changes: int) -> Result:
    algorithm = EGNAS.configure("published_code", changes)
    return search(algorithm, evaluator, seed=seed, budget=Budget(budget))


def visited(result: Result) -> set[tuple[int, ...]]:
    return {answer.genotype for answer in result.history}


def test_314_evaluations_visit_few_cells_and_nearly_the_same(cifar10: LookupEvaluator) -> None:
    cells = [visited(run(cifar10, seed)) for seed in range(6)]
    print([len(one) for one in cells])
    assert all(40 <= len(one) <= 70 for one in cells)
    overlaps = [len(a & b) / len(a | b) for a in cells for b in cells]
    assert min(overlaps) > 0.6  # two random sets of 53 cells share none


def test_a_spent_budget_leaves_the_final_alpha(cifar10: LookupEvaluator) -> None:
    result = run(cifar10, 0)
    assert result.returned is not None
    assert result.genotype == result.curve[-1][1]  # the best seen stands beside it


def test_n_does_not_change_the_cells_of_an_epoch(cifar10: LookupEvaluator) -> None:
    one, three = (visited(run(cifar10, 4, budget=1 + n * 51, epochs=16, samples=n)) for n in (1, 3))
    assert one == three


def test_exploration_comes_first_and_the_second_softmax_is_added() -> None:
    driven = AskTell(EGNAS.configure("published_code", {"warmup": 0, "samples": 1}), SPACE, seed=0)
    alpha = driven.ask().alphas[0]  # type: ignore[union-attr]
    driven.tell([evaluation(None, 50.0, 1.0)])
    z = driven.ask().alphas  # type: ignore[union-attr]
    np.testing.assert_allclose((z * z).sum(-1), 1)
    driven.tell([evaluation(None, 50.0, 1e-9 * (k < 48)) for k in range(50)])
    direction = driven.ask()
    assert isinstance(direction, EvaluateMixtures)
    driven.tell([evaluation(None, 50.0, 1.0)])
    after = driven.ask().alpha  # type: ignore[union-attr]
    np.testing.assert_allclose(after, alpha + 0.1 * eg_nas_published.softmax(direction.alphas[0]))


def test_fitness_by_hand() -> None:
    """Edges count alike whatever their length; as good as alpha counts as better."""
    alpha = np.zeros((2, 2))  # softmax rows (1/2, 1/2)
    z = eg_nas_published.unit_rows(np.array([[[5.0, 5.0], [-1.0, -1.0]]] * 2))
    answers = [evaluation(0, 50.0, 1.0), evaluation(1, 49.0, 1.0)]
    f = eg_nas_published.fitness(EGNAS(eta=0.4), alpha, 50.0, z, answers)
    assert f.tolist() == pytest.approx([1.0 + 0.4 * 0.5, 1.0 - 0.4 * 0.5])


def test_an_accuracy_of_zero_wins() -> None:
    assert eg_nas_published.score(0.0) < eg_nas_published.score(99.0) < eg_nas_published.score(50.0)


def test_it_has_one_generation(cifar10: LookupEvaluator) -> None:
    with pytest.raises(InputError, match="one generation a strategy; got 2"):
        run(cifar10, 0, generations=2)
