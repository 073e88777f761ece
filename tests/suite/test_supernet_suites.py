"""Suites on supernets: run, judged by the truth table, ranked, paired, resumed; bad input."""

from __future__ import annotations

import csv
import json
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nasbench_evo import execution
from nasbench_evo import suite as suites
from nasbench_evo.cli import app
from nasbench_evo.engines import local
from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.results.runs import collect
from nasbench_evo.results.supernet import collapse
from nasbench_evo.store import Store

pytestmark = pytest.mark.torch

SUITES = Path(__file__).parents[2] / "suites"
TEXT = """
name = "tiny_supernet"
evaluator = "supernet"
space = "nasbench201"
datasets = ["digits"]
seeds = 2
truth = { table = "nasbench201", dataset = "cifar10" }
rank_correlation = { cells = 12, every = 1 }

[evaluator_set]
train_size = 60
valid_fraction = 0.2
batch_size = 20
lr = 0.05
channels = 2
cells = 1
recalibration_size = 32
validation_batches = 1
evaluation_batch_size = 64

[final_set]
train_size = 60
valid_fraction = 0.2
batch_size = 20
epochs = 1
channels = 2
cells = 1

[[rows]]
algorithm = "genetic_nas"
set = { epochs = 2, generation_size = 4, population_size = 3 }

[[rows]]
algorithm = "genetic_nas"
set = { epochs = 2, generation_size = 4, population_size = 3 }
evaluator = "lookup"

[[rows]]
algorithm = "eg_nas"
set = { epochs = 2, warmup = 1, samples = 1, population_size = 4 }
"""


def written(folder: Path, text: str = TEXT) -> Path:
    file = folder / "tiny.toml"
    file.write_text(text)
    return file


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["run", *arguments, "--engine", "serial"])


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("supernet")
    result = invoke(str(written(folder)), "--out", str(folder / "out"), "--json")
    assert result.exit_code == 0, result.output
    return folder, json.loads(result.stdout)


def test_what_was_found_is_judged_on_every_data_set_of_the_truth(done: Any) -> None:
    _, content = done
    rows = content["rows"]
    judged = [row["truth_dataset"] for row in rows]
    assert list(dict.fromkeys(judged)) == ["cifar10", "cifar100", "ImageNet16-120"]
    for name in set(judged):
        ranks = [row["rank"] for row in rows if row["truth_dataset"] == name]
        assert ranks == sorted(ranks)
    assert {row["searched"] for row in rows} == {"shared weights", "table"}
    for row in rows:
        assert row["regret"] >= 0
        assert row["n"] == 2
        on_table = row["searched"] == "table"
        assert (row["seen"] is None) == (row["kendall_tau"] is None) == on_table
        assert (row["final_test"] is None) == on_table


def test_the_truth_is_that_of_the_final_cells(done: Any) -> None:
    from nasbench_evo import tables

    folder, content = done
    suite = suites.load(folder / "tiny.toml")
    table = tables.load("nasbench201")
    with Store(folder / "out") as store:
        runs = collect(suite, store)[0]
    cells = [run.genotype for run in runs.records]
    row = next(
        row
        for row in content["rows"]
        if row["truth_dataset"] == "cifar10"
        and (row["algorithm"], row["searched"]) == (runs.unit.row.algorithm, "shared weights")
    )
    expected = sum(table.mean_accuracy[0, table.space.index(cell)] for cell in cells) / 2
    assert row["truth"] == pytest.approx(expected)


def test_rankings_are_written_for_each_seed_and_epoch(done: Any) -> None:
    folder, content = done
    with (folder / "out" / "rank_correlation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 2  # searches, seeds, epochs
    assert {row["n"] for row in rows} == {"12"}
    assert [(r["seed"], r["epoch"]) for r in rows[:4]] == [
        ("0", "1"), ("0", "2"), ("1", "1"), ("1", "2"),
    ]  # fmt: skip
    assert len(content["rank_correlation"]) == len(rows)
    assert all(-1 <= float(row["kendall_tau"]) <= 1 for row in rows if row["kendall_tau"])


def test_the_same_search_on_the_table_is_its_pair(done: Any) -> None:
    _, content = done
    (label,) = content["paired"]
    assert label.startswith("genetic_nas")
    assert content["paired"][label]["n"] == 2
    assert content["sentences"][0].startswith(label)


def test_figures_and_manifest_are_there(done: Any) -> None:
    folder, _ = done
    names = {path.name for path in (folder / "out").iterdir()}
    assert {
        "tau.png",
        "fitness.png",
        "scatter_genetic_nas.png",
        "final_cells.png",
        "manifest.json",
    } <= names
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    assert manifest["table"] == "nasbench201"
    assert "torch" in manifest["packages"]


def test_the_collapse_of_populations_is_drawn(tmp_path: Path) -> None:
    rows = TEXT.index("[[rows]]")
    text = TEXT[:rows].replace("rank_correlation =", "# ") + (
        '[[rows]]\nalgorithm = "genetic_nas"\n'
        "set = { epochs = 2, generation_size = 4, population_size = 3, random_paths = 3 }\n"
    )
    done = invoke(str(written(tmp_path, text)), "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "collapse.png").stat().st_size > 0
    suite = suites.load(tmp_path / "tiny.toml")
    with Store(tmp_path / "out") as store:
        (runs,) = collect(suite, store)
    found = collapse(runs)
    assert found is not None
    epochs, values = found
    assert epochs.tolist() == [1, 1, 2, 2]
    assert values.shape == (2, 4, 5)
    said = runs.records[1].data["epochs"][2]
    assert values[1, 2, :2].tolist() == [said["population"], said["random_paths"]]
    short = replace(runs.records[0], data={"epochs": runs.records[0].data["epochs"][:1]})
    (left,) = (collapse(replace(runs, records=[short, runs.records[1]])),)
    assert left is not None
    assert len(left[1]) == 1  # the run that ended before the other is left out
    assert collapse(replace(runs, records=[replace(short, data={})])) is None


def test_finished_runs_are_kept_and_printed(done: Any) -> None:
    folder, _ = done
    again = invoke(str(folder / "tiny.toml"), "--out", str(folder / "out"))
    assert again.exit_code == 0
    assert "0 new runs" in again.output
    assert "shared weights" in again.stdout
    assert "genotypes of" in again.stdout  # the sentence


def test_checkpoints_stay_for_the_rank_correlation_command(done: Any) -> None:
    folder, _ = done
    (file, *_) = sorted((folder / "out" / "checkpoints").glob("*/seed-0/supernet.pt"))
    result = CliRunner().invoke(
        app,
        ["rank-correlation", str(file), "nasbench201", "--dataset", "cifar10", "--cells", "12",
         "--bootstrap", "50", "--json"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["n"] == 12


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('evaluator = "supernet"', 'evaluator = "supernet"\nevaluations = 30', "evaluations"),
        ('evaluator = "supernet"', 'evaluator = "standalone"', "does not go with"),
        ('dataset = "cifar10"', 'dataset = "cifar11"', "cifar10"),
        ("every = 1", "evry = 1", "every"),
        ("truth =", "trut =", "truth"),
        ("channels = 2", "chanels = 2", "channels"),
        ('space = "nasbench201"', 'space = "layer_graph"', "space of a supernet"),
        ('space = "nasbench201"', 'space = "micro_cell"', "of the space nasbench201"),
        ("cells = 12", "cells = 2", "rank_correlation.cells"),
        ("valid_fraction = 0.2", "valid_fraction = 0", "leaves a search no images"),
        ("valid_fraction = 0.2", "with_none = false", "not one of the space nasbench201"),
        ("seeds = 2", 'seeds = 2\ndevices = ["cuda:0", "cpu"]', "one kind of device"),
    ],
)
def test_wrong_suites_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = TEXT.replace(old, new, 1)
    assert text != TEXT
    with pytest.raises(InputError, match=message):
        suites.load(written(tmp_path, text))


def test_each_run_has_one_of_several_devices(tmp_path: Path) -> None:
    devices = '\ndevices = ["cuda:0", "cuda:1"]'
    suite = suites.load(written(tmp_path, TEXT.replace("seeds = 2", f"seeds = 2{devices}")))
    work = execution.plan(suite, None)
    assert [execution.shared_out(work, n, suite.devices) for n in (1, 2, 8)] == [1, 2, 2]
    shared, *_ = (task for task in work.tasks if task.trains)
    for slot in range(3):
        unit = shared.at(slot).unit
        assert unit.training.devices == (f"cuda:{slot % 2}",)
        assert unit.key() == shared.key
        assert unit.trainer().device == unit.trainer().final.slots[0] == f"cuda:{slot % 2}"
    assert shared.unit.trainer().device == "cuda:0"


def test_workers_have_a_device_each(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    given: list[str] = []

    class Executor:
        def submit(self, function: Any, task: Any) -> Any:
            given.append(task)
            return Future()

        def shutdown(self, **options: Any) -> None:
            pass

    class Asked:
        def at(self, slot: int) -> str:
            return f"cuda:{slot}"

    monkeypatch.setattr(local, "worker", lambda environment: Executor())
    workers = local.LocalWorkers(2)
    for _ in range(2):
        workers.submit(Asked())
    assert given == ["cuda:0", "cuda:1"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for devices, message in (("cuda:0,cuda:1", "--engine processes"), ("cuda:0,cpu", "one kind")):
        result = invoke("eg_nas_cifar10", "--devices", devices)
        assert isinstance(result.exception, InputError)
        assert message in str(result.exception)


def test_rows_on_a_table_need_a_truth(tmp_path: Path) -> None:
    text = TEXT.replace('truth = { table = "nasbench201", dataset = "cifar10" }\n', "")
    with pytest.raises(InputError, match="need truth"):
        suites.load(written(tmp_path, text))


def test_an_algorithm_without_epochs_is_refused(tmp_path: Path) -> None:
    rows = TEXT.index("[[rows]]")
    text = TEXT[:rows] + '[[rows]]\nalgorithm = "regularized_evolution"\n'
    with pytest.raises(Unsupported, match="trains no shared weights"):
        suites.load(written(tmp_path, text))


ON_DARTS = """
name = "on_darts"
evaluator = "supernet"
space = "darts_cell"
datasets = ["digits"]
seeds = 1

[evaluator_set]
train_size = 60
valid_fraction = 0.2
batch_size = 20
lr = 0.05
channels = 4
cells = 2
recalibration_size = 32
validation_batches = 1
evaluation_batch_size = 64

[final_set]
train_size = 60
valid_fraction = 0
batch_size = 20
epochs = 1
channels = 4
cells = 2
auxiliary_weight = 0.0

[[rows]]
algorithm = "eg_nas"
preset = "published_code"
set = { epochs = 2, warmup = 1, samples = 1, population_size = 4 }

[[rows]]
algorithm = "darts"
preset = "pc_darts"
set = { epochs = 2, warmup = 1 }
"""


def test_rows_have_the_weights_that_their_methods_ask_for(tmp_path: Path) -> None:
    """EG-NAS's published code and PC-DARTS side by side; what they find trains on all images."""
    file = written(tmp_path, ON_DARTS)
    published, weighed = (unit.describe() for unit in suites.units(suites.load(file)))
    assert published["evaluator"]["space"] == {"name": "darts_cell", "with_none": False}
    assert published["evaluator"]["network"] == {"channels": 4, "cells": 2, "pool_norm": False}
    assert weighed["evaluator"]["space"] == {"name": "darts_cell"}
    assert weighed["evaluator"]["network"]["partial_channels"] == 4
    result = invoke(str(file), "--out", str(tmp_path / "out"), "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    assert {row["preset"].partition(",")[0] for row in rows} == {"published_code", "pc_darts"}
    assert all(row["final_valid"] is None and row["final_test"] > 0 for row in rows)
    assert "final" in invoke(str(file), "--out", str(tmp_path / "out")).stdout


def test_the_papers_settings_on_imagenet_and_cifar() -> None:
    from nasbench_evo.evaluators.settings import Settings, SupernetSettings, read
    from nasbench_evo.evaluators.standalone import recipe_of

    suite = suites.load(SUITES / "eg_nas_imagenet.toml")
    eg_nas = suites.units(suite)[0].row.configured.hyperparameters()
    sizes = [eg_nas[name] for name in ("samples", "population_size", "epochs", "warmup")]
    assert sizes == [5, 50, 50, 15]
    chosen = read(SupernetSettings, suite.evaluator_set)
    search = recipe_of(chosen, "darts_cell", "imagenet")
    assert (search.batch_size, search.learning_rate, search.schedule) == (1024, 0.5, "linear")
    assert (search.weight_decay, search.momentum, chosen.stem) == (3e-5, 0.9, "imagenet")
    for name, epochs, images in (("imagenet", 250, "imagenet"), ("cifar100", 600, None)):
        final = suites.load(SUITES / f"eg_nas_{name}.toml").final_set
        assert final is not None
        own = read(Settings, final)
        assert (own.valid_fraction, own.stem) == (0, images)
        assert recipe_of(own, "darts_cell", name).length == epochs


@pytest.mark.parametrize(
    "name", sorted(file.stem for file in SUITES.glob("*nas_*.toml") if "ablation" not in file.stem)
)
def test_bundled_suites_are_ready_to_run(name: str, tmp_path: Path) -> None:
    """Without their data, or with it: every setting is checked, nothing is written."""
    result = invoke(str(SUITES / f"{name}.toml"), "--dry-run", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert "runs" in result.stdout
    assert not (tmp_path / "out").exists()
