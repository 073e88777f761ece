"""Speed of training against the usual way of writing it, interleaved in one run.

Seconds are never asserted: the ratios are printed and recorded (`benchmark.extra_info`).
"""

import statistics
import time

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from nasbench_evo.networks.nasbench201 import network as nasbench201
from nasbench_evo.spaces.nasbench201 import EDGES, OPERATIONS
from nasbench_evo.training import (
    Augmentation,
    Execution,
    JointTraining,
    Recipe,
    Training,
    load_dataset,
    weights_generator,
)
from nasbench_evo.training.data.augmentation import Pipeline
from nasbench_evo.training.data.batches import BatchStream

pytestmark = [pytest.mark.torch, pytest.mark.slow]

BATCH = 64
RECIPE = Recipe("speed", 1000, batch_size=BATCH, nesterov=True)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def interleaved(functions, rounds):
    """Return each function's median seconds; they take turns, so that all meet the same noise."""
    seconds = {name: [] for name in functions}
    for function in functions.values():  # warm up
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def report(benchmark, title, medians, ratios):
    benchmark.extra_info.update({f"ms {name}": 1e3 * value for name, value in medians.items()})
    benchmark.extra_info.update(ratios)
    print(f"\n{title}: " + ", ".join(f"{n} {1e3 * v:.2f} ms" for n, v in medians.items()))
    print("  " + ", ".join(f"{name} {ratio:.2f}x" for name, ratio in ratios.items()))


def test_data_path(benchmark):
    """An epoch of shuffled, normalised batches: ours, and the DataLoader over a TensorDataset."""
    data = load_dataset()
    pipeline = Pipeline(data, Augmentation())
    stream = BatchStream(len(data.train), BATCH, 0, torch.device("cpu"))
    images = pipeline.evaluation(data.train.images)
    loader = DataLoader(
        TensorDataset(images, data.train.labels), BATCH, shuffle=True, drop_last=True
    )

    def ours():
        batches = data.train.batches(stream.take(stream.per_epoch))
        return sum(len(pipeline.training(x, stream.generator)) for x, _ in batches)

    def usual():
        return sum(len(x) for x, _ in loader)

    assert ours() == usual()
    medians = interleaved({"ours": ours, "DataLoader": usual}, 30)
    benchmark.pedantic(ours, rounds=5)
    ratio = medians["DataLoader"] / medians["ours"]
    report(benchmark, "data path, an epoch of digits", medians, {"DataLoader / ours": ratio})
    assert ratio > 1


class UsualEdge(nn.Sequential):
    """ReLU, convolution, BatchNorm: a module of its own for each edge."""

    def __init__(self, channels, kernel):
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(channels),
        )


class Zero(nn.Module):
    def forward(self, x):
        return x.mul(0.0)


def usual_operation(name, channels):
    return {
        "none": Zero,
        "skip_connect": nn.Identity,
        "nor_conv_1x1": lambda: UsualEdge(channels, 1),
        "nor_conv_3x3": lambda: UsualEdge(channels, 3),
        "avg_pool_3x3": lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
    }[name]()


class UsualCell(nn.Module):
    """The cell in the usual style: every edge a module, every node a sum over a list."""

    def __init__(self, genotype, channels):
        super().__init__()
        self.edges = nn.ModuleList(usual_operation(OPERATIONS[g], channels) for g in genotype)

    def forward(self, x):
        nodes = [x]
        for target in (1, 2, 3):
            nodes.append(
                sum(
                    edge(nodes[i])
                    for edge, (i, j) in zip(self.edges, EDGES, strict=True)
                    if j == target
                )
            )
        return nodes[3]


def usual_network(genotype, in_channels, channels, cells):
    network = nasbench201.build(
        genotype, classes=10, generator=weights_generator(0), in_channels=in_channels,
        channels=channels, cells=cells,
    )  # fmt: skip
    for i, block in enumerate(network.body):
        if isinstance(block, nasbench201.SearchCell):
            width = channels * 2 ** (i // (cells + 1))
            network.body[i] = UsualCell(genotype, width)
    return network


class UsualTraining:
    """The usual loop: NCHW, torch's SGD as it comes, a DataLoader, one loss read per batch."""

    def __init__(self, network, data):
        mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (data.mean, data.std))
        images = (data.train.images / 255 - mean) / std
        self.loader = DataLoader(
            TensorDataset(images, data.train.labels), BATCH, shuffle=True, drop_last=True
        )
        self.network, self.batches = network.train(), iter(self.loader)
        self.optimizer = torch.optim.SGD(
            network.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4
        )
        self.loss = 0.0

    @staticmethod
    def loss_of(logits, images, labels):
        return nn.functional.cross_entropy(logits, labels)

    def steps(self, count):
        for _ in range(count):
            try:
                images, labels = next(self.batches)
            except StopIteration:
                self.batches = iter(self.loader)
                images, labels = next(self.batches)
            loss = self.loss_of(self.network(images), images, labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.loss += loss.item()


def test_joint_training(benchmark):
    """16 cells of digits size (C=8, N=1): jointly, one after another, and in the usual style."""
    data, steps, count = load_dataset(), 4, 16
    rng = np.random.default_rng(0)
    cells = [tuple(rng.integers(0, 5, 6).tolist()) for _ in range(count)]

    def networks():
        return [
            nasbench201.build(
                cell, classes=10, generator=weights_generator(k), in_channels=1, channels=8, cells=1
            )
            for k, cell in enumerate(cells)
        ]

    execution = Execution(valid_every=10**6)
    joint = JointTraining(networks(), data, RECIPE, seeds=range(count), execution=execution)
    single = [
        Training(network, data, RECIPE, seed=k, execution=execution)
        for k, network in enumerate(networks())
    ]
    usual = [UsualTraining(usual_network(cell, 1, 8, 1), data) for cell in cells]

    def run_joint():
        joint._run_in_epoch(joint.iteration + steps)

    def run_single():
        for training in single:
            training._run_in_epoch(training.iteration + steps)

    def run_usual():
        for training in usual:
            training.steps(steps)

    medians = interleaved({"joint": run_joint, "one by one": run_single, "usual": run_usual}, 12)
    benchmark.pedantic(run_joint, rounds=3)
    ratios = {
        "usual / joint": medians["usual"] / medians["joint"],
        "one by one / joint": medians["one by one"] / medians["joint"],
    }
    report(benchmark, f"{steps} steps of {count} digits cells", medians, ratios)
    assert ratios["usual / joint"] > 1
