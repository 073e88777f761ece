"""Networks: from a genotype to a torch module, one file a space."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from nasbench_evo.errors import unknown
from nasbench_evo.networks import binary_stages, layer_graph
from nasbench_evo.networks.darts import network, supernet
from nasbench_evo.networks.micro_cell import network as micro_cell
from nasbench_evo.networks.micro_cell import supernet as micro_cell_supernet
from nasbench_evo.networks.nasbench201 import (
    network as nasbench201,
)
from nasbench_evo.networks.nasbench201 import (
    supernet as nasbench201_supernet,
)
from nasbench_evo.networks.operations import Initialisation, initialise
from nasbench_evo.networks.supernet import Supernet
from nasbench_evo.spaces.base import Genotype, Space

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "nasbench201": nasbench201.build,
    "binary_stages": binary_stages.build,
    "layer_graph": layer_graph.build,
    "micro_cell": micro_cell.build,
    "darts_cell": network.build,
}
SUPERNETS: dict[str, Callable[..., Supernet]] = {
    "nasbench201": nasbench201_supernet.build_supernet,
    "micro_cell": micro_cell_supernet.build_supernet,
    "darts_cell": supernet.build_supernet,
}
_GIVEN = {"genotype", "space", "classes", "generator", "in_channels", "image_size"}


def build(
    genotype: Genotype,
    space: Space,
    *,
    classes: int,
    generator: torch.Generator,
    in_channels: int = 3,
    image_size: int = 32,
    initialisation: Initialisation = "kaiming",
    **options: Any,
) -> nn.Module:
    """Return the network of `genotype` (on the CPU), its weights drawn from `generator` alone.

    It maps images [batch, in_channels, image_size, image_size] to logits [batch, classes].
    `initialisation` is a rule of `operations.initialise`, `options` are the space's own, such as
    channels and cells of nasbench201. Raises InputError for a space without networks, an option it
    does not have, or a genotype that does not fit.
    """
    builder, accepted = _builder(BUILDERS, space, options)
    if "image_size" in accepted:  # the others work at any size
        options["image_size"] = image_size
    positional = (genotype, space) if "space" in accepted else (genotype,)
    network = builder(
        *positional, classes=classes, generator=generator, in_channels=in_channels, **options
    )
    return _initialised(network, generator, initialisation)


def build_supernet(
    space: Space,
    *,
    classes: int,
    generator: torch.Generator,
    in_channels: int = 3,
    initialisation: Initialisation = "kaiming",
    **options: Any,
) -> Supernet:
    """Return the supernet of a space (on the CPU), its weights drawn from `generator` alone.

    `initialisation` is a rule of `operations.initialise`, `options` are the space's own, such as
    channels and cells. Raises InputError for a space without a supernet, an option it does not
    have, or sizes that do not fit.
    """
    builder, _ = _builder(SUPERNETS, space, options)
    made = builder(classes=classes, generator=generator, in_channels=in_channels, **options)
    return _initialised(made, generator, initialisation)


M = TypeVar("M", bound=nn.Module)


def _initialised(module: M, generator: torch.Generator, rule: Initialisation) -> M:
    """Return a module whose builder has drawn "kaiming" weights, drawn again by another rule."""
    if rule != "kaiming":
        initialise(module, generator, rule)
    return module


def _builder(
    builders: Mapping[str, Callable[..., M]], space: Space, options: Mapping[str, Any]
) -> tuple[Callable[..., M], set[str]]:
    """Return a space's builder and the names of its arguments, the options checked."""
    if space.name not in builders:
        raise unknown("network space", space.name, builders)
    builder = builders[space.name]
    accepted = set(inspect.signature(builder).parameters)
    for option in options:
        if option not in accepted:
            known = accepted - _GIVEN or {"none"}
            raise unknown(f"network option of {space.name}", option, known)
    return builder, accepted


__all__ = ["BUILDERS", "SUPERNETS", "build", "build_supernet"]
