"""The teacher of EIGEN's mimicry: Wide-DenseNets, trained once and kept in a file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from filelock import FileLock

from nasbench_evo.networks import wide_densenet
from nasbench_evo.networks.operations import initialise
from nasbench_evo.randomness import seed_sequence
from nasbench_evo.training import checkpoint
from nasbench_evo.training.data.datasets import Dataset
from nasbench_evo.training.distillation import Ensemble
from nasbench_evo.training.execution import Execution
from nasbench_evo.training.measure import evaluate
from nasbench_evo.training.recipes import Recipe
from nasbench_evo.training.seeding import weights_generator
from nasbench_evo.training.trainer import Training


@dataclass(frozen=True)
class Teacher:
    """`networks` Wide-DenseNets of a depth and growth (EIGEN 4.1: four, 40 and 60) and a recipe."""

    networks: int
    depth: int
    growth: int
    recipe: Recipe
    execution: Execution

    def train(self, dataset: Dataset, path: Path) -> Path:
        """Train the ensemble into `path` unless it is there already; return the path.

        The teachers depend on the data set and on nothing of a search: runs share them. Another
        process that trains the same file is waited for.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                states = {str(i): self._train_one(i, dataset) for i in range(self.networks)}
                checkpoint.save({"networks": states}, path)
        return path

    def _train_one(self, i: int, dataset: Dataset) -> dict[str, object]:
        seed = seed_sequence(dataset.split_seed, "teacher", i)
        network = self._network(dataset, i)
        Training(network, dataset, self.recipe, seed=seed, execution=self.execution).run()
        return dict(network.state_dict())

    def _network(self, dataset: Dataset, i: int) -> wide_densenet.WideDenseNet:
        generator = weights_generator(seed_sequence(dataset.split_seed, "teacher", i))
        network = wide_densenet.build(
            classes=dataset.classes,
            generator=generator,
            in_channels=dataset.shape[0],
            depth=self.depth,
            growth=self.growth,
        )
        if self.recipe.initialisation != "kaiming":
            initialise(network, generator, self.recipe.initialisation)
        return network

    def accuracy(self, path: Path, dataset: Dataset) -> float:
        """Return the accuracy of the trained ensemble on the validation part, percent."""
        return evaluate(
            self.load(path, dataset),
            dataset,
            augmentation=self.recipe.augmentation,
            precision=self.execution.precision,
        )[0]

    def load(self, path: Path, dataset: Dataset) -> Ensemble:
        """Return the trained ensemble on the data set's device, kept for the next call."""
        return _loaded(self, path, dataset)


@lru_cache(maxsize=2)
def _loaded(teacher: Teacher, path: Path, dataset: Dataset) -> Ensemble:
    device = dataset.train.labels.device
    states = checkpoint.load(path)["networks"]
    networks = []
    for i in range(teacher.networks):
        network = teacher._network(dataset, i)
        network.load_state_dict(states[str(i)])
        networks.append(network)
    return Ensemble(networks).to(device)
