"""Layer D: a figure of summary.json that today's code does not give is found, and said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nasbench_evo import suite as suites
from nasbench_evo.errors import DataError
from nasbench_evo.gate import baseline as gate_baseline
from nasbench_evo.gate import cells, judgement, summary
from nasbench_evo.gate import measured as gate_runs
from nasbench_evo.results import kinds
from nasbench_evo.results.runs import UnitRuns

SUITE = suites.Suite.model_validate(
    {
        "name": "small",
        "datasets": ["cifar10"],
        "seeds": 20,
        "evaluations": 300,
        "checkpoints": [50, 300],
        "rows": [{"algorithm": "random_search"}, {"algorithm": "regularized_evolution"}],
    }
)
Measured = dict[gate_runs.Key, gate_runs.Measured]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def runs() -> Measured:
    return gate_runs.measure(cells.units(SUITE), range(20), engine="serial")


@pytest.fixture
def content(runs: Measured) -> dict[str, Any]:
    kind = kinds.of(SUITE)
    collected = [UnitRuns(m.unit, list(m.runs)) for m in runs.values() if m.runs]
    made: dict[str, Any] = json.loads(json.dumps(kind.summary(kind.find(SUITE, collected))))
    return made


def check(folder: Path, content: Any, runs: Measured) -> summary.SummaryCheck:
    path = folder / "summary.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return summary.check(path, SUITE, runs)


def test_the_same_figures_hold(tmp_path: Path, content: dict[str, Any], runs: Measured) -> None:
    found = check(tmp_path, content, runs)
    assert (found.differences, found.skipped) == ((), None)
    assert found.figures == 4 * len(content["rows"][0])
    content["rows"][0]["mean_regret"] *= 1 + 1e-9  # another machine's last digit
    content["notes"] = ["other words"]
    del content["rows"][1]["median_regret"]  # a column that the file has not yet
    assert check(tmp_path, content, runs).differences == ()


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("mean_regret", lambda value: value * 1.00001),
        ("rank", lambda value: value + 1),
        ("best", lambda value: "tied?"),
        ("n", lambda value: value - 1),
    ],
)
def test_one_other_figure_is_found_and_said(
    tmp_path: Path, content: dict[str, Any], runs: Measured, key: str, change: Any
) -> None:
    row = content["rows"][-1]
    row[key] = change(row[key])
    found = check(tmp_path, content, runs)
    (text,) = found.differences
    assert text.startswith(f"{row['algorithm']} paper cifar10 300, {key}: ")
    assert " instead of " in text


def test_a_column_or_row_that_is_gone_is_a_difference(
    tmp_path: Path, content: dict[str, Any], runs: Measured
) -> None:
    content["rows"][0]["of_old"] = 1
    assert check(tmp_path, content, runs).differences[0].endswith("of_old: no longer there")
    content["rows"].append(dict(content["rows"][0]))
    assert "rows: 4 instead of 5" in check(tmp_path, content, runs).differences


def test_what_cannot_be_compared_is_said(
    tmp_path: Path, content: dict[str, Any], runs: Measured
) -> None:
    assert summary.check(tmp_path / "no.json", SUITE, runs).skipped == "there is no such file"
    for row in content["rows"]:
        row["asked"] = 500
    skipped = check(tmp_path, content, runs).skipped
    assert skipped == "it is of 500 seeds, this check of 20"
    with pytest.raises(DataError, match="cannot be read"):
        check(tmp_path, "{", runs)


def test_a_difference_fails_unless_the_search_changed_and_may(
    tmp_path: Path, content: dict[str, Any], runs: Measured
) -> None:
    content["rows"][0]["rank"] = 7
    found = check(tmp_path, content, runs)
    accepted = gate_baseline.of(runs, {"seeds": 20})
    for allowed in (False, True):
        outcome = judgement.judge(
            accepted, runs, suite="small", summary=found, allow_changed_traces=allowed
        )
        passed, text = outcome.layers["D summary"]
        assert not passed  # no trace changed: nothing excuses it
        assert "1 differ, first: " in text
        assert not outcome.passed
    other = gate_runs.measure(cells.units(SUITE)[:1], range(100, 120), engine="serial")
    changed = judgement.judge(
        accepted, runs | other, suite="small", summary=found, allow_changed_traces=True
    )
    assert changed.layers["D summary"][0]


def test_the_committed_summary_is_of_all_seeds_that_the_gate_runs() -> None:
    rows = json.loads((ROOT / "results" / "nb201" / "summary.json").read_text())["rows"]
    accepted = gate_baseline.load(ROOT / "results" / "baselines" / "nb201.json", "check")
    assert {row["asked"] for row in rows} == {row["n"] for row in rows} == {accepted.seeds}
