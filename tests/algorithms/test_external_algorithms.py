"""Algorithms of users: by package.module:Class, by entry point, in suites and in workers."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from nasbench_evo import algorithms, engines, spaces
from nasbench_evo import suite as suites
from nasbench_evo.algorithms import external
from nasbench_evo.engines import Task
from nasbench_evo.errors import InputError

MODULE = '''
from dataclasses import dataclass
from typing import ClassVar

from nasbench_evo.algorithms import Algorithm, parameter
from nasbench_evo.requests import Evaluate


@dataclass(frozen=True)
class Hill(Algorithm):
    """A walk of single mutations that only climbs."""

    name: ClassVar[str] = "hill"
    paper: ClassVar[str] = "none"
    presets = {"paper": {}, "twice": {"steps": 2}}

    steps: int = parameter(1, "mutations of a step", low=1)

    def search(self, space, rng):
        (best,) = yield Evaluate(space.sample(rng, 1))
        while True:
            child = space.mutate_steps(best.genotype, self.steps, rng)
            (answer,) = yield Evaluate((child,))
            if answer.valid_accuracy >= best.valid_accuracy:
                best = answer


class Unfinished(Algorithm):
    name: ClassVar[str] = "unfinished"


class Nameless(Hill):
    name = None


class Undecorated(Hill):
    more: int = parameter(1, "not read")


number = 3
'''
SUITE = """
name = "user"
datasets = ["cifar10"]
seeds = 2
evaluations = 20
checkpoints = [20]
[[rows]]
algorithm = "my_search.hill:Hill"
preset = "twice"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the package my_search, which is not installed."""
    (tmp_path / "my_search").mkdir()
    (tmp_path / "my_search" / "__init__.py").write_text("")
    (tmp_path / "my_search" / "hill.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.startswith("my_search")]:
        monkeypatch.delitem(sys.modules, name)
    importlib.invalidate_caches()
    return tmp_path


@pytest.mark.usefixtures("home")
def test_a_class_is_found_in_the_working_directory() -> None:
    cls = algorithms.get("my_search.hill:Hill")
    assert cls.configure("twice").hyperparameters() == {"steps": 2}


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_search.hil:Hill", "Cannot import 'my_search.hil'"),
        ("my_search.hill:Hil", "has no Hil. Its algorithms: Hill, Nameless"),
        ("my_search.hill:number", "expected a subclass of"),
        ("my_search.hill:Unfinished", r"has no search\(self, space, rng\)"),
        ("my_search.hill:Nameless", "has no name"),
        ("my_search.hill:Undecorated", "put @dataclass"),
        (":Hill", "Expected package.module:Class"),
        ("my_search.hill:", "Expected package.module:Class"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        algorithms.get(name)


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_suites_and_workers_run_it(home: Path, engine: str) -> None:
    (home / "user.toml").write_text(SUITE)
    (unit,) = suites.units(suites.load(home / "user.toml"))
    assert unit.describe()["algorithm"] == "my_search.hill:Hill"
    tasks = [Task(unit, unit.key(), (0,)), Task(unit, unit.key(), (1,))]
    outcomes = list(engines.get(engine)(tasks, 2))
    assert [outcome.failures for outcome in outcomes] == [[], []]
    traces = {r.seed: r.trace_sha256 for outcome in outcomes for r in outcome.records}
    assert len(set(traces.values())) == 2


def entry_point(value: str) -> EntryPoint:
    return EntryPoint("hill", value, external.GROUP)


@pytest.mark.usefixtures("home")
def test_an_installed_entry_point_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(".")
    points = (entry_point("my_search.hill:Hill"),)
    monkeypatch.setattr(external, "entry_points", lambda group: points)
    assert algorithms.get("hill").name == "hill"
    with pytest.raises(InputError, match="Did you mean 'hill'"):
        algorithms.get("hil")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("value", ["my_search.gone:Hill", "my_search.hill:Gone"])
def test_a_broken_entry_point_is_named(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(".")
    monkeypatch.setattr(external, "entry_points", lambda group: (entry_point(value),))
    with pytest.raises(InputError, match="cannot be loaded"):
        algorithms.get("hill")


def test_built_in_names_do_not_look_at_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(group: str) -> None:
        raise AssertionError("looked at the entry points")

    monkeypatch.setattr(external, "entry_points", fail)
    assert algorithms.get("eigen").name == "eigen"


def test_needs_is_a_protocol_of_spaces() -> None:
    """It was a tuple of attribute names before it was a protocol."""

    class Old(algorithms.get("random_search")):  # type: ignore[misc]
        needs = ("cardinalities",)

    with pytest.raises(InputError, match="must be a protocol"):
        Old().check_space(spaces.get("nasbench201"))
