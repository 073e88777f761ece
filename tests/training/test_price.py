"""What a suite that trains will cost, said by its dry run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nasbench_evo import suite as suites
from nasbench_evo.suite import price
from nasbench_evo.training import Execution, load_dataset
from nasbench_evo.training import price as steps
from nasbench_evo.training.individuals import DataOptions
from nasbench_evo.training.measure import at_once
from nasbench_evo.training.recipes import Recipe

pytestmark = pytest.mark.torch

OWN = """
name = "own"
evaluator = "standalone"
datasets = ["digits"]
seeds = 2
evaluations = 6
checkpoints = [6]
[evaluator_set]
train_size = 100
epochs = 4
batch_size = 25
channels = 2
cells = 1
report_trials = 1
[[rows]]
algorithm = "random_search"
[[rows]]
algorithm = "eigen"
set = { population_size = 3, primary_step = 3 }
"""
SHARED = """
name = "shared"
evaluator = "supernet"
datasets = ["digits"]
seeds = 1
[evaluator_set]
train_size = 100
batch_size = 25
channels = 2
cells = 1
[[rows]]
algorithm = "random_search_ws"
set = { epochs = 3, candidates = 5 }
[[rows]]
algorithm = "darts"
set = { epochs = 3 }
"""


def found(text: str, folder: Path) -> list[price.Price]:
    (folder / "some.toml").write_text(text)
    return list(price.prices(suites.load(folder / "some.toml")))


def test_a_row_costs_what_its_search_asks_for(tmp_path: Path) -> None:
    random, eigen = found(OWN, tmp_path)
    assert random.steps == 2 * (6 + 1) * 4 * 4  # seeds, trainings, epochs, steps
    assert 2 * 4 * 4 < eigen.steps <= random.steps * 1.2
    assert eigen.disk > random.disk  # it stops trainings and keeps their weights
    for one in (random, eigen):
        assert one.flops > 0
        assert one.seconds_here > 0
        kernels = one.kernels * price.SECONDS_PER_KERNEL
        assert one.seconds_gpu == pytest.approx(kernels)  # so small networks wait for the host


@pytest.mark.parametrize("flip", [0.0, 0.5])
def test_a_teacher_is_asked_again_where_pixels_move(
    flip: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("genotypes", "teacher"):
        monkeypatch.setattr(steps, f"of_{kind}", lambda *_: steps.Step(1.0, 1.0, 1.0, 0.0))
    text = OWN.replace("channels", f"flip = {flip}\nteacher_networks = 2\nchannels")
    _, plain = found(text, tmp_path)
    _, taught = found(text.replace("{ population", "{ mimicry = true, population"), tmp_path)
    own, seeds, networks = 2 * 4 * 4, 2, 2  # the teachers' steps, for all seeds
    asked = plain.steps / seeds if flip else 4
    assert taught.steps == pytest.approx(plain.steps + own + seeds * networks * asked / 3)


def test_shared_weights_cost_their_epochs(tmp_path: Path) -> None:
    paths, mixed = found(SHARED, tmp_path)
    assert paths.steps == 3 * 4
    assert mixed.steps >= 2 * 3 * 4  # alpha takes steps too
    assert mixed.flops / mixed.steps > paths.flops / paths.steps / 3
    assert paths.disk > 0


def test_a_step_counts_its_operations() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3, padding=1), torch.nn.Flatten())
    step = steps.measure(network, network, (2, 4, 4), Execution(), torch.device("cpu"))
    forward = 2 * 3 * 2 * 9 * 16
    assert step.flops == 3 * forward
    assert step.parameters == 3 * 2 * 9 + 3
    assert step.kernels > 4


def test_a_mean_step_takes_the_mean_time() -> None:
    small, large = steps.Step(1e3, 10, 5, 1e-6), steps.Step(1e9, 30, 7, 1e-11)
    mean = steps.mean_step([small, large])
    assert mean[:3] == (pytest.approx((1e3 + 1e9) / 2), 20, 6)
    assert mean.flops * mean.seconds_per_flop == pytest.approx((1e-3 + 1e-2) / 2)


def test_kernels_are_those_of_the_precision_without_its_convolutions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.Flatten())

    def kernels(precision: Any) -> float:
        run = Execution(precision=precision)
        return steps.measure(network, network, (2, 4, 4), run, torch.device("cpu")).kernels

    found = [kernels("fp32"), kernels("bf16")]
    assert found[1] > found[0] > 4  # it casts
    monkeypatch.setattr(steps, "_CONVOLUTIONS", ())
    # where the processor computes in a memory format of its own, it makes a copy or two
    assert [kernels("fp32"), kernels("bf16")] == pytest.approx(found, abs=2)


def test_sizes_are_known_without_the_files() -> None:
    assert steps.parts(DataOptions("cifar10", valid_fraction=0.5)) == (25_000, 25_000)
    assert steps.parts(DataOptions("cifar100", valid_fraction=0.5, valid_source="test")) == (
        50_000,
        5_000,
    )
    images = DataOptions("imagenet", valid_fraction=0.025, train_size=128_000, image_size=160)
    assert steps.sizes(images).shape == (3, 160, 160)
    assert steps.parts(images) == (128_000, 32_029)
    data = load_dataset(train_size=100)
    assert steps.parts(DataOptions(train_size=100)) == (100, len(data.valid))
    assert steps.iterations(Recipe("r", 2, batch_size=30, keep_last_batch=True), 100) == (8, 4)


def test_a_cpu_evaluates_no_more_than_stays_in_its_caches() -> None:
    part = load_dataset().valid
    assert at_once(torch.nn.Conv2d(1, 4, 3), part, 1024) == 1024
    assert at_once(torch.nn.Conv2d(1, 256, 3), part, 1024) == 64
    assert at_once(torch.nn.Conv2d(1, 256, 3), part, 32) == 32
