"""What `rank-correlation` reads: values of genotypes from CSV, JSON, a table or a supernet.

CSV has a column of architectures and one of values, either under a header that has `arch`, or
architectures first and no header; JSON is an object of architecture -> value. Under a header the
values are the only other column, or the one that is called value, accuracy or valid. The truth may
have several values of a genotype, its trials: numbered columns (value_0, value_1), or a list. Every
spelling of an architecture that the space accepts will do.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_evo import tables
from nasbench_evo.analysis.bootstrap import Array
from nasbench_evo.analysis.rank_correlation import RankCorrelation, rank_correlation
from nasbench_evo.errors import DataError, InputError
from nasbench_evo.spaces import Genotype, NASBench201, Space, isomorphism
from nasbench_evo.tables.importing import columns

HEADER = "arch"  # in the first line of a CSV file: it names the columns
VALUES = ("value", "accuracy", "valid")  # what a column of values is called
_FEWEST = 3  # genotypes that can be ranked

Row = tuple[str, str, Sequence[Any]]  # where it stands, its architecture, its values


@dataclass(frozen=True)
class Values:
    """The values of genotypes that one source knows, higher better."""

    source: str  # a file or a table, for messages
    unit: str  # of the values; empty where that is not known
    means: dict[Genotype, float]  # over the trials
    trials: dict[Genotype, tuple[float, ...]]  # one or more, all finite


@dataclass(frozen=True)
class Joined:
    """Two sources on the genotypes [n] that both know, in the order of the first."""

    genotypes: list[Genotype]
    predicted: Array  # [n]
    truth: Array  # [n], mean over the trials
    trials: Array  # [2, m]: the first two trials of the m genotypes that have two
    repeated: list[Genotype]  # [m] those genotypes
    only_predicted: list[Genotype]
    only_truth: list[Genotype]


def read(path: Path, parse: Callable[[str], Genotype], *, several: bool = False) -> Values:
    """Return the values in a .csv or .json file; `several` allows trials of a genotype.

    Raises InputError, naming file and place, for a file that cannot be read, a value that is no
    finite number, an architecture that is none of the space, and a genotype that is there twice.
    """
    readers: dict[str, Callable[[Path], Iterator[Row]]] = {".csv": _csv, ".json": _json}
    kind = path.suffix.lower()
    if kind not in readers:
        raise InputError(f"{path}: expected a file that ends in .csv or .json; save it as one.")
    places: dict[Genotype, str] = {}
    trials: dict[Genotype, tuple[float, ...]] = {}
    try:
        for place, arch, cells in readers[kind](path):
            try:
                genotype = parse(arch)
                values = tuple(map(_number, cells))
                if len(values) > 1 and not several:
                    raise InputError(f"Expected one value of {arch!r}; got {len(values)}.")
                if genotype in places:
                    raise InputError(f"{arch!r} is there already, in {places[genotype]}; keep one.")
            except InputError as error:
                raise InputError(f"{path}, {place}: {error}") from error
            places[genotype], trials[genotype] = place, values
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check the path.") from error
    except InputError:
        raise
    except (ValueError, csv.Error, RecursionError) as error:  # no UTF-8, no CSV, no JSON
        raise InputError(
            f"{path} is no {kind[1:].upper()} file in UTF-8: {error}. Save it anew."
        ) from error
    means = {genotype: math.fsum(v) / len(v) for genotype, v in trials.items()}
    return Values(str(path), "", means, trials)


def of_table(name: str, dataset: str | None, space: Space) -> Values:
    """Return the validation accuracies (percent) of a table's genotypes on a data set, by trial.

    The data set may be left out where the table has one only. Raises InputError for a table that
    is not known or of another space, and for a data set that is missing or not known.
    """
    table = tables.load(name)
    if table.space.name != space.name:
        raise InputError(f"The table {name} is of {table.space.name}, not of {space.name}.")
    if dataset is None and len(table.datasets) > 1:
        known = ", ".join(table.datasets)
        raise InputError(f"The table {name} has the data sets {known}: choose one with --dataset.")
    d = 0 if dataset is None else table.row(dataset)
    if table.by_test(table.datasets[d]):
        raise InputError(
            f"The table {name} has no validation accuracy of {table.datasets[d]} at {table.epochs} "
            "epochs; name another length, NAME@EPOCHS: `nasbench-evo table info` lists them."
        )
    means, trials = {}, {}
    for index in np.flatnonzero(table.trials[d]).tolist():
        genotype = table.space.from_index(index)
        means[genotype] = float(table.mean_accuracy[d, index])
        trials[genotype] = tuple(table.valid_accuracy[d, index][table.present[d, index]].tolist())
    return Values(f"{name} on {table.datasets[d]}", "%", means, trials)


def of_checkpoint(path: Path, space: Space, cells: int, seed: int) -> Values:
    """Return the shared-weight accuracies (percent) of `cells` genotypes of a supernet.

    Raises InputError for a checkpoint that is missing or of another space.
    """
    if not path.is_file():
        raise InputError(f"There is no checkpoint {path}. Check the path.")
    from nasbench_evo.evaluators import checkpointed  # torch is a matter of this source only

    accuracies = checkpointed.accuracies(path, cells, seed)
    try:
        means = {space.validate(g): float(value) for g, value in accuracies.items()}
    except InputError as error:
        raise InputError(f"{path} is of another space than {space.name}: {error}") from error
    return Values(str(path), "%", means, {g: (value,) for g, value in means.items()})


def join(predicted: Values, truth: Values) -> Joined:
    """Return both sources on the genotypes that they share; InputError for fewer than 3."""
    shared = [g for g in predicted.means if g in truth.means]
    if len(shared) < _FEWEST:
        raise InputError(
            f"{predicted.source} has {len(predicted.means)} architectures and {truth.source} "
            f"{len(truth.means)}, but {len(shared)} in common; expected {_FEWEST} or more."
        )
    repeated = [g for g in shared if len(truth.trials[g]) > 1]
    pairs = [truth.trials[g][:2] for g in repeated]
    return Joined(
        genotypes=shared,
        predicted=np.array([predicted.means[g] for g in shared]),
        truth=np.array([truth.means[g] for g in shared]),
        trials=np.array(pairs, dtype=np.float64).reshape(-1, 2).T,
        repeated=repeated,
        only_predicted=[g for g in predicted.means if g not in truth.means],
        only_truth=[g for g in truth.means if g not in predicted.means],
    )


def retest_reference(
    joined: Joined,
    *,
    space: Space,
    top: Sequence[float],
    k: int,
    bootstrap: int,
    rng: np.random.Generator,
) -> RankCorrelation | None:
    """Return the agreement of the second trial of the truth with the first, None without trials.

    It is over the genotypes that have two trials, if they are 3 or more; of the cells of
    NAS-Bench-201 that compute the same the first counts, so that no network is there twice. The
    truth that a prediction is compared with is a mean over trials, less noisy than a single one: a
    prediction can do a little better than this.
    """
    first, second = joined.trials[:, _distinct(joined.repeated, space)]
    if len(first) < _FEWEST:
        return None
    return rank_correlation(second, first, top=top, k=k, bootstrap=bootstrap, rng=rng)


def _distinct(genotypes: Sequence[Genotype], space: Space) -> list[int]:
    """Return the positions of the genotypes that compute something else than all before them."""
    if not isinstance(space, NASBench201):
        return list(range(len(genotypes)))
    found: list[int] = isomorphism.distinct([space.index(g) for g in genotypes]).tolist()
    return found


def _csv(path: Path) -> Iterator[Row]:
    """Yield the rows of a CSV file; an empty field is a trial that there is not."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        rows = ((f"line {reader.line_num}", fields) for fields in reader if fields)
        arch, width, chosen = 0, 0, [1]
        for place, fields in rows:
            if not width:
                width = len(fields)
                names = [field.strip().lower() for field in fields]
                if HEADER in names:
                    arch, chosen = names.index(HEADER), _chosen(names, path)
                    continue
                if width > 2:
                    raise InputError(
                        f"{path}, {place}: {width} columns without names. Put a header above: "
                        f"{HEADER},{VALUES[0]}, or {HEADER},{VALUES[0]}_0,{VALUES[0]}_1 for trials."
                    )
            if len(fields) != width or width < 2:
                raise InputError(
                    f"{path}, {place}: expected {max(width, 2)} columns ({HEADER},value); got "
                    f"{len(fields)}. Put an architecture that has a comma in quotes."
                )
            values = [fields[i] for i in chosen if fields[i].strip()]
            yield place, fields[arch], values or [""]


def _chosen(names: Sequence[str], path: Path) -> list[int]:
    """Return the positions of the columns of values; InputError where that is not plain."""
    others = [
        name for name in names if name != HEADER and not columns.INDEX.fullmatch(name.capitalize())
    ]
    if len(others) == 1:
        return [names.index(others[0])]
    stems: dict[str, list[str]] = {name: [name] for name in others}
    for stem in {name.rstrip("0123456789").removesuffix("_") for name in others} - {""}:
        with suppress(DataError):  # numbered, but not as trials are
            stems[stem] = columns.trial_columns(stem, others, str(path))
    found = [stem for stem in VALUES if stems.get(stem)]
    if not found and others:  # all are trials of one thing
        found = [stem for stem, members in stems.items() if len(members) == len(others)]
    if len(found) != 1 and others:
        raise InputError(
            f"{path}: which of the columns {', '.join(others)} has the values? Call it "
            f"{VALUES[0]}, or {VALUES[0]}_0, {VALUES[0]}_1 and so on if they are trials."
        )
    return [names.index(name) for stem in found for name in stems[stem]]


def _json(path: Path) -> Iterator[Row]:
    """Yield the entries of a JSON object; nothing is lost where a key is there twice."""
    content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_Entries)
    if not isinstance(content, _Entries):
        raise InputError(f"{path}: expected an object of architecture -> value.")
    for arch, value in content:
        yield f"entry {arch!r}", arch, value if type(value) is list and value else [value]


class _Entries(list[tuple[str, Any]]):
    """The entries of a JSON object, in the order of the file."""


def _number(value: Any) -> float:
    """Return a finite number; raise InputError for anything else."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"Expected a finite number, got {value!r}; leave out what has none.")
    return number
