"""GeneticNAS: a generation evaluated together, against one individual after the other.

Seconds are never asserted: the ratios are printed and recorded (`benchmark.extra_info`).
"""

import pytest
import torch
from test_training_speed import (
    interleaved,
    one_thread,  # noqa: F401  # used by every test here
    report,
)

from nasbench_evo.algorithms.operators import exchange_blocks, flip_genes
from nasbench_evo.networks.micro_cell.supernet import build_supernet
from nasbench_evo.networks.supernet import Supernet, recalibrated
from nasbench_evo.randomness import stream
from nasbench_evo.spaces.micro_cell import MicroCell

pytestmark = [pytest.mark.torch, pytest.mark.slow]

SPACE = MicroCell()
INDIVIDUALS = 20


def generation(parents):
    """Return a generation: random ones, or children of a few parents at the paper's rates."""
    rng = stream(0, "benchmark")
    if parents is None:
        return SPACE.sample(rng, INDIVIDUALS)
    chosen, children = SPACE.sample(rng, parents), []
    for _ in range(INDIVIDUALS):
        a, b = rng.choice(chosen), rng.choice(chosen)
        child, _ = exchange_blocks(a, b, SPACE.blocks, 0.5, rng)
        children.append(flip_genes(child, SPACE.cardinalities, 0.02, rng))
    return children


@pytest.mark.parametrize(
    ("channels", "size", "batch", "parents", "own_statistics"),
    [
        (8, 8, 256, None, False),
        (8, 8, 256, None, True),
        (8, 8, 256, 2, True),
        (20, 32, 16, None, False),
        (20, 32, 16, 2, False),
    ],
)
def test_a_generation(benchmark, channels, size, batch, parents, own_statistics):
    """20 individuals, one thread: together, one by one, and one by one in the usual layout."""
    network = build_supernet(
        classes=10, generator=torch.Generator().manual_seed(0), in_channels=3, channels=channels
    )
    usual = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(1))
    images = usual.contiguous(memory_format=torch.channels_last)
    genotypes = generation(parents)
    found = recalibrated(network, [lambda g=g: network.forward_path(images, g) for g in genotypes])
    for name, (means, variances) in found.items():  # so that logits are moderate
        network.get_submodule(name).running_mean.copy_(means.mean(0))
        network.get_submodule(name).running_var.copy_(variances.mean(0))
    statistics = found if own_statistics else None

    functions = {
        "together": lambda: network.paths_together(images, genotypes, statistics),
        "one by one": lambda: Supernet.paths_together(network, images, genotypes, statistics),
        "one by one, NCHW": lambda: Supernet.paths_together(network, usual, genotypes, statistics),
    }
    expected = functions["one by one"]()
    assert (functions["together"]() - expected).abs().max() < 1e-4 * expected.abs().max()
    medians = interleaved(functions, 3)
    benchmark.pedantic(functions["together"], rounds=1)
    ratios = {f"{n} / together": medians[n] / medians["together"] for n in list(functions)[1:]}
    benchmark.extra_info["ratio"] = ratios["one by one / together"]
    kind = "random" if parents is None else f"children of {parents}"
    kind += ", own statistics" if own_statistics else ""
    report(benchmark, f"20 individuals ({kind}), {size}x{size}, C={channels}", medians, ratios)
    assert ratios["one by one, NCHW / together"] > 1
