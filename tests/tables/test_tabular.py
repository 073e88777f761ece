"""Tables of one's own: CSV, Parquet, JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import through

from nasbench_evo import tables
from nasbench_evo.errors import DataError, Unsupported
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.requests import Evaluate
from nasbench_evo.spaces import NASBench201
from nasbench_evo.tables import imported
from nasbench_evo.tables.importing.columns import Reading
from nasbench_evo.tables.table import FIXED_POINT

SPACE = NASBench201()


def digits(index: int) -> str:
    """The six digits of the cell in row `index` of a table."""
    return "".join(map(str, SPACE.from_index(index)))


HEAD = "arch,dataset,epochs,split,trial,accuracy,loss,seconds,params,flops,latency,epoch\n"
# The worked example of docs/tables.md: one cell, two trials, a curve of three epochs.
EXAMPLE = HEAD + (
    "333103,mine,3,valid,0,40.5,1.7,2,0.9,120,0.01,1\n"
    "333103,mine,3,valid,0,55.25,1.2,2,0.9,120,0.01,2\n"
    "333103,mine,3,valid,0,61.125,1.1,2,0.9,120,0.01,3\n"
    "333103,mine,3,valid,1,41,1.7,2,0.9,120,0.03,1\n"
    "333103,mine,3,valid,1,52,1.3,2,0.9,120,0.03,2\n"
    "333103,mine,3,valid,1,62.123456,1.0,4,0.9,120,0.03,3\n"
    "333103,mine,3,train,0,99,,30,,,,\n"
    "333103,mine,3,train,1,99,,50,,,,\n"
    "333103,mine,3,test,0,60,,,,,,\n"
)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "tables"))
    return tmp_path / "tables"


def bring(path: Path, content: str, name: str = "own") -> tables.Table:
    path.write_text(content, encoding="utf-8")
    imported.import_path(path, name, progress=lambda done, total: None)
    return tables.load(name)


def test_the_worked_example(tmp_path: Path) -> None:
    table = bring(tmp_path / "mine.csv", EXAMPLE)
    cell = (3, 3, 3, 1, 0, 3)
    g = SPACE.index(cell)
    assert table.datasets == ("mine",)
    assert table.epochs == 3
    assert table.images == (FIXED_POINT,)
    assert table.valid_accuracy[0, g].tolist() == [61.125, 62.123456]
    assert table.mean_accuracy[0, g] == pytest.approx(61.624228, abs=1e-12)
    assert table.valid_loss is not None
    assert table.valid_loss[0, g].tolist() == [1.1, 1.0]
    assert table.mean_test("mine", cell) == 60
    assert table.train_seconds[0, g] == 40
    assert table.full_seconds[0, g] == 43
    assert table.size("mine", cell) == 900_000
    assert table.flops is not None
    assert table.flops[0, g] == 120
    assert table.latency("mine", cell) == pytest.approx(0.02)
    assert table.valid_curve is not None
    assert table.valid_curve[0, g, 0].tolist() == [40.5, 55.25, 61.125]
    assert table.protocol("mine") == "validation: valid of mine after 3 epochs; test: test of mine"
    assert table.rank("mine", cell) == 1
    assert int((table.trials > 0).sum()) == 1


def test_a_search_asks_for_validation_and_pays_for_it(tmp_path: Path) -> None:
    """Train time x fraction + validation time, on the curve of one trial."""
    evaluator = LookupEvaluator(bring(tmp_path / "mine.csv", EXAMPLE), "mine")
    session = evaluator.start(0)
    ((early,), (late,)) = through(session, [(3, 3, 3, 1, 0, 3)], (1 / 3, 1.0))
    assert (early.valid_accuracy, late.valid_accuracy) in [(40.5, 61.125), (41.0, 62.123456)]
    assert early.cost_seconds == pytest.approx(40 / 3 + 3)
    assert late.cost_seconds == pytest.approx(40 * 2 / 3 + 3)
    assert session.notes == {"landmark_source": "curve"}
    (again,) = evaluator.start(1).answer(Evaluate([(3, 3, 3, 1, 0, 3)]))
    assert again.cost_seconds == 43
    assert again.cost == 1


def test_a_cell_without_trials_stops_a_search(tmp_path: Path) -> None:
    evaluator = LookupEvaluator(bring(tmp_path / "mine.csv", EXAMPLE), "mine")
    with pytest.raises(DataError, match=r"no trial of \|none~0.* on mine"):
        evaluator.start(0).answer(Evaluate([(0,) * 6]))


def test_plain_json(tmp_path: Path) -> None:
    accuracies = {SPACE.format(SPACE.from_index(i)): round(i / 157, 6) for i in range(15_625)}
    table = bring(tmp_path / "plain.json", json.dumps(accuracies))
    assert table.valid_accuracy[0, :, 0].tolist() == list(accuracies.values())
    assert table.datasets == ("own",)
    assert not table.has_times("own")
    (answer,) = LookupEvaluator(table, "own").start(0).answer(Evaluate([(1, 0, 0, 0, 0, 0)]))
    assert answer.valid_accuracy == round(3125 / 157, 6)
    assert answer.cost_seconds == 0


def test_json_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    original = json.loads

    def loads(text: str, **options: Any) -> Any:
        parsed.append(text)
        return original(text, **options)

    text = json.dumps([{"arch": SPACE.format(SPACE.from_index(3)), "valid": 50.0}])
    monkeypatch.setattr(json, "loads", loads)
    bring(tmp_path / "once.json", text)
    assert parsed.count(text) == 1


def test_rows_as_json_are_rows_as_csv(tmp_path: Path) -> None:
    lines = [line.split(",") for line in EXAMPLE.splitlines()]
    rows = [{k: v for k, v in zip(lines[0], line, strict=True) if v} for line in lines[1:]]
    bring(tmp_path / "a.json", json.dumps(rows), "a")
    bring(tmp_path / "b.csv", EXAMPLE, "b")
    assert imported.open_file("a").hashes == imported.open_file("b").hashes


def test_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [
        {
            "arch": digits(i),
            "dataset": "m",
            "epochs": 9,
            "split": "valid",
            "trial": 0,
            "accuracy": a,
        }
        for i, a in ((3, 50.5), (4, 60.25))
    ]
    file = tmp_path / "x.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    imported.import_path(file, "p", progress=lambda done, total: None)
    assert tables.load("p").mean_accuracy[0, 3:5].tolist() == [50.5, 60.25]
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(DataError, match="no Parquet table"):
        imported.import_path(file, "q", progress=lambda done, total: None)


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Unsupported, match="pip install pyarrow"):
        bring(tmp_path / "x.parquet", "")


def test_two_sets_and_lengths(tmp_path: Path) -> None:
    rows = ["arch,dataset,epochs,split,trial,accuracy"]
    rows += [
        f"{digits(i)},{d},{e},x-valid,7,{i % 7 + e}" for i in (1, 2) for d in "ab" for e in (5, 20)
    ]
    table = bring(tmp_path / "x.csv", "\n".join(rows))
    assert table.datasets == ("a", "b")
    assert imported.epochs_of("own") == [5, 20]
    assert table.mean_accuracy[1, 2] == 22
    assert tables.load("own@5").mean_accuracy[0, 1] == 6
    assert table.valid_curve is None
    assert table.test_accuracy is None


GOOD = "arch,dataset,epochs,split,trial,accuracy\n#1,a,5,valid,0,50\n"
BAD: dict[str, tuple[str, str]] = {
    "duplicate row": (
        GOOD + "#1,a,5,valid,0,51\n",
        r"line 3: a second row for \|nor_conv_3x3~0.*, a, valid, trial 0, epoch 5",
    ),
    "duplicate spelling": (
        GOOD + "334131,a,5,valid,0,51\n",
        r"line 3: a second row for \|nor_conv_3x3~0",
    ),
    "second accuracy, a loss between": (
        HEAD + "#1,a,2,valid,0,50,,,,,,2\n#1,a,2,valid,0,,1,,,,,2\n#1,a,2,valid,0,60,,,,,,2\n",
        r"line 4: a second row for \|nor_conv_3x3~0.*, epoch 2",
    ),
    "accuracy above": (GOOD + "#2,a,5,valid,0,100.1\n", r"line 3: accuracy must be 0\.\.100"),
    "accuracy below": (GOOD + "#2,a,5,valid,0,-1\n", r"line 3: accuracy must be 0\.\.100"),
    "accuracy nan": (GOOD + "#2,a,5,valid,0,nan\n", "line 3: accuracy is no finite number"),
    "accuracy text": (GOOD + "#2,a,5,valid,0,high\n", "line 3: accuracy: could not convert"),
    "no accuracy": (GOOD + "#2,a,5,valid,0,\n", r"line 3: accuracy must be 0\.\.100"),
    "unknown operation": (
        GOOD + "|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|,a,5,valid,0,1\n",
        "line 3: Unknown operation 'conv'",
    ),
    "unknown cell": (GOOD + "#15625,a,5,valid,0,1\n", r"line 3: A cell index is 0\.\.15624"),
    "unknown split": (GOOD + "#2,a,5,validation,0,1\n", "line 3: unknown split 'validation'"),
    "no epochs": (GOOD + "#2,a,0,valid,0,1\n", r"line 3: epochs must be an integer 1\.\."),
    "half an epoch": (GOOD + "#2,a,1.5,valid,0,1\n", "line 3: epochs must be an integer"),
    "slash": (GOOD + "#2,a/b,5,valid,0,1\n", "line 3: dataset must be a name"),
    "missing column": ("arch,accuracy\n#1,5\n", r"missing columns \['dataset', 'epochs', 'spl"),
    "unknown column": (
        "arch,dataset,epochs,split,trial,acc\n#1,a,5,valid,0,50\n",
        r"missing columns \['accuracy'\]; not understood: \['acc'\]",
    ),
    "short line": (GOOD + "#2,a,5\n", "line 3: too many or too few columns"),
    "long line": (GOOD + "#2,a,5,valid,0,1,9\n", "line 3: too many or too few columns"),
    "no validation": (
        "arch,dataset,epochs,split,trial,accuracy\n#1,a,5,test,0,50\n",
        "no validation accuracy at any length of training",
    ),
    "only the head": ("arch,dataset,epochs,split,trial,accuracy\n", "no trial of any cell"),
    "nothing": ("", "missing columns"),
    "hole in a curve": (
        HEAD + "#1,a,3,valid,0,5,,,,,,1\n#1,a,3,valid,0,6,,,,,,3\n",
        r"needs every epoch 1\.\.3 or the last only",
    ),
    "curve without end": (
        HEAD + "#1,a,3,valid,0,5,,,,,,1\n#1,a,3,valid,0,6,,,,,,2\n",
        r"needs every epoch 1\.\.3 or the last only",
    ),
    "epoch beyond": (HEAD + "#1,a,3,valid,0,5,,,,,,4\n", r"epoch must be an integer 1\.\.3"),
    "sizes that differ": (
        HEAD + "#1,a,3,valid,0,5,,,1,,,\n#1,a,3,test,0,5,,,2,,,\n",
        "parameters is 1.0 in another row of this trial, here 2.0",
    ),
    "broken quotes": (GOOD + '"#2,a,5,valid,0,1\n', "no CSV table"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_rows_name_file_and_line(name: str, tmp_path: Path, own_folder: Path) -> None:
    content, message = BAD[name]
    with pytest.raises(DataError, match=message) as caught:
        bring(tmp_path / "bad.csv", content)
    assert "bad.csv" in str(caught.value)
    assert not own_folder.exists() or not list(own_folder.iterdir())


BAD_JSON: dict[str, tuple[Any, str]] = {
    "a number": ("5", "expected a list of rows"),
    "cut": ('{"#1": 5', "no JSON table"),
    "twice": ('{"#1": 5, "#1": 6}', "the key '#1' is there twice"),
    "two spellings": ('{"#1": 5, "334131": 6}', "entry 2: a second row for"),
    "above": ('{"#1": 500}', r"entry '#1': accuracy must be 0\.\.100"),
    "text": ('{"#1": "x"}', "entry '#1': accuracy: could not convert"),
    "object": ('[{"arch": "#1", "valid": {}}]', "accuracy: float"),
    "yes": ('{"#1": true}', "entry '#1': accuracy is no number"),
    "empty": ("{}", "no trial of any cell"),
    "no rows": ("[1, 2]", "row 1: expected a row with named columns"),
    "deep": ("[" * 100_000, "no JSON table"),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_json(name: str, tmp_path: Path) -> None:
    content, message = BAD_JSON[name]
    with pytest.raises(DataError, match=message) as caught:
        bring(tmp_path / "bad.json", content)
    assert "bad.json" in str(caught.value)


def test_a_trial_may_be_written_as_a_float(tmp_path: Path) -> None:
    table = bring(tmp_path / "own.csv", GOOD.replace(",0,50", ",1e3,50") + "#1,a,5,valid,7.0,60\n")
    assert np.nanmax(table.mean_accuracy) == 55


def test_sixth_decimals_survive(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, FIXED_POINT, 500) / 1e6
    table = bring(tmp_path / "x.json", json.dumps({digits(i): v for i, v in enumerate(values)}))
    assert table.valid_accuracy[0, :500, 0].tolist() == values.tolist()


def test_a_tables_hash_is_of_its_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Imported again, elsewhere, from another file name and in another row order: one hash."""
    first = bring(tmp_path / "mine.csv", EXAMPLE, "a")
    head, *rows = EXAMPLE.splitlines()
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "another lab"))
    again = bring(tmp_path / "renamed.csv", "\n".join([head, *reversed(rows)]), "a")
    assert first.sha256 == again.sha256
    assert first.label != again.label
    identities = [LookupEvaluator(table, "mine").identity() for table in (first, again)]
    assert identities[0] == identities[1]
    several = [head, *(row.replace(",mine,", f",{name},") for name in "ba" for row in rows)]
    twice = [
        bring(tmp_path / "x.csv", "\n".join([head, *order]), name)
        for name, order in (("x", several[1:]), ("y", several[:0:-1]))
    ]
    assert twice[0].sha256 == twice[1].sha256
    assert twice[0].datasets == ("a", "b")
    other = bring(tmp_path / "other.csv", EXAMPLE.replace("62.123456", "62.123457"), "b")
    assert other.sha256 != first.sha256


def test_a_table_of_an_earlier_version_keeps_its_hash() -> None:
    """The bundled table has no hash of its content: that of its file stays in the unit keys."""
    table = tables.load("digits")
    file = imported.open_file("digits")
    assert "content_sha256" not in file.fields
    assert table.sha256 == file.sha256


def test_a_column_of_integers_says_what_they_are(tmp_path: Path) -> None:
    from nasbench_evo.spaces import spellings

    file = tmp_path / "x.json"
    file.write_text(json.dumps({"4242": 50.0, "7": 60.0}))
    with pytest.raises(DataError, match="entry '4242': '4242' does not say which cell"):
        imported.import_path(file, "no", progress=lambda done, total: None)
    for index, rows in (
        ("official", [spellings.official_order()[i] for i in (4242, 7)]),
        ("base5", [4242, 7]),
    ):
        imported.import_path(
            file, index, progress=lambda done, total: None, reading=Reading(index=index)
        )
        assert tables.load(index).mean_accuracy[0, rows].tolist() == [50.0, 60.0]
