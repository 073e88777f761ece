"""The package nas-bench-201 as a source: its API object, shielded from its traps.

`NASBench201Adapter` reads the object's data and calls none of its query methods, because they
return -1 for a NumPy integer, raise for a recipe given as text in places and as a number in others,
and draw trials from Python's global random state. Here cells are texts or integers of any kind,
recipes are numbers of epochs, and every draw takes a generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nasbench_evo.errors import DataError, InputError, Unsupported, unknown
from nasbench_evo.tables.importing.collector import Collector
from nasbench_evo.tables.importing.official import architecture

VIA = "nas-bench-201"
_TRAININGS = {"cifar10": "cifar10-valid"}  # what a search trains on, where it differs


class Simulated(NamedTuple):
    """One simulated training: what a search would have seen and paid."""

    valid_accuracy: float  # percent
    latency: float | None  # seconds
    seconds: float  # training and one validation


class NASBench201Adapter:
    """A `NASBench201API` object (or NATS-Bench's, loaded whole) behind a plain interface."""

    def __init__(self, api: Any) -> None:
        for name in ("meta_archs", "arch2infos_dict"):
            if not hasattr(api, name):
                raise InputError(
                    f"Expected a NASBench201API object; {type(api).__name__} has no {name}."
                )
        self._cells = list(api.meta_archs)
        self._results: Mapping[int, Mapping[str, Any]] = api.arch2infos_dict
        self._indexes = {cell: index for index, cell in enumerate(self._cells)}

    def index(self, cell: str | int | np.integer[Any]) -> int:
        """Return the package's index of a cell; raise InputError if it has none of that name."""
        if isinstance(cell, str):
            if cell not in self._indexes:
                raise InputError(f"The package's data has no cell {cell!r}.")
            return self._indexes[cell]
        index = int(cell)
        if not 0 <= index < len(self._cells):
            raise InputError(f"A cell's index is 0..{len(self._cells) - 1}; got {cell}.")
        return index

    def results(self, cell: str | int | np.integer[Any], epochs: int | str) -> Any:
        """Return the package's results of a cell; raise InputError for unknown epochs."""
        index = self.index(cell)
        if index not in self._results:
            raise InputError(f"The package's data has no results of cell {index}.")
        recipes = self._results[index]
        for key, found in recipes.items():
            if int(key) == int(epochs):
                return found
        raise InputError(f"Expected epochs among {', '.join(recipes)}; got {epochs}.")

    def seeds(self, cell: str | int, dataset: str, epochs: int) -> list[int]:
        """Return the seeds of a cell's trials on a training set, rising."""
        by_dataset = self.results(cell, epochs).dataset_seed
        if dataset not in by_dataset:
            raise unknown("data set", dataset, by_dataset)
        return sorted(by_dataset[dataset])

    def simulate(
        self, cell: str | int, dataset: str, *, epochs: int, rng: np.random.Generator
    ) -> Simulated:
        """Return one trial, drawn with `rng`, as the benchmark simulates a training.

        Raises Unsupported where the data has no validation split or no times.
        """
        training = _TRAININGS.get(dataset, dataset)
        seeds = self.seeds(cell, training, epochs)
        seed = seeds[int(rng.integers(len(seeds)))]
        state = self.results(cell, epochs).all_results[(training, seed)].state_dict()
        last, key = state["epochs"] - 1, f"x-valid@{state['epochs'] - 1}"
        times = state["train_times"]
        checks = [v for k, v in state["eval_times"].items() if k.startswith("x-valid@")]
        if key not in state["eval_acc1es"] or times is None or not checks:
            raise Unsupported(f"No validation accuracy or times of {dataset} at {epochs} epochs.")
        latency = state["latency"]
        return Simulated(
            valid_accuracy=float(state["eval_acc1es"][key]),
            latency=float(sum(latency) / len(latency)) if latency else None,
            seconds=float(sum(times[e] for e in range(last + 1)) + sum(checks) / len(checks)),
        )

    def entries(self) -> Mapping[int, Mapping[str, Any]]:
        """Return the results by index and recipe."""
        return self._results


def collect(api: Any, collector: Collector) -> None:
    """Gather every trial of an API object; raise DataError where its data is not well formed."""
    adapter = NASBench201Adapter(api)
    for index, recipes in adapter.entries().items():
        states = {name: results.state_dict() for name, results in recipes.items()}
        architecture(int(index), states, collector)


def open_api(path: Path, via: str = VIA) -> Any:
    """Return the package's API object on a file, read by torch with plain numbers allowed only.

    Raises Unsupported where the package or torch is not installed, DataError where it fails.
    """
    if via != VIA:
        raise unknown("package", via, [VIA])
    try:
        import torch
        from nas_201_api import NASBench201API
    except ImportError as error:
        raise Unsupported(
            f"--via {VIA} needs the package and torch: pip install 'nasbench-evo[nb201,train]'. "
            "Without --via the file is read without either."
        ) from error
    from _codecs import encode

    from numpy._core.multiarray import scalar

    allowed: list[Any] = [
        scalar,
        (scalar, "numpy.core.multiarray.scalar"),
        np.dtype,
        *{type(np.dtype(code)) for code in ("f8", "f4", "i8", "i4")},
        encode,
        set,
    ]
    try:
        with torch.serialization.safe_globals(allowed):
            return NASBench201API(str(path), verbose=False)
    except Exception as error:
        raise DataError(f"{path}: the package {VIA} cannot read it: {error!s:.300}") from error
