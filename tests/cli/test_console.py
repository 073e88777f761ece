"""What people see while they wait, and how wide it is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from support import tiny

from nasbench_evo import cli, execution
from nasbench_evo.cli import console
from nasbench_evo.evaluators.watched import Counter, Watched
from nasbench_evo.requests import Evaluate, Evaluation, TrainPaths
from nasbench_evo.suite import rows
from nasbench_evo.telling import tell


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_LINE_EVERY", 0.0)


def test_steps_of_long_work_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    tell("nobody listens")
    with console.steps("figures"):
        tell("figure a")
        tell("figure b")
    assert capsys.readouterr().err.splitlines()[-1] == "figures: 2 done, last figure b"


def test_what_is_trained_elsewhere_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    done = iter(range(100))
    with console.polled("trainings", lambda: (next(done), 100), every=0.01):
        pass
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("trainings: 1/100, about ")
    assert said.endswith(" left")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4, "4 s"), (100, "2 min"), (59 * 60, "59 min"), (3600, "1 h 00 min"), (12345, "3 h 26 min")],
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert console.duration(seconds) == text


def test_tables_are_as_wide_as_columns_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert console.tables().width == 80


def test_help_has_no_lines_of_the_source() -> None:
    for command in cli.app.registered_commands:
        assert command.help
        for paragraph in command.help.split("\n\n"):
            assert "\n" not in paragraph


class _Evaluator:
    """Answers everything, at half the cost."""

    name, dataset, space = "half", "any", None

    def identity(self) -> dict[str, str]:
        return {}

    def start(self, seed: int) -> _Evaluator:
        self.notes: dict[str, object] = {}
        return self

    def answer(self, request: Evaluate | TrainPaths) -> list[Evaluation]:
        genotypes = request.genotypes if isinstance(request, Evaluate) else ()
        return [Evaluation(g, 1.0, None, 0.0, 0.5, "training", 0.5) for g in genotypes]


def test_trainings_and_epochs_are_counted_beside_journals(tmp_path: Path) -> None:
    for shared, expected in ((False, 1.5), (True, 2.0)):
        count = Counter(tmp_path / f"{shared}")
        watched = Watched(_Evaluator(), count.add, shared=shared)  # type: ignore[arg-type]
        session = watched.start(0)
        session.answer(Evaluate([(0,), (1,), (2,)], 0.5))
        for _ in range(2):
            session.answer(TrainPaths(lambda rng: (0,)))
        assert Counter.read(tmp_path / f"{shared}") == expected
    assert Counter.read(tmp_path / "none") == 0

    suite = tiny("random_search", seeds=3, evaluations=10)
    assert len(rows(suite)) == 1
    work = execution.plan(suite, None)
    (task,) = work.tasks
    split = [dataclasses.replace(task, seeds=(n,), folder=tmp_path) for n in (0, 1, 2)]
    (tmp_path / "seed-0").mkdir()
    Counter(tmp_path / "seed-0").add(float("inf"))  # it has finished
    Counter(tmp_path / "seed-1").add(4)
    split.append(task)  # it reads a table, and is no training
    assert execution.trained(dataclasses.replace(work, tasks=split)) == (14, 30)
