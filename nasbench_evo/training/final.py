"""The final training of one found genotype, epoch by epoch, and features of it for transfer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.files import write_json
from nasbench_evo.networks import counting
from nasbench_evo.networks.binary_stages import BinaryStagesNetwork
from nasbench_evo.spaces.base import Genotype
from nasbench_evo.training.data.augmentation import Pipeline
from nasbench_evo.training.data.images import Part
from nasbench_evo.training.individuals import TrainingPlan, threads
from nasbench_evo.training.measure import evaluate
from nasbench_evo.training.trainer import Training

_C = 1.0  # of the linear SVM: the library's default; Genetic CNN does not give its own


class FinalTraining:
    """Trains `genotype` by a plan on a device; a checkpoint after each epoch.

    With the file of the plan's `teacher` it distils from it (EIGEN's mimicry).
    """

    def __init__(
        self,
        plan: TrainingPlan,
        genotype: Genotype,
        seed: np.random.SeedSequence,
        checkpoint: Path,
        device: str = "cpu",
        teacher: Path | None = None,
    ) -> None:
        self.plan, self.genotype, self.checkpoint = plan, genotype, checkpoint
        self.dataset = plan.data.load(device)
        network = plan.network_of(genotype, seed)
        self.size = counting.measure(network, self.dataset.shape)
        self.training = Training(
            network,
            self.dataset,
            plan.recipe,
            seed=seed,
            execution=plan.execution,
            teacher=plan.ensemble(teacher, self.dataset),
        )
        self._per_epoch = self.training.stream.per_epoch
        self.epochs = math.ceil(self.training.total / self._per_epoch)

    @property
    def epoch(self) -> int:
        """The number of epochs done."""
        return self.training.iteration // self._per_epoch

    def resume(self) -> None:
        """Go on from the checkpoint; raise DataError if there is none or it is another's."""
        self.training.load(self.checkpoint)

    def run(self, progress: Callable[[int], None]) -> None:
        """Train to the end; `progress` is told of each epoch once its checkpoint is written."""
        total = self.training.total
        with threads(self.plan.threads):
            while self.training.progress.status == "ok" and self.training.iteration < total:
                until = min((self.epoch + 1) * self._per_epoch, total) / total
                self.training.run(until)
                self.training.save(self.checkpoint)
                progress(1)

    def report(self) -> dict[str, Any]:
        """Return what came out, test accuracy included, as plain JSON."""
        result = self.training.run()
        content = {
            "arch": self.plan.space.format(self.genotype),
            "genotype": self.genotype,
            "space": self.plan.space.name,
            "dataset": self.dataset.name,
            "dataset_sha256": self.dataset.sha256,
            "recipe": self.plan.recipe.name,
            "network": dict(self.plan.network),
            "parameters": self.size.parameters,
            "multiply_adds": self.size.multiply_adds,
            **result.to_json(),
        }
        content["test_accuracy"] = content["test_loss"] = None
        if result.status == "ok":
            content["test_accuracy"], content["test_loss"] = evaluate(
                self.training.model,
                self.dataset,
                "test",
                augmentation=self.plan.recipe.augmentation,
                precision=self.plan.execution.precision,
            )
        return content

    def svm(self, dataset: str, per_class: int = 60) -> dict[str, Any]:
        """Return the accuracy of a linear SVM on this network's features of another data set.

        Genetic CNN, Section 4.3: the first fully connected layer, ReLU, square root, l2 norm; at
        most `per_class` training images a class, tested on the test part. Raises Unsupported for
        a network without such a layer, InputError for images of another kind.
        """
        from sklearn.svm import LinearSVC  # type: ignore[import-untyped]  # has none

        network = self.training.model
        if not isinstance(network, BinaryStagesNetwork):
            raise Unsupported("--svm needs the first fully connected layer of binary_stages.")
        device = str(self.dataset.train.labels.device)
        height = self.dataset.shape[1]
        options = replace(self.plan.data, name=dataset, train_size=None, image_size=height)
        other = options.load(device)
        if other.shape != self.dataset.shape:
            raise InputError(
                f"The network was trained on images {self.dataset.shape}; {dataset} has "
                f"{other.shape}. Train it on images of that shape."
            )
        x, y = self._features(network, other.train)
        kept = np.concatenate([np.flatnonzero(y == label)[:per_class] for label in np.unique(y)])
        tested, truth = self._features(network, other.test)
        machine = LinearSVC(C=_C, random_state=0).fit(x[kept], y[kept])
        accuracy = 100 * float(np.mean(machine.predict(tested) == truth))
        return {"dataset": dataset, "images": len(kept), "test_accuracy": accuracy}

    @torch.no_grad()
    def _features(
        self, network: BinaryStagesNetwork, part: Part
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return normalised features [images, outputs] and labels [images] of a part."""
        # The network knows the statistics of the images that it was trained on.
        pipeline = Pipeline(self.dataset, self.plan.recipe.augmentation)
        network.eval()
        features, labels = [], []
        for images, truth in part.runs(self.plan.execution.eval_batch_size):
            outputs = network.float().features(pipeline.evaluation(images))
            features.append(F.normalize(F.relu(outputs).sqrt()).cpu().double().numpy())
            labels.append(truth.cpu().numpy())
        return np.concatenate(features), np.concatenate(labels)

    def write(self, path: Path, content: dict[str, Any]) -> Path:
        """Write a report as JSON; return the path."""
        return write_json(path, content)
