"""The Python way in: what it gives is what the command line gives."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from support import cli

import nasbench_evo as ne
from nasbench_evo import algorithms, spaces
from nasbench_evo.algorithms import Algorithm
from nasbench_evo.errors import InputError
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import Evaluate, Search
from nasbench_evo.runner import Progress
from nasbench_evo.tables import bundled

SPACE = spaces.get("nasbench201")


@dataclass(frozen=True)
class Climber(Algorithm):
    """Keeps the better of a cell and its mutant."""

    name: ClassVar[str] = "climber"
    paper: ClassVar[str] = "none"

    def search(self, space: Any, rng: Stream) -> Search:
        best = (yield Evaluate(space.sample(rng, 1)))[0]
        while True:
            (child,) = yield Evaluate([space.mutate(best.genotype, rng)])
            best = child if child.valid_accuracy > best.valid_accuracy else best


def test_a_search_is_that_of_the_command_line() -> None:
    ours = ne.search("eigen", "cifar100", preset="nb201", seed=3, budget=60).to_json()
    words = "search eigen --dataset cifar100 --preset nb201 --seed 3 --evaluations 60 --json"
    theirs = json.loads(cli(*words.split()).stdout)
    for key in set(ours) - {"wall_seconds"}:
        assert json.loads(json.dumps(ours[key])) == theirs[key], key


def test_a_comparison_holds_an_algorithm_of_ones_own(tmp_path: Path) -> None:
    found = ne.compare(["local_search", Climber()], "cifar100", seeds=8, budget=40)
    labels = {row.label for row in found.found.rows}
    assert labels == {"local_search (paper)", "climber (default)", "random_search (paper)"}
    assert [row.rank for row in found.found.rows] == [1, 2, 3]
    one = ne.search("local_search", "cifar100", seed=0, budget=40)
    runs = next(u for u in found.found.collected if u.unit.row.algorithm == "local_search")
    assert runs.records[0].trace_sha256 == one.trace_sha256
    assert found.verdict in str(found)
    assert "<table>" in found._repr_html_()
    drawn = found.plot(tmp_path / "regret")
    assert [path.suffix for path in drawn.paths] == [".png", ".svg"]
    assert drawn._repr_png_().startswith(b"\x89PNG")
    assert set(found.tests) == {"local_search (paper)", "climber (default)"}
    assert list(found.to_frame().label) == [row.label for row in found.rows]
    assert max(map(len, str(found).splitlines()[:4])) <= 100
    assert found.call.startswith("nasbench_evo.compare(['local_search', Climber(...)], 'cifar100'")
    with pytest.raises(InputError, match="ends with"):
        found.report(tmp_path / "found.pdf")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ne.search("eigem"), "Did you mean 'eigen'"),
        (lambda: ne.search("eigen", "cifar"), "cifar10"),
        (lambda: ne.search("eigen", patence=3), "Did you mean 'patience'"),
        (lambda: ne.search(Climber), "call it"),  # type: ignore[arg-type]
        (lambda: ne.search(Climber(), width=3), "width"),
        (lambda: ne.search("eigen", budget="many"), "number of evaluations"),  # type: ignore[arg-type]
        (lambda: ne.compare([]), "got none"),
        (lambda: ne.Budget("many"), "must be positive"),  # type: ignore[arg-type]
        (lambda: ne.AskTell("eigen", SPACE, seed=0), "Expected an Algorithm"),  # type: ignore[arg-type]
        (lambda: ne.AskTell(Climber(), "bits", seed=0), "Expected a space"),  # type: ignore[arg-type]
        (lambda: ne.rank_correlation("a", None), "holds numbers"),  # type: ignore[arg-type]
        (lambda: ne.load_table("nasbench201", "200"), "whole number"),  # type: ignore[arg-type]
        (lambda: ne.load_table(3), "A table is"),  # type: ignore[arg-type]
        (lambda: Climber.configure("paper", 3), "Changes are"),  # type: ignore[arg-type]
        (lambda: ne.compare(["eigen"], budget=0.5), "whole number of evaluations"),
        (lambda: ne.compare(["eigen"], seeds=0), "at least 1 "),
        (lambda: ne.compare(["eigen", "eigen"], seeds=1), "twice"),
    ],
)
def test_mistakes_are_explained(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


_BAD: list[Any] = [None, 3.5, object(), [], {}, b"eigen", {"eigen"}, np.array([1, 2]), ""]


_GOOD = [("dataset", None), ("budget", 3.5), ("table", None), ("evaluator", None)]
_GOOD += [("callback", None), ("candidates", {"eigen"})]


def _wrong(name: str) -> list[Any]:
    """Values of a wrong type for an argument, those left out that are right for it."""
    good = {type(value) for key, value in _GOOD if key == name}
    return [bad for bad in _BAD if type(bad) not in good]


@pytest.mark.parametrize(
    "name", ["algorithm", "dataset", "preset", "seed", "budget", "table", "evaluator", "callback"]
)
def test_any_wrong_type_is_an_input_error(name: str) -> None:
    for bad in _wrong(name):
        with pytest.raises(InputError):
            ne.search(**{"algorithm": "random_search", "budget": 2, name: bad})


@pytest.mark.parametrize("name", ["candidates", "dataset", "seeds", "budget", "table", "evaluator"])
def test_any_wrong_type_of_a_comparison_is_an_input_error(name: str) -> None:
    for bad in _wrong(name):
        with pytest.raises(InputError):
            ne.compare(**{"candidates": ["random_search"], "seeds": 1, "budget": 2, name: bad})


def test_a_result_has_its_course(tmp_path: Path) -> None:
    found = ne.search("eigen", "cifar100", seed=np.random.default_rng(5), budget=20.0)
    frame = found.to_frame()
    assert frame.evaluations.iloc[-1] == found.evaluations
    assert frame.simulated_seconds.iloc[-1] == pytest.approx(found.simulated_seconds)
    assert (frame.regret >= 0).all()
    assert found.accuracy == found.valid_accuracy
    assert found.arch in str(found)
    assert "<table>" in found._repr_html_()
    assert "None" not in str(found)
    assert [path.name for path in found.plot(tmp_path / "one.svg").paths] == ["one.svg"]
    with pytest.raises(InputError, match="Cannot write"):
        found.plot("/dev/null/x")


def test_an_object_is_called_by_its_preset() -> None:
    eigen = algorithms.get("eigen")
    objects = [eigen.configure("nb201"), eigen.configure("nb201", {"patience": 7})]
    found = ne.compare([*objects, Climber()], seeds=1, budget=5)
    labels = {row.label for row in found.rows}
    assert {"eigen (nb201)", "climber (default)"} < labels
    assert any("patience=7" in label for label in labels)
    assert ne.search(objects[0], budget=5).preset == "nb201"
    assert Climber.configure("default") == Climber.configure("paper") == Climber()
    with pytest.raises(InputError, match="preset 'default'"):
        eigen.configure("default")


def test_a_table_is_a_name_a_path_or_itself(tmp_path: Path) -> None:
    source = bundled.unpack("digits")
    copy = tmp_path / "moved.table"
    copy.write_bytes(source.read_bytes())
    ours = ne.search("random_search", table="digits", budget=5)
    assert ours.dataset == "digits"
    for table in (copy, str(copy), ne.load_table("digits")):
        again = ne.search("random_search", table=table, budget=5)
        assert again.trace_sha256 == ours.trace_sha256
    found = ne.compare("local_search", table=copy, seeds=2, budget=5)
    assert "local_search (paper) is first" in found.verdict
    (tmp_path / "mine.csv").write_text("arch,valid\n")
    with pytest.raises(InputError, match="table import"):
        ne.search("eigen", table=str(tmp_path / "mine.csv"))
    with pytest.raises(InputError, match="no table"):
        ne.search("eigen", table=tmp_path / "gone.table")


def test_what_is_public_is_there() -> None:
    for name in ne.__all__:
        assert getattr(ne, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        ne.serch  # noqa: B018


def test_a_callback_sees_each_answer_and_may_end_the_search() -> None:
    whole, seen = ne.search("eigen", seed=2, budget=80), []
    watched = ne.search("eigen", seed=2, budget=80, callback=seen.append)
    assert watched.trace_sha256 == whole.trace_sha256
    assert seen[-1].evaluations == whole.evaluations
    spent = [progress.evaluations for progress in seen]
    assert spent == sorted(spent)
    best = [progress.best.valid_accuracy for progress in seen]
    assert best == sorted(best)
    early = ne.search("eigen", seed=2, budget=80, callback=lambda p: p.evaluations >= 20)
    assert 20 <= early.evaluations < 80
    again = ne.search("eigen", seed=2, budget=early.evaluations)
    assert again.trace_sha256 == early.trace_sha256
    calls: list[int] = []

    def at_once(progress: Progress) -> bool:
        calls.append(len(progress.answers))
        return True

    ne.search("eigen", seed=2, budget=80, callback=at_once)
    assert len(calls) == 1, "no call after the one that ended the search"
    assert calls[0] >= 1


def test_searches_in_threads_are_those_of_one_thread() -> None:
    def trace(seed: int) -> str:
        return ne.search("genetic_cnn", seed=seed, budget=60).trace_sha256

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(trace, range(8))) == [trace(seed) for seed in range(8)]
