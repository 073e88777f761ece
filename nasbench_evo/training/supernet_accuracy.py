"""The accuracy of paths and mixtures of a supernet on validation data, a population at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from nasbench_evo.errors import InputError
from nasbench_evo.networks.operations import sent
from nasbench_evo.networks.supernet import Statistics, Supernet, recalibrated
from nasbench_evo.spaces.base import Genotype
from nasbench_evo.training.data.augmentation import Pipeline
from nasbench_evo.training.data.datasets import Dataset
from nasbench_evo.training.data.images import Batch
from nasbench_evo.training.execution import Execution
from nasbench_evo.training.measure import autocast, model_dtype
from nasbench_evo.training.recipes import Recipe

BatchNorm = Literal["recalibrated", "batch", "running"]
_AT_ONCE = 64  # individuals whose statistics are held at a time


@dataclass(frozen=True)
class Measurement:
    """How shared weights are measured.

    `batch_norm`: "recalibrated" takes each individual's statistics from one training batch of
    `recalibration_size` images; "batch" takes those of each validation batch itself; "running"
    takes the running averages, which mix all individuals that were trained. `batches` of
    `batch_size` validation images are used (None: all of them), the same for a whole population
    and others at the next request.
    """

    batch_norm: BatchNorm = "recalibrated"
    recalibration_size: int = 512
    batches: int | None = None
    batch_size: int = 512

    def changed(self, *, whole: bool, running: bool) -> Measurement:
        """Return it on all validation images, or else as GeneticNAS's code measures fitness.

        That is by running averages, on one batch where this one would use all images.
        """
        batches = None if whole else self.batches or 1
        return replace(self, batches=batches, batch_norm="running" if running else self.batch_norm)

    def __post_init__(self) -> None:
        if self.batch_norm not in ("recalibrated", "batch", "running"):
            raise InputError(
                f"batch_norm is recalibrated, batch or running; got {self.batch_norm!r}."
            )
        batches = 1 if self.batches is None else self.batches
        sizes = (self.recalibration_size, self.batch_size, batches)
        if min(sizes) < 1:
            raise InputError(f"Sizes and numbers of batches are at least 1; got {sizes}.")


class SupernetAccuracy:
    """Measures individuals on the validation part of a data set; weights stay as they are."""

    def __init__(
        self,
        supernet: Supernet,
        dataset: Dataset,
        recipe: Recipe,
        execution: Execution,
        measurement: Measurement,
    ) -> None:
        self.supernet, self.dataset = supernet, dataset
        self.execution, self.measurement = execution, measurement
        self.device = dataset.train.labels.device
        self.pipeline = Pipeline(dataset, recipe.augmentation, model_dtype(execution.precision))

    def of_paths(self, genotypes: Sequence[Genotype], seed: int) -> list[tuple[float, float]]:
        """Return (accuracy in percent, mean cross-entropy) of each genotype.

        `seed` says which images recalibrate and, where not all are used, which validate.
        Identical genotypes are measured once.
        """
        unique = list(dict.fromkeys(genotypes))
        found: dict[Genotype, tuple[float, float]] = {}
        for start in range(0, len(unique), _AT_ONCE):
            some = unique[start : start + _AT_ONCE]
            forwards = [partial(self.supernet.forward_path, genotype=g) for g in some]
            together = partial(self.supernet.paths_together, genotypes=some)
            found.update(zip(some, self._measured(forwards, together, seed), strict=True))
        return [found[genotype] for genotype in genotypes]

    def of_mixtures(self, weights: Tensor, seed: int) -> list[tuple[float, float]]:
        """Return (accuracy in percent, mean cross-entropy) of each mixture [n, *alpha_shape].

        Identical mixtures are measured once.
        """
        unique, position = torch.unique(weights, dim=0, return_inverse=True)
        found: list[tuple[float, float]] = []
        for some in unique.split(_AT_ONCE):
            forwards = [partial(self.supernet.forward_mixture, weights=row) for row in some]
            together = partial(self.supernet.mixtures_together, weights=some)
            found += self._measured(forwards, together, seed)
        return [found[i] for i in position.tolist()]

    def of_weighed(self, weights: Tensor, edges: Tensor, seed: int) -> list[tuple[float, float]]:
        """Return the same of mixtures whose edges are weighed by `edges` [n, *edge_shape]."""
        pairs = zip(weights, edges, strict=True)
        weighed = self.supernet.forward_weighed
        forwards = [partial(weighed, weights=row, edges=edge) for row, edge in pairs]
        together = partial(self.supernet.weighed_together, weights=weights, edges=edges)
        return self._measured(forwards, together, seed)

    @torch.no_grad()
    def _measured(
        self,
        forwards: Sequence[Callable[[Tensor], Tensor]],
        together: Callable[..., Tensor],
        seed: int,
    ) -> list[tuple[float, float]]:
        generator = torch.Generator()
        generator.manual_seed(seed)
        totals = torch.zeros(2, len(forwards), dtype=torch.float64, device=self.device)
        statistics = self._statistics(forwards, generator)
        images = 0
        for inputs, labels in self._validation(generator):
            with autocast(self.device, self.execution.precision):
                if self.measurement.batch_norm == "batch":
                    logits = self._with_batch_statistics(forwards, inputs)
                else:
                    logits = together(inputs, statistics=statistics)
            logits = logits.to(self.pipeline.dtype)
            totals[0] += (logits.argmax(2) == labels).sum(1)
            expected = labels.expand(len(logits), -1)
            losses = F.cross_entropy(logits.flatten(0, 1), expected.flatten(), reduction="none")
            totals[1] += losses.view(expected.shape).sum(1)
            images += len(labels)
        correct, loss = (totals / images).tolist()
        return [(100 * c, value) for c, value in zip(correct, loss, strict=True)]

    def _statistics(
        self, forwards: Sequence[Callable[[Tensor], Tensor]], generator: torch.Generator
    ) -> Statistics | None:
        """Return the individuals' own statistics, on a training batch without augmentation."""
        if self.measurement.batch_norm != "recalibrated":
            return None
        part = self.dataset.train
        order = torch.randperm(len(part), generator=generator)
        chosen = sent(order[: self.measurement.recalibration_size], self.device)
        ((images, _),) = part.batches([chosen])
        inputs = self._prepared(images)
        with autocast(self.device, self.execution.precision):
            return recalibrated(self.supernet, [partial(f, inputs) for f in forwards])

    def _with_batch_statistics(
        self, forwards: Sequence[Callable[[Tensor], Tensor]], inputs: Tensor
    ) -> Tensor:
        """Return the logits with each layer normalised by this very batch; [n, b, classes]."""
        logits: list[Tensor] = []

        def keep(forward: Callable[[Tensor], Tensor]) -> Tensor:
            logits.append(forward(inputs))
            return logits[-1]

        recalibrated(self.supernet, [partial(keep, forward) for forward in forwards])
        return torch.stack(logits)

    def _validation(self, generator: torch.Generator) -> Iterator[Batch]:
        part, size = self.dataset.valid, self.measurement.batch_size
        if self.measurement.batches is None:
            batches = part.runs(size)
        else:
            order = sent(torch.randperm(len(part), generator=generator), self.device)
            batches = part.batches(torch.split(order, size)[: self.measurement.batches])
        for images, labels in batches:
            yield self._prepared(images), labels

    def _prepared(self, images: Tensor) -> Tensor:
        inputs = self.pipeline.evaluation(images)
        if self.execution.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return inputs
