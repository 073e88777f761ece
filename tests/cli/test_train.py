"""Commands that train: search, train, table build, run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from nasbench_evo.cli import app
from nasbench_evo.errors import DataError, InputError, Unsupported

pytestmark = pytest.mark.torch

TINY = ["epochs=2", "train_size=60", "batch_size=20", "lr=0.05"]
CELLS = [*TINY, "channels=4", "cells=1"]
ARCH = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|skip_connect~2|"
SUITES = Path(__file__).parents[2] / "suites"


def invoke(*arguments: str, settings: list[str] | None = None) -> Result:
    options = [part for value in settings or [] for part in ("--evaluator-set", value)]
    return CliRunner().invoke(app, [*arguments, *options], catch_exceptions=False)


def printed(*arguments: str, settings: list[str] | None = None) -> dict[str, Any]:
    result = invoke(*arguments, "--json", settings=settings)
    assert result.exit_code == 0
    content: dict[str, Any] = json.loads(result.stdout)
    return content


def test_search_with_real_training(tmp_path: Path) -> None:
    command = [
        "search", "genetic_cnn", "--preset", "nb201", "--evaluator", "standalone",
        "--dataset", "digits", "--evaluations", "6",
    ]  # fmt: skip
    first = printed(*command, "--journal", str(tmp_path), settings=CELLS)
    again = printed(*command, settings=CELLS)
    assert first["trace_sha256"] == again["trace_sha256"]
    assert first["evaluations"] == 6
    (final,) = first["details"]["final_trainings"]
    assert 0 <= final["test_accuracy"] <= 100
    assert (tmp_path / "seed-0" / "journal.jsonl").exists()
    text = invoke(*command, settings=CELLS).stdout
    assert f"{first['details']['seen_valid_accuracy']:.3f} %" in text
    assert first["arch"] in text


def test_search_explains_options_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="need"):
        invoke("search", "random_search", "--workers", "2")
    with pytest.raises(InputError, match="Did you mean 'standalone'"):
        invoke("search", "random_search", "--evaluator", "standalon")


@pytest.mark.parametrize(
    ("space", "recipe", "own"),
    [
        ("darts_cell", "darts", ["cells=3", "channels=4"]),  # auxiliary head and drop-path
        ("micro_cell", "geneticnas", ["cells=1", "channels=4", "micro_nodes=2"]),
    ],
)
def test_a_searched_cell_is_trained_by_its_papers_recipe(
    space: str, recipe: str, own: list[str], tmp_path: Path
) -> None:
    from nasbench_evo.evaluators.settings import Settings, read
    from nasbench_evo.randomness import stream

    values = {"micro_nodes": 2} if space == "micro_cell" else {}
    made = read(Settings, values).make_space(space, 8)
    (genotype,) = made.sample(stream(0, "a test"), 1)
    command = ["train", made.format(genotype), "--space", space, "--out", str(tmp_path)]
    settings = [*TINY, f"recipe={recipe}", "cutout=2", *own]
    content = printed(*command, settings=settings)
    assert content["status"] == "ok"
    assert content["arch"] == made.format(genotype)
    assert 0 <= content["test_accuracy"] <= 100


def test_train_resumes_to_the_same_result(tmp_path: Path) -> None:
    command = ["train", "#1234", "--out"]
    whole = printed(*command, str(tmp_path / "a"), settings=CELLS)
    from nasbench_evo.cli import training
    from nasbench_evo.training.final import FinalTraining
    from nasbench_evo.training.individuals import training_seed

    trainer = training.standalone("nasbench201", "digits", CELLS, "cpu", 1, None)
    cell = trainer.space.parse("#1234")
    seed = training_seed(0, cell, 0, "final")
    half = FinalTraining(trainer.plan, cell, seed, tmp_path / "b" / "checkpoint.pt")

    class Stop(Exception):
        pass

    def stop(_: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        half.run(stop)
    resumed = printed(*command, str(tmp_path / "b"), "--resume", settings=CELLS)
    for content in (whole, resumed):
        del content["seconds"]
    assert resumed == whole
    assert len(whole["curve"]) == 2
    for name in ("checkpoint.pt", "result.json", "learning_curve.png", "learning_curve.svg"):
        assert (tmp_path / "a" / name).stat().st_size > 0
    with pytest.raises(DataError, match="another training"):
        invoke(*command, str(tmp_path / "a"), "--resume", settings=[*CELLS[:-1], "batch_size=10"])


def test_a_training_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    short = [*CELLS[1:], "epochs=1"]
    for cell, seed in (("#1234", "0"), ("#1234", "1"), ("#77", "0")):
        printed("train", cell, "--seed", seed, settings=short)
    folders = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert len(folders) == 3
    assert folders[0].startswith("train-nasbench201-digits-")
    kept = (tmp_path / "results" / folders[0] / "result.json").read_bytes()
    command = ["train", "#77", "--out", f"results/{folders[0]}"]
    with pytest.raises(InputError, match="holds a training already"):
        invoke(*command, settings=short)
    assert (tmp_path / "results" / folders[0] / "result.json").read_bytes() == kept
    assert printed(*command, "--fresh", settings=short)["status"] == "ok"


def test_a_training_that_diverges_is_reported_and_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [*CELLS[1:3], "epochs=2", "channels=4", "cells=1", "lr=1e30"]
    words = ["train", "#1234", "--out", str(tmp_path)]
    for setting in settings:
        words += ["--evaluator-set", setting]
    with pytest.raises(InputError, match=r"diverged: the training loss is not finite.*Lower lr"):
        app(words, standalone_mode=False)
    assert "test accuracy   none" in capsys.readouterr().out
    assert json.loads((tmp_path / "result.json").read_text())["status"] == "diverged"


def test_a_final_training_on_all_images(tmp_path: Path) -> None:
    """None validate: no figure of validation anywhere, and a search cannot be so."""
    command = ["train", "#1234", "--out", str(tmp_path / "a")]
    every = ["train_size=1437", "valid_fraction=0", *CELLS[:1], *CELLS[2:]]
    content = printed(*command, settings=every)
    assert content["valid_accuracy"] is content["valid_loss"] is None
    assert all(point["valid_accuracy"] is None for point in content["curve"])
    assert len(content["curve"]) == 2
    assert 0 <= content["test_accuracy"] <= 100
    text = invoke(*command, "--resume", settings=every).stdout
    assert "valid accuracy  none" in text
    teacher = ["teacher_networks=1", "teacher_depth=10", "teacher_growth=4", "teacher_epochs=1"]
    taught = printed(
        "train", "#1234", "--out", str(tmp_path / "b"),
        settings=["valid_fraction=0", *CELLS, *teacher],
    )  # fmt: skip
    assert taught["teacher_valid_accuracy"] is None
    with pytest.raises(InputError, match="The training diverged"):
        printed(
            "train", "#1234", "--out", str(tmp_path / "c"),
            settings=["valid_fraction=0", *CELLS[:3], *CELLS[4:], "lr=1e30"],
        )  # fmt: skip
    diverged = json.loads((tmp_path / "c" / "result.json").read_text())
    assert diverged["status"] == "diverged"
    assert diverged["valid_accuracy"] is None
    for evaluator in ("standalone", "supernet"):
        with pytest.raises(InputError, match="leaves a search no images to judge by"):
            invoke(
                "search", "genetic_nas", "--evaluator", evaluator, "--dataset", "digits",
                settings=["valid_fraction=0"],
            )  # fmt: skip
    with pytest.raises(InputError, match="candidates cannot be compared"):
        invoke(
            "table", "build", "--cells", "2", "--log", str(tmp_path / "log"), "--name", "none",
            settings=["valid_fraction=0"],
        )  # fmt: skip


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for words in (
        ["train", "#1234", "--out", str(tmp_path / "file" / "x")],
        ["search", "random_search", "--evaluator", "standalone", "--dataset", "digits",
         "--evaluations", "1", "--journal", str(tmp_path / "file" / "x")],
    ):  # fmt: skip
        with pytest.raises(InputError, match="Cannot write"):
            invoke(*words, settings=CELLS)


def test_train_distils_when_asked(tmp_path: Path) -> None:
    teacher = ["teacher_networks=1", "teacher_depth=10", "teacher_growth=4", "teacher_epochs=1"]
    command = ["train", "#1234", "--out"]
    plain = printed(*command, str(tmp_path / "plain"), settings=CELLS)
    taught = printed(*command, str(tmp_path / "taught"), settings=[*CELLS, *teacher])
    assert plain["curve"] != taught["curve"]
    assert "teacher_valid_accuracy" not in plain
    assert 0 <= taught["teacher_valid_accuracy"] <= 100
    assert len(list((tmp_path / "taught").glob("teacher-*.pt"))) == 1
    with pytest.raises(DataError, match="another training"):  # one half cannot be taught alone
        invoke(*command, str(tmp_path / "plain"), "--resume", settings=[*CELLS, *teacher])
    again = [*command, str(tmp_path / "taught"), "--resume"]
    text = invoke(*again, settings=[*CELLS, *teacher]).stdout
    assert f"its teacher     {taught['teacher_valid_accuracy']:.3f} % valid" in text


def test_a_search_with_mimicry_trains_what_it_found_with_mimicry() -> None:
    command = [
        "search", "eigen", "--evaluator", "standalone", "--dataset", "digits", "--evaluations", "4",
        "--set", "extinction=false", "--set", "population_size=2", "--set", "patience=1",
    ]  # fmt: skip
    teacher = ["teacher_networks=1", "teacher_depth=10", "teacher_growth=4", "teacher_epochs=1"]
    found = printed(*command, "--set", "mimicry=true", settings=[*CELLS, *teacher])
    assert found["notes"]["teacher"].startswith("validation accuracy ")
    assert "teacher" not in printed(*command, settings=[*CELLS, *teacher])["notes"]
    with pytest.raises(Unsupported, match="teacher_networks=4"):
        invoke(*command, "--set", "mimicry=true", settings=CELLS)


def test_a_wider_network_is_another_one(tmp_path: Path) -> None:
    narrow, wide = (
        printed("train", "#1234", "--out", str(tmp_path / w), settings=[*TINY, f"channels={w}"])
        for w in ("4", "8")
    )
    assert wide["parameters"] > 2 * narrow["parameters"]


@pytest.mark.parametrize(
    ("genotype", "nodes", "widths"),
    [("1-01", "3", "4/8"), ("1 0-11", "2,3", "4,6/8,5"), ("1 1 1 1", "2,2,2,2", "2,2,3,3/4")],
)
def test_stages_and_widths_of_your_own(
    genotype: str, nodes: str, widths: str, tmp_path: Path
) -> None:
    own = [*TINY, f"nodes={nodes}", f"widths={widths}"]
    command = ["train", genotype, "--space", "binary_stages", "--out", str(tmp_path)]
    content = printed(*command, settings=own)
    assert content["status"] == "ok"
    assert content["arch"] == genotype
    assert content["network"]["widths"] == widths


def test_stages_without_their_widths_are_refused_before_anything_runs(tmp_path: Path) -> None:
    command = ["search", "genetic_cnn", "--evaluator", "standalone", "--space", "binary_stages",
               "--dataset", "digits", "--evaluations", "2"]  # fmt: skip
    command += ["--journal", str(tmp_path / "j")]
    with pytest.raises(InputError, match=r"2 stages.*such as 8,8/32"):
        invoke(*command, settings=[*TINY, "nodes=3,4"])
    with pytest.raises(InputError, match=r"3 stages.*got widths=8,8/32"):
        invoke(*command, settings=[*TINY, "widths=8,8/32"])
    assert not (tmp_path / "j").exists()


def test_a_search_from_given_networks_of_one_stage(tmp_path: Path) -> None:
    """Section 4.2 made small: variants of a residual stage, and all bits alone (4.1.4)."""
    command = ["search", "genetic_cnn", "--evaluator", "standalone", "--space", "binary_stages",
               "--dataset", "digits", "--evaluations", "3"]  # fmt: skip
    own = [*TINY, "nodes=4", "widths=4/8", "report_trials=0"]
    given = ["--set", "initial=given", "--set", "given=1-01-101", "--set", "population_size=3"]
    varied = printed(*command, *given, "--set", "flips=1", settings=own)
    assert varied["hyperparameters"]["given"] == ["1-01-101"]
    found = varied["arch"].replace("-", "")
    assert sum(a != b for a, b in zip(found, "101101", strict=True)) == 1
    ones = ["--set", "initial=ones", "--set", "population_size=1", "--set", "generations=0"]
    assert printed(*command, *ones, settings=own)["arch"] == "1-11-111"
    with pytest.raises(InputError, match=r"genotypes of binary_stages.*333333"):
        invoke(*command, *given[:3], "given=333333", settings=own)


def test_features_and_a_linear_svm(tmp_path: Path) -> None:
    """Genetic CNN's transfer, from digits to digits: far above chance after a short training."""
    genotype = "1-01 0-01-100 0-11-101-0001"
    command = ["train", genotype, "--space", "binary_stages", "--out", str(tmp_path), "--svm"]
    content = printed(*command, "--svm-dataset", "digits", settings=["epochs=3"])
    assert content["svm"]["images"] == 600  # 60 a class
    assert content["svm"]["test_accuracy"] > 50
    with pytest.raises(Unsupported, match="binary_stages"):
        invoke(
            "train", "#1234", "--out", str(tmp_path / "b"), "--svm", "--svm-dataset", "digits",
            settings=CELLS,
        )  # fmt: skip


def content_of(line: str) -> dict[str, Any]:
    """The content of a journal's line, behind its SHA-256."""
    content: dict[str, Any] = json.loads(line.partition(" ")[2])
    return content


def test_build_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path))
    log = tmp_path / "log.jsonl"
    command = ["table", "build", "--name", "mine", "--log", str(log), "--epochs", "2"]
    tiny = [*CELLS[1:], "jointly=2"]
    assert invoke(*command, "--cells", "3", settings=tiny).exit_code == 0
    before = log.read_bytes()
    assert before.count(b'"training"') == 3
    more = [*command, "--cells", "2", "--trials", "2", "--replace"]
    assert invoke(*more, settings=tiny).exit_code == 0
    assert log.read_bytes().startswith(before)  # nothing is trained twice
    assert log.read_bytes().count(b'"training"') == 5

    from nasbench_evo import tables
    from nasbench_evo.evaluators import table_builder
    from nasbench_evo.evaluators.lookup import LookupEvaluator
    from nasbench_evo.networks.nasbench201 import network
    from nasbench_evo.spaces import isomorphism

    table = tables.load("mine")
    cells = table_builder.chosen_cells("3")
    answers = {
        line["training"]: line["answer"]
        for line in map(content_of, log.read_text().splitlines()[1:])
    }
    d = table.row("digits")
    for index, trials in zip(cells, (2, 2, 1), strict=True):
        assert table.trials[d, index] == trials
        twins = np.flatnonzero(isomorphism.classes() == isomorphism.classes()[index])
        assert (table.trials[d, twins] == trials).all()
        answer = answers[f"{index}/0"]
        assert table.valid_accuracy[d, index, 0] == pytest.approx(answer["valid_accuracy"])
        assert table.valid_loss is not None
        assert table.valid_loss[d, index, 0] == pytest.approx(answer["valid_loss"])
        assert table.test_accuracy is not None
        assert table.test_accuracy[d, index, 0] == pytest.approx(answer["test_accuracy"])
        assert table.valid_curve is not None
        curve = [point["valid_accuracy"] for point in answer["curve"]]
        assert table.valid_curve[d, index, 0] == pytest.approx(curve)
        cell = table.space.from_index(index)
        expected = network.parameter_count(cell, 10, 1, channels=4, cells=1)
        assert table.parameters[d, index] == expected
    session = LookupEvaluator(table, "digits").start(0)
    from nasbench_evo.requests import Evaluate

    (answer_,) = session.answer(Evaluate([table.space.from_index(cells[0])], 0.5))
    assert answer_.cost_seconds > 0

    with pytest.raises(DataError, match="another run"):
        invoke(*more, settings=[*tiny, "lr=0.01"])
    with pytest.raises(InputError, match="valid_every=1"):
        invoke(*more[:-1], "--replace", "--log", str(tmp_path / "x"),
               settings=[*tiny, "valid_every=2"])  # fmt: skip


def test_chosen_cells_are_nested_and_unique() -> None:
    from nasbench_evo.evaluators.table_builder import chosen_cells
    from nasbench_evo.spaces import isomorphism

    assert len(chosen_cells("all")) == 15_625
    assert len(chosen_cells("unique")) == 6_466
    assert chosen_cells("50")[:20] == chosen_cells("20")
    assert len(set(isomorphism.classes()[chosen_cells("500")])) == 500
    for wrong in ("0", "6467", "some"):
        with pytest.raises(InputError, match="all, unique"):
            chosen_cells(wrong)


@pytest.mark.parametrize("name", ["genetic_cnn_cifar10", "genetic_cnn_wrn", "eigen_cifar10"])
def test_a_dry_run_without_the_data_says_which_files_are_needed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NASBENCH_EVO_DATA", raising=False)
    result = invoke("run", name, "--dry-run")
    assert result.exit_code == 0
    assert "cifar-10-python.tar.gz" in result.stdout


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["train", "ARCH", "--device", "cuda:97"], "no device cuda:97"),
        (["train", "ARCH", "--evaluator-set", "precision=fp16"], "fp16 needs"),
        (["table", "build", "--devices", "cuda:97", "--log", "out"], "no device cuda:97"),
        (["search", "random_search", "--evaluator", "standalone", "--dataset", "digits",
          "--devices", "cuda:97", "--journal", "out"], "no device cuda:97"),
        (["search", "genetic_nas", "--evaluator", "supernet", "--dataset", "digits",
          "--evaluator-set", "precision=fp16", "--journal", "out"], "fp16 needs"),
        (["run", "half.toml", "--out", "out"], "fp16 needs"),
    ],
)  # fmt: skip
def test_what_a_device_cannot_do_writes_nothing(
    command: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    suite = (SUITES / "training_digits.toml").read_text()
    (tmp_path / "half.toml").write_text(
        suite.replace("train_size", 'precision = "fp16"\ntrain_size')
    )
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=message):
        invoke(*(ARCH if word == "ARCH" else word for word in command))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_network_that_does_not_fit_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: torch.nn.Module, *_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(InputError, match="do not fit into the free memory of cpu"):
        invoke("train", ARCH, "--out", str(tmp_path / "out"), settings=CELLS)
    assert list(tmp_path.iterdir()) == []


def test_a_suite_on_a_device_that_is_not_there_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no device cuda:97"):
        invoke("run", "training_digits", "--devices", "cuda:97", "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_run_writes_the_report_of_a_suite_that_trains(tmp_path: Path) -> None:
    from suite.test_training_suites import SUITE

    (tmp_path / "tiny.toml").write_text(SUITE)
    out = tmp_path / "out"
    command = ["run", str(tmp_path / "tiny.toml"), "--engine", "serial", "--out", str(out)]
    content = printed(*command)
    assert [row["evaluations"] for row in content["rows"]] == [2, 2, 4, 4]
    for name in ("summary.csv", "summary.json", "manifest.json", "accuracy.png", "accuracy.svg"):
        assert (out / name).stat().st_size > 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert "torch" in manifest["packages"]
    assert "table" not in manifest
    text = invoke(*command).stdout
    assert "final test (%)" in text
    with pytest.raises(InputError, match="--devices is for suites that train"):
        invoke("run", "nb201", "--devices", "cuda:0", "--dry-run")


def test_a_bundled_table_is_there_without_being_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nasbench_evo import tables
    from nasbench_evo.tables import bundled

    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "made"))
    packed = tmp_path / "bundled" / "mine.table.xz"
    command = ["table", "build", "--name", "mine", "--log", str(tmp_path / "log"), "--cells", "1"]
    settings = [*CELLS, "valid_every=1"]
    assert invoke(*command, "--pack", str(packed), settings=settings).exit_code == 0
    made = tables.load("mine")
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "empty"))
    monkeypatch.setattr(bundled, "files", lambda: {"mine": packed})
    assert {"nasbench201", "mine"} <= set(tables.known())
    assert tables.load("mine").sha256 == made.sha256
    (tmp_path / "empty" / "mine.table").unlink()
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(DataError, match="damaged"):
        tables.load("mine")


def test_the_gate_refuses_a_suite_that_trains() -> None:
    with pytest.raises(Unsupported, match="reads no table"):
        invoke("check", "training_digits")
