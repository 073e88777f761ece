"""`nasbench-evo rank-correlation`, as a user meets it: figures, references, files and mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import scipy.stats

from nasbench_evo import cli, evaluators, spaces, tables
from nasbench_evo.spaces import isomorphism

SPACE = spaces.get("nasbench201")
NAMES = ["kendall_tau", "spearman", "pearson", "weighted_tau", "tau_top50", "tau_top10"]
NAMES += ["tau_top1", "precision_at_10", "best_predicted_truth"]


class Done(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run the command in an empty folder, in this process: a traceback would fail the test."""
    monkeypatch.chdir(tmp_path)

    def run_(*arguments: object) -> Done:
        argv = ["nasbench-evo", "rank-correlation", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return Done(int(end.value.code or 0), captured.out, captured.err)

    return run_


def write_csv(name: str, archs: Sequence[str], *columns: Sequence[float]) -> str:
    names = ",".join(f"v{i}" for i in range(len(columns)))
    rows = [",".join(map(str, row)) for row in zip(archs, *columns, strict=True)]
    Path(name).write_text("\n".join([f"arch,{names}", *rows]))
    return name


def digits(index: int) -> str:
    return "".join(map(str, SPACE.from_index(int(index))))


def sample(n: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    indices = rng.choice(15625, n, replace=False)
    y = rng.normal(90, 2, n)
    return [digits(i) for i in indices], y + rng.normal(0, 1.5, n), y


def distinct(archs: list[str]) -> list[int]:
    """Return the positions of cells that compute something else than those before them."""
    space = tables.load().space
    kinds = [isomorphism.classes()[space.index(space.parse(arch))] for arch in archs]
    return [i for i, kind in enumerate(kinds) if kind not in kinds[:i]]


def test_json_has_the_documented_keys(run: Run) -> None:
    archs, x, y = sample(300)
    first, second = y + 0.1 * np.sin(np.arange(300)), y - 0.1 * np.sin(np.arange(300))
    predicted = write_csv("p.csv", archs, x)
    truth = write_csv("t.csv", archs[::-1], first[::-1], second[::-1])
    done = run(predicted, truth, "--json", "--bootstrap", 50, "--top", 0.1)
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    keys = [name + suffix for name in NAMES for suffix in ("", "_low", "_high")]
    assert {"n", "reference", *keys} <= set(found)
    assert set(keys) <= set(found["reference"])
    assert found["n"] == 300
    mean = (first + second) / 2
    once = distinct(archs)
    assert found["reference"]["n"] == len(once) < 300  # each network counts once
    assert found["kendall_tau"] == pytest.approx(scipy.stats.kendalltau(x, mean).statistic)
    assert found["pearson"] == pytest.approx(scipy.stats.pearsonr(x, mean).statistic)
    assert found["best_predicted_truth"] == pytest.approx(mean[x.argmax()])
    between = scipy.stats.kendalltau(first[once], second[once]).statistic
    assert found["reference"]["kendall_tau"] == pytest.approx(between)
    assert found["kendall_tau_low"] < found["kendall_tau"] < found["kendall_tau_high"]
    assert json.loads(run(predicted, truth, "--json", "--bootstrap", 50).out) == found
    other = json.loads(run(predicted, truth, "--json", "--bootstrap", 50, "--seed", 1).out)
    assert other["kendall_tau"] == found["kendall_tau"]
    assert other["kendall_tau_low"] != found["kendall_tau_low"]


def test_options_change_what_they_say(run: Run) -> None:
    archs, x, y = sample(40)
    predicted, truth = write_csv("p.csv", archs, x), write_csv("t.csv", archs, y)
    options = ("--json", "--bootstrap", 0, "--top", 0.25, "--top", 0.75, "--k", 5)
    done = run(predicted, truth, *options)
    found = json.loads(done.out)
    assert {"tau_top25", "tau_top75", "tau_top50", "precision_at_5"} <= set(found)
    assert found["kendall_tau_low"] is None
    assert found["tau_top1"] is None  # of 40 the top 1 % is one
    assert found["reference"] is None  # one trial
    assert "Warning: 40 genotypes are too few, or too tied, for tau_top1" in done.err


def test_archs_that_only_one_side_has_are_counted_and_named(run: Run) -> None:
    predicted = {"000000": 1, "111111": 2, "222222": 3, "333333": 4, "000012": 5}
    truth = {SPACE.format((2,) * 6): 3.0, "#1651": 1.0, "111111": 2.0, "444444": 9.0}
    Path("p.json").write_text(json.dumps(predicted))
    Path("t.json").write_text(json.dumps(truth))
    done = run("p.json", "t.json", "--json", "--bootstrap", 10, "--k", 1)
    found = json.loads(done.out)
    assert found["n"] == 3
    assert found["kendall_tau"] == 1.0
    missing = [SPACE.format((3,) * 6), SPACE.format(SPACE.from_index(7))]
    assert found["only_in_predicted"] == missing
    assert found["only_in_truth"] == 1
    assert (
        f"2 of the 5 architectures of p.json are not in t.json and are left out: {missing[0]}"
        in (done.err)
    )
    assert "1 of the 4 architectures of t.json are not in p.json and are left out." in done.err


def test_a_file_against_a_table(run: Run, table: tables.Table) -> None:
    d = table.row("cifar100")
    indices = np.random.default_rng(0).choice(15625, 200, replace=False)
    truth = table.mean_accuracy[d, indices]
    predicted = write_csv("p.csv", [digits(i) for i in indices], -truth)
    done = run(predicted, "nasbench201", "--dataset", "cifar100", "--json", "--bootstrap", 20)
    found = json.loads(done.out)
    assert found["n"] == 200
    assert found["spearman"] == pytest.approx(-1.0)
    assert found["best_predicted_truth"] == pytest.approx(truth.min())
    first, second = table.valid_accuracy[d, indices, :2].T
    once = distinct([digits(i) for i in indices])
    between = scipy.stats.kendalltau(first[once], second[once]).statistic
    assert found["reference"]["kendall_tau"] == pytest.approx(between)
    assert "15425 of the 15625 architectures of nasbench201 on cifar100" in done.err


def test_the_table_for_people(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    archs, x, y = sample(150)
    predicted, truth = write_csv("p.csv", archs, x), write_csv("t.csv", archs, y, y[::-1])
    done = run(predicted, truth, "--bootstrap", 20)
    assert done.code == 0
    for text in (
        "Kendall's tau-b",
        "tau-b in the top 10 %",
        "precision at 10",
        "regret of the predicted best",
        "percentile of the predicted best (%)",
        "retest reference [95%]",
        "p.csv against t.csv",
    ):
        assert text in done.out
    alone = run(predicted, write_csv("t.csv", archs, y), "--bootstrap", 0)
    assert "none: the truth has one trial" in alone.out
    assert "[" not in alone.out.replace("[95%]", "")


@pytest.mark.parametrize(("target", "expected"), [("s", {"s.png", "s.svg"}), ("s.pdf", {"s.pdf"})])
def test_the_scatter_is_written(run: Run, target: str, expected: set[str]) -> None:
    archs, x, y = sample(120)
    predicted, truth = write_csv("p.csv", archs, x), write_csv("t.csv", archs, y)
    done = run(predicted, truth, "--bootstrap", 10, "--figure", target)
    assert {path.name for path in Path.cwd().glob("s.*")} == expected
    assert all(f"Written: {name}" in done.err for name in expected)


def test_another_space(run: Run) -> None:
    space = spaces.get("binary_stages")
    zero = space.poorest()
    archs = [space.format((0,) * i + (1,) + zero[i + 1 :]) for i in range(4)]
    predicted = write_csv("p.csv", archs, range(4))
    options = ("--space", "binary_stages", "--json", "--bootstrap", 0, "--figure", "s.png")
    done = run(predicted, write_csv("t.csv", archs, [0, 1, 3, 2]), *options)
    assert json.loads(done.out)["kendall_tau"] == pytest.approx((5 - 1) / 6)
    assert Path("s.png").exists()
    other = run(predicted, "nasbench201", "--dataset", "cifar10", "--space", "binary_stages")
    assert (other.code, other.out) == (2, "")
    assert "not of binary_stages" in other.err


@pytest.mark.parametrize("constant", ["predicted", "truth"])
def test_constant_values_give_null_and_a_warning(run: Run, constant: str) -> None:
    archs, x, y = sample(20)
    x, y = (np.ones(20), y) if constant == "predicted" else (x, np.ones(20))
    arguments = (write_csv("p.csv", archs, x), write_csv("t.csv", archs, y, y), "--bootstrap", 10)
    done = run(*arguments, "--json", "--figure", "s.png")
    assert done.code == 0
    found = json.loads(done.out)
    assert found["n"] == 20
    assert all(found[name + suffix] is None for name in NAMES for suffix in ("", "_low", "_high"))
    assert "Warning: Predicted or true values are constant: every figure is NaN." in done.err
    assert ("Warning: Retest reference: " in done.err) or constant == "predicted"
    assert run(*arguments).out.count(" - ") >= len(NAMES)


GOOD = "000000,1\n111111,2\n222222,4\n333333,3\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv", "good.csv"], "none.csv cannot be read"),
        (["good.csv", "none.json"], "none.json cannot be read"),
        (["folder.csv", "good.csv"], "folder.csv cannot be read"),
        (["good.csv", "nasbench20"], "Did you mean 'nasbench201'?"),
        (["good.csv", "good.txt"], "good.txt is neither a .csv or .json file nor a table"),
        (["good.csv", "nasbench201"], "choose one with --dataset"),
        (["good.csv", "nasbench201", "--dataset", "mnist"], "Unknown data set"),
        (["good.csv", "nasbench201@7", "--dataset", "cifar10"], "trainings of 200 epochs only"),
        (["good.csv", "good.csv", "--dataset", "cifar10"], "neither is a table"),
        (["good.csv", "good.csv", "--cells", "50"], "--cells are sampled for a supernet"),
        (["good.csv", "good.csv", "--space", "nasbench2"], "Unknown space"),
        (["good.csv", "good.csv", "--space", "layer_graph"], "good.csv, line 1"),
        (["good.csv", "good.csv", "--top", "10"], "The top 10% is 0.1"),
        (["good.csv", "good.csv", "--top", "0"], "The top 10% is 0.1"),
        (["good.csv", "good.csv", "--k", "0"], "--k"),
        (["good.csv", "good.csv", "--bootstrap", "-1"], "--bootstrap"),
        (["good.csv", "good.csv", "--figure", "good.csv/s.png"], "Cannot write good.csv/s.png"),
        (["good.csv", "net.pt"], "it is not the truth"),
        (["net.pt", "good.csv"], "There is no checkpoint net.pt"),
        (["few.csv", "good.csv"], "but 2 in common; expected 3 or more"),
        (["nan.csv", "good.csv"], "nan.csv, line 2: Expected a finite number, got 'nan'"),
        (["twice.csv", "good.csv"], "twice.csv, line 3: '#1651' is there already, in line 1"),
        (["bad.csv", "good.csv"], "bad.csv, line 3: Not a NAS-Bench-201 cell"),
        (["trials.csv", "good.csv"], "trials.csv, line 1: 3 columns without names"),
        (["empty.csv", "good.csv"], "empty.csv has 0 architectures"),
        (["broken.json", "good.csv"], "broken.json is no JSON file"),
    ],
)
def test_mistakes_end_with_2_and_a_sentence(run: Run, arguments: list[str], message: str) -> None:
    files = {
        "good.csv": GOOD,
        "good.txt": GOOD,
        "few.csv": "000000,1\n111111,2\n444444,3\n000013,4\n",
        "nan.csv": "000000,1\n111111,nan\n",
        "twice.csv": "000000,1\n111111,2\n#1651,1\n",
        "bad.csv": "000000,1\n111111,2\n|none~0|,1\n",
        "trials.csv": "000000,1,2\n111111,2,3\n",
        "empty.csv": "",
        "broken.json": '{"000000": 1',
    }
    for name, text in files.items():
        Path(name).write_text(text)
    Path("folder.csv").mkdir()
    done = run(*arguments, *([] if "--bootstrap" in arguments else ["--bootstrap", 5]))
    assert done.code == 2
    assert "Traceback" not in done.err
    assert message in done.err
    assert "--figure" in arguments or done.out == ""


def test_a_supernet_predicts_through_its_evaluator(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def accuracies(path: Path, n_cells: int, seed: int) -> dict[tuple[int, ...], float]:
        asked.append((path, n_cells, seed))
        return {(i,) * 6: 10.0 * i for i in range(5)}

    fake = SimpleNamespace(accuracies=accuracies)
    monkeypatch.setattr(evaluators, "checkpointed", fake, raising=False)
    Path("net.pt").touch()
    Path("t.csv").write_text(GOOD)
    done = run("net.pt", "t.csv", "--json", "--bootstrap", 0, "--cells", 50, "--seed", 3)
    assert json.loads(done.out)["n"] == 4
    assert json.loads(done.out)["kendall_tau"] == pytest.approx((5 - 1) / 6)
    run("net.pt", "t.csv", "--bootstrap", 0)
    assert asked == [(Path("net.pt"), 50, 3), (Path("net.pt"), 1000, 0)]
    other = run("net.pt", "t.csv", "--space", "binary_stages")
    assert other.code == 2
    assert "net.pt is of another space than binary_stages" in other.err


@pytest.mark.torch
def test_a_checkpoint_that_is_none_is_refused(run: Run) -> None:
    Path("net.pt").write_bytes(b"no checkpoint")
    Path("t.csv").write_text(GOOD)
    done = run("net.pt", "t.csv")
    assert done.code in (2, 4)  # not ours, or damaged
    assert "net.pt" in done.err


def test_the_installed_command() -> None:
    command = [sys.executable, "-m", "nasbench_evo", "rank-correlation", "a.csv", "b.csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "Error: a.csv cannot be read: No such file or directory. Check the path.\n"
    )


def test_two_data_sets_of_one_table(run: Run, table: tables.Table) -> None:
    words = ("nasbench201", "nasbench201", "--dataset", "cifar10", "--truth-dataset", "cifar100")
    found = json.loads(run(*words, "--json", "--bootstrap", 0).out)
    ends = table.mean_accuracy[0], table.mean_accuracy[1]
    assert found["n"] == 15_625
    assert found["pearson"] == pytest.approx(np.corrcoef(*ends)[0, 1])
    Path("t.json").write_text(json.dumps({"000000": 1, "111111": 2, "222222": 3}))
    done = run("t.json", "t.json", "--truth-dataset", "cifar10")
    assert done.code == 2
    assert "the truth is a file" in done.err


def test_a_file_of_many_columns_is_read_by_its_names(run: Run) -> None:
    """Row numbers and other figures beside the values change nothing."""
    archs = [digits(i) for i in (0, 700, 1400, 8000, 15_000)]
    plain = write_csv("p.csv", archs, [1, 2, 4, 3, 5])
    rows = [
        f"{9 - i},{a},{x},{10 - i}"
        for i, (a, x) in enumerate(zip(archs, [1, 2, 4, 3, 5], strict=True))
    ]
    Path("wide.csv").write_text("\n".join(["Unnamed: 0,arch,accuracy,params", *rows]))
    truth = write_csv("t.csv", archs, range(5))
    found = [json.loads(run(x, truth, "--json", "--bootstrap", 0).out) for x in (plain, "wide.csv")]
    assert found[0]["kendall_tau"] == found[1]["kendall_tau"] == pytest.approx(0.8)


def test_columns_numbered_by_something_else_are_no_trials(run: Run) -> None:
    """12 and 200 epochs: neither is the value, and their mean is none."""
    archs = [digits(i) for i in (0, 700, 1400, 8000, 15_000)]
    rows = [f"{a},{i},{9 - i}" for i, a in enumerate(archs)]
    Path("lengths.csv").write_text("\n".join(["arch,acc_12,acc_200", *rows]))
    truth = write_csv("t.csv", archs, range(5))
    done = run("lengths.csv", truth)
    assert done.code == 2
    assert "which of the columns acc_12, acc_200 has the values?" in " ".join(done.err.split())
    Path("named.csv").write_text("\n".join(["arch,value,acc_200", *rows]))
    assert json.loads(run("named.csv", truth, "--json", "--bootstrap", 0).out)["n"] == 5


def test_a_table_of_another_space_is_its_own_space(run: Run) -> None:
    done = run("fcnet", "fcnet", "--dataset", "slice_localization", "--truth-dataset",
               "protein_structure", "--json", "--bootstrap", 0)  # fmt: skip
    found = json.loads(done.out)
    assert (found["space"], found["n"]) == ("fcnet", 62_208)
    assert 0 < found["kendall_tau"] < 1


def test_ties_at_thresholds_are_counted_exactly(run: Run) -> None:
    """0.1 + 0.2 is not 0.3: nothing but equal values ties."""
    archs = [digits(i) for i in range(0, 12_000, 600)]
    truth = [10.0] * 3 + [0.3, 0.3, 0.1 + 0.2] + [*range(-14, 0)]
    files = write_csv("p.csv", archs, range(20)), write_csv("t.csv", archs, truth)
    found = json.loads(run(*files, "--json", "--bootstrap", 0, "--k", 2).out)
    cuts = {cut.pop("name"): cut for cut in found["thresholds"]}
    assert cuts["top10"] == {"asked": 2, "inside": 3, "tied": 3}
    assert cuts["top1"] == {"asked": 1, "inside": 3, "tied": 3}
    assert cuts["top50"] == {"asked": 10, "inside": 10, "tied": 1}
    assert cuts["truth_top_2"] == {"asked": 2, "inside": 3, "tied": 3}
    assert cuts["predicted_top_2"] == {"asked": 2, "inside": 2, "tied": 1}
    text = run(*files, "--bootstrap", 0, "--k", 2).out
    assert "top10: 3 architectures tie at place 2 (3 with them); all are taken." in text
    assert (
        "truth top 2: 3 architectures tie at place 2 (3 with them); they share its places." in text
    )
    assert "top50:" not in text
    more = json.loads(run(*files, "--json", "--bootstrap", 0, "--top", 0.25).out)
    (cut,) = (c for c in more["thresholds"] if c["name"] == "top25")
    assert (cut["asked"], cut["inside"], cut["tied"]) == (5, 6, 2)  # 0.30000000000000004 is above
