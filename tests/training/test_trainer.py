"""The trainer: landmarks bit for bit, a plain reference, divergence, memory, checkpoints."""

import dataclasses
import functools
import math
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from nasbench_evo.errors import DataError, InputError, Unsupported
from nasbench_evo.networks import build
from nasbench_evo.randomness import Stream
from nasbench_evo.spaces import get
from nasbench_evo.training import (
    Augmentation,
    Ensemble,
    Execution,
    Recipe,
    Training,
    evaluate,
    load_dataset,
    weights_generator,
)

pytestmark = pytest.mark.torch

AUGMENTED = Recipe(
    "test", 4, batch_size=60, nesterov=True,
    augmentation=Augmentation(flip=0.5, crop_padding=1, cutout=2),
)  # fmt: skip


class Small(nn.Module):
    """Convolution, BatchNorm, dropout, a second output, drop-path: all that a state is made of."""

    def __init__(self, seed=0, auxiliary=False):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.drop, self.fc = nn.Dropout(0.2), nn.Linear(8 * 16, 10)
        self.auxiliary, self.drop_path_prob, self.seen = auxiliary, 0.0, []
        generator = weights_generator(seed)
        with torch.no_grad():
            for weight in self.parameters():
                if weight.dim() > 1:
                    weight.normal_(0, 0.1, generator=generator)
            self.fc.bias.zero_()

    def forward(self, x):
        if self.training:
            self.seen.append(self.drop_path_prob)
        x = nn.functional.max_pool2d(torch.relu(self.bn(self.conv(x))), 2)
        logits = self.fc(self.drop(x.flatten(1)))
        return (logits, logits * 0.5) if self.auxiliary and self.training else logits


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits():
    return load_dataset(train_size=400)


def same(a, b):
    """Whether two states are equal bit for bit, the clock aside."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a if k != "seconds")
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize(
    ("recipe", "execution"),
    [
        (AUGMENTED, Execution()),
        (dataclasses.replace(AUGMENTED, drop_path=0.3, gradient_clip=0.5), Execution()),
        (dataclasses.replace(AUGMENTED, augmentation=Augmentation(whitening=True)), Execution()),
        (AUGMENTED.scaled(23, "iterations"), Execution(deterministic=True, valid_every=2)),
        (dataclasses.replace(AUGMENTED, batch_size=150, keep_last_batch=True), Execution()),
        (AUGMENTED, Execution(precision="bf16", channels_last=False)),
    ],
)
@pytest.mark.parametrize("through", ["memory", "file"])
def test_landmarks_equal_one_run_bit_for_bit(digits, tmp_path, recipe, execution, through):
    whole = Training(Small(), digits, recipe, seed=5, execution=execution)
    uninterrupted = whole.run()
    training = Training(Small(), digits, recipe, seed=5, execution=execution)
    for landmark in (0.2, 0.8, 1.0):
        part = training.run(landmark)
        assert part.fraction == pytest.approx(landmark, abs=0.5 / training.total)
        assert math.isfinite(part.valid_loss)
        if through == "file":
            training.save(tmp_path / "checkpoint.pt")
        state = training.state()
        # Elsewhere: other initial weights, and the global random state stirred.
        training = Training(Small(seed=9), digits, recipe, seed=5, execution=execution)
        torch.rand(3)
        if through == "file":
            training.load(tmp_path / "checkpoint.pt")
        else:
            training.load_state(state)
    assert same(training.state(), whole.state())
    found = training.result()
    assert found.curve == uninterrupted.curve
    assert found.valid_accuracy == uninterrupted.valid_accuracy
    assert found.valid_loss == uninterrupted.valid_loss
    assert [point.epoch for point in found.curve] == [1, 2, 3, 4]


@pytest.mark.parametrize(("batch_size", "batches"), [(100, 4), (150, 3)])
def test_it_equals_a_plain_loop(digits, batch_size, batches):
    """The same in the usual style: NCHW, default optimizer, torch's scheduler; 150, 150, 100."""
    recipe = Recipe(
        "plain", 3, batch_size=batch_size, keep_last_batch=True, label_smoothing=0.1, nesterov=True
    )
    execution = Execution(precision="fp64", valid_every=3)
    training = Training(NoDropout(), digits, recipe, seed=1, execution=execution)
    order = [training.stream.take(9)]
    assert len(order[0]) == batches
    training = Training(NoDropout(), digits, recipe, seed=1, execution=execution)
    result = training.run()

    model = NoDropout().double()
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4, foreach=False
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3 * batches)
    generator = torch.Generator().manual_seed(seed_of(training))
    mean, std = digits.mean[0], digits.std[0]
    images = ((digits.train.images.double() / 255) - mean) / std
    for epoch in range(3):
        permutation = torch.randperm(400, generator=generator)
        if epoch == 0:
            assert torch.equal(torch.cat(order[0]), permutation)
        for index in permutation.split(batch_size):
            loss = nn.functional.cross_entropy(
                model(images[index]), digits.train.labels[index], label_smoothing=0.1
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(training.model.state_dict()[name], value, rtol=0, atol=1e-12)
    model.eval()
    valid = ((digits.valid.images.double() / 255) - mean) / std
    hits = (model(valid).argmax(1) == digits.valid.labels).double().mean().item()
    assert result.valid_accuracy == pytest.approx(100 * hits)
    assert [point.valid_accuracy for point in result.curve[:2]] == [None, None]


class NoDropout(Small):
    def __init__(self):
        super().__init__()
        self.drop = nn.Identity()


def seed_of(training):
    from nasbench_evo.training.seeding import words

    assert words(1)[0] != words(2)[0]
    assert words(np.random.SeedSequence(1)) == words(1)
    return words(1)[0]


def test_randomness_comes_from_the_seed_alone(digits):
    model = Small()
    before = torch.get_rng_state()
    first = Training(model, digits, AUGMENTED, seed=3).run()
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    again = Training(Small(), digits, AUGMENTED, seed=3).run()
    other = Training(Small(), digits, AUGMENTED, seed=4).run()
    assert first.curve == again.curve != other.curve


def test_it_learns_and_never_touches_the_test_part(digits):
    class Untouchable:
        def __getattr__(self, name):
            raise AssertionError("the trainer read the test part")

    guarded = dataclasses.replace(digits, test=Untouchable())
    recipe = Recipe("plain", 8, batch_size=40, learning_rate=0.05)
    training = Training(Small(), guarded, recipe, seed=0)
    result = training.run()
    assert result.status == "ok"
    assert result.curve[-1].train_loss < result.curve[0].train_loss
    assert result.valid_accuracy > 60
    accuracy, loss = evaluate(training.model, digits, "valid")
    assert accuracy == pytest.approx(result.valid_accuracy)
    assert loss == pytest.approx(result.valid_loss, rel=1e-5)
    assert 50 < evaluate(training.model, digits, "test")[0] <= 100
    with pytest.raises(InputError, match="split"):
        evaluate(training.model, digits, "all")


def test_a_teacher_changes_the_training_and_stays_as_it_is(digits):
    teacher = Small(seed=8)
    Training(teacher, digits, AUGMENTED, seed=1).run()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    ensemble = Ensemble([teacher])
    recipe = dataclasses.replace(AUGMENTED, learning_rate=0.01)
    taught = Training(Small(), digits, recipe, seed=2, teacher=ensemble).run()
    alone = Training(Small(), digits, recipe, seed=2).run()
    assert taught.curve != alone.curve
    assert taught.status == "ok"
    assert same(before, dict(teacher.state_dict()))


def test_drop_path_is_scheduled_by_epoch(digits):
    recipe = dataclasses.replace(AUGMENTED, drop_path=0.4)
    training = Training(Small(), digits, recipe, seed=0)
    training.run()
    assert sorted(set(training.model.seen)) == pytest.approx([0, 0.1, 0.2, 0.3])
    with pytest.raises(InputError, match="drop_path_prob"):
        Training(nn.Linear(1, 1), digits, recipe, seed=0)


def test_auxiliary_output(digits):
    recipe = dataclasses.replace(AUGMENTED, auxiliary_weight=0.4)
    assert Training(Small(auxiliary=True), digits, recipe, seed=0).run().status == "ok"
    with pytest.raises(InputError, match="auxiliary"):
        Training(Small(), digits, recipe, seed=0).run()


def test_divergence_is_a_result_of_chance_level(digits):
    recipe = dataclasses.replace(AUGMENTED, learning_rate=1e30)
    training = Training(Small(), digits, recipe, seed=0)
    result = training.run()
    assert result.status == "diverged"
    assert "not finite" in result.reason
    assert result.valid_accuracy == 10.0
    assert result.valid_loss == pytest.approx(math.log(10))
    assert result.iterations < training.total
    again = training.run()
    assert (again.status, again.iterations) == ("diverged", result.iterations)


class Hungry(NoDropout):
    """Raises torch's lack-of-memory error in training on batches above a size, from some call."""

    def __init__(self, most, error, calm=0):
        super().__init__()
        self.most, self.error, self.calm = most, error, calm

    def forward(self, x):
        if self.training and len(x) > self.most and len(self.seen) >= self.calm:
            raise self.error
        return super().forward(x)


CPU_ERROR = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: buy more")


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory. x"), CPU_ERROR])
def test_out_of_memory_halves_the_batch_once(digits, error):
    training = Training(Hungry(30, error, calm=2), digits, AUGMENTED, seed=0)
    result = training.run()
    assert (result.status, result.batch_splits) == ("ok", 2)
    assert result.fraction == 1
    failed = Training(Hungry(29, error), digits, AUGMENTED, seed=0).run()
    assert (failed.status, failed.batch_splits, failed.iterations) == ("failed", 2, 0)
    assert "out of memory" in failed.reason
    assert math.isnan(failed.valid_accuracy)
    assert failed.to_json()["valid_accuracy"] is None


def test_other_errors_are_not_swallowed(digits):
    with pytest.raises(RuntimeError, match="a bug"):
        Training(Hungry(0, RuntimeError("a bug")), digits, AUGMENTED, seed=0).run()


def test_halved_batches_give_the_gradient_of_whole_ones(digits):
    class NoBatchNorm(NoDropout):
        def __init__(self):
            super().__init__()
            self.bn = nn.Identity()

    recipe = Recipe("x", 1, batch_size=61)
    execution = Execution(precision="fp64")
    whole = Training(NoBatchNorm(), digits, recipe, seed=0, execution=execution)
    halves = Training(NoBatchNorm(), digits, recipe, seed=0, execution=execution)
    halves.progress.batch_splits = 2
    a, b = whole.run(), halves.run()
    assert a.curve[0].train_loss == pytest.approx(b.curve[0].train_loss, rel=1e-12)
    for x, y in zip(whole.model.parameters(), halves.model.parameters(), strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=1e-12)


def test_checkpoints_that_do_not_fit(digits, tmp_path):
    training = Training(Small(), digits, AUGMENTED, seed=0)
    path = tmp_path / "deep" / "c.pt"
    with pytest.raises(DataError, match="no checkpoint"):
        training.load(path)
    training.run(0.25)
    training.save(path)
    assert [p.name for p in path.parent.iterdir()] == ["c.pt"]
    for other in (
        Training(Small(), digits, AUGMENTED, seed=1),
        Training(Small(), digits, AUGMENTED.scaled(9), seed=0),
        Training(Small(), load_dataset(train_size=399), AUGMENTED, seed=0),
    ):
        with pytest.raises(DataError, match="another training"):
            other.load(path)
    with pytest.raises(DataError, match="another network"):
        Training(nn.Linear(64, 10), digits, AUGMENTED, seed=0).load(path)
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"text"):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"c\.pt"):
            training.load(path)
    torch.save({"format": 1, "identity": Small()}, path)  # a class: never unpickled
    with pytest.raises(DataError, match="not a readable checkpoint"):
        training.load(path)


def test_a_failed_save_leaves_the_old_checkpoint(digits, tmp_path, monkeypatch):
    training = Training(Small(), digits, AUGMENTED, seed=0)
    training.run(0.25)
    training.save(tmp_path / "c.pt")
    good = (tmp_path / "c.pt").read_bytes()

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(InputError, match="disk full"):
        training.save(tmp_path / "c.pt")
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]
    assert (tmp_path / "c.pt").read_bytes() == good


def test_wrong_calls(digits):
    training = Training(Small(), digits, AUGMENTED, seed=0)
    training.run(0.5)
    for until in (0, -1, 1.1, 0.2):
        with pytest.raises(InputError, match="until"):
            training.run(until)
    with pytest.raises(Unsupported, match="bf16"):
        Training(Small(), digits, AUGMENTED, seed=0, execution=Execution(precision="fp16"))
    for wrong in ({"precision": "fp8"}, {"valid_every": 0}, {"eval_batch_size": 0}):
        with pytest.raises(InputError):
            Execution(**wrong)


def test_deterministic_mode_is_put_back(digits):
    assert not torch.are_deterministic_algorithms_enabled()
    seen = []

    class Watching(Small):
        def forward(self, x):
            seen.append(torch.are_deterministic_algorithms_enabled())
            return super().forward(x)

    execution = Execution(deterministic=True)
    Training(Watching(), digits, AUGMENTED.scaled(1), seed=0, execution=execution).run()
    assert seen
    assert all(seen)
    assert not torch.are_deterministic_algorithms_enabled()


def test_no_host_sync_within_an_epoch(digits, monkeypatch):
    """Values are read from the device only where an epoch ends, however many batches it has."""
    reads = []
    for name in ("item", "tolist", "__bool__", "__float__", "__int__"):
        original = getattr(torch.Tensor, name)

        def counted(self, *args, original=original):
            reads.append(1)
            return original(self, *args)

        monkeypatch.setattr(torch.Tensor, name, counted)
    counts = []
    for batch_size in (100, 20):
        recipe = Recipe("x", 2, batch_size=batch_size, augmentation=AUGMENTED.augmentation)
        training = Training(Small(), digits, recipe, seed=0)
        reads.clear()
        training.run()
        counts.append(len(reads))
    assert counts[0] == counts[1] > 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler here")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's own imports
def test_compiled_training_equals_eager(digits):
    recipe = Recipe("x", 1, batch_size=100)
    results = [
        Training(NoDropout(), digits, recipe, seed=0, execution=Execution(compile=on)).run()
        for on in (False, True)
    ]
    assert results[1].curve[0].train_loss == pytest.approx(results[0].curve[0].train_loss, rel=1e-3)


@pytest.fixture
def graphs(monkeypatch):
    """What torch.compile counts. Its graphs run as they are: to compile one takes a minute."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    counters = torch._dynamo.utils.counters
    counters.clear()
    yield counters
    torch._dynamo.reset()


def losses(space, genotypes, recipe, compiled, **sizes):
    """The last training losses of some genotypes' networks."""
    data, found = load_dataset(train_size=40), []
    for genotype in genotypes:
        network = build(
            genotype, space, classes=10, generator=weights_generator(0), in_channels=1,
            image_size=8, **sizes,
        )  # fmt: skip
        execution = Execution("fp64", compile=compiled)
        result = Training(network, data, recipe, seed=0, execution=execution).run()
        found.append(result.curve[-1].train_loss)
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's own imports
def test_more_networks_than_torch_compiles_of_one_class_train_compiled(graphs):
    space, recipe = get("nasbench201"), Recipe("x", 1, batch_size=20)
    genotypes = space.sample(Stream(0), torch._dynamo.config.recompile_limit + 2)
    plain, compiled = (
        losses(space, genotypes, recipe, on, channels=2, cells=1) for on in (False, True)
    )
    assert compiled == pytest.approx(plain, rel=1e-9)
    assert graphs["stats"]["unique_graphs"] == len(genotypes)
    assert not graphs["graph_break"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's own imports
def test_a_growing_drop_path_is_one_graph(graphs):
    space, recipe = get("micro_cell"), Recipe("x", 3, batch_size=20, drop_path=0.3)
    losses(space, space.sample(Stream(0), 1), recipe, True, channels=2, cells=1)
    assert graphs["stats"]["unique_graphs"] == 1


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_cuda_runs_the_same_code(precision):
    data = load_dataset(train_size=400, device="cuda")
    execution = Execution(precision=precision)
    result = Training(Small(), data, AUGMENTED, seed=0, execution=execution).run()
    assert result.status == "ok"
    assert result.valid_accuracy > 20  # 27 to 28 on a CPU; a uniform guess has 10


STILL = dataclasses.replace(
    AUGMENTED, learning_rate=0.01, augmentation=Augmentation(whitening=True)
)


class Counting(nn.Module):
    """A teacher that counts the images it is asked about."""

    def __init__(self):
        super().__init__()
        self.network, self.asked = Small(seed=8).double(), 0

    def forward(self, x):
        self.asked += len(x)
        return self.network(x)


def taught(digits, recipe, teacher, until=1.0, seed=2):
    training = Training(
        Small(), digits, recipe, seed=seed, teacher=teacher, execution=Execution("fp64")
    )
    return training.run(until)


def test_a_teacher_is_asked_once_where_no_pixel_moves(digits, monkeypatch):
    teacher = Ensemble([Counting()])
    once = taught(digits, STILL, teacher)
    assert teacher.networks[0].asked == len(digits.train)
    taught(digits, STILL, teacher, seed=3)  # another individual knows the answers
    assert teacher.networks[0].asked == len(digits.train)

    monkeypatch.setattr(Augmentation, "moves_pixels", True)
    each_time = taught(digits, STILL, teacher)
    images = 4 * (len(digits.train) // 60) * 60
    assert teacher.networks[0].asked == len(digits.train) + images
    for a, b in zip(once.curve, each_time.curve, strict=True):
        assert a.train_loss == pytest.approx(b.train_loss, rel=1e-9)
        assert a.valid_accuracy == b.valid_accuracy


@pytest.mark.parametrize("moves", [{"flip": 0.5}, {"crop_padding": 1}, {"cutout": 2}])
def test_where_pixels_move_the_teacher_sees_what_the_student_sees(digits, moves):
    teacher = Ensemble([Counting()])
    recipe = dataclasses.replace(STILL, augmentation=Augmentation(**moves))
    taught(digits, recipe, teacher)
    assert teacher.networks[0].asked == 4 * (len(digits.train) // 60) * 60


def test_a_taught_training_stops_and_goes_on_like_a_whole_one(digits):
    teacher = Ensemble([Counting()])

    def training():
        return Training(Small(), digits, STILL, seed=2, teacher=teacher)

    whole, first, second = training(), training(), training()
    teacher.float()
    first.run(0.3)
    second.load_state(first.state())
    assert second.run().curve == whole.run().curve
