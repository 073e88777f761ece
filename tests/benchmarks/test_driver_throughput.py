"""The driver: rows a second that it hands out, takes back and stores; and what that allows.

Run with `tox -e bench`. Nothing here asserts seconds; docs/distributed.md has figures.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
import pickle
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import suite_cost
from hypothesis import given, settings
from hypothesis import strategies as st
from suite_cost import suite_seconds

from nasbench_evo import suite as suites
from nasbench_evo.engines import local, on_dask
from nasbench_evo.engines.driver import Workers, drive
from nasbench_evo.engines.tasks import Outcome, Task, execute
from nasbench_evo.store import Store

PAGE = Path(__file__).parents[2] / "docs" / "distributed.md"
SEEDS = itertools.count()  # no run twice in a store


class NoWorkers:
    """The driver alone: what comes back is ready, and is unpickled as it is from a worker."""

    lost = ()

    def slots(self) -> int:
        return 16

    def submit(self, task: Task) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        future.set_result(pickle.loads(pickle.dumps(suite_cost.instant(task))))  # noqa: S301
        return future

    def close(self, *, kill: bool) -> None:
        pass


@pytest.fixture(scope="module")
def unit() -> suites.Unit:
    return suites.units(suites.load(suites.find("nb201")))[0]


def stored(workers: Workers, unit: suites.Unit, store: Store, tasks: int, seeds: int) -> float:
    """Carry out tasks that need no work; return the driver's seconds of processor time."""
    started = time.process_time()
    todo = [Task(unit, unit.key(), tuple(itertools.islice(SEEDS, seeds))) for _ in range(tasks)]
    for outcome in drive(workers, todo):
        store.add(outcome.records)
    return time.process_time() - started


def make(engine: str) -> Any:
    if engine == "driver alone":
        return NoWorkers()
    return local.LocalWorkers(2) if engine == "processes" else on_dask.DaskWorkers(2, None)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [20, 1])
@pytest.mark.parametrize("engine", ["driver alone", "processes", "dask"])
def test_rows_per_second(
    benchmark: Any,
    unit: suites.Unit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    seeds: int,
) -> None:
    if engine == "dask" and importlib.util.find_spec("distributed") is None:
        pytest.skip("needs the extra [dask]")
    monkeypatch.setattr(local, "execute", suite_cost.instant)
    monkeypatch.setattr(on_dask, "execute_checked", suite_cost.instant)
    tasks = 300
    workers = make(engine)
    close, workers.close = workers.close, lambda kill: None  # the same for every round
    with Store(tmp_path) as store:
        store.add_units({unit.key(): unit.describe()})
        call = (workers, unit, store, tasks, seeds)
        busy = benchmark.pedantic(stored, call, rounds=3, warmup_rounds=1)
        kept = store.seeds(unit.key())
    close(kill=False)
    assert len(kept) == tasks * seeds * (4 if benchmark.stats else 1)  # rounds, warm-up
    if benchmark.stats:
        seconds = benchmark.stats["min"]
        benchmark.extra_info["rows_per_second"] = round(tasks * seeds / seconds)
        benchmark.extra_info["milliseconds_a_task"] = round(1000 * seconds / tasks, 2)
        benchmark.extra_info["of_these_busy"] = round(1000 * busy / tasks, 2)


def test_bytes_per_run(benchmark: Any, unit: suites.Unit, tmp_path: Path) -> None:
    units = suites.units(suites.load(suites.find("nb201")))[:12]
    records = [r for u in units for r in execute(Task(u, u.key(), tuple(range(20)))).records]

    def size() -> float:
        with Store(tmp_path) as store:
            store.add_units({u.key(): u.describe() for u in units})
            store.add(records)
        return (tmp_path / "runs.sqlite").stat().st_size / len(records)

    per_run = benchmark.pedantic(size, rounds=1)
    benchmark.extra_info["bytes_per_run"] = round(per_run)
    assert 100 < per_run < 5000


def test_worked_examples_of_the_simulation() -> None:
    assert suite_seconds([10.0] * 6, 2, 0.0) == 30.0
    assert suite_seconds([10.0] * 5, 2, 0.0) == 30.0
    assert suite_seconds([], 3, 1.0) == 0.0
    # Handed out at 1 and 2, back at 11 and 12, stored by 13: the last by 12 + 1.
    assert suite_seconds([10.0, 10.0], 2, 2.0) == 13.0
    # Work that takes no time: the driver is all there is.
    assert suite_seconds([0.0] * 100, 1000, 2.0) == 200.0
    # A task ahead hides the driver: out at 0.5 and 1, worked 0.5..10.5..20.5, stored at 21.
    assert suite_seconds([10.0, 10.0], 1, 1.0, ahead=2) == 21.0
    assert suite_seconds([10.0, 10.0], 1, 1.0, ahead=1) == 22.0


@given(
    durations=st.lists(st.floats(0, 100), max_size=30),
    workers=st.integers(1, 8),
    driver=st.floats(0, 10),
    ahead=st.integers(1, 2),
)
@settings(max_examples=60)
def test_the_simulation_is_between_its_bounds(
    durations: list[float], workers: int, driver: float, ahead: int
) -> None:
    spent = suite_seconds(durations, workers, driver, ahead)
    work, longest = math.fsum(durations), max(durations, default=0.0)
    least = max(work / workers, driver * len(durations), longest)
    assert least <= spent * (1 + 1e-9)
    assert spent <= (work + driver * len(durations)) * (1 + 1e-9)


def test_the_page_shows_the_simulation() -> None:
    assert suite_cost.table() in PAGE.read_text(), f"paste this:\n{suite_cost.table()}"
