"""The official files of NAS-Bench-201 (v1.0, v1.1) and of NATS-Bench's two spaces.

Schema: a dictionary with `meta_archs` (printed cells), `arch2infos` {index: {recipe: results}} and
`evaluated_indexes`. A recipe is `less` or `12` (12 epochs), `full` or `200`. Results: `arch_str`,
`dataset_seed`, and `all_results` {(training, seed): trial}; a trial has accuracies and losses on
the train set by epoch, and on each split by `split@epoch` (epochs count from 0). Older trials have
some splits after the last epoch only. The size space has the same schema: its architectures are
channels of five layers (`64:48:32:16:8`), its recipes `01`, `12` and `90` epochs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.errors import DataError
from nasbench_evo.spaces.choices import Choices, Gene
from nasbench_evo.tables.importing.collector import Collector
from nasbench_evo.tables.importing.roles import SPLITS, TRAIN
from nasbench_evo.tables.importing.stand_ins import shown
from nasbench_evo.tables.importing.trainings import Trial

# MD5 of the files as published: in full, or the last digits that a file's name gives.
KNOWN_MD5 = {
    "55e847143ce1f7c2d89b676f6b096897": "NAS-Bench-201-v1_1-096897.pth",
    "e61699": "NAS-Bench-201-v1_0-e61699.pth (by the last six digits)",
    "3ffb9": "NATS-tss-v1_0-3ffb9.pickle.pbz2 (by the last five digits)",
    "50262": "NATS-sss-v1_0-50262.pickle.pbz2 (by the last five digits)",
}
_WIDTHS = (8, 16, 24, 32, 40, 48, 56, 64)
SIZE_SPACE = Choices(
    "nats_size",
    [Gene(f"layer{i}", _WIDTHS, ordered=True) for i in range(1, 6)],
    printed=":".join(f"{{layer{i}}}" for i in range(1, 6)),
)
_SIZES = re.compile(r"\d+(:\d+){4}")
KEYS = ("meta_archs", "arch2infos", "evaluated_indexes")
_MAX_EPOCHS = 10_000
_NAN = float("nan")


def known_as(md5: str) -> str | None:
    """Return the published file that an MD5 belongs to, None if it is not known."""
    return next((name for digits, name in KNOWN_MD5.items() if md5.endswith(digits)), None)


def adopt(collector: Collector, arch: Any) -> None:
    """Make a collector that has nothing yet one of the size space, if `arch` is printed so."""
    if not collector.trials and type(arch) is str and _SIZES.fullmatch(arch):
        collector.adopt(SIZE_SPACE)


def architecture(index: Any, entry: Any, collector: Collector) -> None:
    """Add all trials of one entry of `arch2infos`; raise DataError naming the place of an error."""
    place = f"architecture {shown(index)}"
    if type(index) is not int or type(entry) is not dict or not entry:
        raise DataError(f"{collector.origin}, {place}: expected recipes by name.")
    for recipe, results in entry.items():
        where = f"{place}, recipe {shown(recipe)}"
        try:
            _results(index, results, collector, where)
        except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise DataError(
                f"{collector.origin}, {where}: not in the official schema ({error!r:.200})."
            ) from error


def _results(index: int, results: Any, collector: Collector, where: str) -> None:
    adopt(collector, results["arch_str"])
    cell = collector.index(results["arch_str"], where)
    if int(results["arch_index"]) != index:
        said = shown(results["arch_index"])
        raise DataError(f"{collector.origin}, {where}: the results say architecture {said}.")
    seeds = results["dataset_seed"]
    promised = {(name, seed) for name, known in seeds.items() for seed in known}
    if promised != set(results["all_results"]):
        odd = sorted(promised ^ set(results["all_results"]))[0]
        raise DataError(f"{collector.origin}, {where}: dataset_seed and results differ in {odd}.")
    trainings: dict[str, dict[int, list[Trial]]] = {}
    for (training, seed), state in results["all_results"].items():
        spot = f"{collector.origin}, {where}, {training}, seed {seed}"
        found = trial(state, int(seed), spot)
        trainings.setdefault(training, {}).setdefault(int(state["epochs"]), []).append(found)
    for training, by_epochs in trainings.items():
        if len(by_epochs) != 1:
            raise DataError(
                f"{collector.origin}, {where}, {training}: trials of {sorted(by_epochs)} epochs."
            )
        for epochs, trials in by_epochs.items():
            collector.add(cell, epochs, training, trials)


def trial(state: Mapping[str, Any], seed: int, place: str) -> Trial:
    """Return one trial of the official schema, checked; raise DataError naming `place`."""
    epochs = int(state["epochs"])
    if not 1 <= epochs <= _MAX_EPOCHS:
        raise DataError(f"{place}: {epochs} epochs.")
    names = list(state["eval_names"])
    unknown = set(names) - set(SPLITS)
    if unknown:
        odd = shown(sorted(map(str, unknown)))
        raise DataError(f"{place}: unknown splits {odd}; known: {', '.join(SPLITS)}.")
    series, rows = [], []
    for split in (TRAIN, *names):
        keys = _keys(split, epochs)
        accuracies = state["train_acc1es"] if split == TRAIN else state["eval_acc1es"]
        losses = state["train_losses"] if split == TRAIN else state["eval_losses"]
        for metric, values in (("accuracy", accuracies), ("loss", losses)):
            series.append((split, metric))
            rows.append(_series(values, keys, f"{place}, {split} {metric}"))
    _check_keys(state, names, epochs, place)
    table = np.array(rows)
    # rows are accuracy and loss in turn
    accuracies = table[::2]
    if (~np.isnan(accuracies) & ~((accuracies >= 0) & (accuracies <= 100))).any():
        raise DataError(f"{place}: an accuracy outside 0..100 percent.")
    return Trial(
        seed=seed,
        series=tuple(series),
        curves=table.astype(np.float32),
        # a copy: a view would keep the whole float64 table
        last=table[:, -1].copy(),
        train_seconds=_train_seconds(state["train_times"], epochs, place),
        seconds={split: _eval_seconds(state["eval_times"], split, epochs) for split in names},
        parameters=_number(state["params"]),
        flops=_number(state["flop"]),
        latency=_latency(state["latency"]),
    )


@lru_cache(maxsize=64)
def _keys(split: str, epochs: int) -> tuple[Any, ...]:
    """Return the keys under which a split's epochs are stored."""
    if split == TRAIN:
        return tuple(range(epochs))
    return tuple(f"{split}@{epoch}" for epoch in range(epochs))


def _series(values: Any, keys: tuple[Any, ...], place: str) -> NDArray[np.float64]:
    """Return the values of all epochs, or NaN and the last: nothing in between is accepted."""
    if values.keys() >= set(keys):
        found = [values[key] for key in keys]
    elif keys[-1] in values and not any(key in values for key in keys[:-1]):
        found = [_NAN] * (len(keys) - 1) + [values[keys[-1]]]
    else:
        absent = next(key for key in keys if key not in values)
        raise DataError(f"{place}: epoch {shown(absent)} of {len(keys)} is missing.")
    plain = {float, int}.issuperset(map(type, found))
    if not plain and not all(isinstance(value, (float, int, np.number)) for value in found):
        raise DataError(f"{place}: a value that is no number.")
    return np.array(found, dtype=np.float64)


def _check_keys(state: Mapping[str, Any], names: list[str], epochs: int, place: str) -> None:
    """Raise DataError for epochs or splits beyond what the trial promises."""
    allowed = {key for name in names for key in _keys(name, epochs)}
    for part in ("eval_acc1es", "eval_losses"):
        extra = [key for key in state[part] if key not in allowed]
        if extra:
            raise DataError(f"{place}: {part} has the unexpected key {shown(extra[0])}.")
    for part in ("train_acc1es", "train_losses"):
        if len(state[part]) != epochs:
            raise DataError(f"{place}: {part} has {len(state[part])} of {epochs} epochs.")


def _train_seconds(times: Any, epochs: int, place: str) -> float:
    if times is None:
        return _NAN
    if len(times) != epochs:
        raise DataError(f"{place}: train_times has {len(times)} of {epochs} epochs.")
    return float(sum(times[epoch] for epoch in range(epochs)))


def _eval_seconds(times: Mapping[str, Any] | None, split: str, epochs: int) -> float:
    """Return the mean seconds of one pass over a split, NaN where the source has none."""
    known = times or {}
    found = [known[key] for key in _keys(split, epochs) if key in known]
    return float(sum(found)) / len(found) if found else _NAN


def _number(value: Any) -> float:
    return _NAN if value is None else float(value)


def _latency(values: Any) -> float:
    """Return the mean of a trial's latencies; values of 0 or less mean that there is none."""
    if not values:
        return _NAN
    mean = float(sum(values)) / len(values)
    return mean if mean > 0 else _NAN
