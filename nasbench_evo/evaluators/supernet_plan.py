"""All that the answers of a supernet depend on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nasbench_evo import networks
from nasbench_evo.networks.supernet import Supernet
from nasbench_evo.randomness import seed_sequence
from nasbench_evo.spaces.base import Space, space_identity
from nasbench_evo.training import Dataset, Execution, Recipe, recipes, weights_generator
from nasbench_evo.training.data.sources import Sizes
from nasbench_evo.training.individuals import DataOptions
from nasbench_evo.training.supernet import SupernetTraining
from nasbench_evo.training.supernet_accuracy import Measurement, SupernetAccuracy


@dataclass(frozen=True)
class SupernetPlan:
    """All that the answers of a supernet depend on, but for the seed and the kind of device."""

    data: DataOptions
    space: Space
    recipe: Recipe  # as long as the whole search
    execution: Execution
    measurement: Measurement
    network: tuple[tuple[str, Any], ...] = ()  # options of the space's supernet
    threads: int = 1

    def identity(self) -> dict[str, Any]:
        """Return the plan as plain JSON."""
        return {
            "data": recipes.identity(self.data),
            "space": space_identity(self.space),
            "recipe": recipes.identity(self.recipe),
            "network": dict(self.network),
            "execution": {**asdict(self.execution), "threads": self.threads},
            "measurement": asdict(self.measurement),
        }

    def supernet(self, dataset: Dataset | Sizes, seed: int) -> Supernet:
        """Return the untrained supernet of a run, on the CPU."""
        return networks.build_supernet(
            self.space,
            classes=dataset.classes,
            generator=weights_generator(seed_sequence(seed, "supernet")),
            in_channels=dataset.shape[0],
            initialisation=self.recipe.initialisation,
            **dict(self.network),
        )

    def accuracy(self, supernet: Supernet, dataset: Dataset) -> SupernetAccuracy:
        """Return what measures individuals of a supernet."""
        return SupernetAccuracy(supernet, dataset, self.recipe, self.execution, self.measurement)

    def training(self, dataset: Dataset, seed: int) -> SupernetTraining:
        """Return the untrained supernet of a run, with all that trains it on the data's device."""
        return SupernetTraining(
            self.supernet(dataset, seed),
            dataset,
            self.recipe,
            seed=seed_sequence(seed, "supernet"),
            execution=self.execution,
        )
