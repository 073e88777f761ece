"""The Python way in: what it gives is what the command line gives."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from support import cli

import nasbench_evo as ne
from nasbench_evo.algorithms import Algorithm
from nasbench_evo.errors import InputError
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import Evaluate, Search


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
    for key in set(ours) - {"wall_seconds", "genotype", "details"}:
        assert ours[key] == theirs[key], key
    assert list(ours["genotype"]) == theirs["genotype"]


def test_a_comparison_holds_an_algorithm_of_ones_own(tmp_path: Path) -> None:
    found = ne.compare(["local_search", Climber()], "cifar100", seeds=8, budget=40)
    labels = {row.label for row in found.found.rows}
    assert labels == {"local_search (paper)", "climber (instance)", "random_search (paper)"}
    assert [row.rank for row in found.found.rows] == [1, 2, 3]
    one = ne.search("local_search", "cifar100", seed=0, budget=40)
    runs = next(u for u in found.found.collected if u.unit.row.algorithm == "local_search")
    assert runs.records[0].trace_sha256 == one.trace_sha256
    assert found.verdict in str(found)
    assert "<table>" in found._repr_html_()
    assert [path.suffix for path in found.plot(tmp_path / "regret")] == [".png", ".svg"]


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
        (lambda: ne.compare(["eigen"], seeds=0), "at least 1 seed"),
        (lambda: ne.compare(["eigen", "eigen"], seeds=1), "twice"),
    ],
)
def test_mistakes_are_explained(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


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


def test_searches_in_threads_are_those_of_one_thread() -> None:
    def trace(seed: int) -> str:
        return ne.search("genetic_cnn", seed=seed, budget=60).trace_sha256

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(trace, range(8))) == [trace(seed) for seed in range(8)]
