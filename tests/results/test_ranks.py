"""Ranks of algorithms over the data sets of several suites."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nasbench_evo.cli import app
from nasbench_evo.errors import DataError, InputError
from nasbench_evo.results import ranks

NAMES = ["random_search", "eigen", "local_search", "genetic_nas"]


def folder(
    path: Path, table: str, regrets: dict[str, list[float]], names: list[str] = NAMES
) -> Path:
    """A results folder with the summary of a suite: regrets by data set, in the order of names."""
    rows = [
        {"algorithm": name, "preset": "paper", "dataset": d, "evaluations": e, "n": 7,
         "mean_regret": value if e == 300 else 99.0}
        for d, values in regrets.items()
        for e in (50, 300)
        for name, value in zip(names, values, strict=True)
    ]  # fmt: skip
    path.mkdir()
    (path / "summary.json").write_text(json.dumps({"table": table, "rows": rows}))
    return path


def two(tmp_path: Path) -> list[Path]:
    first = {d: [4.0, 3.0, 1.0, 2.0] for d in ("a", "b", "c", "d", "e")}
    second = {d: [4.0, 2.0, 3.0, 2.0] for d in ("a", "x", "y", "z", "w")}
    return [folder(tmp_path / "one", "T", first), folder(tmp_path / "two", "U", second)]


def test_ranks_are_of_the_end_and_ties_are_shared(tmp_path: Path) -> None:
    found = ranks.compare([block for path in two(tmp_path) for block in ranks.read(path)])
    assert found.rows == [
        f"{n} (paper)" for n in ("genetic_nas", "local_search", "eigen", "random_search")
    ]
    assert found.ranks[0].tolist() == [2, 1, 3, 4]
    assert found.ranks[5].tolist() == [1.5, 3, 1.5, 4]
    assert found.overall.average_ranks.tolist() == [1.75, 2, 2.25, 4]
    assert {t: a.tolist() for t, a in found.by_table.items()} == {
        "T": [2, 1, 3, 4],
        "U": [1.5, 3, 1.5, 4],
    }
    # 4 rows, 10 blocks: q(0.05) = 2.569 (Demsar 2006, Table 5a)
    assert found.overall.critical_difference == pytest.approx(2.569 * (20 / 60) ** 0.5, abs=1e-3)
    assert ranks.groups(found.overall) == [(0, 2)]
    text = " ".join(ranks.sentences(found))
    assert (
        "before random_search (paper): genetic_nas (paper), local_search (paper), eigen (paper);"
        in text
    )
    assert "Two data sets of T agree with Kendall's tau-b 1.00" in text
    assert "local_search (paper), the best of T, has the average rank 3.0 of 4 there" in text


def test_the_command_writes_what_it_prints(tmp_path: Path) -> None:
    one, other = two(tmp_path)
    done = CliRunner().invoke(app, ["ranks", str(one), str(other), "--json"])
    assert done.exit_code == 0, done.output
    written = json.loads((one / "ranks.json").read_text())
    assert json.loads(done.stdout) == written
    assert len(written["blocks"]) == 10
    with (one / "ranks.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [float(line["average"]) for line in lines] == [1.75, 2, 2.25, 4]
    assert lines[0]["U x"] == "1.5"
    svg = (one / "critical_difference.svg").read_text()
    assert (one / "critical_difference.png").stat().st_size > 1000
    assert "CD = 1.48" in svg or "glyph" in svg or "<path" in svg


def test_rows_that_are_not_everywhere_are_left_out_and_named(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", "T", {"a": [4.0, 3.0, 1.0, 2.0]})
    other = folder(tmp_path / "two", "U", {"a": [4.0, 3.0, 1.0]}, NAMES[:3])
    found = ranks.compare([*ranks.read(one), *ranks.read(other)])
    assert found.left_out == ["genetic_nas (paper)"]
    assert "left out: genetic_nas (paper)" in ranks.sentences(found)[-1]


def test_what_cannot_be_ranked_is_refused(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", "T", {"a": [4.0, 3.0, 1.0, 2.0]})
    with pytest.raises(InputError, match="two or more data sets; got 1"):
        ranks.compare(ranks.read(one))
    with pytest.raises(InputError, match="there twice"):
        ranks.compare(ranks.read(one) * 2)
    other = folder(tmp_path / "two", "U", {"a": [4.0, 3.0]}, NAMES[:2])
    with pytest.raises(InputError, match="share 2 rows"):
        ranks.compare([*ranks.read(one), *ranks.read(other)])
    with pytest.raises(InputError, match="cannot be read"):
        ranks.read(tmp_path / "none")
    (one / "summary.json").write_text('{"rows": [{"mean_regret": 1}]}')
    with pytest.raises(DataError, match="no summary of a suite"):
        ranks.read(one)
    (one / "summary.json").write_text('{"rows": [{"mean_accuracy": 1}]}')
    with pytest.raises(InputError, match="has no regrets"):
        ranks.read(one)


def test_the_committed_result_is_what_the_summaries_say() -> None:
    results = Path(__file__).parents[2] / "results"
    folders = [results / name for name in ("generality", "generality_fcnet", "generality_mlp")]
    found = ranks.compare([block for path in folders for block in ranks.read(path)])
    assert ranks.summary(found) == json.loads((folders[0] / "ranks.json").read_text())
