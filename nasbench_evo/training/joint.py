"""Many small trainings at once: networks of mixed topology trained as one network."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.networks.nasbench201.network import NASBench201Network
from nasbench_evo.training.data.augmentation import Pipeline
from nasbench_evo.training.data.batches import BatchStream
from nasbench_evo.training.data.datasets import Dataset
from nasbench_evo.training.data.images import Batch
from nasbench_evo.training.execution import Execution, out_of_memory, sgd
from nasbench_evo.training.joint_layers import Stacked
from nasbench_evo.training.joint_network import JointNetwork
from nasbench_evo.training.measure import at_once, autocast, model_dtype
from nasbench_evo.training.recipes import Recipe
from nasbench_evo.training.results import Progress, TrainingResult
from nasbench_evo.training.seeding import Seed, words
from nasbench_evo.training.trainer import Training

FEW = 2**16  # numbers in an activation: below, fewer kernels are worth some zeros in them


def obstacles(recipe: Recipe, execution: Execution) -> list[str]:
    """Return the names of what couples networks, so that they cannot be trained jointly."""
    found = {
        "gradient_clip": recipe.gradient_clip,
        "drop_path": recipe.drop_path,
        "auxiliary_weight": recipe.auxiliary_weight,
        "precision='fp16'": execution.precision == "fp16",
        "channels_last=False": not execution.channels_last,
    }
    return [name for name, on in found.items() if on]


class JointTraining:
    """The trainings of K networks of the NAS-Bench-201 space, in one process and one network.

    Network k ends as `Training(networks[k], ..., seed=seeds[k])` would end, up to rounding: it
    sees the same batches, augmented by the same draws. `run` goes on to a fraction of the full
    length and leaves the weights in `networks`. One that diverges does not touch the others.

    Raises InputError when the networks differ in more than their cells, and Unsupported for what
    couples the networks: gradient clipping, drop-path, an auxiliary head, fp16, NCHW memory.
    """

    def __init__(
        self,
        networks: Sequence[NASBench201Network],
        dataset: Dataset,
        recipe: Recipe,
        *,
        seeds: Sequence[Seed],
        execution: Execution | None = None,
    ) -> None:
        if len(networks) != len(seeds):
            raise InputError(f"{len(networks)} networks need as many seeds; got {len(seeds)}.")
        self.dataset, self.recipe = dataset, recipe
        self.execution = execution or Execution()
        self.device = dataset.train.labels.device
        self._check()
        self.networks = tuple(self.execution.placed(n, self.device) for n in networks)
        joint = JointNetwork(networks, merged=self._numbers(networks) <= FEW)
        self.model = self.execution.placed(joint, self.device).train()
        self._joint = joint
        self.streams = [
            BatchStream(
                len(dataset.train),
                recipe.batch_size,
                words(seed)[0],
                self.device,
                keep_last=recipe.keep_last_batch,
            )
            for seed in seeds
        ]
        self.per_epoch = self.streams[0].per_epoch
        self.total = recipe.iterations(self.per_epoch)
        self.pipeline = Pipeline(
            dataset, recipe.augmentation, model_dtype(self.execution.precision)
        )
        self.optimizer = sgd(self.model, recipe, self.device)
        self._forward: Any = self.execution.forward_of(self.model)
        self._totals = torch.zeros(2, len(seeds), dtype=torch.float64, device=self.device)
        self._images = 0  # seen by each network in this epoch so far
        self.progress = [Progress() for _ in seeds]
        self.iteration = 0

    def _numbers(self, networks: Sequence[NASBench201Network]) -> int:
        """Return how many numbers an activation of all networks has, in the first stage."""
        _, height, width = self.dataset.shape
        channels = networks[0].classifier.in_features // 4 if networks else 0
        return len(networks) * channels * height * width * self.recipe.batch_size

    def _check(self) -> None:
        self.execution.check_device(self.device)
        for name in obstacles(self.recipe, self.execution):
            raise Unsupported(f"{name} does not work in joint training; use Training instead.")

    def run(self, until: float = 1.0) -> list[TrainingResult]:
        """Train to the fraction `until` of the full length; return each network's result.

        Out of memory, all of them are "failed": train fewer together. Raises InputError when
        `until` is not in (0, 1] or lies before what is done.
        """
        target = round(until * self.total)
        if not (0 < until <= 1 and target >= self.iteration):
            raise InputError(
                f"until is a fraction above 0, at most 1, and not less than what is done "
                f"({self.iteration / self.total:g}); got {until}."
            )
        started, problem = time.perf_counter(), ""
        with self.execution.applied(self.device):
            try:
                while self.iteration < target and self._alive():
                    self._run_in_epoch(target)
                if self._alive():
                    self._validate()
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                problem = str(error).splitlines()[0]
        share = (time.perf_counter() - started) / len(self.progress)
        for progress in self.progress:
            progress.seconds += share
            if problem:
                progress.fail(f"out of memory; train fewer networks jointly: {problem}")
        self._joint.write_back()
        return [p.result(self.total, self.dataset.classes) for p in self.progress]

    # -- trainings that stop halfway -------------------------------------------------------

    def take_over(self, trainings: Sequence[Training]) -> None:
        """Go on from where the trainings of these networks are; raise InputError if not at one."""
        if len({training.iteration for training in trainings}) != 1:
            raise InputError("Trainings that go on jointly must have done as many iterations.")
        for layer, own, members in self._momenta(trainings):
            own.copy_(layer.gather(members))
        self.iteration = trainings[0].iteration
        self.progress = [copy.copy(training.progress) for training in trainings]
        for stream, training in zip(self.streams, trainings, strict=True):
            stream.load(training.stream.state())
        self._totals = torch.stack([training.totals[:2] for training in trainings], 1)
        self._images = int(trainings[0].totals[2])

    def hand_over(self, trainings: Sequence[Training]) -> None:
        """Leave all that the trainings of these networks need to go on alone."""
        for layer, own, members in self._momenta(trainings):
            layer.scatter(own, members)
        for k, (stream, training) in enumerate(zip(self.streams, trainings, strict=True)):
            training.progress = self.progress[k]
            training.stream.load(stream.state())
            training.totals[:2], training.totals[2] = self._totals[:, k], self._images

    def _momenta(
        self, trainings: Sequence[Training]
    ) -> Iterator[tuple[Stacked, Tensor, list[Tensor]]]:
        """Yield (layer, momentum of a parameter here, those of its members)."""
        if self.recipe.momentum:
            theirs = {p: t.optimizer.state[p] for t in trainings for p in t.model.parameters()}
            for layer in self._joint.stacked():
                for own, members in layer.shared():
                    found = [theirs[p]["momentum_buffer"] for p in members]
                    yield layer, self.optimizer.state[own]["momentum_buffer"], found

    # -- running ---------------------------------------------------------------------------

    def _alive(self) -> list[Progress]:
        return [progress for progress in self.progress if progress.status == "ok"]

    def _batches(self, count: int) -> Iterator[tuple[Batch, ...]]:
        """Yield one batch per network, `count` times or until the epoch ends."""
        parts = [self.dataset.train.batches(stream.take(count)) for stream in self.streams]
        return zip(*parts, strict=True)

    def _run_in_epoch(self, target: int) -> None:
        for batches in self._batches(target - self.iteration):
            inputs = [
                self.pipeline.training(images, stream.generator)
                for (images, _), stream in zip(batches, self.streams, strict=True)
            ]
            # Each network has its own batch, in channels of its own.
            self._step(torch.cat(inputs, 1), torch.stack([labels for _, labels in batches]))
            self.iteration += 1
            for progress in self._alive():
                progress.iteration = self.iteration
        if self.iteration % self.per_epoch == 0 or self.iteration == self.total:
            self._close_epoch()

    def _step(self, images: Tensor, labels: Tensor) -> None:
        """Update all networks: images [batch, K * c, h, w], labels [K, batch]."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate_at(self.iteration, self.per_epoch)
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.device, self.execution.precision):
            logits = self._forward(images.contiguous(memory_format=torch.channels_last))
        logits = logits.to(self.pipeline.dtype)
        losses = F.cross_entropy(
            logits.flatten(0, 1),
            labels.flatten(),
            reduction="none",
            label_smoothing=self.recipe.label_smoothing,
        ).view_as(labels)
        # The sum over networks of the mean over the batch: each network's gradient is its own.
        torch.autograd.backward(losses.mean(1).sum())
        self.optimizer.step()
        self._joint.hold()
        self._totals[0] += (logits.detach().argmax(2) == labels).sum(1)
        self._totals[1] += losses.detach().sum(1)
        self._images += labels.shape[1]

    def _close_epoch(self) -> None:
        """Put the epoch on every learning curve; here is the epoch's only wait for the device."""
        figures = (self._totals / self._images).T.tolist()
        self._totals.zero_()
        self._images = 0
        epoch = -(-self.iteration // self.per_epoch)
        for progress, (_, loss) in zip(self.progress, figures, strict=True):
            # before the validation, which counts for those only that are still sound
            if progress.status == "ok" and not math.isfinite(loss):
                progress.diverge("the training loss is not finite")
        if epoch % self.execution.valid_every == 0 or self.iteration == self.total:
            self._validate()
        for progress, (correct, loss) in zip(self.progress, figures, strict=True):
            if progress.status == "ok":
                progress.add_epoch(epoch, 100 * correct, loss)

    @torch.no_grad()
    def _validate(self) -> None:
        """Measure all networks on the validation part, unless that was just done."""
        if all(progress.valid_at == self.iteration for progress in self._alive()):
            return
        part, totals = self.dataset.valid, torch.zeros_like(self._totals)
        self.model.eval()
        for images, labels in part.runs(at_once(self.model, part, self.execution.eval_batch_size)):
            # one batch for all networks: the stem takes that too
            inputs = self.pipeline.evaluation(images)
            with autocast(self.device, self.execution.precision):
                logits = self.model(inputs.contiguous(memory_format=torch.channels_last))
            logits = logits.to(self.pipeline.dtype)
            totals[0] += (logits.argmax(2) == labels).sum(1)
            repeated = labels.repeat(len(logits))
            losses = F.cross_entropy(logits.flatten(0, 1), repeated, reduction="none")
            totals[1] += losses.view(len(logits), -1).sum(1)
        self.model.train()
        for progress, (correct, loss) in zip(self.progress, totals.T.tolist(), strict=True):
            if progress.status == "ok":
                progress.validated(100 * correct / len(part), loss / len(part))
