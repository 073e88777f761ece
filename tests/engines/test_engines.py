"""Engines by name."""

from __future__ import annotations

import importlib.util
import re

import pytest

from nasbench_evo import engines
from nasbench_evo import suite as suites
from nasbench_evo.engines import Task
from nasbench_evo.errors import InputError, Unsupported


def test_a_wrong_name_has_a_near_miss() -> None:
    with pytest.raises(InputError, match=r"Did you mean 'dask'\? Known: dask, processes, serial"):
        engines.get("task")


def test_a_scheduler_needs_the_engine() -> None:
    with pytest.raises(InputError, match="--scheduler needs --engine dask; got --engine serial"):
        engines.get("serial", "tcp://127.0.0.1:1")


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unsupported, match=re.escape("pip install 'nasbench-evo[dask]'")):
        engines.get("dask")


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_a_task_hands_back_what_it_has_no_time_for(engine: str) -> None:
    unit = suites.units(suites.load(suites.find("nb201")))[0]
    seeds = tuple(range(7))
    (whole,) = engines.serial([Task(unit, "k", seeds)], 1)
    outcomes = list(engines.get(engine)([Task(unit, "k", seeds, seconds=0.0)], 2))
    assert [outcome.task.seeds for outcome in outcomes if len(outcome.task.seeds) > 1] == []
    assert [len(rest.seeds) for rest in outcomes[0].rest] == [3, 3]
    assert sorted(r.seed for outcome in outcomes for r in outcome.records) == list(seeds)
    traces = {r.seed: r.trace_sha256 for outcome in outcomes for r in outcome.records}
    assert traces == {r.seed: r.trace_sha256 for r in whole.records}


def test_tasks_of_a_table_are_ended_by_what_their_runs_cost() -> None:
    unit = suites.units(suites.load(suites.find("nb201")))[0]
    tasks = engines.in_tasks(unit, "k", range(3, 253))
    assert [seed for task in tasks for seed in task.seeds] == list(range(3, 253))
    assert all(task.seconds is not None for task in tasks)
