"""`nasbench-evo search` where something is trained: output, progress, resume, mistakes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nasbench_evo.cli import app
from nasbench_evo.evaluators.supernet_session import SupernetSession

pytestmark = pytest.mark.torch

TINY = ("train_size=60", "batch_size=20", "channels=2", "cells=1")
SETTINGS = [text for pair in TINY for text in ("--evaluator-set", pair)]
SHARED = ["genetic_nas", "--evaluator", "supernet", "--dataset", "digits", "--set", "epochs=3",
          "--set", "generation_size=4", "--seed", "3", *SETTINGS]  # fmt: skip


def search(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["search", *arguments])


def test_a_search_on_shared_weights_prints_what_it_found() -> None:
    result = search(*SHARED)
    assert result.exit_code == 0, result.output
    assert re.search(r"evaluations +\d+ individuals with shared weights", result.stdout)
    assert "fitness" not in result.stdout


def test_json_holds_the_fitness_of_each_epoch_and_the_final_trainings() -> None:
    final = ["--final-set", "epochs=1", "--final-set", "channels=2", "--final-set", "cells=1",
             "--final-set", "train_size=60"]  # fmt: skip
    result = search(*SHARED, *final, "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    details = content["details"]
    assert [row[0] for row in details["fitness_by_epoch"]] == [1, 2, 3]
    assert all(high >= mean >= low for _, high, mean, low in details["fitness_by_epoch"])
    assert details["final_trainings"][0]["test_accuracy"] == content["test_accuracy"]
    assert 0 <= content["test_accuracy"] <= 100
    assert content["regret"] is content["rank"] is None  # there is no table
    assert content["notes"] == {"weights": "shared", "batch_norm": "recalibrated"}


def test_an_interrupted_search_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = json.loads(search(*SHARED, "--json").stdout)
    answer, left = SupernetSession.answer, 4

    def interrupted(self: SupernetSession, request: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return answer(self, request)

    with monkeypatch.context() as patched:
        patched.setattr(SupernetSession, "answer", interrupted)
        stopped = search(*SHARED, "--journal", str(tmp_path / "j"))
    assert stopped.exit_code == 130
    assert "To go on" in stopped.stderr
    again = json.loads(search(*SHARED, "--journal", str(tmp_path / "j"), "--json").stdout)
    assert again["trace_sha256"] == whole["trace_sha256"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["eigen", "--evaluator", "supernet"], "trains no shared weights"),
        (["darts", "--evaluator", "supernet", "--space", "micro_cell"], "Relaxable"),
        (["genetic_nas", "--final-set", "epochs=1"], "--final-set needs"),
        (["genetic_nas", "--evaluator", "supernet", "--devices", "cpu,cpu"], "one device"),
        (["darts", "--evaluator", "standalone", "--dataset", "digits"], 'evaluator = "supernet"'),
        (["genetic_nas", "--evaluator", "super"], "supernet"),
    ],
)
def test_mistakes_are_explained(arguments: list[str], message: str) -> None:
    result = search(*arguments, *(["--dataset", "digits"] if "--dataset" not in arguments else []))
    assert result.exit_code != 0
    assert message in f"{result.output}{result.exception}"
