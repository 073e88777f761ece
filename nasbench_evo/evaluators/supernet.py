"""The supernet evaluator: individuals are measured with weights that they all share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nasbench_evo.errors import InputError
from nasbench_evo.evaluators.journal import run_folder
from nasbench_evo.evaluators.probing import Probe
from nasbench_evo.evaluators.settings import SupernetSettings
from nasbench_evo.evaluators.standalone import StandaloneEvaluator, data_of, recipe_of
from nasbench_evo.evaluators.supernet_plan import SupernetPlan
from nasbench_evo.evaluators.supernet_session import SupernetSession
from nasbench_evo.spaces.base import Genotype, Space
from nasbench_evo.training import (
    Dataset,
    Execution,
    Recipe,
    checkpoint,
)
from nasbench_evo.training.individuals import Trained
from nasbench_evo.training.supernet_accuracy import Measurement


class SupernetEvaluator:
    """Trains one supernet a run on `plan.data` and measures individuals with its weights.

    In `folder` each run keeps a journal and a checkpoint, so that a killed run goes on. `probe`
    measures a fixed sample of genotypes along the way. `final` trains what a search found.
    `origin` are the arguments of `supernet` that make the plan again: checkpoints hold them.
    """

    name = "supernet"

    def __init__(
        self,
        plan: SupernetPlan,
        *,
        device: str = "cpu",
        folder: Path | None = None,
        checkpoint_every: int = 1,
        probe: Probe | None = None,
        final: StandaloneEvaluator | None = None,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        self.plan = plan
        self.origin = dict(origin or {})
        self.device = device
        self.folder = folder
        self.checkpoint_every = checkpoint_every
        self.probe = probe
        self.final = final

    @property
    def space(self) -> Space:
        """The space of the supernet."""
        return self.plan.space

    @property
    def dataset(self) -> str:
        """The name of the data set."""
        return self.plan.data.name

    @cached_property
    def data(self) -> Dataset:
        """The data set, on the device."""
        return self.plan.data.load(self.device)

    def identity(self) -> dict[str, Any]:
        """Return all that the answers depend on, as plain JSON; raise DataError without the data.

        The kind of device belongs to it.
        """
        return {
            "evaluator": self.name,
            **self.plan.identity(),
            # of the CPU's copy: results can be read on a machine without the device
            "sha256": self.plan.data.load().sha256,
            "device": self.device.split(":")[0],
            "probe": None if self.probe is None else asdict(self.probe),
            "final": None if self.final is None else self.final.identity(),
        }

    def start(self, seed: int) -> SupernetSession:
        """Return a session for the run with this seed; it goes on where a killed one stopped.

        Raises DataError for a journal or a checkpoint that is damaged or of another run.
        """
        return SupernetSession(
            self.plan,
            self.data,
            seed,
            identity=self.identity(),
            folder=self.run_folder(seed),
            checkpoint_every=self.checkpoint_every,
            probe=self.probe,
            origin=self.origin,
        )

    def run_folder(self, seed: int) -> Path | None:
        """Return where the run with this seed keeps its journal and checkpoint."""
        return None if self.folder is None else run_folder(self.folder, seed)

    def report(self, genotype: Genotype, seed: int, *, taught: bool = False) -> list[Trained]:
        """Return fresh standalone trainings of a search's final genotype, with test accuracy.

        For reports only: this is where test data is read. None where no `final` is configured.
        They distil from the teacher that `final` has, if any.
        """
        if self.final is None:
            return []
        taught = taught or self.final.plan.teacher is not None
        return self.final.report(genotype, seed, taught=taught)

    def size(self, genotype: Genotype) -> dict[str, int]:
        """Return `parameters` and `multiply_adds` of the network that `final` trains."""
        return {} if self.final is None else self.final.size(genotype)

    def close(self) -> None:
        """End the processes that train final genotypes."""
        if self.final is not None:
            self.final.close()


def supernet(
    space: str,
    dataset: str,
    epochs: int,
    settings: SupernetSettings | None = None,
    *,
    devices: Sequence[str] = ("cpu",),
    folder: Path | None = None,
    probe: Probe | None = None,
    final: StandaloneEvaluator | None = None,
) -> SupernetEvaluator:
    """Return the evaluator of a space and a data set by name, for a search of `epochs` epochs.

    Raises InputError for settings that do not fit, DataError without the data set.
    """
    chosen = settings or SupernetSettings()
    chosen.check_search()
    made = chosen.make_space(space, chosen.image_size)
    if len(devices) != 1:
        raise InputError(f"A supernet trains on one device; got {', '.join(devices)}.")
    measurement = Measurement(
        chosen.batch_norm,
        chosen.recalibration_size,
        chosen.validation_batches,
        chosen.evaluation_batch_size,
    )
    execution = Execution(
        precision=chosen.precision,
        channels_last=chosen.channels_last,
        deterministic=chosen.deterministic,
    )
    execution.check_device(devices[0])
    plan = SupernetPlan(
        data_of(chosen, space, dataset),
        made,
        _for_shared(recipe_of(chosen, space, dataset)).scaled(epochs),
        execution,
        measurement,
        tuple(chosen.network_options().items()),
        chosen.threads,
    )
    return SupernetEvaluator(
        plan,
        device=devices[0],
        folder=folder,
        checkpoint_every=chosen.checkpoint_every,
        probe=probe,
        final=final,
        origin={
            "space": space,
            "dataset": dataset,
            "epochs": epochs,
            "settings": chosen.model_dump(mode="json", exclude_unset=True),
        },
    )


def _for_shared(recipe: Recipe) -> Recipe:
    """Return a recipe without what only a final network has."""
    return replace(recipe, drop_path=0.0, auxiliary_weight=0.0)


__all__ = ["SupernetEvaluator", "SupernetPlan", "SupernetSession", "checkpoint", "supernet"]
