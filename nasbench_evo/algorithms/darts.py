"""DARTS, first order (Liu et al. 2019), and PC-DARTS (Xu et al. 2019): baselines of EG-NAS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.algorithms.base import Algorithm, parameter
from nasbench_evo.errors import Unsupported
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import EvaluateMixtures, Search, TrainBilevel, TrainMixture
from nasbench_evo.spaces.base import Relaxable

Array = NDArray[np.float64]
_INITIAL_SCALE = 1e-3


@dataclass(frozen=True)
class DARTS(Algorithm):
    """Algorithm 1 of the paper with xi = 0.

    Preset `pc_darts`: a quarter of the channels is mixed, and the edges into a node are weighed by
    a softmax of logits of their own, which move with alpha.
    """

    name: ClassVar[str] = "darts"
    paper: ClassVar[str] = "Liu et al. 2019, Algorithm 1 (first order)"
    needs: ClassVar[type] = Relaxable
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "pc_darts": {"warmup": 15, "learning_rate": 6e-4, "edge_normalisation": True},
    }

    epochs: int = parameter(50, "epochs of the search", low=1)
    warmup: int = parameter(0, "epochs that train weights only (PC-DARTS: 15)", low=0)
    learning_rate: float = parameter(3e-4, "of alpha (Adam)", low=0)
    weight_decay: float = parameter(1e-3, "of alpha", low=0)
    edge_normalisation: bool = parameter(
        False, "PC-DARTS: weigh the edges into each node, on partial channels", later=True
    )

    def shared_settings(self, space: str) -> dict[str, Any]:
        """Return the recipe of the paper and how many channels are mixed: all, or a quarter."""
        # PC-DARTS trains by batch 256 and learning rate 0.1, which EG-NAS took over.
        recipe = "eg_nas_search" if self.edge_normalisation else "darts_search"
        partial = {"partial_channels": 4 if self.edge_normalisation else 1}
        return {"recipe": recipe, **(partial if space == "darts_cell" else {})}

    def shared_only(self) -> str:
        """Return that the whole method descends on shared weights."""
        return "the gradient of alpha"

    def check_space(self, space: Any) -> None:
        """Raise Unsupported for a space without relaxations, or without edges to weigh."""
        super().check_space(space)
        if self.edge_normalisation and not hasattr(space, "edge_shape"):
            raise Unsupported(
                f"Edge normalisation needs nodes that choose their edges; those of {space.name} "
                "keep all. Use the space darts_cell, or edge_normalisation=false."
            )

    def search(self, space: Any, rng: Stream) -> Search:
        """Descend on weights and alpha in turn; the result is the discretized last alpha."""
        alpha = _INITIAL_SCALE * rng.generator.standard_normal(space.alpha_shape)
        if self.edge_normalisation:
            edges = _INITIAL_SCALE * rng.generator.standard_normal(space.edge_shape)
            return (yield from self._weighed(space, alpha, edges))
        for t in range(self.epochs):
            if t < self.warmup:
                yield TrainMixture(alpha)
            else:
                alpha = yield TrainBilevel(alpha, self.learning_rate, self.weight_decay)
            yield EvaluateMixtures(alpha[None])
        return space.discretize(alpha[None])[0]

    def _weighed(self, space: Any, alpha: Array, edges: Array) -> Search:
        """Do the same with logits of edges, which move with alpha."""
        for t in range(self.epochs):
            if t < self.warmup:
                yield TrainMixture(alpha, edges)
            else:
                alpha, edges = yield TrainBilevel(
                    alpha, self.learning_rate, self.weight_decay, edges
                )
            yield EvaluateMixtures(alpha[None], edges[None])
        return space.discretize(alpha[None], edges[None])[0]
