"""What the doctor checks. In fp64 two ways to compute the same thing differ by rounding alone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.networks import BUILDERS, build, build_supernet
from nasbench_evo.networks import SUPERNETS as _SUPERNETS
from nasbench_evo.networks.supernet import Supernet
from nasbench_evo.randomness import Stream
from nasbench_evo.spaces import LayerGraph, get
from nasbench_evo.spaces.base import Space
from nasbench_evo.training.data.augmentation import Augmentation
from nasbench_evo.training.data.datasets import load_dataset
from nasbench_evo.training.distillation import first_output
from nasbench_evo.training.execution import Execution
from nasbench_evo.training.individuals import DataOptions, Job, TrainingPlan, train
from nasbench_evo.training.joint import JointTraining
from nasbench_evo.training.measure import Precision
from nasbench_evo.training.pool import TrainingPool
from nasbench_evo.training.recipes import Recipe
from nasbench_evo.training.seeding import weights_generator
from nasbench_evo.training.trainer import Training

NETWORKS, SUPERNETS = tuple(BUILDERS), tuple(_SUPERNETS)
MIXTURES = tuple(name for name in SUPERNETS if hasattr(get(name), "alpha_shape"))
_BOUND = 1e-9  # relative to the largest number
_CPU = torch.device("cpu")
_SIZES: dict[str, dict[str, Any]] = {
    "nasbench201": {"channels": 8, "cells": 1},
    "micro_cell": {"channels": 8, "cells": 1},
    "darts_cell": {"channels": 8, "cells": 3},
}
_RECIPE = Recipe(
    "doctor", 40, unit="iterations", batch_size=32, learning_rate=0.05, nesterov=True,
    augmentation=Augmentation(flip=0.5, crop_padding=1),
)  # fmt: skip


class NotHere(Exception):  # it is no error
    """A check has nothing to look at on this device."""


def _network(space: str, seed: int = 0, image_size: int = 16) -> nn.Module:
    made: Space = LayerGraph(image_size) if space == "layer_graph" else get(space)
    genotype = made.sample(Stream(seed), 1)[0]
    return build(
        genotype,
        made,
        classes=10,
        generator=weights_generator(seed),
        in_channels=1,
        image_size=image_size,
        **_SIZES.get(space, {}),
    )


M = TypeVar("M", bound=nn.Module)


def _steady(module: M) -> M:
    """Return a network without dropout: devices draw different numbers."""
    for layer in module.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    return module


def _supernet(space: str) -> Supernet:
    made = build_supernet(
        get(space), classes=10, generator=weights_generator(0), in_channels=1, **_SIZES[space]
    )
    return _steady(made.double())


def _images(count: int = 8, size: int = 16) -> Tensor:
    generator = torch.Generator()
    generator.manual_seed(0)
    return torch.randn(count, 1, size, size, dtype=torch.float64, generator=generator)


def _differ(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """Return the largest difference, relative to the largest number of each tensor or 1."""
    differences = [
        float((a.detach().cpu() - b.detach().cpu()).abs().max() / max(1.0, float(b.abs().max())))
        for a, b in zip(ours, theirs, strict=True)
    ]
    return max(differences)


def _bounded(difference: float, what: str) -> str:
    if not difference <= _BOUND:  # a NaN is not
        raise ArithmeticError(f"{what} differ by {difference:.1e}; at most {_BOUND:g} is rounding")
    return f"{what}: {difference:.0e}"


def _step(network: nn.Module, forward: Callable[[Tensor], Any], images: Tensor) -> list[Tensor]:
    """Return the logits of a training step and the gradients of all that takes part."""
    logits = first_output(forward(images))
    labels = (torch.arange(len(images)) % 10).to(images.device)
    network.zero_grad()
    torch.autograd.backward(F.cross_entropy(logits, labels))
    return [logits, *[p.grad for p in network.parameters() if p.grad is not None]]


# -- the same in fp64 --------------------------------------------------------------------------


def of_network(space: str) -> Callable[[torch.device], str]:
    """Return the check of a space's network: a step there, channels_last, and one here, NCHW."""

    def check(device: torch.device) -> str:
        plain, ours = (_steady(_network(space).double()) for _ in range(2))
        ours = Execution("fp64").placed(ours, device)
        images = _images()
        theirs = _step(plain.to(memory_format=torch.contiguous_format), plain, images)  # type: ignore[call-overload]
        last = images.to(device).contiguous(memory_format=torch.channels_last)
        return _bounded(
            _differ(_step(ours, ours, last), theirs), "logits and gradients against the CPU's NCHW"
        )

    return check


def joint(device: torch.device) -> str:
    """Three networks trained jointly against each alone on the CPU, without augmentation."""
    recipe = replace(_RECIPE, length=4, augmentation=Augmentation())
    plans = [_network("nasbench201", seed, 8) for seed in range(3)]
    alone, run = [], Execution("fp64")
    order = [_network("nasbench201", seed, 8) for seed in range(3)]
    data = load_dataset(train_size=128)
    there = load_dataset(train_size=128, device=device)
    networks: list[Any] = [Execution("fp64").placed(network, device) for network in plans]
    together = JointTraining(networks, there, recipe, seeds=[0, 1, 2], execution=run)
    for seed, network in enumerate(order):
        training = Training(network, data, recipe, seed=seed, execution=run)
        # the order of the images is drawn there: a device's numbers are its own
        training.stream.take = _elsewhere(together.streams[seed])  # type: ignore[assignment, method-assign]
        alone.append(training)
    theirs = [value for t in alone for value in _trained(t)]
    together.run()
    ours = [value for network in networks for value in network.parameters()]
    return _bounded(_differ(ours, theirs), "weights after 4 steps against one by one on the CPU")


def _elsewhere(stream: Any) -> Callable[[int], list[Tensor]]:
    """Return the batches that another device's stream gives, without moving it on."""
    state = stream.state()
    from nasbench_evo.training.data.batches import BatchStream

    copy = BatchStream(stream.size, stream.batch_size, 0, stream.generator.device)
    copy.load(state)
    return lambda count: [indices.cpu() for indices in copy.take(count)]


def _trained(training: Training) -> list[Tensor]:
    training.run()
    return list(training.model.parameters())


def of_paths(space: str) -> Callable[[torch.device], str]:
    """Return the check of paths: a step there and here, and a population against one by one."""

    def check(device: torch.device) -> str:
        genotypes = get(space).sample(Stream(1), 3)
        plain, ours = _supernet(space), _supernet(space)
        Execution("fp64").placed(ours, device)
        images = _images()
        there = images.to(device)
        difference = max(
            _differ(
                _step(ours, lambda x, g=g: ours.forward_path(x, g), there),  # type: ignore[misc]
                _step(plain, lambda x, g=g: plain.forward_path(x, g), images),  # type: ignore[misc]
            )
            for g in genotypes
        )
        with torch.no_grad():
            together = ours.eval().paths_together(there, genotypes)
            one_by_one = torch.stack([plain.eval().forward_path(images, g) for g in genotypes])
        difference = max(difference, _differ([together], [one_by_one]))
        return _bounded(difference, "steps, and a population against one by one on the CPU")

    return check


def of_mixtures(space: str) -> Callable[[torch.device], str]:
    """Return the check of mixtures: a step there and here, and a population against one by one."""

    def check(device: torch.device) -> str:
        shape = get(space).alpha_shape  # type: ignore[attr-defined]
        draws = np.random.Generator(np.random.PCG64(0)).normal(size=(3, *shape))
        weights = torch.from_numpy(draws).softmax(-1)
        plain, ours = _supernet(space), _supernet(space)
        Execution("fp64").placed(ours, device)
        images = _images()
        there, mixed = images.to(device), weights.to(device)
        difference = _differ(
            _step(ours, lambda x: ours.forward_mixture(x, mixed[0]), there),
            _step(plain, lambda x: plain.forward_mixture(x, weights[0]), images),
        )
        with torch.no_grad():
            together = ours.eval().mixtures_together(there, mixed)
            rows = [plain.eval().forward_mixture(images, row) for row in weights]
        difference = max(difference, _differ([together], [torch.stack(rows)]))
        return _bounded(difference, "a step, and a population against one by one on the CPU")

    return check


# -- trainings ---------------------------------------------------------------------------------


def _training(device: torch.device, execution: Execution, recipe: Recipe = _RECIPE) -> Training:
    data = load_dataset(train_size=128, device=device)
    network = _network("nasbench201", image_size=8)
    return Training(network, data, recipe, seed=0, execution=execution)


def of_precision(precision: Precision) -> Callable[[torch.device], str]:
    """Return the check that a training of 40 steps goes well at a precision."""

    def check(device: torch.device) -> str:
        if precision == "fp16" and device.type != "cuda":
            raise NotHere("fp16 needs CUDA")
        training = _training(device, Execution(precision))
        result = training.run()
        if result.status != "ok":
            raise ArithmeticError(f"{result.status}: {result.reason}")
        momentum = [s["momentum_buffer"] for s in training.optimizer.state.values()]
        if not all(bool(values.isfinite().all()) for values in momentum):
            raise ArithmeticError("the momentum is not finite")
        return f"status ok, momentum finite, {result.valid_accuracy:.0f} % of digits"

    return check


def no_wait(device: torch.device) -> str:
    """Take steps with every synchronisation an error."""
    if device.type != "cuda":
        raise NotHere("a CPU does not run ahead")
    training = _training(device, Execution())
    training.run(0.25)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for indices in training.stream.take(3):
            for images, labels in training.dataset.train.batches([indices]):
                inputs = training.pipeline.training(images, training.stream.generator)
                training._step(inputs, labels)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return "set_sync_debug_mode('error') over 3 steps"


def resumed(device: torch.device) -> str:
    """Stop at 30%, go on from the file, and compare with a training in one go, bit for bit."""
    run = Execution(deterministic=True)
    whole, first, second = (_training(device, run) for _ in range(3))
    whole.run()
    with tempfile.TemporaryDirectory() as folder:
        first.run(0.3)
        first.save(Path(folder) / "third.pt")
        second.load(Path(folder) / "third.pt")
    second.run()
    pairs = zip(whole.model.state_dict().values(), second.model.state_dict().values(), strict=True)
    if not all(torch.equal(a, b) for a, b in pairs):
        raise ArithmeticError("the resumed training has other weights")
    return "the same weights, bit for bit, in deterministic mode"


class _Hungry(nn.Module):
    """A network that asks for more memory than there is when it is given a whole batch."""

    def __init__(self, network: nn.Module, whole: int) -> None:
        super().__init__()
        self.network, self.whole = network, whole

    def forward(self, x: Tensor) -> Any:
        if self.training and len(x) == self.whole:
            x = x + torch.empty(2**50, device=x.device)[0]
        return self.network(x)


def out_of_memory(device: torch.device) -> str:
    """Ask for more memory than there is in a step; the batch is halved and the training goes on."""
    data = load_dataset(train_size=128, device=device)
    network = _Hungry(_network("nasbench201", image_size=8), _RECIPE.batch_size)
    result = Training(network, data, replace(_RECIPE, length=4), seed=0).run()
    if (result.status, result.batch_splits) != ("ok", 2):
        raise RuntimeError(f"{result.status} with batches in {result.batch_splits}: not halved")
    return "a batch that did not fit was halved"


def _plan() -> TrainingPlan:
    options = (("channels", 4), ("cells", 1))
    space = get("nasbench201")
    return TrainingPlan(
        DataOptions(train_size=128), space, replace(_RECIPE, length=4), Execution("fp64"), options
    )


def two_slots(device: torch.device) -> str:
    """Train two networks in two processes on one device, and each here."""
    plan = _plan()
    cells = plan.space.sample(Stream(2), 2)
    jobs = [[Job(cell, np.random.SeedSequence(i))] for i, cell in enumerate(cells)]
    alone = [train(plan, group, str(device))[0] for group in jobs]
    pool = TrainingPool(plan, [str(device)] * 2)
    try:
        found = dict(pool.run(jobs))
    finally:
        pool.close()
    for i, one in enumerate(alone):
        ours, theirs = found[i][0].valid_loss or 0.0, one.valid_loss or 0.0
        if abs(ours - theirs) > _BOUND * max(1.0, theirs):
            raise ArithmeticError("a training in a process of its own ends elsewhere")
    return "two processes end as one does"


def checkpoint(device: torch.device) -> str:
    """Write a checkpoint there and read its weights on the CPU."""
    from nasbench_evo.training import checkpoint as files

    made = _training(device, Execution())
    made.run(0.25)
    plain = _training(_CPU, Execution())
    with tempfile.TemporaryDirectory() as folder:
        made.save(Path(folder) / "there.pt")
        plain.load_weights(files.load(Path(folder) / "there.pt"))
    pairs = zip(made.model.state_dict().values(), plain.model.state_dict().values(), strict=True)
    if not all(torch.equal(a.cpu(), b) for a, b in pairs):
        raise ArithmeticError("the weights read are others")
    return "the weights are the same, bit for bit"
