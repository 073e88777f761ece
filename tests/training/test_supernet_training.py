"""Training shared weights: what must equal ordinary training, and what a search may rely on."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from nasbench_evo.errors import InputError
from nasbench_evo.networks.nasbench201 import supernet as nasbench201_supernet
from nasbench_evo.networks.supernet import recalibrated
from nasbench_evo.training import Execution, Recipe, Training, load_dataset, recipe
from nasbench_evo.training.supernet import SupernetTraining
from nasbench_evo.training.supernet_accuracy import Measurement, SupernetAccuracy

pytestmark = pytest.mark.torch

CELL = (3, 1, 2, 4, 3, 2)
FP64 = Execution(precision="fp64")
SHORT = Recipe("short", 2, batch_size=25, learning_rate=0.05, nesterov=True, gradient_clip=5.0)


@pytest.fixture(scope="module")
def digits() -> Any:
    return load_dataset("digits", train_size=75)


def supernet() -> nasbench201_supernet.NASBench201Supernet:
    generator = torch.Generator()
    generator.manual_seed(5)
    return nasbench201_supernet.build_supernet(
        classes=10, generator=generator, in_channels=1, channels=2, cells=1
    )


def shared(digits: Any, given: Recipe = SHORT, model: Any = None) -> SupernetTraining:
    return SupernetTraining(model or supernet(), digits, given, seed=7, execution=FP64)


def images(digits: Any) -> torch.Tensor:
    pipeline = SupernetAccuracy(supernet(), digits, SHORT, FP64, Measurement()).pipeline
    return pipeline.evaluation(digits.valid.images[:20])


def test_one_path_all_the_time_is_the_training_of_that_network(digits: Any) -> None:
    model = supernet()
    alone = Training(copy.deepcopy(model.derived(CELL)), digits, SHORT, seed=7, execution=FP64)
    training = shared(digits, model=model)
    for _ in range(2):
        report = training.train_paths(lambda: CELL)
    result = alone.run()
    assert report.train_loss == pytest.approx(result.curve[-1].train_loss, rel=1e-9)
    inputs = images(digits)
    training.model.eval()
    alone.model.eval()
    with torch.no_grad():
        difference = training.model.forward_path(inputs, CELL) - alone.model(inputs)
    assert difference.abs().max() < 1e-9


def test_a_mixture_of_one_operation_an_edge_is_a_path(digits: Any) -> None:
    alpha = np.full((6, 5), -2000.0)  # its softmax is exactly 0 or 1
    alpha[range(6), CELL] = 0.0
    mixed, path = shared(digits), shared(digits)
    a, b = mixed.train_mixture(alpha), path.train_paths(lambda: CELL)
    assert a.train_loss == pytest.approx(b.train_loss, rel=1e-9)


def test_weights_off_the_path_stay_as_they_were(digits: Any) -> None:
    training = shared(digits)
    before = {k: v.clone() for k, v in training.model.named_parameters()}
    training.train_paths(lambda: (1, 1, 1, 1, 1, 3))
    moved = {k for k, v in training.model.named_parameters() if not torch.equal(v, before[k])}
    touched = {name for name in moved if "convolutions" in name or "edges" in name}
    assert 0 < len(moved) < len(before) / 2
    assert touched, sorted(moved)


def test_state_and_load_continue_exactly(digits: Any) -> None:
    whole, first = shared(digits), shared(digits)
    alpha = np.zeros((6, 5))
    _, one = whole.train_bilevel(alpha, 0.1, 1e-3)
    _, expected = whole.train_bilevel(one, 0.1, 1e-3)
    first.train_bilevel(alpha, 0.1, 1e-3)
    second = shared(digits)
    second.load_state(first.state())
    _, found = second.train_bilevel(one, 0.1, 1e-3)
    assert np.array_equal(found, expected)
    for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_alpha_goes_down_the_validation_loss(digits: Any) -> None:
    """With weights that hardly move, alpha's own steps make the validation loss smaller."""
    given = Recipe("still", 30, batch_size=25, learning_rate=1e-12, momentum=0.0)
    training = shared(digits, given)
    alpha = np.zeros((6, 5))
    measured = SupernetAccuracy(
        training.model, digits, given, FP64, Measurement("batch", batch_size=1000)
    )
    before = measured.of_mixtures(training.weights(alpha[None]), 0)[0][1]
    for _ in range(30):
        _, alpha = training.train_bilevel(alpha, 0.05, 0.0)
    after = measured.of_mixtures(training.weights(alpha[None]), 0)[0][1]
    assert after < before - 0.01


def test_a_schedule_in_iterations_is_refused(digits: Any) -> None:
    with pytest.raises(InputError, match="whole epochs"):
        shared(digits, recipe("eigen"))


def test_accuracies_are_those_of_the_sequential_supernet(digits: Any) -> None:
    training = shared(digits)
    training.train_paths(lambda: (3, 3, 3, 3, 3, 3))
    genotypes = [CELL, (3, 3, 3, 3, 3, 3), (0, 0, 0, 0, 0, 0)]
    together = SupernetAccuracy(
        training.model, digits, SHORT, FP64, Measurement("running", batch_size=50)
    ).of_paths(genotypes, 0)
    inputs, labels = (
        SupernetAccuracy(training.model, digits, SHORT, FP64, Measurement()).pipeline.evaluation(
            digits.valid.images
        ),
        digits.valid.labels,
    )
    training.model.eval()
    for genotype, (accuracy, loss) in zip(genotypes, together, strict=True):
        with torch.no_grad():
            logits = training.model.forward_path(inputs, genotype)
        assert accuracy == pytest.approx(100 * float((logits.argmax(1) == labels).double().mean()))
        expected = torch.nn.functional.cross_entropy(logits, labels)
        assert loss == pytest.approx(float(expected), rel=1e-9)


def test_recalibrated_statistics_are_those_of_the_batch(digits: Any) -> None:
    """The stem's, which every path shares: mean and unbiased variance of what comes in."""
    model = supernet().double()
    inputs = images(digits)
    statistics = recalibrated(model, [lambda: model.forward_path(inputs, CELL)])
    name = next(n for n, m in model.named_modules() if isinstance(m, torch.nn.BatchNorm2d))
    convolution = next(m for m in model.modules() if isinstance(m, torch.nn.Conv2d))
    entering = convolution(inputs)
    mean, variance = statistics[name]
    assert torch.allclose(mean[0], entering.mean((0, 2, 3)))
    assert torch.allclose(variance[0], entering.var((0, 2, 3)))


@pytest.mark.parametrize(
    "values", [{"batch_norm": "none"}, {"batches": 0}, {"recalibration_size": 0}, {"batch_size": 0}]
)
def test_wrong_measurements_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Measurement(**values)
