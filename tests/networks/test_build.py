"""One way to build the network of any space's genotype."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nasbench_evo.errors import InputError
from nasbench_evo.networks import BUILDERS, build
from nasbench_evo.randomness import stream
from nasbench_evo.spaces.base import Space
from nasbench_evo.spaces.binary_stages import BinaryStages
from nasbench_evo.spaces.darts_cell import DartsCell
from nasbench_evo.spaces.layer_graph.space import LayerGraph
from nasbench_evo.spaces.micro_cell import MicroCell
from nasbench_evo.spaces.nasbench201 import NASBench201

pytestmark = pytest.mark.torch

SMALL: dict[str, dict[str, Any]] = {
    "nasbench201": {"channels": 4, "cells": 1},
    "micro_cell": {"channels": 4, "cells": 1},
    "darts_cell": {"channels": 4, "cells": 3},
}
SPACES: list[Space] = [NASBench201(), BinaryStages(), LayerGraph(8), MicroCell(), DartsCell()]


def test_every_builder_is_tested() -> None:
    assert {space.name for space in SPACES} == set(BUILDERS)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_digits_size_and_determinism(space: Space) -> None:
    before = torch.get_rng_state()
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    for genotype in space.sample(stream(0, "test"), 3):
        outputs, weights = [], []
        for seed in (0, 0, 1):
            network = build(
                genotype,
                space,
                classes=10,
                generator=torch.Generator().manual_seed(seed),
                in_channels=1,
                image_size=8,
                **SMALL.get(space.name, {}),
            ).eval()
            outputs.append(network(images))
            weights.append(torch.cat([p.flatten() for p in network.parameters()]))
        assert outputs[0].shape == (2, 10)
        assert torch.equal(outputs[0], outputs[1])
        # Not the outputs: a cell without a path from input to output gives zero in any case.
        assert not torch.equal(weights[0], weights[2])
    assert torch.equal(before, torch.get_rng_state())


def test_unknown_options_and_spaces_are_refused() -> None:
    space = NASBench201()
    arguments: dict[str, Any] = {"classes": 2, "generator": torch.Generator()}
    with pytest.raises(InputError, match="Did you mean 'channels'"):
        build(space.poorest(), space, chanels=3, **arguments)
    with pytest.raises(InputError, match="Known: none"):
        build(LayerGraph().poorest(), LayerGraph(), channels=3, **arguments)

    class Other(NASBench201):
        name = "nasbench202"

    with pytest.raises(InputError, match="Did you mean 'nasbench201'"):
        build(space.poorest(), Other(), **arguments)
