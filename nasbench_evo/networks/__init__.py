"""Networks: from a genotype to a torch module, one file a space."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from nasbench_evo.errors import unknown
from nasbench_evo.networks import binary_stages, layer_graph, nasbench201
from nasbench_evo.spaces.base import Genotype, Space

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "nasbench201": nasbench201.build,
    "binary_stages": binary_stages.build,
    "layer_graph": layer_graph.build,
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
    **options: Any,
) -> nn.Module:
    """Return the network of `genotype` (on the CPU), its weights drawn from `generator` alone.

    It maps images [batch, in_channels, image_size, image_size] to logits [batch, classes].
    `options` are the space's own, such as channels and cells of nasbench201. Raises InputError
    for a space without networks, an option it does not have, or a genotype that does not fit.
    """
    if space.name not in BUILDERS:
        raise unknown("network space", space.name, BUILDERS)
    builder = BUILDERS[space.name]
    accepted = inspect.signature(builder).parameters
    for option in options:
        if option not in accepted:
            known = set(accepted) - _GIVEN or {"none"}
            raise unknown(f"network option of {space.name}", option, known)
    if "image_size" in accepted:  # the others work at any size
        options["image_size"] = image_size
    positional = (genotype, space) if "space" in accepted else (genotype,)
    return builder(
        *positional, classes=classes, generator=generator, in_channels=in_channels, **options
    )


__all__ = ["BUILDERS", "build"]
