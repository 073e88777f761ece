"""Joint training equals the trainings one by one."""

import dataclasses
import math

import pytest
import torch

from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.networks.nasbench201 import network as nasbench201
from nasbench_evo.training import (
    Augmentation,
    Execution,
    JointTraining,
    Recipe,
    Training,
    jointly,
    load_dataset,
    weights_generator,
)
from nasbench_evo.training.joint_network import JointNetwork

pytestmark = pytest.mark.torch

# All operations; zero nodes, dead edges, a repeated cell, nothing at all.
CELLS = [
    (3, 3, 3, 1, 3, 2), (0, 0, 0, 0, 0, 0), (1, 2, 4, 4, 1, 3), (4, 4, 4, 4, 4, 4),
    (0, 0, 2, 0, 3, 1), (3, 3, 3, 1, 3, 2), (2, 2, 2, 2, 2, 2), (0, 3, 3, 0, 0, 3),
]  # fmt: skip
RECIPE = Recipe(
    "joint", 2, batch_size=50, nesterov=True, label_smoothing=0.1,
    augmentation=Augmentation(flip=0.5, crop_padding=1, cutout=2),
)  # fmt: skip
FP64 = Execution(precision="fp64")


def network(cell, seed, channels=4, cells=1):
    return nasbench201.build(
        cell, classes=10, generator=weights_generator(seed), in_channels=1, channels=channels,
        cells=cells,
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits():
    return load_dataset(train_size=250)


def assert_same_networks(found, expected, atol):
    # Relative above 1: where skips add up, BatchNorm's running variances reach 1e5.
    for a, b in zip(found, expected, strict=True):
        states = a.state_dict(), b.state_dict()
        for name in states[0]:
            if not name.endswith("num_batches_tracked"):
                torch.testing.assert_close(states[0][name], states[1][name], rtol=atol, atol=atol)


@pytest.mark.parametrize(
    ("cells_per_stage", "recipe"),
    [(1, RECIPE), (2, dataclasses.replace(RECIPE, batch_size=70, keep_last_batch=True))],
)
def test_it_equals_training_one_by_one(digits, cells_per_stage, recipe):
    seeds = range(len(CELLS))
    alone, together = (
        [network(cell, seed, cells=cells_per_stage) for seed, cell in enumerate(CELLS)]
        for _ in range(2)
    )
    untrained = [network(cell, seed, cells=cells_per_stage) for seed, cell in enumerate(CELLS)]
    assert_same_networks(together, alone, 0)  # identical initial weights
    expected = [
        Training(model, digits, recipe, seed=seed, execution=FP64).run()
        for seed, model in zip(seeds, alone, strict=True)
    ]
    joint = JointTraining(together, digits, recipe, seeds=list(seeds), execution=FP64)
    joint.run(0.3)
    found = joint.run()
    assert_same_networks(together, alone, 1e-10)
    with pytest.raises(AssertionError):
        assert_same_networks([n.double() for n in untrained], alone, 1e-3)
    for a, b in zip(found, expected, strict=True):
        assert (a.status, a.fraction, a.iterations) == ("ok", 1, b.iterations)
        assert a.valid_accuracy == b.valid_accuracy
        assert a.valid_loss == pytest.approx(b.valid_loss, rel=1e-9)
        for x, y in zip(a.curve, b.curve, strict=True):
            assert dataclasses.astuple(x) == pytest.approx(dataclasses.astuple(y), rel=1e-9)
    # The same cell from another seed is another training.
    assert found[0].valid_loss != found[5].valid_loss


def test_forward_with_own_and_with_shared_images():
    networks = [network(cell, seed) for seed, cell in enumerate(CELLS)]
    joint = JointNetwork(networks).double().eval()
    for model in networks:
        model.double().eval()
    images = torch.randn(len(CELLS), 3, 1, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        own = joint(images.transpose(0, 1).flatten(1, 2))
        shared = joint(images[0])
        for k, model in enumerate(networks):
            torch.testing.assert_close(own[k], model(images[k]), rtol=0, atol=1e-12)
            torch.testing.assert_close(shared[k], model(images[0]), rtol=0, atol=1e-12)


def test_a_diverging_network_does_not_touch_the_others(digits):
    pair = [network(CELLS[0], 0), network(CELLS[2], 1)]
    alone = network(CELLS[2], 1)
    with torch.no_grad():
        pair[0].classifier.weight.fill_(math.nan)
    found = JointTraining(pair, digits, RECIPE, seeds=[0, 1], execution=FP64).run()
    assert [r.status for r in found] == ["diverged", "ok"]
    assert found[0].valid_accuracy == 10
    assert found[0].iterations < found[1].iterations
    expected = Training(alone, digits, RECIPE, seed=1, execution=FP64).run()
    assert_same_networks(pair[1:], [alone], 1e-10)
    assert found[1].valid_loss == pytest.approx(expected.valid_loss, rel=1e-9)


def test_fp32_and_bf16_learn(digits):
    for precision in ("fp32", "bf16"):
        networks = [network(cell, seed) for seed, cell in enumerate(CELLS[:1])]
        recipe = dataclasses.replace(RECIPE, length=8, augmentation=Augmentation())
        execution = Execution(precision=precision)
        (found,) = JointTraining(networks, digits, recipe, seeds=[0], execution=execution).run()
        assert found.valid_accuracy > 50


def test_what_does_not_work_jointly_says_so(digits):
    networks = [network(CELLS[0], 0), network(CELLS[2], 1)]
    for change in ({"gradient_clip": 5.0}, {"drop_path": 0.1}, {"auxiliary_weight": 0.4}):
        with pytest.raises(Unsupported, match=next(iter(change))):
            JointTraining(networks, digits, dataclasses.replace(RECIPE, **change), seeds=[0, 1])
    with pytest.raises(Unsupported, match="channels_last"):
        JointTraining(
            networks, digits, RECIPE, seeds=[0, 1], execution=Execution(channels_last=False)
        )
    with pytest.raises(InputError, match="seeds"):
        JointTraining(networks, digits, RECIPE, seeds=[0])
    with pytest.raises(InputError, match="at least one"):
        JointTraining([], digits, RECIPE, seeds=[])
    for other in (network(CELLS[0], 0, channels=8), network(CELLS[0], 0, cells=2)):
        with pytest.raises(InputError, match="same classes"):
            JointTraining([networks[0], other], digits, RECIPE, seeds=[0, 1])
    training = JointTraining(networks, digits, RECIPE, seeds=[0, 1])
    training.run(0.5)
    with pytest.raises(InputError, match="until"):
        training.run(0.2)


def test_out_of_memory_is_a_failed_result(digits, monkeypatch):
    networks = [network(CELLS[0], 0), network(CELLS[2], 1)]
    training = JointTraining(networks, digits, RECIPE, seeds=[0, 1])

    def starve(*args):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(training.model.stem, "forward", starve)
    found = training.run()
    assert [r.status for r in found] == ["failed", "failed"]
    assert "fewer networks" in found[0].reason
    assert math.isnan(found[1].valid_accuracy)


def test_stopped_trainings_go_on_jointly_as_they_do_alone(digits):
    """20%, then 60%, each from what the one before left; then the rest of one of them alone."""

    def begun():
        return [Training(network(c, k), digits, RECIPE, seed=k, execution=FP64)
                for k, c in enumerate(CELLS)]  # fmt: skip

    alone, together = begun(), begun()
    for until in (0.3, 0.6):
        joint = JointTraining(
            [t.model for t in together], digits, RECIPE, seeds=range(len(CELLS)), execution=FP64
        )
        joint.take_over(together)
        found = joint.run(until)
        joint.hand_over(together)
        again, states = begun(), [training.state() for training in together]
        for training, state in zip(again, states, strict=True):
            training.load_state(state)
        together = again
        expected = [training.run(until) for training in alone]
        assert [r.iterations for r in found] == [r.iterations for r in expected]
        for a, b in zip(found, expected, strict=True):
            losses = [[point.train_loss for point in r.curve] for r in (a, b)]
            assert losses[0] == pytest.approx(losses[1], rel=1e-9)
        assert [r.valid_loss for r in found] == pytest.approx([r.valid_loss for r in expected])
    assert together[0].run().valid_loss == pytest.approx(alone[0].run().valid_loss, rel=1e-9)
    assert_same_networks([t.model for t in together[1:]], [t.model for t in alone[1:]], 1e-11)
    together[1].run(0.9)
    with pytest.raises(InputError, match="as many iterations"):
        joint.take_over(together)


def test_merging_convolutions_changes_rounding_only(digits):
    images = torch.randn(5, len(CELLS), 8, 8, dtype=torch.float64)
    found = []
    for merged in (False, True):
        networks = [network(cell, k).double() for k, cell in enumerate(CELLS)]
        joint = JointNetwork(networks, merged=merged)
        logits = joint(images)
        torch.autograd.backward(logits.square().sum())
        kinds = {type(layer).__name__ for layer in joint.stacked()}
        assert ("JointMixedConvBN" in kinds) == merged
        with torch.no_grad():
            for own in (p for layer in joint.stacked() for p, _ in layer.shared()):
                if own.grad is not None:
                    own -= 0.01 * own.grad
        joint.write_back()
        found.append((logits.detach(), networks))
    assert torch.allclose(found[0][0], found[1][0], atol=1e-12)
    assert_same_networks(found[0][1], found[1][1], 1e-11)


def test_auto_trains_as_many_as_were_measured_to_be_fastest(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_EVO_CACHE", str(tmp_path))
    assert jointly.sizes(5, 2) == [2, 2, 1]
    assert jointly.grouped("abcd", 3) == [["a", "b", "c"], ["d"]]
    jointly.remember("cpu", {2: 1.2, 3: 0.9, 4: 1.3, 8: 1.9, 16: 1.5})
    found = jointly.picked("cpu")
    assert found == (4, 8)  # that two were faster, and three slower, is noise
    assert [jointly.sizes(n, found) for n in (3, 5, 20)] == [[1, 1, 1], [5], [7, 7, 6]]
    jointly.remember("cpu", {2: 0.9, 4: 0.8})
    assert jointly.sizes(20, jointly.picked("cpu")) == [1] * 20
    with pytest.raises(InputError, match="no device cuda"):
        jointly.picked("cuda")
