"""DARTS, first order (Liu et al. 2019): the architecture by gradient, a baseline of EG-NAS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from nasbench_evo.algorithms.base import Algorithm, parameter
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import EvaluateMixtures, Search, TrainBilevel, TrainMixture
from nasbench_evo.spaces.base import Relaxable

_INITIAL_SCALE = 1e-3


@dataclass(frozen=True)
class DARTS(Algorithm):
    """Algorithm 1 of the paper with xi = 0; the partial channels of PC-DARTS are the supernet's."""

    name: ClassVar[str] = "darts"
    paper: ClassVar[str] = "Liu et al. 2019, Algorithm 1 (first order)"
    needs: ClassVar[type] = Relaxable

    epochs: int = parameter(50, "epochs of the search", low=1)
    warmup: int = parameter(0, "epochs that train weights only (PC-DARTS: 15)", low=0)
    learning_rate: float = parameter(3e-4, "of alpha (Adam)", low=0)
    weight_decay: float = parameter(1e-3, "of alpha", low=0)

    def search(self, space: Any, rng: Stream) -> Search:
        """Descend on weights and alpha in turn; the result is the discretized last alpha."""
        alpha = _INITIAL_SCALE * rng.generator.standard_normal(space.alpha_shape)
        for t in range(self.epochs):
            if t < self.warmup:
                yield TrainMixture(alpha)
            else:
                alpha = yield TrainBilevel(alpha, self.learning_rate, self.weight_decay)
            yield EvaluateMixtures(alpha[None])
        return space.discretize(alpha[None])[0]
