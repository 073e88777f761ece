"""The DARTS search network: values and gradients against a plain one, shared work counted."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from benchmarks import darts_reference
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from nasbench_evo.errors import InputError
from nasbench_evo.networks.darts.supernet import DartsSupernet, build_supernet
from nasbench_evo.networks.supernet import Supernet, recalibrated
from nasbench_evo.randomness import stream
from nasbench_evo.spaces.darts_cell import OPERATIONS, DartsCell

pytestmark = pytest.mark.torch

SPACE = DartsCell()
# partial channels, channels, cells, image size, image channels; (1, 20, ..) has no dense kernels
SIZES = [(4, 8, 4, 8, 3), (1, 4, 3, 7, 1), (2, 4, 2, 9, 3), (1, 20, 1, 4, 3)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def supernet(
    partial_channels: int, channels: int, cells: int, in_channels: int, dtype: torch.dtype,
    **options: Any,
) -> DartsSupernet:  # fmt: skip
    return build_supernet(
        classes=5,
        generator=generator(),
        in_channels=in_channels,
        channels=channels,
        cells=cells,
        partial_channels=partial_channels,
        **options,
    ).to(dtype)


def images(size: int, channels: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(5, channels, size, size, generator=generator(1)).to(dtype)


def mixtures(count: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, 2, 14, 8, generator=generator(2)).to(dtype).softmax(-1)


def trained(network: DartsSupernet, x: Tensor) -> DartsSupernet:
    """Give edges statistics of their own, as training by paths does, in a usual range."""
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = 0.9
        network.forward_mixture(x, mixtures(1, x.dtype)[0])
        for genotype in SPACE.sample(stream(1, "test"), 3):
            network.forward_path(x, genotype)
    return network


def close(ours: Tensor, expected: Tensor, tolerance: float) -> None:
    ours, expected = ours.detach(), expected.detach()
    assert (ours - expected).abs().max() <= tolerance * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize(("k", "channels", "cells", "size", "colours"), SIZES)
def test_mixture_equals_the_plain_network(
    k: int, channels: int, cells: int, size: int, colours: int
) -> None:
    """Logits, gradients of weights and of the mixture, and running statistics, in fp64."""
    ours = supernet(k, channels, cells, colours, torch.float64)
    plain = darts_reference.like(ours)
    x, [weights] = images(size, colours), mixtures(1)
    own, theirs = (weights.clone().requires_grad_() for _ in range(2))
    output, expected = ours.forward_mixture(x, own), plain(x, theirs)
    close(output, expected, 1e-10)
    target = torch.randn(output.shape, generator=generator(3), dtype=output.dtype)
    (output * target).sum().backward()
    (expected * target).sum().backward()
    pairs = [(own.grad, theirs.grad)]
    pairs += [(q.grad, p.grad) for p, q in darts_reference.parameters(plain, ours)]
    assert len(pairs) == 1 + len(list(ours.parameters()))
    for mine, other in pairs:
        assert mine is not None
        assert other is not None
        assert (mine - other).norm() <= 1e-10 * other.norm()
    for norm, mean, variance in darts_reference.statistics(plain, ours):
        torch.testing.assert_close(mean, norm.running_mean)
        torch.testing.assert_close(variance, norm.running_var)
    close(ours.eval().forward_mixture(x, weights), plain.eval()(x, weights), 1e-10)


VARIANTS = {
    "pools": {"pool_norm": False},
    "stem": {"stem": "imagenet"},
    "both": {"pool_norm": False, "stem": "imagenet"},
}


@pytest.mark.parametrize("options", VARIANTS.values(), ids=list(VARIANTS))
@pytest.mark.parametrize("edges", [False, True])
def test_variants_equal_the_plain_network(options: dict[str, Any], edges: bool) -> None:
    """Pools without BatchNorm, the ImageNet stem, edges that are weighed, bypass included."""
    ours = supernet(4, 8, 3, 3, torch.float64, **options)
    plain = darts_reference.like(ours)
    x, [weights] = images(17, 3), mixtures(1)
    logits = torch.randn(2, 14, generator=generator(4), dtype=torch.float64).requires_grad_()
    chosen = ours.edge_weights(logits) if edges else None
    if chosen is not None:
        into = [chosen[:, start:stop] for start, stop in ((0, 2), (2, 5), (5, 9), (9, 14))]
        assert all(torch.allclose(part.sum(1), torch.ones(2).double()) for part in into)
    expected = plain(x, weights, chosen)
    if chosen is None:
        output = ours.forward_mixture(x, weights)
    else:
        output = ours.forward_weighed(x, weights, chosen)
    close(output, expected, 1e-10)
    target = torch.randn(output.shape, generator=generator(3), dtype=output.dtype)
    wanted = [*ours.parameters(), *([logits] if edges else [])]
    theirs = {id(q): p for p, q in darts_reference.parameters(plain, ours)}
    others = [theirs.get(id(q), q) for q in wanted]
    mine = torch.autograd.grad((output * target).sum(), wanted, retain_graph=True)
    others = torch.autograd.grad((expected * target).sum(), others)
    for own, other in zip(mine, others, strict=True):
        assert (own - other).norm() <= 1e-10 * max(1.0, float(other.norm()))
    for norm, mean, variance in darts_reference.statistics(plain, ours):
        torch.testing.assert_close(mean, norm.running_mean)
        torch.testing.assert_close(variance, norm.running_var)


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("options", VARIANTS.values(), ids=list(VARIANTS))
def test_variants_together_equal_one_by_one(options: dict[str, Any], folded: bool) -> None:
    x, weights = images(17, 3), mixtures(3)
    network = trained(supernet(4, 8, 3, 3, torch.float64, **options), x)
    network.folded = folded
    genotypes = SPACE.sample(stream(5, "test"), 2)
    own = recalibrated(network, [partial(network.forward_path, x, g) for g in genotypes])
    last = {name: rows for name, rows in own.items() if name == "stem.2.1"}
    for statistics in (None, own, last):
        close(
            network.paths_together(x, genotypes, statistics),
            Supernet.paths_together(network, x, genotypes, statistics),
            1e-9,
        )
    close(
        network.mixtures_together(x, weights),
        Supernet.mixtures_together(network, x, weights),
        1e-9,
    )


def test_a_mixture_without_none_is_one_with_a_zero_for_it() -> None:
    network = supernet(4, 8, 4, 3, torch.float64)
    x, weights = images(8, 3), mixtures(2)[..., 1:]
    padded = torch.cat([torch.zeros(2, 2, 14, 1).double(), weights], -1)
    network.eval()
    close(network.forward_mixture(x, weights[0]), network.forward_mixture(x, padded[0]), 0)
    close(network.mixtures_together(x, weights), network.mixtures_together(x, padded), 0)


def test_path_is_its_mixture_without_the_zeros() -> None:
    network = supernet(4, 8, 4, 3, torch.float64)
    plain = darts_reference.like(network)
    x = images(8, 3)
    genotype = SPACE.sample(stream(2, "test"), 1)[0]
    weights = torch.from_numpy(SPACE.weights(genotype))
    output, expected = network.forward_path(x, genotype), plain(x, weights)
    close(output, expected, 1e-10)
    target = torch.randn(output.shape, generator=generator(3), dtype=output.dtype)
    (output * target).sum().backward()
    (expected * target).sum().backward()
    described = SPACE.describe(genotype)
    for name, parameter in network.named_parameters():
        part = name.split(".")
        if "operations" not in part:
            assert parameter.grad is not None
            continue
        _, cell, _, state, _, operation, edge, *_ = part
        source: Any = network.get_submodule(".".join(part[:4]))
        kind = "reduction" if network.cells[int(cell)].reduction else "normal"
        a, b, operation_a, operation_b = described[kind][source.nodes[int(edge)]]
        chosen = {(a, OPERATIONS[operation_a]), (b, OPERATIONS[operation_b])}
        assert (parameter.grad is not None) == ((int(state), operation) in chosen)
    for theirs, own in darts_reference.parameters(plain, network):
        if own.grad is not None:
            assert theirs.grad is not None
            assert (own.grad - theirs.grad).norm() <= 1e-10 * theirs.grad.norm()


def test_a_path_leaves_the_statistics_of_the_others_alone() -> None:
    network = supernet(2, 4, 2, 1, torch.float32)
    genotype = SPACE.poorest()  # skips only
    network.forward_path(images(8, 1, torch.float32), genotype)
    for name, layer in network.named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            used = layer.running_mean.abs().view(-1) > 0  # type: ignore[union-attr]
            if ".norms." not in name:
                assert used.all()
            elif "skip_connect" not in name:
                assert not used.any()


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)], ids=["fp64", "fp32"]
)
@pytest.mark.parametrize(("k", "channels", "cells", "size", "colours"), SIZES)
def test_together_equals_one_by_one(
    k: int, channels: int, cells: int, size: int, colours: int, dtype: Any, tolerance: float,
    folded: bool | None,
) -> None:  # fmt: skip
    x = images(size, colours, dtype)
    network = trained(supernet(k, channels, cells, colours, dtype), x)
    network.folded = folded
    genotypes = SPACE.sample(stream(5, "test"), 2)
    weights = mixtures(2, dtype)
    weights[1, :, 3] = 0.0  # an edge with nothing on it
    own = recalibrated(network, [partial(network.forward_path, x, g) for g in genotypes])
    stem_only = {"stem.1": own["stem.1"]}
    for statistics in (None, own, stem_only):
        close(
            network.paths_together(x, genotypes, statistics),
            Supernet.paths_together(network, x, genotypes, statistics),
            tolerance,
        )
        close(
            network.mixtures_together(x, weights, statistics),
            Supernet.mixtures_together(network, x, weights, statistics),
            tolerance,
        )
    assert network.training


def test_together_equals_the_plain_network() -> None:
    x = images(8, 3)
    network = trained(supernet(4, 8, 4, 3, torch.float64), x)
    plain = darts_reference.like(network.eval())
    weights = mixtures(4)
    expected = torch.stack([plain(x, row) for row in weights])
    close(network.mixtures_together(x, weights), expected, 1e-9)


def test_chunks_of_images_and_individuals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds on memory so small that a pass takes 2 images, or 2 individuals."""
    x = images(8, 3)
    network = trained(supernet(4, 8, 4, 3, torch.float64), x)
    weights = mixtures(5)[[0, 1, 2, 0, 3, 4]]  # one of them twice
    expected = Supernet.mixtures_together(network, x, weights)
    module = "nasbench_evo.networks.darts.population."
    monkeypatch.setattr(module + "_CPU_PIXELS", 2 * 64)
    close(network.mixtures_together(x, weights), expected, 1e-9)
    network.folded = True
    monkeypatch.setattr(module + "_MEMORY", 2 * 24 * 8 * 5 * 64 * 8)
    close(network.mixtures_together(x, weights), expected, 1e-9)


class Kernels(TorchDispatchMode):
    """Counts the operations that compute or copy."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        views = ("view", "detach", "empty")  # a view, or memory that nothing is written to
        if not (func.is_view or any(word in func.name() for word in views)):
            self.count += 1
        return func(*args, **(kwargs or {}))


def test_kernels_per_individual() -> None:
    """Folded, 50 individuals take 50 times fewer kernels each than one at a time (issue: Reach)."""
    network = supernet(4, 8, 8, 3, torch.float32)
    plain = darts_reference.like(network.eval())
    network.folded = True
    x, weights = images(8, 3, torch.float32), mixtures(50, torch.float32)
    with torch.no_grad(), Kernels() as usual:
        plain(x, weights[0])
    with Kernels() as together:
        network.mixtures_together(x, weights)
    ratio = usual.count / (together.count / len(weights))
    print(f"\nkernels an individual: {usual.count}, folded {together.count / 50:.1f}: {ratio:.0f}x")
    assert ratio >= 50


@pytest.mark.parametrize("size", [8, 28, 32])
def test_shapes(size: int) -> None:
    network = supernet(4, 4, 3, 1, torch.float32)
    x = images(size, 1, torch.float32)
    genotypes = SPACE.sample(stream(4, "test"), 2)
    assert network.forward_path(x, genotypes[0]).shape == (5, 5)
    assert network.forward_mixture(x, mixtures(1, torch.float32)[0]).shape == (5, 5)
    assert network.paths_together(x, genotypes).shape == (2, 5, 5)


def test_weights_come_from_the_generator_alone() -> None:
    before = torch.get_rng_state()
    networks = [
        build_supernet(classes=5, generator=generator(seed), channels=4, cells=2)
        for seed in (0, 0, 1)
    ]
    one, same, other = (
        torch.cat([p.flatten() for p in network.parameters()]) for network in networks
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())


def test_bad_input() -> None:
    with pytest.raises(InputError, match=r"multiple of partial_channels.*channels=6"):
        build_supernet(classes=5, generator=generator(), channels=6)
    with pytest.raises(InputError, match="cells must be at least 1"):
        build_supernet(classes=5, generator=generator(), cells=0)
    network = supernet(4, 4, 1, 1, torch.float64)
    x = images(8, 1)
    with pytest.raises(InputError, match=r"\[2, 14, 8\].*got \[14, 8\]"):
        network.forward_mixture(x, mixtures(1)[0, 0])
    with pytest.raises(InputError, match=r"\['n', 2, 14, 8\].*got \[2, 14, 8\]"):
        network.mixtures_together(x, mixtures(1)[0])
    with pytest.raises(InputError, match=r"\[2, 14, 8\].*got \[2, 14, 6\]"):
        network.forward_mixture(x, mixtures(1)[0, :, :, 2:])
    with pytest.raises(InputError, match=r"edges of darts_cell are \[2, 14\].*got \[2, 13\]"):
        network.edge_weights(torch.zeros(2, 13))
    with pytest.raises(InputError, match=r"Unknown stem 'imagnet'\. Did you mean 'imagenet'"):
        build_supernet(classes=5, generator=generator(), stem="imagnet")
    with pytest.raises(InputError, match="halves channels, so it needs 2; got 1"):
        build_supernet(
            classes=5, generator=generator(), channels=1, partial_channels=1, stem="imagenet"
        )
    with pytest.raises(InputError, match="darts_cell genotype"):
        network.forward_path(x, (0,) * 21)
