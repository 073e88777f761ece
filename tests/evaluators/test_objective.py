"""An objective and a space of one's own: in Python, in suites, on the command line, read back."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from support import blocks, cli

import nasbench_evo as ne
from nasbench_evo import suite as suites
from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.evaluators.objective import Objective
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import Evaluate, EvaluateMixtures

PAGE = Path(__file__).parents[2] / "docs" / "objectives.md"
FILES = {b.note.removeprefix("file: "): b.text for b in blocks(PAGE) if b.note[:6] == "file: "}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of docs/objectives.md, and a mark where they are imported."""
    folder = tmp_path_factory.mktemp("own")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    for name in ("bridges.py", "strength.py"):
        mark = "from pathlib import Path\nPath('imported').touch()\n"
        (folder / name).write_text(mark + FILES[name])
    return folder


def test_each_takes_at_most_25_lines() -> None:
    for name in ("bridges.py", "strength.py"):
        assert len([line for line in FILES[name].splitlines() if line.strip()]) <= 25


@pytest.mark.slow
def test_a_suite_runs_it_and_its_results_are_read_without_importing_it(home: Path) -> None:
    done = cli("run", "bridges.toml", "--seeds", 3, "--out", "out", "--engine", "serial", cwd=home)
    assert done.returncode == 0, done.stderr
    assert "is first with accuracy" in done.stdout
    (home / "imported").unlink()
    for name in ("bridges.py", "strength.py"):
        (home / name).rename(home / f"{name}.away")
    commands = [
        ("report", "out", "--out", "elsewhere/page.html"),
        ("run", "bridges.toml", "--seeds", 3, "--out", "out", "--dry-run"),
    ]
    for words in commands:
        done = cli(*words, cwd=home)
        assert done.returncode == 0, done.stderr
    assert "9 runs, 9 done" in done.stdout
    for name in ("bridges.py", "strength.py"):
        (home / f"{name}.away").rename(home / name)
    assert not (home / "imported").exists()
    page = (home / "elsewhere" / "page.html").read_text()
    assert "strength:Strength" in page
    assert "--evaluator strength:Strength --space bridges:Bridges" in page
    summary = json.loads((home / "out" / "summary.json").read_text())
    assert summary["evaluator"] == "strength:Strength"
    assert {row["label"] for row in summary["rows"]} >= {"random_search (paper)"}


def test_the_command_line_searches_it(home: Path) -> None:
    words = "search local_search --evaluator strength:Strength --space bridges:Bridges"
    words += " --dataset steel --evaluations 60 --evaluator-set noise=0 --json"
    done = cli(*words.split(), cwd=home)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["space"] == "bridges"
    assert found["valid_accuracy"] >= 30
    assert cli(*words.replace("noise", "nois").split(), cwd=home).returncode == 2


class Ones(Objective):
    """Counts ones, with noise."""

    name = "ones"

    def __init__(self, dataset: str = "bits", space: Any = "binary_stages", noise: float = 0.0):
        super().__init__(dataset, space)
        self.noise = noise

    def accuracy(self, genotype: Any, rng: Stream) -> float:
        return 99 * sum(genotype) / len(genotype) + self.noise * rng.random()


def test_python_searches_and_compares_it(tmp_path: Path) -> None:
    found = ne.search("genetic_cnn", evaluator=Ones(noise=1.0), budget=60, seed=1)
    assert found.valid_accuracy is None  # it knows no truth: only what was seen
    assert found.details["seen_valid_accuracy"] == max(a.valid_accuracy for a in found.history)
    assert found.to_frame().regret.isna().all()
    compared = ne.compare(["eigen", "local_search"], evaluator=Ones(), seeds=3, budget=40)
    assert "local_search (paper) is first" in compared.verdict
    page = compared.report(tmp_path / "ones.html").read_text()
    assert "nasbench_evo.compare([&#39;eigen&#39;, &#39;local_search&#39;]" in page
    assert ne.compare(["eigen"], evaluator=Ones(noise=1.0), seeds=3, budget=40).found.suite != (
        compared.found.suite
    )


def test_what_it_answers() -> None:
    session = Ones(noise=1.0).start(0)
    space = Ones().space
    cells = space.sample(Stream(0), 2)
    whole = session.answer(Evaluate(cells))
    again = Ones(noise=1.0).start(0).answer(Evaluate(cells))
    assert whole == again
    assert whole[0].valid_accuracy != session.answer(Evaluate(cells[:1]))[0].valid_accuracy
    (part,) = session.answer(Evaluate(cells[:1], 0.25))
    (rest,) = session.answer(Evaluate(cells[:1], 1.0, continues=[part.training]))
    assert (part.cost, rest.cost) == (0.25, 0.75)
    with pytest.raises(Unsupported, match="mimicry"):
        session.answer(Evaluate(cells, teacher=object()))
    mixed = Ones(space="nasbench201").start(0)
    import numpy as np

    (answer,) = mixed.answer(EvaluateMixtures(np.zeros((1, 6, 5))))
    assert answer.valid_loss is not None


@pytest.mark.parametrize("value", [float("nan"), 100.5, -1, None, "many"])
def test_an_accuracy_is_a_number_in_percent(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ones, "accuracy", lambda self, genotype, rng: value)
    with pytest.raises(InputError, match=r"0\.\.100"):
        ne.search("random_search", evaluator=Ones(), budget=3)


def test_mistakes_in_suites_are_explained(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "path", list(sys.path))
    base = FILES["bridges.toml"]
    wrong = {
        "Cannot import 'strenght'": base.replace("strength:Strength", "strenght:Strength"),
        "Its evaluators: Strength": base.replace("strength:Strength", "strength:Strenth"),
        "Its spaces: Bridges": base.replace("bridges:Bridges", "bridges:Bridge"),
        "It takes: noise": base.replace("noise =", "nois ="),
        "does not go with": base.replace("seeds", 'table = "nasbench201"\nseeds'),
        "would never end": base.replace("evaluations = 150", "simulated_seconds = 10"),
        "Did you mean 'standalone'": base.replace("strength:Strength", "standalon"),
    }
    for message, text in wrong.items():
        (home / "wrong.toml").write_text(text)
        with pytest.raises(InputError, match=message):
            suites.load(home / "wrong.toml")
    with pytest.raises(InputError, match="never end"):
        ne.search("random_search", evaluator=Ones(), budget=ne.Budget(None, 10))
    with pytest.raises(InputError, match="call the class"):
        ne.search("random_search", evaluator=Ones)  # type: ignore[arg-type]
    odd = Ones()
    odd.net = object()  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="begin with '_'"):
        odd.identity()
