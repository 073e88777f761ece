"""The NAS-Bench-201 training step at the benchmark's own size, and the trainer's fidelity.

The reference of both is `test_training_speed`'s plain loop; seconds are never asserted.
"""

import math
import statistics

import pytest
import torch
from test_training_speed import (
    BATCH,
    RECIPE,
    UsualTraining,
    interleaved,
    one_thread,  # noqa: F401  # used by every test here
    report,
    usual_network,
)
from torch import nn
from torch.nn import functional as F

from nasbench_evo.errors import DataError
from nasbench_evo.networks import wide_densenet
from nasbench_evo.networks.nasbench201 import network as nasbench201
from nasbench_evo.training import (
    Dataset,
    Execution,
    Recipe,
    Training,
    load_dataset,
    weights_generator,
)
from nasbench_evo.training.data.augmentation import Pipeline
from nasbench_evo.training.data.images import TensorPart
from nasbench_evo.training.distillation import Ensemble, distillation_loss
from nasbench_evo.training.measure import measure

pytestmark = [pytest.mark.torch, pytest.mark.slow]

CELL = (3, 3, 3, 1, 3, 2)  # four 3x3, one 1x1 convolution, one skip


def images_like_cifar10(count=256):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    part = TensorPart(pixels, torch.randint(10, (count,), generator=generator))
    return Dataset("noise", 10, part, part, part, (0.5,) * 3, (0.3,) * 3, 0, "")


def test_training_step(benchmark):
    """C=16, N=5, batch 64, one thread: ours in fp32 and bf16, and in the usual style."""
    data = images_like_cifar10()

    def network():
        return nasbench201.build(CELL, classes=10, generator=weights_generator(0))

    ours = {
        precision: Training(
            network(), data, RECIPE, seed=0,
            execution=Execution(precision=precision, valid_every=10**6),
        )
        for precision in ("fp32", "bf16")
    }  # fmt: skip
    usual = UsualTraining(usual_network(CELL, 3, 16, 5), data)

    def step(training):
        with training.execution.applied(training.device):
            training._run_in_epoch(training.iteration + 1)

    functions = {name: lambda training=training: step(training) for name, training in ours.items()}
    medians = interleaved({**functions, "usual": lambda: usual.steps(1)}, 7)
    benchmark.pedantic(functions["fp32"], rounds=2)
    ratios = {f"usual / {name}": medians["usual"] / medians[name] for name in ours}
    ratios["images/s fp32"] = BATCH / medians["fp32"]
    report(benchmark, f"a step of {BATCH} images, C=16, N=5", medians, ratios)
    assert ratios["usual / fp32"] > 1


def test_evaluation(benchmark):
    """512 images, C=16, N=1, one thread: ours, as many at once as stay in the caches, and all."""
    data = images_like_cifar10(512)
    model = nasbench201.build(CELL, classes=10, generator=weights_generator(0), cells=1).eval()
    plain = usual_network(CELL, 3, 16, 1).eval()
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (data.mean, data.std))
    images = (data.valid.images / 255 - mean) / std
    pipeline = Pipeline(data, RECIPE.augmentation)

    def ours():
        return measure(model, data.valid, pipeline)[1]

    @torch.no_grad()
    def usual():
        return F.cross_entropy(plain(images), data.valid.labels).item()

    medians = interleaved({"ours": ours, "usual": usual}, 5)
    benchmark.pedantic(ours, rounds=2)
    ratios = {"usual / ours": medians["usual"] / medians["ours"]}
    report(benchmark, "evaluation of 512 images, C=16, N=1", medians, ratios)
    assert ratios["usual / ours"] > 1


def test_mimicry(benchmark):
    """4 steps on digits taught by two Wide-DenseNets: asked once for each image, and each step.

    The first epoch, in which ours asks, is not among those timed.
    """
    data = load_dataset(train_size=4 * BATCH)
    teachers = [
        wide_densenet.build(
            classes=10, generator=weights_generator(k), in_channels=1, depth=16, growth=8
        )
        for k in range(2)
    ]
    teacher = Ensemble(teachers)
    student = nasbench201.build(
        CELL, classes=10, generator=weights_generator(0), in_channels=1, channels=8, cells=1
    )
    execution = Execution(valid_every=10**6)
    training = Training(student, data, RECIPE, seed=0, execution=execution, teacher=teacher)
    usual = UsualTraining(usual_network(CELL, 1, 8, 1), data)
    usual.loss_of = lambda logits, images, labels: distillation_loss(
        logits, labels, teacher(images), RECIPE.alpha, RECIPE.temperature
    )

    def ours():
        training._run_in_epoch(training.iteration + 4)

    medians = interleaved({"ours": ours, "usual": lambda: usual.steps(4)}, 9)
    benchmark.pedantic(ours, rounds=3)
    ratios = {"usual / ours": medians["usual"] / medians["ours"]}
    report(benchmark, f"4 steps of {BATCH} digits with a teacher", medians, ratios)
    assert ratios["usual / ours"] > 1


def plain_accuracy(data, recipe, seed):
    """Train in the usual style, with the recipe's cosine; return the validation accuracy."""
    torch.manual_seed(seed)
    network = usual_network(CELL, data.shape[0], 8, 1)
    for layer in network.modules():  # other weights for each seed, by the same rule
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features))
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (data.mean, data.std))
    images = (data.train.images / 255 - mean) / std
    per_epoch = len(images) // recipe.batch_size
    total = round(recipe.length) * per_epoch
    optimizer = torch.optim.SGD(
        network.parameters(), recipe.learning_rate, recipe.momentum, nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
    )  # fmt: skip
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    network.train()
    for _ in range(round(recipe.length)):
        order = torch.randperm(len(images))
        for b in range(per_epoch):
            index = order[b * recipe.batch_size : (b + 1) * recipe.batch_size]
            optimizer.zero_grad()
            F.cross_entropy(network(images[index]), data.train.labels[index]).backward()
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        logits = network((data.valid.images / 255 - mean) / std)
    return 100 * float((logits.argmax(1) == data.valid.labels).double().mean())


@pytest.mark.parametrize(("name", "size"), [("digits", 800), ("fashion-mnist", 2000)])
def test_the_trainer_is_as_good_as_the_plain_loop(name, size):
    """One fixed cell, the same recipe, 3 seeds each: means within noise of each other."""
    try:
        data = load_dataset(name, train_size=size)
    except DataError as error:
        pytest.skip(str(error).splitlines()[0])
    recipe = Recipe("fidelity", 4, batch_size=64, learning_rate=0.05, nesterov=True)
    valid = TensorPart(data.valid.images[:3000], data.valid.labels[:3000])
    data = Dataset(**{**vars(data), "valid": valid})
    ours = []
    for seed in range(3):
        network = nasbench201.build(
            CELL, classes=10, generator=weights_generator(seed), in_channels=data.shape[0],
            channels=8, cells=1,
        )  # fmt: skip
        ours.append(Training(network, data, recipe, seed=seed).run().valid_accuracy)
    with torch.random.fork_rng():
        plain = [plain_accuracy(data, recipe, seed) for seed in range(3)]
    difference = statistics.mean(ours) - statistics.mean(plain)
    error = math.sqrt((statistics.variance(ours) + statistics.variance(plain)) / 3)
    print(f"\n{name}: ours {ours}, plain {plain}: {difference:+.2f} +- {error:.2f} points")
    assert min(ours) > 60
    assert abs(difference) < 3 * error + 1
