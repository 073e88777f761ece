"""What a training costs: floating-point operations, kernels, and seconds on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from nasbench_evo.errors import InputError
from nasbench_evo.networks import build, wide_densenet
from nasbench_evo.networks.supernet import Supernet
from nasbench_evo.spaces.base import Genotype
from nasbench_evo.training.data.sources import SCALED, SIZES, Sizes
from nasbench_evo.training.distillation import first_output
from nasbench_evo.training.execution import Execution, check_device, sgd
from nasbench_evo.training.individuals import DataOptions, TrainingPlan, threads
from nasbench_evo.training.measure import autocast, model_dtype
from nasbench_evo.training.recipes import Recipe
from nasbench_evo.training.seeding import weights_generator
from nasbench_evo.training.teachers import Teacher

_FIRST, _MOST = 2, 64  # images of the measured steps
_WORK = 5e9  # floating-point operations that a measured step has at most, if its images allow it
_CONVOLUTIONS = (torch.ops.aten.convolution.default, torch.ops.aten.convolution_backward.default)
_TIMES, _LONG = 2, 1.0  # measured steps; seconds of one after which there is no other


class Step(NamedTuple):
    """A training step: forward, backward, optimizer."""

    flops: float  # an image: three times those of the forward pass
    kernels: float  # a step, of any batch
    parameters: float
    seconds_per_flop: float  # here


class _Kernels(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what torch computes; views compute nothing.

    Convolutions give zeros, so that a precision without kernels here is counted as fast as another.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not getattr(func, "is_view", False)
        if func not in _CONVOLUTIONS:
            return func(*args, **(kwargs or {}))
        shapes = func(*tree_map_only(Tensor, lambda x: x.to("meta"), args), **(kwargs or {}))
        device = args[0].device
        return tree_map_only(Tensor, lambda x: torch.zeros_like(x, device=device), shapes)


def mean_step(steps: Sequence[Step]) -> Step:
    """Return the mean of the steps of several networks.

    Its seconds are the mean of theirs: those of a network of few operations, which takes long for
    each, must not count for all operations.
    """
    mean = Step(*(statistics.fmean(values) for values in zip(*steps, strict=True)))
    seconds = statistics.fmean(step.flops * step.seconds_per_flop for step in steps)
    return mean._replace(seconds_per_flop=seconds / max(mean.flops, 1.0))


def measure(
    network: nn.Module,
    forward: Callable[[Tensor], Any],
    shape: tuple[int, int, int],
    execution: Execution,
    device: torch.device,
) -> Step:
    """Return the cost of a step on images of a shape (channels, height, width), by a few steps.

    The images are noise, and fewer than a batch where a batch would take long: what is measured is
    the time for an operation.
    """
    counted = timed = execution
    if device.type == "cpu" and execution.precision in emulated_precisions():
        # fp16 casts what bf16 casts
        counted, timed = replace(execution, precision="bf16"), replace(execution, precision="fp32")
    execution.placed(network, device).train()
    optimizer = sgd(network, Recipe("price", 1, learning_rate=1e-6), device)

    def step(images: Tensor, run: Execution) -> None:
        optimizer.zero_grad(set_to_none=True)
        with run.applied(device), autocast(device, run.precision):
            output = first_output(forward(images))
        torch.autograd.backward(F.cross_entropy(output.float(), labels[: len(images)]))
        optimizer.step()

    labels = torch.zeros(_MOST, dtype=torch.int64, device=device)
    noise = torch.rand(_MOST, *shape, device=device, dtype=model_dtype(execution.precision))
    if execution.channels_last:
        noise = noise.contiguous(memory_format=torch.channels_last)
    # torch's counter takes the backward pass of grouped convolutions for that of full ones.
    with torch.no_grad(), FlopCounterMode(display=False) as flops:
        forward(noise[:_FIRST])
    an_image = 3 * flops.get_total_flops() / _FIRST
    with _Kernels() as kernels:
        step(noise[:_FIRST], counted)
    images = max(_FIRST, min(_MOST, int(_WORK / max(an_image, 1))))
    seconds = []
    for _ in range(_TIMES):
        started = time.perf_counter()
        step(noise[:images], timed)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
        if seconds[-1] > _LONG:
            break
    parameters = sum(p.numel() for p in network.parameters())
    each = min(seconds) / max(an_image * images, 1)
    return Step(an_image, kernels.count, parameters, each)


def sizes(options: DataOptions) -> Sizes:
    """Return the sizes of a data set; raise DataError where they are known from its files only."""
    known = SIZES.get(options.name)
    if known is not None:
        scaled = options.image_size, options.image_size
        return known._replace(shape=(3, *scaled)) if options.name in SCALED else known
    data = options.load()
    n_train = len(data.train) + (len(data.valid) if options.valid_source == "train" else 0)
    n_test = len(data.test) + (len(data.valid) if options.valid_source == "test" else 0)
    return Sizes(n_train, n_test, data.shape, data.classes)


def parts(options: DataOptions) -> tuple[int, int]:
    """Return the number of images that train and that validate."""
    if options.name not in SIZES or options.valid_per_class is not None:
        data = options.load()
        return len(data.train), len(data.valid)
    known = SIZES[options.name]
    source = known.train if options.valid_source == "train" else known.test
    valid = round(source * options.valid_fraction)
    train = known.train - (valid if options.valid_source == "train" else 0)
    return min(train, options.train_size or train), valid


def iterations(recipe: Recipe, images: int) -> tuple[int, int]:
    """Return the steps of a training on so many images, and those of one epoch."""
    batch = min(recipe.batch_size, images)
    per_epoch = -(-images // batch) if recipe.keep_last_batch else images // batch
    return recipe.iterations(per_epoch), per_epoch


def of_genotypes(plan: TrainingPlan, genotypes: Sequence[Genotype], device: str) -> Step:
    """Return the mean cost of a step of the genotypes' own networks."""
    known = sizes(plan.data)
    found = []
    for genotype in genotypes:
        network = build(
            genotype,
            plan.space,
            classes=known.classes,
            generator=weights_generator(0),
            in_channels=known.shape[0],
            image_size=known.shape[1],
            **dict(plan.network),
        )
        found.append(_measured(network, network, known.shape, plan.execution, plan.threads, device))
    return mean_step(found)


def of_teacher(plan: TrainingPlan, teacher: Teacher, device: str) -> Step:
    """Return the cost of a step of one network of a teacher, on a plan's data."""
    known = sizes(plan.data)
    network = wide_densenet.build(
        classes=known.classes,
        generator=weights_generator(0),
        in_channels=known.shape[0],
        depth=teacher.depth,
        growth=teacher.growth,
    )
    return _measured(network, network, known.shape, plan.execution, plan.threads, device)


def of_shared(
    supernet: Supernet,
    genotypes: Sequence[Genotype],
    alpha_shape: tuple[int, ...],
    shape: tuple[int, int, int],
    execution: Execution,
    number: int,
    device: str,
) -> Step:
    """Return the mean cost of a step of paths; without genotypes that of a mixture."""
    if genotypes:
        forwards = [partial(supernet.forward_path, genotype=genotype) for genotype in genotypes]
    else:
        weights = torch.full(alpha_shape, 1 / alpha_shape[-1])
        weights = weights.to(torch.device(device), model_dtype(execution.precision))
        forwards = [partial(supernet.forward_mixture, weights=weights)]
    return mean_step([_measured(supernet, f, shape, execution, number, device) for f in forwards])


def _measured(
    network: nn.Module,
    forward: Callable[[Tensor], Any],
    shape: tuple[int, int, int],
    execution: Execution,
    number: int,
    device: str,
) -> Step:
    with threads(number):
        return measure(network, forward, shape, execution, torch.device(device))


def emulated_precisions() -> tuple[str, ...]:
    """Return the precisions in which this processor has no kernels: a step would take minutes."""
    bf16: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return ("fp16",) if bf16 else ("fp16", "bf16")


def there(device: str) -> str:
    """Return a device if it is here, else the CPU."""
    try:
        check_device(device)
    except InputError:
        return "cpu"
    return device
