"""The one place where torch's global random state is set, and put back.

Weights, data order and augmentation draw from generators of their own. Only dropout and
drop-path, for which torch's layers take no generator, use the global one during a training.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

Seed = np.random.SeedSequence | int


def words(seed: Seed) -> tuple[int, int, int]:
    """Return three 63-bit seeds of one training: for its batches, for dropout, for its weights."""
    sequence = np.random.SeedSequence(seed) if isinstance(seed, int) else seed
    batches, dropout, weights = (int(w) >> 1 for w in sequence.generate_state(3, np.uint64))
    return batches, dropout, weights


@contextmanager
def global_state(seed: int | None, device: torch.device | str = "cpu") -> Iterator[None]:
    """Run a block with torch's global generators seeded (None: as they are); restore them after."""
    device = torch.device(device)
    indices = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=indices):
        if seed is not None:
            # torch.manual_seed would also reseed devices that are not restored afterwards.
            torch.default_generator.manual_seed(seed)
            for index in indices:
                torch.cuda.default_generators[index].manual_seed(seed)
        yield


class TorchState:
    """A training's own state of torch's global generators, kept between its runs."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = device
        with global_state(seed, device):
            self.values = self._read()

    def _read(self) -> list[Tensor]:
        states = [torch.get_rng_state()]
        if self.device.type == "cuda":
            states.append(torch.cuda.get_rng_state(self.device))
        return states

    @contextmanager
    def active(self) -> Iterator[None]:
        """Run a block with this state as the global one, and keep what it becomes."""
        with global_state(None, self.device):
            torch.set_rng_state(self.values[0].cpu())
            if self.device.type == "cuda":
                torch.cuda.set_rng_state(self.values[1].cpu(), self.device)
            try:
                yield
            finally:
                self.values = self._read()


def weights_generator(seed: Seed) -> torch.Generator:
    """Return the CPU generator that initialises a training's network (`networks.build`)."""
    generator = torch.Generator()
    generator.manual_seed(words(seed)[2])
    return generator
