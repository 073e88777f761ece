"""Tables that a user imported: one file each in a folder of the user's.

The folder is $NASBENCH_EVO_TABLES, or `tables` in the user's data folder. A table of a name is
there whole or not at all.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.errors import DataError, InputError, unknown
from nasbench_evo.files import tables_folder
from nasbench_evo.spaces import Choices, IntegerSpace, choices, spellings
from nasbench_evo.tables import container, sound
from nasbench_evo.tables import metric as metric_
from nasbench_evo.tables.container import Container
from nasbench_evo.tables.importing import sheets, tabular, transnas
from nasbench_evo.tables.importing.collector import METRIC, Collector
from nasbench_evo.tables.importing.columns import Reading
from nasbench_evo.tables.importing.files import Costs, Progress, md5, read_file, read_folder
from nasbench_evo.tables.importing.official import known_as
from nasbench_evo.tables.table import DEFAULT_SPACE, Table

_SUFFIX = ".table"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
INFEASIBLE = "infeasible"
DEFAULT_TABLE = "nasbench201"  # whose accuracies costs of devices stand beside
MISSING_RULES = ("error", INFEASIBLE)  # what a genotype without a result is to a search
_MAPPED = "valid_curve"  # too large to copy into every process


def names() -> list[str]:
    """Return the names of the imported tables; none for a user without a folder for them."""
    try:
        files = list(tables_folder().glob("[!.]*" + _SUFFIX))
    except OSError:
        return []
    return sorted(file.name.removesuffix(_SUFFIX) for file in files)


def path_of(name: str) -> Path:
    """Return the file of a table; raise InputError for a name that cannot be one."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"A table's name is 1 to 64 letters, digits, '_', '.' and '-', first a letter or "
            f"digit; got {name!r}."
        )
    try:
        return tables_folder() / (name + _SUFFIX)
    except OSError as error:
        raise InputError(f"No place for the table {name}: {error.strerror}.") from error


def open_file(name: str) -> Container:
    """Return the open file of an imported table; raise InputError if there is none."""
    path = path_of(name)
    if not path.exists():
        raise unknown("table", name, names())
    return sound.check_fields(container.read(path))


def epochs_of(name: str) -> list[int]:
    """Return the lengths of training that a table has, shortest first."""
    return sorted(map(int, open_file(name).fields["recipes"]))


def load(name: str, epochs: int | None = None) -> Table:
    """Return an imported table at one length of training, the longest if `epochs` is None.

    Raises InputError for a table or a length that is not there, DataError for a damaged file.
    """
    path = path_of(name)
    if not path.exists():
        raise unknown("table", name, names())
    return _load(path, path.stat().st_mtime_ns, name, epochs)


def load_file(path: Path, epochs: int | None = None) -> Table:
    """Return the table in a file that an import made, wherever it lies; called as the file is.

    Raises InputError where there is no such file or length, DataError for a damaged file.
    """
    if not os.path.isfile(path):  # of any text, however long
        raise InputError(f"There is no table {path}. Give the path of a .table file, or a name.")
    name = path.name.removesuffix(_SUFFIX)
    return _load(path, path.stat().st_mtime_ns, name, epochs)


@lru_cache(maxsize=8)
def _load(path: Path, _changed: int, name: str, epochs: int | None) -> Table:
    file = sound.check_fields(container.read(path))
    known = sorted(map(int, file.fields["recipes"]))
    chosen = known[-1] if epochs is None else epochs
    if chosen not in known:
        raise InputError(
            f"The table {name} has trainings of {', '.join(map(str, known))} epochs; got {chosen}."
        )
    try:
        return _table(file, name, chosen, known[-1])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise DataError(
            f"{path} is no table that an import made: {error!s:.200} Import it again."
        ) from error


def _table(file: Container, name: str, chosen: int, longest: int) -> Table:
    """Return the table of a file at one length of training, every value checked."""
    fields: dict[str, Any] = {
        key: tuple(value) for key, value in file.fields["recipes"][str(chosen)].items()
    }
    space, metric = _space(file), metric_.of_content(file.fields.get("metric"), str(file.path))
    prefix = f"{chosen}/"
    arrays: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    for full in file.arrays:
        field = full.removeprefix(prefix)
        if full.startswith(prefix) and "/" not in field:
            kept = container.checked(file, full)
            if field == _MAPPED:
                sound.check_curves(file, full, space.size)
            kept = kept if field == _MAPPED else np.array(kept)
            if field.startswith(METRIC):
                metrics[field.removeprefix(METRIC)] = kept
            else:
                arrays[field] = kept
    cells = arrays.pop("curve_cells", None)
    if cells is not None:
        _check_cells(cells, space.size)
    if cells is not None and len(cells) < space.size:
        arrays["valid_curve"] = _spread(arrays["valid_curve"], cells, space.size)
    table = Table(
        name=name if chosen == longest else f"{name}@{chosen}",
        label=f"{file.fields['label']}, {chosen} epochs",
        sha256=identity(file),
        epochs=chosen,
        metrics=metrics,
        space=space,
        metric=metric,
        infeasible=file.fields.get("missing") == INFEASIBLE,
        **fields,
        **arrays,
    )
    sound.check_values(table)
    return table


def _check_cells(cells: NDArray[Any], size: int) -> None:
    """Raise Unsound unless the cells of learning curves are different rows of the table."""
    rising = cells.ndim == 1 and cells.dtype.kind == "i" and bool((np.diff(cells) > 0).all())
    if not rising or not 0 <= cells[0] <= cells[-1] < size:
        raise sound.Unsound(f"learning curves are of different cells 0..{size - 1}.")


def _space(file: Container) -> IntegerSpace:
    """Return the space of a table: NAS-Bench-201 where the file names none."""
    content = file.fields.get("space")
    return DEFAULT_SPACE if content is None else choices.of_content(content, str(file.path))


def _spread(curves: NDArray[Any], cells: NDArray[np.int64], size: int) -> NDArray[Any]:
    """Return the curves of some cells, [D, N, T, E], with a row for every cell of the space."""
    result = np.full((curves.shape[0], size, *curves.shape[2:]), np.nan, dtype=curves.dtype)
    result[:, cells] = curves
    return result


def identity(file: Container) -> str:
    """Return the hash that runs on a table carry: of its numbers, not of who imported it when.

    Files of earlier versions have none; theirs is the hash of the whole file.
    """
    return str(file.fields.get("content_sha256", file.sha256))


def _content_sha256(
    fields: Mapping[str, Any], recipes: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> str:
    """Return the hash of what a table says: its numbers and what they are called."""
    content = {**fields, "recipes": recipes, "arrays": sorted(container.describe(arrays))}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def details(name: str) -> Mapping[str, NDArray[Any]]:
    """Return every series of an imported table, mapped: EPOCHS/training/split/metric/last|curve.

    `last` is [N, T] float64 after the last epoch, `curve` [N, T, E] float32 after each;
    EPOCHS/training/cells [N] holds the cells' indexes, EPOCHS/training/seeds [N, T] the seeds.
    """
    return open_file(name).arrays


def splits(name: str) -> dict[int, dict[str, dict[str, str]]]:
    """Return for which epochs each split is there: {length: {training: {split: text}}}."""
    arrays = details(name)
    result: dict[int, dict[str, dict[str, str]]] = {}
    for full, last in arrays.items():
        epochs, *rest = full.split("/")
        if rest[-2:] != ["accuracy", "last"]:
            continue
        text = "last epoch only"
        curve = arrays.get(full.removesuffix("last") + "curve")
        if curve is not None:
            holes = np.isnan(curve[:, :, 0]) & ~np.isnan(last)
            text = "every epoch in some trials, the last in all" if holes.any() else "every epoch"
        result.setdefault(int(epochs), {}).setdefault(rest[0], {})[rest[1]] = text
    return result


def save(
    collector: Collector, name: str, source: Mapping[str, Any], *, replace: bool = False
) -> Path:
    """Write what an import gathered as the table `name`; return its file.

    Raises InputError if the name is taken and `replace` is False.
    """
    path = free_path(name, replace=replace)
    arrays, recipes = collector.arrays()
    own: dict[str, Any] = {}  # what only tables of other spaces and metrics have
    if isinstance(collector.space, Choices):
        own["space"] = collector.space.to_json()
    if collector.metric != metric_.ACCURACY:
        own["metric"] = collector.metric.to_json()
    if collector.infeasible:
        own["missing"] = INFEASIBLE
    return _write(path, name, source, own, recipes, arrays)


def _write(
    path: Path,
    name: str,
    source: Mapping[str, Any],
    own: Mapping[str, Any],
    recipes: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
) -> Path:
    """Write a table; `own` is what only some have: space, metric, rule for what is missing."""
    fields = {
        "name": name,
        "label": str(source["label"]),
        "source": dict(source),
        "imported": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "recipes": recipes,
        **own,
        "content_sha256": _content_sha256(own, recipes, arrays),
    }
    try:
        container.write(path, fields, arrays)
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error.strerror or error}.") from error
    return path


def _infeasible(described: Any, asked: str | None) -> bool:
    """Return whether genotypes without a result are failures; InputError for what is no rule."""
    for value in (described, asked):
        if value not in (None, *MISSING_RULES):
            raise unknown("rule for missing results", str(value), MISSING_RULES)
    return (asked or described) == INFEASIBLE


def _with_costs(
    base: str, name: str, costs: Costs, source: Mapping[str, Any], *, replace: bool
) -> Path:
    """Write a table of NAS-Bench-201 again as `name`, with more metrics; return its file."""
    from nasbench_evo.tables import embedded

    path = free_path(name, replace=replace)
    if base == embedded.NAME:
        table = embedded.load()
        length = str(embedded.EPOCHS)
        kept = ("correct", "train_seconds", "latency_seconds", "parameters")
        arrays = {f"{length}/{field}": getattr(table, field) for field in kept}
        described: dict[str, Any] = {
            "datasets": list(table.datasets),
            "images": list(table.images),
            "valid_split": list(table.valid_split or ()),
            "test_split": [""] * len(table.datasets),
        }
        recipes: dict[str, Any] = {length: described}
        own: dict[str, Any] = {}
    else:
        file = open_file(base)
        container.check(file)
        arrays, recipes = dict(file.arrays), file.fields["recipes"]
        own = {key: file.fields[key] for key in ("metric", "missing") if key in file.fields}
        if "space" in file.fields:
            raise InputError(f"The table {base} is of another space than {DEFAULT_SPACE.name}.")
    for length, fields in recipes.items():
        shared = [dataset for dataset in fields["datasets"] if dataset in costs]
        for metric in sorted({metric for dataset in shared for metric in costs[dataset]}):
            unknown_ = np.full(DEFAULT_SPACE.size, np.nan)
            rows = [costs.get(dataset, {}).get(metric, unknown_) for dataset in fields["datasets"]]
            arrays[f"{length}/{METRIC}{metric}"] = np.stack(rows)
    if not any(METRIC in key for key in arrays):
        raise InputError(f"The table {base} has none of the data sets {', '.join(costs)}.")
    return _write(path, name, source, own, recipes, arrays)


def free_path(name: str, *, replace: bool) -> Path:
    """Return the file that a new table would get; raise InputError if it cannot have the name."""
    from nasbench_evo.tables import embedded, hpo

    path = path_of(name)
    if name == embedded.NAME or name in hpo.BENCHMARKS:
        raise InputError(f"{name} is the name of the embedded table. Choose another --name.")
    if path.exists() and not replace:
        raise InputError(f"There is a table {name} in {path.parent}. Choose another, or --replace.")
    return path


def import_path(
    path: Path,
    name: str,
    *,
    progress: Progress,
    replace: bool = False,
    via: str | None = None,
    say: Callable[[str], None] = lambda word: None,
    reading: Reading | None = None,
    space: Path | None = None,
    missing: str | None = None,
    onto: str | None = None,
    part: str | None = None,
) -> Path:
    """Import an official file or folder, or a table of one's own, as `name`; return its file.

    `reading` says what the columns and numbers of a table of one's own are; `say` hears what the
    person should know. `space` is a space.toml, for a table of another space than NAS-Bench-201.
    `missing` says what a search gets for a genotype without a result: "error", or "infeasible".
    `onto` is the table whose accuracies HW-NAS-Bench's costs stand beside (default: the embedded).
    `part` is the space of TransNAS-Bench-101 that is meant: "micro" (the default) or "macro".

    Raises InputError for names, DataError for whatever is wrong with the source, naming the place.
    """
    free_path(name, replace=replace)  # fails before the long part
    if not path.exists():
        raise InputError(f"There is no {path}.")
    if part is not None and part not in transnas.PARTS:
        raise unknown("part", part, transnas.PARTS)
    reading = reading or Reading()
    described = {} if space is None else choices.read(space)
    chosen = DEFAULT_SPACE if space is None else choices.of_content(described, str(space))
    if space is not None and path.suffix.lower() not in sheets.ENDINGS:
        raise InputError(f"--space describes a table of one's own; {path} is none.")
    read = spellings.reader(chosen, reading.spelling, reading.index)
    metric = metric_.of_content(described.get("metric"), str(space))
    collector = Collector(str(path), read, chosen, metric)
    collector.infeasible = _infeasible(described.get("missing"), missing)
    source: dict[str, Any] = {"file": path.name, "label": f"imported from {path.name}"}
    costs: Costs | None = None
    if via is not None:
        from nasbench_evo.tables.importing import adapter

        adapter.collect(adapter.open_api(path, via), collector)
        source["via"] = via
    elif path.is_dir():
        read_folder(path, collector, progress)
    elif path.suffix.lower() in sheets.ENDINGS:
        root: Any = sheets.json_root(path) if path.suffix.lower() == ".json" else None
        if root is not None and transnas.is_root(root):
            transnas.collect(root, collector, part)
        else:
            tabular.read(path, collector, reading, root)
    else:
        costs = read_file(path, collector, progress, part)
    transnas.refuse_part(part, collector.space, path)
    if onto is not None and costs is None:
        raise InputError(
            f"--onto goes with HW-NAS-Bench's costs; {path} has accuracies of its own."
        )
    if path.is_file():
        source["md5"] = md5(path)
        source["known_as"] = known_as(source["md5"])
    if costs is not None:
        base = onto or DEFAULT_TABLE
        source["label"] = f"{base} with costs from {path.name}"
        return _with_costs(base, name, costs, source, replace=replace)
    file = save(collector, name, source, replace=replace)
    for word in collector.words:
        say(word)
    return file
