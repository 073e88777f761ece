"""The order in which a training sees its images, with a state that can be saved."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor


class StreamState(TypedDict):
    """Where a BatchStream is; tensors are copies on the CPU."""

    order: Tensor
    position: int
    generator: Tensor


class BatchStream:
    """Shuffled mini-batches of the indices 0..size-1, epoch after epoch, without end.

    An epoch has size // batch_size batches, all of the same size (at least one): the images left
    over are others in each epoch. With `keep_last` they are one more batch. `generator` (on
    `device`) draws the order at the start of each epoch; the caller draws its augmentation from the
    same generator in between.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        seed: int,
        device: torch.device,
        *,
        keep_last: bool = False,
    ) -> None:
        self.size = size
        self.batch_size = min(batch_size, size)
        self.per_epoch = -(-size // self.batch_size) if keep_last else size // self.batch_size
        self.generator = torch.Generator(device)
        self.generator.manual_seed(seed)
        self._order = torch.empty(0, dtype=torch.int64, device=device)
        self._position = 0  # batches of this epoch already taken

    def take(self, count: int) -> list[Tensor]:
        """Return the indices of the next batches: `count`, or fewer where the epoch ends."""
        if self._position == 0:
            self._order = torch.randperm(
                self.size, generator=self.generator, device=self.generator.device
            )
        end = min(self._position + count, self.per_epoch)
        batches = [
            self._order[i * self.batch_size : (i + 1) * self.batch_size]
            for i in range(self._position, end)
        ]
        self._position = end % self.per_epoch
        return batches

    def state(self) -> StreamState:
        """Return a copy of the state; nothing in it follows later draws."""
        return {
            "order": self._order.cpu().clone(),
            "position": self._position,
            "generator": self.generator.get_state().cpu().clone(),
        }

    def load(self, state: StreamState) -> None:
        """Go on from where `state` was taken."""
        self._order = state["order"].to(self.generator.device, copy=True)
        self._position = state["position"]
        self.generator.set_state(state["generator"].cpu())
