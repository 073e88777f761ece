"""HW-NAS-Bench: costs of the NAS-Bench-201 cells on six devices, as metrics of a table there is.

Schema of the pickle: `nasbench201` {data set: {metric: [a value a cell], config: [...]}}, cells in
the official order. It has no accuracies: they come from another table.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.errors import DataError
from nasbench_evo.spaces import NASBench201, spellings
from nasbench_evo.spaces.nasbench201 import SIZE
from nasbench_evo.tables.importing.stand_ins import Array

_UNITS = {"latency": "ms", "energy": "mJ"}
_CONFIG = "config"


def is_root(root: Any) -> bool:
    """Return whether the content of a file is this benchmark's."""
    found = root.get(NASBench201.name) if type(root) is dict else None
    return type(found) is dict and any(
        type(metrics) is dict and any(name.endswith("_latency") for name in metrics)
        for metrics in found.values()
    )


def metrics(root: Any, origin: str) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Return {data set: {metric with its unit: [G]}}, cells in the order of the space.

    Raises DataError for a metric that is no list of a number for each cell, and where the printed
    cells are not in the official order.
    """
    order = np.array(spellings.official_order())
    result: dict[str, dict[str, NDArray[np.float64]]] = {}
    for dataset, columns in root[NASBench201.name].items():
        if type(columns) is not dict or type(dataset) is not str:
            raise DataError(f"{origin}, {dataset!r:.40}: expected metrics by name.")
        _check_order(columns.get(_CONFIG), f"{origin}, {dataset}")
        for name, values in columns.items():
            if name == _CONFIG:
                continue
            found = _numbers(values, f"{origin}, {dataset}, {name!r:.40}")
            kind = _UNITS.get(str(name).rpartition("_")[2], "")
            placed = np.empty(SIZE)
            placed[order] = found
            result.setdefault(dataset, {})[f"{name}_{kind}" if kind else str(name)] = placed
    return result


def _check_order(configs: Any, place: str) -> None:
    """Compare the printed cells, where they are there, with the official order."""
    if configs is None:
        return
    space, order = NASBench201(), spellings.official_order()
    if type(configs) is not list or len(configs) != SIZE:
        raise DataError(f"{place}: config is no list of {SIZE} cells.")
    for i, config in enumerate(configs):
        text = config.get("arch_str") if type(config) is dict else None
        if text is None:
            continue
        try:
            index = space.index(space.parse(text))
        except ValueError as error:
            raise DataError(f"{place}, config {i}: {error}") from error
        if index != order[i]:
            raise DataError(f"{place}, config {i}: {text} is not the official cell #{i}.")


def _numbers(values: Any, place: str) -> NDArray[np.float64]:
    """Return a finite number for each cell."""
    plain = values.values if type(values) is Array else values
    try:
        if type(plain) is list:
            plain = [v.values if type(v) is Array else v for v in plain]
        found = np.array(plain, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise DataError(f"{place}: {error}.") from error
    if found.shape != (SIZE,) or not np.isfinite(found).all():
        raise DataError(f"{place}: expected a finite number for each of {SIZE} cells.")
    return found
