"""How fast a device trains, as ratios measured side by side in one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple

import torch

from nasbench_evo.networks import build, build_supernet
from nasbench_evo.randomness import Stream
from nasbench_evo.spaces import get
from nasbench_evo.training.execution import Execution, sgd
from nasbench_evo.training.joint import FEW
from nasbench_evo.training.joint_network import JointNetwork
from nasbench_evo.training.measure import autocast
from nasbench_evo.training.recipes import Recipe
from nasbench_evo.training.seeding import weights_generator

_ROUNDS = 3
_RECIPE = Recipe("timing", 1)


class Size(NamedTuple):
    """What is timed: NAS-Bench-201 networks on square images."""

    channels: int
    cells: int
    image_size: int
    batch: int
    jointly: tuple[int, ...]


PAPER = Size(16, 5, 32, 256, (2, 8, 32))  # on a GPU: Dong and Yang 2020
SMALL = Size(4, 2, 8, 25, (2, 4, 8, 16, 32, 64))  # on a CPU: the digits of the suites


class Timing(NamedTuple):
    """`ratio` is how many times as fast `what` is as `than`; seconds are a step's, medians.

    `jointly` is the number of networks of a joint training, else 0.
    """

    what: str
    than: str
    seconds: float
    seconds_than: float
    jointly: int = 0

    @property
    def ratio(self) -> float:
        """Speed relative to what it is compared with."""
        return self.seconds_than / self.seconds


def measure(device: torch.device, size: Size | None = None) -> Iterator[Timing]:
    """Yield each pair of ways to do the same, timed in turn (median of 3 rounds after one)."""
    chosen = size or (PAPER if device.type == "cuda" else SMALL)
    usual = _step(device, chosen, Execution())
    for what, execution, than, other in (
        ("bf16", Execution("bf16"), "fp32", Execution()),
        ("channels_last", Execution(), "NCHW", Execution(channels_last=False)),
    ):
        pair = _step(device, chosen, execution), _step(device, chosen, other)
        yield Timing(what, than, *_seconds(device, *pair))
    for together in chosen.jointly:
        joint = _joint(device, chosen, together)
        first, second = _seconds(device, joint, usual)
        what = f"{together} networks jointly, a network"
        yield Timing(what, "alone", first / together, second, together)
    folded, plain = (_population(device, chosen, on) for on in (True, False))
    yield Timing("population of 8 folded", "one by one", *_seconds(device, folded, plain))


def _seconds(device: torch.device, *ways: Callable[[], None]) -> tuple[float, float]:
    """Return the median seconds of each of two ways, taken in turn."""
    taken: list[list[float]] = [[] for _ in ways]
    for turn in range(_ROUNDS + 1):
        for found, way in zip(taken, ways, strict=True):
            _finished(device)
            started = time.perf_counter()
            way()
            _finished(device)
            if turn:  # the first one warms up
                found.append(time.perf_counter() - started)
    first, second = (median(found) for found in taken)
    return first, second


def _finished(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _images(device: torch.device, size: Size, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator()
    generator.manual_seed(0)
    shape = size.batch, channels, size.image_size, size.image_size
    return torch.randn(shape, generator=generator).to(device)


def _networks(size: Size, count: int) -> list[torch.nn.Module]:
    space = get("nasbench201")
    return [
        build(
            cell,
            space,
            classes=10,
            generator=weights_generator(i),
            channels=size.channels,
            cells=size.cells,
        )
        for i, cell in enumerate(space.sample(Stream(0), count))
    ]


def _step(device: torch.device, size: Size, execution: Execution) -> Callable[[], None]:
    """Return a training step of one network."""
    network = execution.placed(_networks(size, 1)[0], device).train()
    return _stepper(network, _images(device, size), device, execution)


def _joint(device: torch.device, size: Size, together: int) -> Callable[[], None]:
    """Return a training step of several networks as one."""
    execution = Execution()
    networks = [execution.placed(network, device) for network in _networks(size, together)]
    numbers = together * size.channels * size.image_size**2 * size.batch
    made = JointNetwork(networks, merged=numbers <= FEW)  # type: ignore[arg-type]
    joint = execution.placed(made, device).train()
    return _stepper(joint, _images(device, size, 3 * together), device, execution)


def _stepper(
    network: torch.nn.Module, images: torch.Tensor, device: torch.device, execution: Execution
) -> Callable[[], None]:
    optimizer = sgd(network, _RECIPE, device)
    if execution.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with execution.applied(device), autocast(device, execution.precision):
            loss = network(images).float().square().mean()
        torch.autograd.backward(loss)
        optimizer.step()

    return step


def _population(device: torch.device, size: Size, folded: bool) -> Callable[[], None]:
    """Return the evaluation of 8 mixtures of a supernet."""
    space = get("nasbench201")
    supernet = build_supernet(
        space,
        classes=10,
        generator=weights_generator(0),
        channels=size.channels,
        cells=size.cells,
    )
    supernet = supernet.to(device).eval()
    supernet.folded = folded  # type: ignore[assignment]
    images = _images(device, size)
    generator = torch.Generator()
    generator.manual_seed(0)
    weights = torch.rand(8, *space.alpha_shape, generator=generator).softmax(-1).to(device)  # type: ignore[attr-defined]

    def evaluate() -> None:
        with torch.no_grad():
            supernet.mixtures_together(images, weights)

    return evaluate
