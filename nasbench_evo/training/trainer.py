"""The trainer: one network, one recipe, stopped and continued at any iteration."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nasbench_evo.errors import DataError, InputError
from nasbench_evo.training import checkpoint
from nasbench_evo.training.data.augmentation import Pipeline
from nasbench_evo.training.data.batches import BatchStream
from nasbench_evo.training.data.datasets import Dataset
from nasbench_evo.training.distillation import first_output, training_loss
from nasbench_evo.training.execution import Execution, out_of_memory, sgd
from nasbench_evo.training.measure import autocast, measure, model_dtype
from nasbench_evo.training.recipes import Recipe, identity
from nasbench_evo.training.results import Progress, TrainingResult
from nasbench_evo.training.seeding import Seed, TorchState, words
from nasbench_evo.training.teacher_logits import ask, known_logits


class Training:
    """The training of one network; `run(until)` goes on to a fraction of the full length.

    A run to 20%, then 80%, then 100% equals one run to 100% bit for bit, also across `state()`,
    `save()` and `load()`. `model` maps [batch, channels, h, w] to logits [batch, classes], or in
    training to (logits, auxiliary logits); it is moved to the data set's device. `teacher` maps
    the same inputs to logits, and is used in eval mode. Randomness comes from `seed` alone.

    Raises InputError when recipe, model and execution do not fit together.
    """

    def __init__(
        self,
        model: nn.Module,
        dataset: Dataset,
        recipe: Recipe,
        *,
        seed: Seed,
        execution: Execution | None = None,
        teacher: nn.Module | None = None,
    ) -> None:
        self.dataset, self.recipe = dataset, recipe
        self.execution = execution or Execution()
        self.device = dataset.train.labels.device
        self.model = self.execution.placed(model, self.device).train()
        self.teacher = teacher
        if teacher is not None:
            self.execution.placed(teacher, self.device).eval()
        self._check()
        batch_seed, dropout_seed, _ = words(seed)
        self.stream = BatchStream(
            len(dataset.train),
            recipe.batch_size,
            batch_seed,
            self.device,
            keep_last=recipe.keep_last_batch,
        )
        self.total = recipe.iterations(self.stream.per_epoch)
        dtype = model_dtype(self.execution.precision)
        self.pipeline = Pipeline(dataset, recipe.augmentation, dtype)
        self.optimizer = sgd(self.model, recipe, self.device)
        self._forward: Any = self.execution.forward_of(self.model)
        self._scaler = torch.amp.GradScaler(
            self.device.type, enabled=self.execution.precision == "fp16"
        )
        self._torch = TorchState(dropout_seed, self.device)
        self.totals = torch.zeros(3, dtype=torch.float64, device=self.device)
        self.progress = Progress()
        self._identity = self._fingerprint(batch_seed)

    def _check(self) -> None:
        self.execution.check_device(self.device)
        if self.recipe.drop_path and not hasattr(self.model, "drop_path_prob"):
            raise InputError(
                f"Recipe {self.recipe.name!r} has drop_path={self.recipe.drop_path}, but the "
                "network has no attribute drop_path_prob; use drop_path=0."
            )

    def _fingerprint(self, batch_seed: int) -> str:
        content = [
            identity(self.recipe), self.dataset.sha256, batch_seed, self.execution.precision,
            self.teacher is not None,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    # -- running ---------------------------------------------------------------------------

    def run(self, until: float = 1.0) -> TrainingResult:
        """Train until the fraction `until` of the full length is done; return what came out.

        A training that diverged or failed stays so. Raises InputError when `until` is not in
        (0, 1] or lies before what is already done.
        """
        target = round(until * self.total)
        if not (0 < until <= 1 and target >= self.iteration):
            raise InputError(
                f"until is a fraction above 0, at most 1, and not less than what is done "
                f"({self.iteration / self.total:g}); got {until}."
            )
        started = time.perf_counter()
        problem = ""
        with self.execution.applied(self.device), self._torch.active():
            try:
                while self.progress.status == "ok" and self.iteration < target:
                    self._run_in_epoch(target)
                if self.progress.status == "ok":
                    self._validate()
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                problem = str(error).splitlines()[0]
        if problem:
            self.progress.fail(
                f"out of memory, batches split {self.progress.batch_splits}: {problem}"
            )
            # the memory goes back: other trainings follow in this process
            self.optimizer.zero_grad(set_to_none=True)
        self.progress.seconds += time.perf_counter() - started
        return self.result()

    def _run_in_epoch(self, target: int) -> None:
        """Train to the end of this epoch or to `target`, whichever comes first."""
        per_epoch = self.stream.per_epoch
        if self.recipe.drop_path:
            probability: Any = self.recipe.drop_path_at(self.iteration, per_epoch)
            if self.execution.compile:  # a new number would be a new graph
                probability = torch.full((), probability, device=self.device)
            self.model.drop_path_prob = probability
        indices = self.stream.take(target - self.iteration)
        known = known_logits(
            self.teacher, self.dataset.train, self.pipeline, self.execution, self.stream.batch_size
        )
        for index, (images, labels) in zip(
            indices, self.dataset.train.batches(indices), strict=True
        ):
            inputs = self.pipeline.training(images, self.stream.generator)
            self._step(inputs, labels, None if known is None else known[index])
            self.progress.iteration += 1
        if self.iteration % per_epoch == 0 or self.iteration == self.total:
            self._close_epoch()

    def _step(self, images: Tensor, labels: Tensor, target: Tensor | None = None) -> None:
        """Take a step on a batch; `target` are the teacher's logits where they are known."""
        if self.execution.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        rate = self.recipe.learning_rate_at(self.iteration, self.stream.per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        totals = self._gradients(images, labels, target)
        if self.recipe.gradient_clip:
            # the norm to clip is that of the gradients as they are, not as fp16 has them scaled
            self._scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.gradient_clip)
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self.totals += totals

    def _gradients(self, images: Tensor, labels: Tensor, target: Tensor | None) -> Tensor:
        """Set the gradients of a batch; halve the batch, once, if it does not fit into memory."""
        try:
            return self._accumulate(images, labels, target)
        except RuntimeError as error:
            if not out_of_memory(error) or self.progress.batch_splits == 2 or len(labels) < 2:
                raise
        # Out of the except block: the error's traceback keeps the activations alive. BatchNorm
        # layers that had come before the failure take this batch into their averages twice.
        self.progress.batch_splits = 2
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return self._accumulate(images, labels, target)

    def _accumulate(self, images: Tensor, labels: Tensor, target: Tensor | None) -> Tensor:
        """Add up the gradients of the batch's pieces; return [correct, loss sum, images]."""
        totals, splits = torch.zeros_like(self.totals), self.progress.batch_splits
        targets = [None] * splits if target is None else target.chunk(splits)
        pieces = zip(images.chunk(splits), labels.chunk(splits), targets, strict=True)
        for piece, piece_labels, taught in pieces:
            with autocast(self.device, self.execution.precision):
                output = self._forward(piece)
            if taught is None and self.teacher is not None:
                taught = ask(self.teacher, piece, self.execution)
            loss = training_loss(output, piece_labels, self.recipe, taught)
            # A piece's mean, weighed by its share: the pieces' gradients add up to those of the
            # whole batch.
            torch.autograd.backward(self._scaler.scale(loss * (len(piece_labels) / len(labels))))
            totals[0] += (first_output(output).detach().argmax(1) == piece_labels).sum()
            totals[1] += loss.detach() * len(piece_labels)
            totals[2] += len(piece_labels)
        return totals

    # -- reporting -------------------------------------------------------------------------

    def _validate(self) -> None:
        """Measure the validation part, unless there is none or that was done at this iteration."""
        if len(self.dataset.valid) and self.progress.valid_at != self.iteration:
            run = self.execution
            accuracy, loss = measure(
                self.model,
                self.dataset.valid,
                self.pipeline,
                run.eval_batch_size,
                run.precision,
                run.channels_last,
            )
            self.progress.validated(accuracy, loss)

    def _close_epoch(self) -> None:
        """Put the epoch on the learning curve; here is the epoch's only wait for the device."""
        correct, loss, images = self.totals.tolist()
        self.totals.zero_()
        epoch = -(-self.iteration // self.stream.per_epoch)
        if not math.isfinite(loss):
            self.progress.diverge("the training loss is not finite")
            return
        if epoch % self.execution.valid_every == 0 or self.iteration == self.total:
            self._validate()
        if self.progress.status == "ok":
            self.progress.add_epoch(epoch, 100 * correct / images, loss / images)

    @property
    def iteration(self) -> int:
        """The number of iterations done."""
        return self.progress.iteration

    def result(self) -> TrainingResult:
        """Return what the last `run` returned; NaN figures before the first."""
        found = self.progress.result(self.total, self.dataset.classes)
        if len(self.dataset.valid):
            return found
        return replace(found, valid_accuracy=math.nan, valid_loss=math.nan)

    # -- state -----------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return a copy of everything that the rest of the training depends on."""
        return copy.deepcopy(self._state())

    def _state(self) -> dict[str, Any]:
        """Return what `state` copies, as it is: a training that goes on changes it."""
        return {
            "identity": self._identity,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "stream": self.stream.state(),
            "torch": self._torch.values,
            "totals": self.totals,
            "progress": asdict(self.progress),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken.

        Raises DataError if it is of another training, or of another kind of device: a CPU cannot
        draw the numbers that CUDA would have drawn, nor the reverse.
        """
        self._take(copy.deepcopy(state))

    def _take(self, state: dict[str, Any]) -> None:
        """Go on from a state that nobody else has."""
        if state.get("identity") != self._identity:
            raise DataError(
                "The state is of another training: recipe, data set, split, seed, precision and "
                "the presence of a teacher must be the same. Train anew or give the same ones."
            )
        # CUDA has a generator of its own beside the CPU's
        if len(state["torch"]) != len(self._torch.values):
            raise DataError(
                f"The state is of a training on another kind of device than {self.device}: its "
                "random numbers cannot go on here. Resume it there; its weights can be read here."
            )
        self.load_weights(state)
        self.optimizer.load_state_dict(state["optimizer"])
        if self._scaler.is_enabled():
            self._scaler.load_state_dict(state["scaler"])
        self.stream.load(state["stream"])
        self._torch.values = state["torch"]
        self.totals = state["totals"].to(self.device)
        self.progress = Progress.from_state(state["progress"])

    def load_weights(self, state: dict[str, Any]) -> None:
        """Take the network's weights and statistics from a state, whatever device it is of."""
        try:
            self.model.load_state_dict(state["model"])
        except RuntimeError as error:
            raise DataError(f"The state is of another network: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write `state()` to a checkpoint file, whole or not at all."""
        checkpoint.save(self._state(), path)

    def load(self, path: str | Path) -> None:
        """Go on from a checkpoint file; raise DataError if it does not fit or is damaged."""
        self._take(checkpoint.load(path, self.device))
