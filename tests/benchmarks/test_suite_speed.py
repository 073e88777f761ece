"""A whole suite: its runs, the store they go to, the statistics made of them, its table.

The suite is the bundled `nb201` (12 rows on 3 data sets, 300 evaluations a run) in the serial
engine. A few seeds are run; what 500 would take is the slope between two numbers of seeds, so that
start-up is not multiplied. CPU seconds are named so; all others are wall-clock seconds.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nasbench_evo import execution, tables
from nasbench_evo import suite as suites
from nasbench_evo.results import kinds
from nasbench_evo.results.runs import UnitRuns, decode
from nasbench_evo.store import Record, Store
from nasbench_evo.suite import Suite, Unit
from nasbench_evo.tables import embedded
from nasbench_evo.tables.packed import unpack

pytestmark = pytest.mark.slow

FEW, MORE, ALL = 2, 6, 500  # seeds
PER_TRANSACTION = 20  # runs: the suite's own number


def nb201(seeds: int) -> Suite:
    return suites.load(suites.find("nb201")).model_copy(update={"seeds": seeds})


def run(folder: Path, seeds: int) -> dict[Unit, list[Record]]:
    """Run the suite in a new folder and return its records."""
    suite = nb201(seeds)
    with execution.opened(suite, folder) as store:
        plan = execution.plan(suite, store)
        report = execution.execute(
            plan, store, engine="serial", workers=1, progress=lambda runs: None
        )
        assert report.finished == plan.total
        return {unit: store.runs(unit.key()) for unit in suites.units(suite)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> dict[Unit, list[Record]]:
    return run(tmp_path_factory.mktemp("finished"), MORE)


def all_seeds(finished: dict[Unit, list[Record]]) -> dict[str, list[Record]]:
    """Return runs of ALL seeds for each unit: the finished ones, repeated under other seeds."""
    return {
        records[0].unit: [
            record._replace(seed=seed)
            for seed, record in zip(range(ALL), itertools.cycle(records), strict=False)
        ]
        for records in finished.values()
    }


def filled(folder: Path, runs: dict[str, list[Record]]) -> None:
    """Write runs as a suite does: its units first, then some runs in each transaction."""
    folder.mkdir()
    with Store(folder) as store:
        store.add_units({unit: {} for unit in runs})
        for records in runs.values():
            for start in range(0, len(records), PER_TRANSACTION):
                store.add(records[start : start + PER_TRANSACTION])


def folders(tmp_path: Path) -> Iterator[Path]:
    return (tmp_path / f"{number}" for number in itertools.count())


def test_the_suite(benchmark: Any, tmp_path: Path, finished: dict[Unit, list[Record]]) -> None:
    """`finished` has warmed what a process does once: imports, table, the rows of its cells."""
    new = folders(tmp_path)
    seconds: dict[int, list[float]] = {FEW: [], MORE: []}
    for _ in range(3):
        for seeds, times in seconds.items():
            started = time.process_time()
            run(next(new), seeds)
            times.append(time.process_time() - started)
    few, more = (statistics.median(times) for times in seconds.values())
    per_seed = (more - few) / (MORE - FEW)
    units = len(finished)
    benchmark.extra_info.update(
        {
            "units": units,
            "CPU ms a run": round(1000 * per_seed / units, 2),
            "CPU s of start and end": round(few - FEW * per_seed, 2),
            f"CPU s of {ALL} seeds, extrapolated": round(few + (ALL - FEW) * per_seed, 1),
            "evaluations/s/core": round(300 * units / per_seed),
        }
    )
    benchmark.pedantic(lambda: run(next(new), FEW), rounds=3)
    assert units == 36


def test_statistics(benchmark: Any, finished: dict[Unit, list[Record]]) -> None:
    """Summary rows with bootstrap intervals and tests, of 36 units x 500 runs."""
    runs = all_seeds(finished)
    collected = [
        UnitRuns(unit, [decode(record) for record in runs[records[0].unit]])
        for unit, records in finished.items()
    ]
    suite = nb201(ALL)
    rows = benchmark.pedantic(
        lambda: kinds.of(suite).find(suite, collected).rows, (), rounds=3, warmup_rounds=1
    )
    benchmark.extra_info.update({"runs": sum(map(len, runs.values())), "rows": len(rows)})
    assert len(rows) == len(finished) * len(suite.checkpoints)


def test_store_write(benchmark: Any, tmp_path: Path, finished: dict[Unit, list[Record]]) -> None:
    """Every transaction waits for the disk, so that an acknowledged run survives a kill."""
    runs = all_seeds(finished)
    count, new = sum(map(len, runs.values())), folders(tmp_path)
    benchmark.pedantic(lambda: filled(next(new), runs), rounds=3)
    if benchmark.stats:
        benchmark.extra_info["rows/s"] = round(count / benchmark.stats["median"])
        benchmark.extra_info["rows a transaction"] = PER_TRANSACTION


def test_store_read(benchmark: Any, tmp_path: Path, finished: dict[Unit, list[Record]]) -> None:
    runs = all_seeds(finished)
    filled(tmp_path / "store", runs)
    with Store(tmp_path / "store") as store:
        read = benchmark.pedantic(
            lambda: sum(len(store.runs(unit)) for unit in runs), rounds=5, warmup_rounds=1
        )
    if benchmark.stats:
        benchmark.extra_info["rows/s"] = round(read / benchmark.stats["median"])
    assert read == sum(map(len, runs.values()))


def test_table_beside_its_source(benchmark: Any) -> None:
    """Loading the packed table, and making it from its package's pickles, in turns."""
    tables.load()  # packs at first use
    path = embedded.cache_file()

    def packed() -> tables.Table:
        return unpack(path.read_bytes(), str(path), embedded.SHA256)

    times: tuple[list[float], list[float]] = [], []
    for _ in range(7):
        for function, seconds in zip((packed, embedded.build), times, strict=True):
            started = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - started)
    ratio = statistics.median(b / a for a, b in zip(*times, strict=True))
    benchmark.extra_info["ratio"] = round(ratio, 1)
    benchmark.extra_info["ms to make it"] = round(1000 * statistics.median(times[1]))
    table = benchmark(packed)
    assert table.correct.shape == (3, 15625, 3)
    assert ratio > 2
