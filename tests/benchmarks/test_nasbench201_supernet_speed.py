"""Speed of the NAS-Bench-201 supernet against the usual way of writing it, interleaved in one run.

Seconds are never asserted: the ratios are printed and recorded (`benchmark.extra_info`).
"""

import numpy as np
import pytest
import torch
from nasbench201_reference import PlainSupernet
from test_training_speed import interleaved, one_thread, report  # noqa: F401  # every test's thread
from torch import nn
from torch.nn import functional as F

from nasbench_evo.networks.nasbench201.supernet import build_supernet

pytestmark = [pytest.mark.torch, pytest.mark.slow]

# in_channels, pixels, channels C, cells N, batch: the benchmark's own network, and a small one.
SIZES = {"cifar10": (3, 32, 16, 5, 32), "digits": (1, 8, 8, 1, 64)}
ROUNDS = {"cifar10": 3, "digits": 15}


def prepared(name):
    in_channels, pixels, channels, cells, batch = SIZES[name]
    generator = torch.Generator().manual_seed(0)
    supernet = build_supernet(
        classes=10, generator=generator, in_channels=in_channels, channels=channels, cells=cells
    )
    images = torch.randn(batch, in_channels, pixels, pixels, generator=generator)
    for layer in supernet.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():  # statistics that keep activations in the range of a trained network's
        supernet.train().forward_mixture(images, torch.full((6, 5), 0.2))
    lasting = images.contiguous(memory_format=torch.channels_last)
    return supernet, PlainSupernet(supernet), lasting, images


def check(ours, usual):
    """Equal, for each individual as exactly as its largest logit allows."""
    scale = usual.abs().amax((1, 2)).clamp(min=1)
    assert ((ours - usual).abs().amax((1, 2)) / scale).max() < 1e-4


def genotypes(count):
    return [tuple(row) for row in np.random.default_rng(0).integers(0, 5, (count, 6)).tolist()]


def mixtures(count):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 6, 5, generator=generator).softmax(-1)


@pytest.mark.parametrize("name", list(SIZES))
def test_paths(benchmark, name):
    """50 uniformly drawn paths, one thread."""
    supernet, plain, lasting, images = prepared(name)
    cells = genotypes(50)
    functions = {
        "together": lambda: supernet.paths_together(lasting, cells),
        "usual": lambda: plain.paths(images, cells),
    }
    together, usual = (function() for function in functions.values())
    check(together, usual)
    medians = interleaved(functions, ROUNDS[name])
    benchmark.pedantic(functions["together"], rounds=1)
    ratios = {"usual / together": medians["usual"] / medians["together"]}
    report(benchmark, f"50 paths, {name}, batch {len(images)}", medians, ratios)
    assert ratios["usual / together"] > 1


@pytest.mark.parametrize("name", list(SIZES))
def test_mixtures(benchmark, name):
    """5 mixtures (digits: 50), one thread, in both layouts."""
    supernet, plain, lasting, images = prepared(name)
    weights = mixtures(50 if name == "digits" else 5)

    def together(folded):
        supernet.folded = folded
        return supernet.mixtures_together(lasting, weights)

    functions = {
        "together": lambda: together(False),
        "folded": lambda: together(True),
        "usual": lambda: plain.mixtures(images, weights),
    }
    one, other, usual = (function() for function in functions.values())
    check(one, usual)
    check(other, usual)
    medians = interleaved(functions, ROUNDS[name])
    benchmark.pedantic(functions["together"], rounds=1)
    ratios = {f"usual / {key}": medians["usual"] / medians[key] for key in ("together", "folded")}
    report(benchmark, f"{len(weights)} mixtures, {name}, batch {len(images)}", medians, ratios)
    assert ratios["usual / together"] > 1


@pytest.mark.parametrize("name", list(SIZES))
@pytest.mark.parametrize("kind", ["path", "mixture"])
def test_training_step(benchmark, name, kind):
    """Forward and backward pass of 5 paths, or of a mixture."""
    supernet, plain, lasting, images = prepared(name)
    labels = torch.arange(len(images)) % 10
    asked = [{"genotype": cell} for cell in genotypes(5)]
    if kind == "mixture":
        asked = [{"weights": mixtures(1)[0].requires_grad_()}]

    def step(forward, network, x):
        network.train()
        for keywords in asked:
            network.zero_grad()
            F.cross_entropy(forward(x, **keywords), labels).backward()

    ours = supernet.forward_path if kind == "path" else supernet.forward_mixture
    functions = {
        "ours": lambda: step(ours, supernet, lasting),
        "usual": lambda: step(plain, plain, images),
    }
    medians = interleaved(functions, ROUNDS[name])
    benchmark.pedantic(functions["ours"], rounds=1)
    ratios = {"usual / ours": medians["usual"] / medians["ours"]}
    report(benchmark, f"training {kind}, {name}, batch {len(images)}", medians, ratios)
    assert ratios["usual / ours"] > 1
