"""How a suite asks for trainings: plain data, checked and made into an evaluator when needed.

torch and pydantic are imported only by the functions, so that a search on a table stays light.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from nasbench_evo.errors import InputError, Unsupported, unknown
from nasbench_evo.evaluators.base import Evaluator, Trainer
from nasbench_evo.evaluators.objective import StandIn, made
from nasbench_evo.evaluators.probing import Probe
from nasbench_evo.external import is_imported, is_outside
from nasbench_evo.spaces import Space


@dataclass(frozen=True)
class TrainingOptions:
    """How the individuals of a search are trained one by one; `settings` is canonical JSON."""

    space: str
    settings: str
    devices: tuple[str, ...]

    def make(self, dataset: str, folder: Path | None, workers: int) -> Trainer:
        """Return the evaluator, `workers` processes a device, its journals in `folder`."""
        from nasbench_evo.evaluators.settings import settings

        made: Trainer = training_module().standalone(
            self.space,
            dataset,
            settings(json.loads(self.settings)),
            devices=self.devices,
            workers=workers,
            folder=folder,
        )
        return made


@dataclass(frozen=True)
class SupernetOptions:
    """How the weights that a search shares are trained, and what it found after it.

    `settings` and `final` are canonical JSON: settings of the supernet, and of the standalone
    trainings of the final genotype (None: it is not trained). A run trains on the first of its
    `devices`; an engine with workers gives each one of them.
    """

    space: str
    settings: str
    devices: tuple[str, ...]
    epochs: int
    probe: Probe | None = None
    final: str | None = None

    def make(self, dataset: str, folder: Path | None, workers: int) -> Trainer:
        """Return the evaluator, its journals in `folder`; `workers` train final genotypes."""
        from nasbench_evo.evaluators.settings import SupernetSettings, read

        final = None
        if self.final is not None:
            final = TrainingOptions(self.space, self.final, self.devices[:1])
        made: Trainer = training_module("supernet").supernet(
            self.space,
            dataset,
            self.epochs,
            read(SupernetSettings, json.loads(self.settings)),
            devices=self.devices[:1],
            folder=folder,
            probe=self.probe,
            final=None if final is None else final.make(dataset, None, workers),
        )
        return made


@dataclass(frozen=True)
class ObjectiveOptions:
    """An objective of somebody's own code; `settings` is canonical JSON."""

    evaluator: str  # package.module:Class
    space: str  # a name, or package.module:Class
    settings: str = "{}"

    @property
    def imported(self) -> bool:
        """Whether all code that it names is imported already."""
        return all(is_imported(name) for name in (self.evaluator, self.space) if is_outside(name))

    def make(self, dataset: str) -> Evaluator:
        """Return the evaluator; raise InputError for what is no objective, or does not fit."""
        from nasbench_evo import spaces

        values = json.loads(self.settings)
        found: Evaluator = made(self.evaluator, dataset, spaces.get(self.space), values)
        return found


_KNOWN: dict[tuple[ObjectiveOptions, str], Evaluator] = {}  # stand-ins and the like


def objective(options: ObjectiveOptions, dataset: str) -> Evaluator:
    """Return the evaluator of an objective, kept for the next run of this process.

    While a results folder is read it is a stand-in, unless its modules are imported already.
    """
    known = _KNOWN.get((options, dataset))
    if known is not None and (type(known) is not StandIn or not options.imported):
        return known
    return _made(options, dataset)


@lru_cache(maxsize=8)
def _made(options: ObjectiveOptions, dataset: str) -> Evaluator:
    return options.make(dataset)


def stand_in(options: ObjectiveOptions, dataset: str, evaluator: Evaluator) -> None:
    """Let `objective` return an evaluator for some options and a data set."""
    _KNOWN[options, dataset] = evaluator


@lru_cache(maxsize=8)
def trainer(
    options: TrainingOptions | SupernetOptions, dataset: str, folder: Path | None, workers: int
) -> Trainer:
    """Return the evaluator of some options, kept for the next run of this process."""
    return options.make(dataset, folder, workers)


def make(
    options: TrainingOptions | SupernetOptions, dataset: str, folder: Path | None, workers: int
) -> Trainer:
    """Return a new evaluator of some options, which the caller closes."""
    return options.make(dataset, folder, workers)


def training_module(name: str = "standalone") -> ModuleType:
    """Return the module of an evaluator that trains; raise Unsupported where torch is missing."""
    try:
        return importlib.import_module(f"nasbench_evo.evaluators.{name}")
    except ImportError as error:
        raise Unsupported(
            f"The {name} evaluator needs torch ({error}): pip install 'nasbench-evo[train]'."
        ) from error


def check(space: str, values: Mapping[str, Any], datasets: Sequence[str]) -> Space:
    """Return the space after checking the settings and names of standalone searches.

    Needs no data set.
    Raises InputError for what is unknown or does not fit, Unsupported where torch is missing.
    """
    from nasbench_evo.evaluators.settings import Settings

    return _checked(Settings, space, values, datasets, search=True)


def check_supernet(
    space: str,
    values: Mapping[str, Any],
    final: Mapping[str, Any] | None,
    datasets: Sequence[str],
    devices: Sequence[str],
) -> Space:
    """Return the space after checking the settings of a supernet and of its final trainings."""
    from nasbench_evo.evaluators.settings import Settings, SupernetSettings

    made = _checked(SupernetSettings, space, values, datasets, search=True)
    check_shared_devices(devices)
    if final is not None:
        own = _checked(Settings, space, final, datasets, search=False)
        # the relaxations may differ: no final training has one
        if getattr(own, "cardinalities", None) != getattr(made, "cardinalities", None):
            raise InputError("The final trainings need the space of the supernet: same nodes.")
    return made


def check_devices(devices: Sequence[str]) -> None:
    """Raise InputError for a device that is not there, Unsupported where torch is missing."""
    training_module()
    from nasbench_evo.training.execution import check_device

    for device in devices:
        check_device(device)


def check_shared_devices(devices: Sequence[str]) -> None:
    """Raise InputError for devices of several kinds: supernets differ by that, not by number."""
    if len({device.split(":")[0] for device in devices}) != 1:
        raise InputError(
            f"Supernets of one suite train on one kind of device; got {', '.join(devices)}."
        )


def shared_settings(
    asked: Mapping[str, Any], given: Mapping[str, Any], dataset: str
) -> dict[str, Any]:
    """Return the settings of shared weights: those given, before those `asked` by a method.

    A data set's own recipe goes before a method's: truth tables of it were trained by that.
    """
    from nasbench_evo.evaluators.settings import OWN_SEARCH_RECIPE

    own = {"recipe"} if dataset in OWN_SEARCH_RECIPE else set()
    return {**{name: value for name, value in asked.items() if name not in own}, **given}


def _checked(
    kind: Any, space: str, values: Mapping[str, Any], datasets: Sequence[str], *, search: bool
) -> Space:
    from nasbench_evo.evaluators.settings import read

    chosen = read(kind, values)
    chosen.check_space(space)
    if search:
        chosen.check_search()
    module = training_module()
    for dataset in datasets:
        module.recipe_of(chosen, space, dataset)
        if dataset not in module.SOURCES:
            raise unknown("data set", dataset, module.SOURCES)
    made: Space = chosen.make_space(space, chosen.image_size)
    module.network_of(chosen, made)
    return made
