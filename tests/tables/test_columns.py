"""Tables as other people write them: which column is what, and what is never an accuracy."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from nasbench_evo import tables
from nasbench_evo.errors import DataError, InputError
from nasbench_evo.spaces import NASBench201, spellings
from nasbench_evo.tables import imported, plausible, verify
from nasbench_evo.tables.importing.columns import Reading, named

SPACE = NASBench201()
LONG = "arch,dataset,epochs,split,trial,accuracy,seconds\n"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "tables"))


def bring(
    folder: Path, content: str, reading: Reading | None = None, name: str = "own"
) -> tuple[tables.Table, list[str]]:
    """Import a CSV text; return the table and what was said."""
    (folder / f"{name}.csv").write_text(content, encoding="utf-8")
    said: list[str] = []
    imported.import_path(
        folder / f"{name}.csv", name, progress=lambda d, t: None, say=said.append, reading=reading
    )
    return tables.load(name), said


def test_row_numbers_are_no_trials(tmp_path: Path) -> None:
    """As pandas writes it: an unnamed index, trials in columns, a column of something else."""
    text = (
        ",Unnamed: 0,__index_level_0__,arch,acc_0,acc_1,test,energy_mJ,note\n"
        "0,7,70,000000,50.5,51.5,49,1.5,a\n1,8,80,333333,90,91,89,2.5,b\n"
    )
    table, said = bring(tmp_path, text, Reading({"valid": "acc"}, dataset="cifar10", epochs=200))
    rows = [SPACE.index(SPACE.parse(arch)) for arch in ("000000", "333333")]
    assert table.datasets == ("cifar10",)
    assert table.epochs == 200
    assert table.valid_accuracy[0, rows].tolist() == [[50.5, 51.5], [90, 91]]
    assert table.mean_test("cifar10", (3,) * 6) == 89
    assert table.metrics["energy_mJ"][0, rows].tolist() == [1.5, 2.5]
    assert list(table.metrics) == ["energy_mJ"]
    assert sum("index of rows" in word for word in said) == 3
    assert any("'energy_mJ' is taken as a metric in mJ" in word for word in said)
    assert any("'note' is no number everywhere" in word for word in said)
    assert not any("'note' is taken" in word for word in said)


def test_a_column_without_a_name_for_it_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing columns \['valid'\].*'acc'.*--column valid=acc"):
        bring(tmp_path, "arch,acc\n000000,50\n")
    with pytest.raises(DataError, match="no column 'accu'; there are: arch, acc"):
        bring(tmp_path, "arch,acc\n000000,50\n", Reading({"valid": "accu"}))
    assert not imported.names()


@pytest.mark.parametrize("columns", ["acc_12,acc_200", "acc_0,acc_2", "acc_01,acc_1"])
def test_columns_that_are_not_numbered_as_trials_are_not_averaged(
    columns: str, tmp_path: Path
) -> None:
    """12 and 200 are lengths of training more likely than trials."""
    text = f"arch,{columns}\n000000,50,60\n"
    with pytest.raises(DataError, match=rf"{columns.replace(',', ', ')} are not numbered.*=acc"):
        bring(tmp_path, text, Reading({"valid": "acc"}))
    last = columns.split(",")[1]
    table, _ = bring(tmp_path, text, Reading({"valid": last}))
    assert table.mean_accuracy[0, 0] == 60
    assert table.trials[0, 0] == 1


def test_columns_that_are_said(tmp_path: Path) -> None:
    text = "cell,va,te,t,lat,n\n000000,50,49,10,0.25,1.5\n"
    roles = named(["arch=cell", "valid=va", "test=te", "seconds=t", "latency=lat", "params=n"])
    table, said = bring(tmp_path, text, Reading(roles))
    cell = (0,) * 6
    assert (table.mean_accuracy[0, 0], table.mean_test("own", cell)) == (50, 49)
    assert (table.train_seconds[0, 0], table.latency("own", cell)) == (10, 0.25)
    assert table.size("own", cell) == 1_500_000
    assert said == []
    for texts in (["valid"], ["valid="], ["valid=a", "valid=b"]):
        with pytest.raises(InputError, match="--column"):
            named(texts)
    with pytest.raises(InputError, match="Did you mean 'valid'"):
        named(["vald=a"])


def test_json_with_trials(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"000000": [50, 51], "111111": 60}))
    imported.import_path(tmp_path / "x.json", "x", progress=lambda d, t: None)
    assert tables.load("x").trials[0, [0, 3906]].tolist() == [2, 1]


def test_fractions_are_refused_until_they_are_said(tmp_path: Path) -> None:
    text = "arch,valid\n000000,0.5\n333333,0.875\n"
    with pytest.raises(DataError, match=r"highest accuracy is 0\.875.*--scale fraction"):
        bring(tmp_path, text)
    table, _ = bring(tmp_path, text, Reading(scale="fraction"), "a")
    assert float(table.best[0]) == 87.5
    table, _ = bring(tmp_path, text, Reading(scale="percent"), "b")
    assert float(table.best[0]) == 0.875
    with pytest.raises(DataError, match="--scale fraction, but an accuracy is 87"):
        bring(tmp_path, text.replace("0.875", "87"), Reading(scale="fraction"), "c")


@pytest.mark.parametrize("odd", ["d,9,test", "other,9,valid"])
def test_fractions_beside_percent_are_refused(odd: str, tmp_path: Path) -> None:
    """One split, or one data set, of a file is in fractions: the highest of all would hide it."""
    text = LONG + f"000000,d,9,valid,0,50,\n000000,{odd},0,0.5,\n"
    name, _, split = odd.split(",")
    with pytest.raises(DataError, match=rf"{split} of {name}: the highest accuracy is 0\.5"):
        bring(tmp_path, text)
    with pytest.raises(DataError, match=r"valid of d: --scale fraction, but an accuracy is 50"):
        bring(tmp_path, text, Reading(scale="fraction"))
    assert bring(tmp_path, text, Reading(scale="percent"))[0].mean_accuracy[0, 0] == 50


def test_spellings_of_a_split_are_one_role(tmp_path: Path) -> None:
    """valid and x-valid of different cells are one split; of one trial they contradict."""
    rows = "000000,d,9,valid,0,50,\n111111,d,9,x-valid,0,60,\n"
    tests = "000000,d,9,test,0,40,\n111111,d,9,x-test,0,41,\n"
    table, _ = bring(tmp_path, LONG + rows + tests)
    assert table.mean_accuracy[0, [0, 3906]].tolist() == [50, 60]
    assert [table.mean_test("d", cell) for cell in ((0,) * 6, (1,) * 6)] == [40, 41]
    with pytest.raises(DataError, match="line 4: a second row for"):
        bring(tmp_path, LONG + rows + "000000,d,9,x-valid,0,51,\n", name="b")


def test_ori_test_of_cifar10_is_its_test_split(tmp_path: Path) -> None:
    rows = "000000,cifar10,9,valid,0,50,\n000000,cifar10,9,ori-test,0,40,\n"
    assert bring(tmp_path, LONG + rows)[0].mean_test("cifar10", (0,) * 6) == 40
    other = rows.replace("cifar10", "cifar100")  # there it holds the validation images
    table, said = bring(tmp_path, LONG + other, name="b")
    assert table.mean_test("cifar100", (0,) * 6) is None
    assert any("ori-test of cifar100 is not read as test accuracy" in word for word in said)


def test_two_trainings_that_claim_one_data_set_are_refused(tmp_path: Path) -> None:
    rows = "000000,cifar10,9,valid,0,50,\n111111,cifar10-valid,9,x-valid,0,60,\n"
    with pytest.raises(DataError, match="cifar10 and cifar10-valid both have validation"):
        bring(tmp_path, LONG + rows)


def test_seconds_need_no_accuracy(tmp_path: Path) -> None:
    rows = "000000,d,9,valid,0,50,2\n000000,d,9,train,0,,40\n"
    assert bring(tmp_path, LONG + rows)[0].full_seconds[0, 0] == 42


def test_metrics_of_several_devices_are_objectives(tmp_path: Path) -> None:
    from nasbench_evo.replays import pareto

    text = "arch,valid,latency_pi5_ms,latency_phone_ms\n000000,50,9,3\n333333,90,20,4\n"
    table, _ = bring(tmp_path, text)
    assert pareto.available(table, "own") == ["latency_phone_ms", "latency_pi5_ms"]
    names = pareto.objectives("accuracy,latency_phone_ms,latency_pi5_ms", table)
    assert pareto.cost_function(table, "own", names)((3,) * 6) == (4, 20)
    assert pareto.label("latency_pi5_ms") == "latency pi5 (ms)"
    with pytest.raises(InputError, match="Did you mean 'latency_pi5_ms'"):
        pareto.objectives("accuracy,latency_pi_ms", table)


def official_table(table: tables.Table) -> str:
    """The embedded accuracies, keyed by the official index as other tools key them."""
    means = table.mean_accuracy[0]
    rows = [f"{spellings.official_index()[i]},{means[i]:.6f}" for i in range(15_625)]
    return "\n".join(["arch,valid", *rows])


def test_a_column_read_in_the_wrong_order_is_loud(tmp_path: Path, table: tables.Table) -> None:
    """The official index read as base 5: every check of the space fails; read right, none."""
    text = official_table(table)
    reading = Reading(dataset="cifar10", epochs=200, index="official")
    right, _ = bring(tmp_path, text, reading)
    assert right.mean_accuracy[0] == pytest.approx(table.mean_accuracy[0], abs=1e-6)
    assert verify.warnings("own") == []
    wrong = Reading(dataset="cifar10", epochs=200, index="base5")
    bring(tmp_path, text, wrong, "wrong")
    found = verify.warnings("wrong")
    assert [warning.split()[0] for warning in found] == ["disconnected", "classes", "weights"]
    assert all("see --index" in warning.lower() for warning in found)
    checks = verify.verify("wrong")
    assert sum(check.status == plausible.WARNING for check in checks) == 3
    isomorphism = next(check for check in checks if check.name.startswith("isomorphism"))
    assert (isomorphism.status, isomorphism.text[:10]) == (plausible.NOTE, "not judged")


def test_tables_that_are_there_pass(table: tables.Table) -> None:
    for name in ("nasbench201", "digits"):
        checked = tables.load(name)
        for dataset in checked.datasets:
            for check in plausible.plausible(checked, dataset, dataset):
                assert check.status == plausible.OK, check


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory from /proc")
def test_many_rows_take_seconds_and_little_memory(tmp_path: Path) -> None:
    """350,000 rows: at most 10 s and 300 MB in a process of their own."""
    rng = np.random.default_rng(0)
    cells = ["".join(map(str, SPACE.from_index(i))) for i in range(15_625)]
    with (tmp_path / "big.csv").open("w") as file:
        file.write("arch,dataset,epochs,split,trial,accuracy,seconds\n")
        for n in range(350_000):
            cell, k = cells[n % 15_625], n // 15_625
            values = f"{90 * rng.random():.4f},{rng.random():.3f}"
            file.write(f"{cell},d{k % 3},200,{('valid', 'test')[k // 3 % 2]},{k // 6},{values}\n")
    code = f"""
        import time
        from pathlib import Path
        from nasbench_evo.tables import imported
        started = time.process_time()
        imported.import_path(Path({str(tmp_path / "big.csv")!r}), "big", progress=lambda d, t: None)
        lines = Path("/proc/self/status").read_text().splitlines()
        peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
        print(time.process_time() - started, peak)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, megabytes = map(float, done.stdout.split())
    assert seconds <= 10
    assert megabytes <= 300
