"""Training of shared weights, an epoch at a time, by paths, by a mixture, or with the mixture."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasbench_evo.errors import InputError, ProtocolError
from nasbench_evo.networks.operations import sent
from nasbench_evo.networks.supernet import Supernet
from nasbench_evo.spaces.base import Genotype
from nasbench_evo.training.data.batches import BatchStream
from nasbench_evo.training.data.datasets import Dataset
from nasbench_evo.training.distillation import training_loss
from nasbench_evo.training.execution import Execution
from nasbench_evo.training.measure import autocast
from nasbench_evo.training.recipes import Recipe
from nasbench_evo.training.seeding import Seed, words
from nasbench_evo.training.trainer import Training

Array = NDArray[np.float64]
_ARCHITECT_BETAS = (0.5, 0.999)  # of Adam on alpha (Liu et al. 2019, Section 3.1)
_ARCHITECT_WORD = 1  # sets the validation batches' seed apart from the training batches'


class EpochReport(NamedTuple):
    """What an epoch says of itself; means over its mini-batches."""

    seconds: float
    train_accuracy: float  # percent; NaN where the training diverged or failed
    train_loss: float


class SupernetTraining(Training):
    """The training of a supernet; each call is one of the recipe's epochs.

    Each mini-batch trains what the call chooses, and only what takes part gets gradients. The
    recipe's length is that of the whole search, in whole epochs. Raises InputError where more
    epochs are asked for.
    """

    model: Supernet

    def __init__(
        self,
        model: Supernet,
        dataset: Dataset,
        recipe: Recipe,
        *,
        seed: Seed,
        execution: Execution | None = None,
    ) -> None:
        super().__init__(model, dataset, recipe, seed=seed, execution=execution)
        if recipe.unit != "epochs" or recipe.length % 1:
            raise InputError(
                f"Shared weights are trained in whole epochs; got {recipe.length:g} {recipe.unit}."
            )
        self._dtype = next(self.model.parameters()).dtype
        self._choose: Callable[[], Callable[[Tensor], Tensor]] | None = None
        self._architect: Architect | None = None
        own = np.random.SeedSequence(words(seed)[0], spawn_key=(_ARCHITECT_WORD,))
        self._valid_stream = BatchStream(
            len(dataset.valid),
            recipe.batch_size,
            words(own)[0],
            self.device,
            keep_last=recipe.keep_last_batch,
        )

    @property
    def epoch(self) -> int:
        """The number of epochs done."""
        return self.iteration // self.stream.per_epoch

    @property
    def problem(self) -> str:
        """Why the training cannot go on; empty where it can."""
        progress = self.progress
        return "" if progress.status == "ok" else f"{progress.status}: {progress.reason}"

    def train_paths(self, sample: Callable[[], Genotype]) -> EpochReport:
        """Train one path per mini-batch, drawn by `sample`, for an epoch."""
        return self._epoch(lambda: partial(self.model.forward_path, genotype=sample()))

    def train_mixture(self, alpha: Array, edges: Array | None = None) -> EpochReport:
        """Train for an epoch with the operations mixed by softmax(alpha).

        Logits `edges` weigh the edges into each node; raises Unsupported where there are none.
        """
        weights = self.weights(alpha)
        shares = None if edges is None else self.edge_weights(edges)
        return self._epoch(lambda: self._mixed(weights, shares))

    def train_bilevel(
        self,
        alpha: Array,
        learning_rate: float,
        weight_decay: float,
        edges: Array | None = None,
    ) -> tuple[EpochReport, *tuple[Array, ...]]:
        """Train weights and alpha in turn for an epoch (DARTS, first order); return the alpha.

        Logits `edges` that weigh the edges into each node move with it, and are returned after it.
        Adam keeps its moments from one call to the next. Raises Unsupported where no edges can be
        weighed.
        """
        architect = self._architect or Architect(alpha, self.device, edges)
        self._architect = architect
        architect.configure(alpha, learning_rate, weight_decay, edges)

        def choose() -> Callable[[Tensor], Tensor]:
            # Alpha first, then the weights, on a batch each (Liu et al. 2019, Algorithm 1).
            self._descend(architect)
            with torch.no_grad():
                return self._mixed(*self._shares(architect))

        report = self._epoch(choose)
        return report, *(logits.detach().cpu().numpy().copy() for logits in architect.moved)

    def _mixed(self, weights: Tensor, edges: Tensor | None) -> Callable[[Tensor], Tensor]:
        """Return the forward pass of a mixture, its edges weighed or not."""
        if edges is None:
            return partial(self.model.forward_mixture, weights=weights)
        return partial(self.model.forward_weighed, weights=weights, edges=edges)

    def _shares(self, architect: Architect) -> tuple[Tensor, Tensor | None]:
        """Return the weights of operations and of edges, as gradients flow to their logits."""
        weights = architect.alpha.softmax(-1).to(self._dtype)
        if architect.edges is None:
            return weights, None
        return weights, self.model.edge_weights(architect.edges).to(self._dtype)

    def weights(self, alphas: Array) -> Tensor:
        """Return the softmax over the operations of one or several alphas, on the device."""
        logits = sent(torch.from_numpy(np.ascontiguousarray(alphas)), self.device)
        return logits.softmax(-1).to(self._dtype)

    def edge_weights(self, edges: Array) -> Tensor:
        """Return the share of each edge in its node, of one or several logits, on the device."""
        logits = sent(torch.from_numpy(np.ascontiguousarray(edges)), self.device)
        return self.model.edge_weights(logits).to(self._dtype)

    def _epoch(self, choose: Callable[[], Callable[[Tensor], Tensor]]) -> EpochReport:
        """Train for an epoch; `choose` gives the forward pass of each mini-batch."""
        if self.epoch >= self.recipe.length:
            raise InputError(
                f"The shared weights have had their {self.recipe.length:g} epochs, as the learning "
                "rate's schedule was made for; the search asks for more."
            )
        before, done = self.progress.seconds, len(self.progress.curve)
        self._choose = choose
        self.run((self.epoch + 1) / self.recipe.length)
        seconds = self.progress.seconds - before
        if len(self.progress.curve) == done:
            return EpochReport(seconds, float("nan"), float("nan"))
        point = self.progress.curve[-1]
        return EpochReport(seconds, point.train_accuracy, point.train_loss)

    def _step(self, images: Tensor, labels: Tensor, target: Tensor | None = None) -> None:
        # here, not once an epoch: each mini-batch trains a path of its own
        if self._choose is not None:
            self._forward = self._choose()
        super()._step(images, labels, target)

    def _descend(self, architect: Architect) -> None:
        """Take a step of alpha down the validation loss, the weights fixed."""
        for images, labels in self.dataset.valid.batches(self._valid_stream.take(1)):
            inputs = self.pipeline.training(images, self._valid_stream.generator)
            with autocast(self.device, self.execution.precision):
                output = self._mixed(*self._shares(architect))(inputs)
            loss = training_loss(output, labels, self.recipe, None)
            # of alpha alone: the weights' gradients stay as they are
            moved = architect.moved
            for logits, slope in zip(moved, torch.autograd.grad(loss, moved), strict=True):
                logits.grad = slope
        architect.adam.step()

    def _validate(self) -> None:
        """Do nothing: shared weights have no accuracy of their own, only its paths have."""

    # -- state -----------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        return {
            **super()._state(),
            "architect": None if self._architect is None else self._architect.state(),
            "valid_stream": self._valid_stream.state(),
        }

    def _take(self, state: dict[str, Any]) -> None:
        super()._take(state)
        self._valid_stream.load(state["valid_stream"])
        architect = state["architect"]
        if architect is not None:
            edges = architect.get("edges")
            self._architect = Architect(
                architect["alpha"].cpu().numpy(),
                self.device,
                None if edges is None else edges.cpu().numpy(),
            )
            self._architect.adam.load_state_dict(architect["adam"])


class Architect:
    """Alpha, and the logits of edges if they are weighed, as something to optimise by Adam."""

    def __init__(self, alpha: Array, device: torch.device, edges: Array | None = None) -> None:
        self.moved = [
            torch.tensor(values, dtype=torch.float64, device=device, requires_grad=True)
            for values in (alpha, edges)
            if values is not None
        ]
        self.adam = torch.optim.Adam(self.moved, betas=_ARCHITECT_BETAS)

    @property
    def alpha(self) -> Tensor:
        """The logits of operations."""
        return self.moved[0]

    @property
    def edges(self) -> Tensor | None:
        """The logits of edges."""
        return self.moved[1] if len(self.moved) > 1 else None

    @torch.no_grad()
    def configure(
        self,
        alpha: Array,
        learning_rate: float,
        weight_decay: float,
        edges: Array | None = None,
    ) -> None:
        """Set the logits and the rates of the next steps.

        Raises ProtocolError where edges were weighed before and are not now, or the reverse.
        """
        if (edges is None) != (self.edges is None):
            raise ProtocolError("A search weighs edges in all of its TrainBilevel, or in none.")
        for moved, values in zip(self.moved, (alpha, edges), strict=False):
            moved.copy_(torch.from_numpy(values))
        for group in self.adam.param_groups:
            group.update(lr=learning_rate, weight_decay=weight_decay)

    def state(self) -> dict[str, Any]:
        """Return everything that the next steps depend on, as it is: they change it."""
        edges = {} if self.edges is None else {"edges": self.edges.detach()}
        return {
            "alpha": self.alpha.detach(),
            "adam": self.adam.state_dict(),
            **edges,
        }
