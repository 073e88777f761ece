"""An algorithm of another package gets the figures and simulations of the built-in ones."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from report.stored_suite import run

from nasbench_evo import suite, tables
from nasbench_evo.algorithms import Algorithm, parameter, stand_ins
from nasbench_evo.algorithms.generations import Birth, Generational
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.figures import build
from nasbench_evo.randomness import Stream
from nasbench_evo.replays import generations
from nasbench_evo.replays.simulated_workers import simulate
from nasbench_evo.requests import Evaluate, Evaluation, Request, Search
from nasbench_evo.results import ablation
from nasbench_evo.results.folder import read
from nasbench_evo.runner import Budget


@dataclass(frozen=True)
class Truncation(Algorithm):
    """The best half has two mutated children each."""

    name: ClassVar[str] = "truncation"
    paper: ClassVar[str] = "none"
    generational: ClassVar[Generational] = Generational("best of the population", name="round")

    size: int = parameter(6, "individuals of a round", low=2)
    rate: int = parameter(1, "mutations of a child", low=1)

    def search(self, space: Any, rng: Stream) -> Search:
        answers = yield Evaluate(space.sample(rng, self.size))
        while True:
            best = sorted(answers, key=lambda answer: -answer.valid_accuracy)[: self.size // 2]
            parents = [answer.genotype for answer in best for _ in range(2)]
            answers = yield Evaluate([self.child(parent, space, rng) for parent in parents])

    def child(self, parent: Any, space: Any, rng: Stream) -> Any:
        return space.mutate_steps(parent, self.rate, rng)

    def schedule(self, space: Any, rng: Stream) -> _Mutants:
        return _Mutants(space, rng)

    def recording(self, births: list[Birth]) -> Truncation:
        recorder = _Recording(**self.hyperparameters())
        object.__setattr__(recorder, "births", births)
        return recorder


class _Recording(Truncation):
    births: list[Birth]

    def child(self, parent: Any, space: Any, rng: Stream) -> Any:
        child = super().child(parent, space, rng)
        self.births.append(("mutation", (parent,), child))
        return child


class _Mutants:
    def __init__(self, space: Any, rng: Stream) -> None:
        self._space, self._rng = space, rng
        self._latest: deque[Any] = deque(space.sample(rng, 4), maxlen=4)

    def propose(self) -> tuple[int, Request]:
        return 0, Evaluate((self._space.mutate(self._latest[0], self._rng),))

    def absorb(self, ticket: int, answer: Evaluation) -> None:
        self._latest.append(answer.genotype)


TEXT = f"""
name = "outside"
datasets = ["cifar10"]
seeds = 3
evaluations = 60
checkpoints = [60]
[[rows]]
algorithm = "random_search"
[[rows]]
algorithm = "{__name__}:Truncation"
[rows.grid]
rate = [3, 1, 2]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outside")
    (folder / "suite.toml").write_text(TEXT)
    return run(suite.load(folder / "suite.toml"), folder / "results")


def test_its_levels_are_compared_with_its_own_default(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its code is not imported, and whatever the order of the levels."""
    for imported in (True, False):
        monkeypatch.setattr(stand_ins, "is_imported", lambda _, known=imported: known)
        (factor,) = ablation.factors(read(folder).suite)
        assert factor.levels[factor.reference].values == (1,)


def test_its_generations_are_drawn(folder: Path) -> None:
    names = {path.name for path in build.make(folder, ["png"], build.Page())}
    assert [name for name in names if name.endswith("_rate_progress.png")]
    text = (folder / "ablation.md").read_text()
    assert "Accuracy of the best of the population by round" in text


def test_its_generations_and_births_are_read(folder: Path) -> None:
    unit = read(folder).collected[1].unit
    replayed = generations.replay(unit, 0)
    found = replayed.generations
    assert [(len(g.members), g.spent) for g in found] == [(6, 6.0 * i) for i in range(1, 11)]
    births = replayed.births
    assert len(births) >= 9 * 6
    assert {kind for kind, _, _ in births} == {"mutation"}


def test_its_workers_do_not_wait() -> None:
    evaluator = LookupEvaluator(tables.load(), "cifar10")
    found = simulate(Truncation(), evaluator, 4, budget=Budget(40))
    assert found.asynchronous
    ends = sorted(end for end, _ in found.history)
    starts = sorted(end - answer.cost_seconds for end, answer in found.history)
    assert starts[4:] == pytest.approx(ends[: len(starts) - 4])
