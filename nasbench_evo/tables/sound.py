"""What the file of an imported table must hold, whoever made it: checked before it is used."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo import names
from nasbench_evo.errors import DataError, InputError
from nasbench_evo.tables import container
from nasbench_evo.tables.container import Container
from nasbench_evo.tables.table import Table, missing

_LONGEST_LABEL = 1000
_MOST_IMAGES = 2**31
_SPLITS = ("valid_split", "test_split")
_EPOCHS = re.compile("[1-9][0-9]{0,6}")
_MOST_SPREAD = 1 << 29  # bytes of learning curves in memory
_SLACK = 1e-3  # percentage points: float32


class Unsound(ValueError):
    """What is wrong with a file."""


def check_fields(file: Container) -> Container:
    """Return a file; raise DataError where its fields are not those of an imported table."""
    try:
        _fields(file.fields)
        _series(file.arrays)
    except (Unsound, InputError) as error:
        raise DataError(
            f"{file.path} is no table that an import made: {error} Import it again."
        ) from error
    return file


def _fields(fields: dict[str, Any]) -> None:
    names.checked("its label", fields.get("label"), _LONGEST_LABEL)
    source, recipes = fields.get("source"), fields.get("recipes")
    if type(source) is not dict:
        raise Unsound("it does not say its source.")
    for text in (source.get("file", "-"), fields.get("imported", "-")):
        names.checked("where and when it was imported", text, _LONGEST_LABEL)
    if type(recipes) is not dict or not recipes:
        raise Unsound("it has no length of training.")
    for epochs, content in recipes.items():
        if not _EPOCHS.fullmatch(epochs) or type(content) is not dict:
            raise Unsound(f"{epochs!a:.40} is no length of training.")
        _recipe(content)


def _series(arrays: dict[str, NDArray[Any]]) -> None:
    """Check the shapes of EPOCHS/training/split/metric/last, [N, T], and .../curve, [N, T, E]."""
    for name, array in arrays.items():
        *parts, kind = name.split("/")
        if kind not in ("last", "curve"):
            continue
        last = arrays.get("/".join([*parts, "last"]))
        known = len(parts) == 4 and _EPOCHS.fullmatch(parts[0]) and last is not None
        if not known or last is None or last.ndim != 2 or array.dtype.kind != "f":
            raise Unsound(f"{name!a:.100} is no series of numbers.")
        if array.ndim != (2 if kind == "last" else 3) or array.shape[:2] != last.shape:
            raise Unsound(f"{name!a:.100} has the shape {array.shape}.")


def _recipe(content: dict[str, Any]) -> None:
    if not {"datasets", "images"} <= set(content) <= {"datasets", "images", *_SPLITS}:
        raise Unsound(f"a length of training has the fields {sorted(content)!a:.200}.")
    datasets, images = content["datasets"], content["images"]
    if any(type(value) is not list or len(value) != len(datasets) for value in content.values()):
        raise Unsound("its data sets, images and splits are not lists of one length.")
    if not datasets or len(set(map(str, datasets))) < len(datasets):
        raise Unsound("it has no data sets, or one of them twice.")
    for name in datasets:
        names.checked("a data set", name)
    for number in images:
        if type(number) is not int or not 0 < number < _MOST_IMAGES:
            raise Unsound(f"a number of images is positive; got {number!a:.40}.")
    for key in _SPLITS:
        for text in content.get(key, ()):
            if text:
                names.checked("a split", text, _LONGEST_LABEL)


def check_curves(file: Container, name: str, size: int) -> None:
    """Raise Unsound for learning curves beyond 0..100, or larger in memory than they may be."""
    curves = file.arrays[name]
    if curves.ndim != 4 or curves.dtype.kind != "f":
        raise Unsound("learning curves are [data set, cell, trial, epoch] numbers.")
    spread = curves.nbytes // curves.shape[1] * size
    if spread > _MOST_SPREAD:
        raise Unsound(
            f"its learning curves take {spread >> 20} MB of memory; {_MOST_SPREAD >> 20} are the "
            "most."
        )
    least, greatest = container.extremes(file, name)
    if least < -_SLACK or greatest > 100 + _SLACK:
        raise Unsound(f"learning curves are 0..100 percent; got {least:g}..{greatest:g}.")


def check_values(table: Table) -> None:
    """Raise Unsound for counts beyond the images, negative times and the like."""
    if table.correct.dtype.kind != "u":
        raise Unsound("counts of images are not negative integers.")
    there = table.correct != missing(table.correct.dtype)
    for d, (name, images) in enumerate(zip(table.datasets, table.images, strict=True)):
        if not there[d].any():
            continue
        most = int(table.correct[d][there[d]].max())
        if most > images:
            raise Unsound(f"{name}: {most} of {images} images are classified right.")
    if table.parameters.dtype.kind != "i" or table.parameters.min() < -1:
        raise Unsound("numbers of parameters are integers, -1 where they are not known.")
    for key in ("train_seconds", "latency_seconds", "valid_seconds", "flops", "valid_loss"):
        _numbers(key, getattr(table, key), 0.0)
    for key, values in table.metrics.items():
        names.checked("a metric", key)
        _numbers(key, values, -np.inf)
    _numbers("measured", table.measured, -np.inf)
    if table.test_accuracy is not None:
        accuracy = table.measured is None
        _numbers("test_accuracy", table.test_accuracy, 0.0 if accuracy else -np.inf)
        if accuracy and np.nanmax(table.test_accuracy, initial=0.0) > 100 + _SLACK:
            raise Unsound("test accuracies are 0..100 percent.")


def _numbers(name: str, values: Any, low: float) -> None:
    if values is None:
        return
    if values.dtype.kind != "f" or np.isinf(values).any():
        raise Unsound(f"{name}: a number that is not finite.")
    least = np.nanmin(values, initial=0.0)
    if least < low:
        raise Unsound(f"{name}: {least:g} is below {low:g}.")
