"""Speed of the DARTS search network against the usual way of writing it, interleaved in one run.

Seconds are never asserted: the ratios are printed and recorded (`benchmark.extra_info`).
"""

import numpy as np
import pytest
import torch
from cmaes import CMA
from darts_reference import like
from test_training_speed import interleaved, one_thread, report  # noqa: F401  # every test's thread
from torch import nn
from torch.nn import functional as F

from nasbench_evo.networks.darts.supernet import build_supernet

pytestmark = [pytest.mark.torch, pytest.mark.slow]

SHAPE = (2, 14, 8)


def prepared(cells=8, batch=64):
    """Return EG-NAS's search network (C=16, k=4), the plain one, images and labels."""
    generator = torch.Generator().manual_seed(0)
    supernet = build_supernet(classes=10, generator=generator, channels=16, cells=cells)
    images = torch.randn(batch, 3, 32, 32, generator=generator)
    labels = torch.randint(10, (batch,), generator=generator)
    for layer in supernet.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():  # statistics that keep activations in the range of a trained network's
        supernet.forward_mixture(images[:16], torch.full(SHAPE, 1 / 8))
    return supernet, like(supernet), images, labels


def mixtures(count):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, *SHAPE, generator=generator).softmax(-1)


def check(ours, usual):
    assert (ours - usual).abs().max() < 1e-4 * max(1, usual.abs().max())


def test_training_step(benchmark):
    """Forward and backward of a mixture, batch 64, 8 cells, one thread."""
    supernet, plain, images, labels = prepared()
    [weights] = mixtures(1)

    def step(network, forward):
        network.zero_grad(set_to_none=True)
        F.cross_entropy(forward(images, weights), labels).backward()

    functions = {
        "merged": lambda: step(supernet, supernet.forward_mixture),
        "usual": lambda: step(plain, plain),
    }
    medians = interleaved(functions, 3)
    benchmark.pedantic(functions["merged"], rounds=1)
    ratios = {"merged / usual": medians["merged"] / medians["usual"]}
    report(benchmark, "DARTS training step, batch 64, 8 cells", medians, ratios)
    assert ratios["merged / usual"] < 1


def test_population_of_50_mixtures(benchmark):
    """Each individual's time, batch 64, 8 cells, one thread; the plain network's is that of 2."""
    supernet, plain, images, _ = prepared()
    weights = mixtures(50)
    plain.eval()

    @torch.no_grad()
    def usual():
        return torch.stack([plain(images, row) for row in weights[:2]])

    functions = {"together": lambda: supernet.mixtures_together(images, weights), "usual": usual}
    medians = interleaved(functions, 2)
    check(supernet.mixtures_together(images, weights[:2]), usual())
    benchmark.pedantic(lambda: supernet.mixtures_together(images, weights[:2]), rounds=1)
    medians = {"together": medians["together"] / 50, "usual": medians["usual"] / 2}
    ratios = {"usual / together": medians["usual"] / medians["together"]}
    report(benchmark, "an individual of 50 mixtures, batch 64, 8 cells", medians, ratios)
    assert ratios["usual / together"] > 1


def test_exploration_step(benchmark):
    """EG-NAS, Algorithm 1, lines 4-16: N=5 samples, one generation of CMA-ES each.

    Smaller than the paper's, so that the plain network's part stays short: lambda=10
    instead of 25 or 50, 5 cells instead of 8, batch 16 instead of 256.
    """
    supernet, plain, images, labels = prepared(cells=5, batch=16)
    plain.eval()
    samples, population, size = 5, 10, int(np.prod(SHAPE))

    @torch.no_grad()
    def one_by_one(weights):
        return torch.stack([plain(images, row) for row in weights])

    def together(weights):
        return supernet.mixtures_together(images, weights)

    def explore(evaluate):
        rng = np.random.default_rng(0)
        best = []
        for n in range(samples):
            search = CMA(rng.standard_normal(size), 1.0, population_size=population, seed=n)
            asked = [search.ask() for _ in range(population)]
            alphas = torch.from_numpy(np.stack(asked)).float().view(-1, *SHAPE)
            logits = evaluate(alphas.softmax(-1))
            losses = [float(F.cross_entropy(row, labels)) for row in logits]
            search.tell(list(zip(asked, losses, strict=True)))
            best.append(min(losses))
        return best

    functions = {"together": lambda: explore(together), "usual": lambda: explore(one_by_one)}
    np.testing.assert_allclose(functions["together"](), functions["usual"](), rtol=1e-4)
    medians = interleaved(functions, 2)
    benchmark.pedantic(functions["together"], rounds=1)
    ratios = {"usual / together": medians["usual"] / medians["together"]}
    report(benchmark, "EG-NAS exploration, 5 x 10, batch 16, 5 cells", medians, ratios)
    assert ratios["usual / together"] > 1
