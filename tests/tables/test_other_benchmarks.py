"""NATS-Bench's size space, TransNAS-Bench-101 and HW-NAS-Bench, from files in their own formats."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import official_support as support
import pytest

from nasbench_evo import algorithms, runner, tables
from nasbench_evo.errors import DataError, InputError
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.spaces import NASBench201, spellings
from nasbench_evo.tables import imported, verify

SIZE = NASBench201().size
SIZES = ["8:8:8:8:8", "64:48:32:16:8", "64:64:64:64:64", "8:16:24:32:40"]
TASKS = {  # metric, length, a value's range
    "class_scene": ("top1", 25, (20, 60)),
    "class_object": ("top1", 25, (20, 60)),
    "jigsaw": ("top1", 10, (50, 95)),
    "room_layout": ("neg_loss", 25, (-0.9, -0.5)),
    "segmentsemantic": ("mIoU", 30, (10, 30)),
    "normal": ("ssim", 30, (0.3, 0.6)),
    "autoencoder": ("ssim", 30, (0.3, 0.6)),
}
ENERGIES = ("edgegpu_energy", "eyeriss_energy", "fpga_energy")
LATENCIES = (
    "edgegpu_latency",
    "raspi4_latency",
    "edgetpu_latency",
    "pixel3_latency",
    "fpga_latency",
)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "tables"))


def bring(path: Path, name: str = "other", **options: Any) -> list[str]:
    """Import a file; return what was said."""
    said: list[str] = []
    imported.import_path(path, name, progress=lambda d, t: None, say=said.append, **options)
    return said


# NATS-Bench, sizes


def sizes() -> dict[str, Any]:
    """NATS-Bench's size space: one seed, recipes of 1, 12 and 90 epochs (here 1, 2, 3)."""
    rng = np.random.default_rng(0)
    infos = {
        i: {
            recipe: support.results(rng, i, arch, (777,), epochs, False)
            for recipe, epochs in (("01", 1), ("12", 2), ("90", 3))
        }
        for i, arch in enumerate(SIZES)
    }
    return {"meta_archs": SIZES, "arch2infos": infos, "evaluated_indexes": set(range(len(SIZES)))}


@pytest.mark.parametrize("write", [support.write_bz2, support.write_folder])
def test_every_number_of_the_size_space(tmp_path: Path, write: Callable[[Path, Any], Path]) -> None:
    root = sizes()
    bring(write(tmp_path / "NATS-sss-v1_0-50262-made", root))
    assert imported.epochs_of("other") == [1, 2, 3]
    for recipe, epochs in (("01", 1), ("12", 2), ("90", 3)):
        table = tables.load("other", epochs)
        assert (table.space.name, table.space.size) == ("nats_size", 8**5)
        for i, arch in enumerate(SIZES):
            index = table.space.index(table.space.parse(arch))
            assert table.space.format(table.space.from_index(index)) == arch
            state = root["arch2infos"][i][recipe]["all_results"]["cifar100", 777]
            d = table.row("cifar100")
            expected = state["eval_acc1es"][f"x-valid@{epochs - 1}"]
            assert table.mean_accuracy[d, index] == pytest.approx(expected)
            tests = table.test_accuracy
            assert tests is not None
            assert tests[d, index, 0] == state["eval_acc1es"][f"x-test@{epochs - 1}"]
            assert table.train_seconds[d, index] == pytest.approx(
                sum(state["train_times"].values())
            )
            assert table.parameters[d, index] == round(float(state["params"]) * 1e6)
    assert not [check for check in verify.verify("other") if check.status == verify.FAILED]


def test_sizes_and_topologies_in_one_file_are_refused(tmp_path: Path) -> None:
    root = sizes()
    root["arch2infos"][2]["90"]["arch_str"] = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    with pytest.raises(DataError, match="architecture 2, recipe '90': Not a nats_size genotype"):
        bring(support.write_bz2(tmp_path / "x.pickle.pbz2", root))
    assert imported.names() == []


# TransNAS-Bench-101


def micro(index: int) -> str:
    e = np.unravel_index(index, (4,) * 6)
    return f"64-41414-{e[0]}_{e[1]}{e[2]}_{e[3]}{e[4]}{e[5]}"


def transnas(n: int = 30) -> dict[str, Any]:
    rng = np.random.default_rng(1)

    def result(metric: str, epochs: int, low: float, high: float) -> dict[str, Any]:
        def curve() -> list[float]:
            return rng.uniform(low, high, epochs).tolist()

        return {
            "total_epochs": epochs,
            "model_info": {"model_params": 2.5e6, "model_FLOPs": 3e8, "inference_time": 0.004},
            "metrics": {
                **{f"{split}_{metric}": curve() for split in ("train", "valid", "test")},
                "valid_loss": rng.uniform(0, 3, epochs).tolist(),
                "time_elapsed": [20.0] * epochs,
            },
        }

    return {
        "metrics_dict": {t: [f"valid_{m}"] for t, (m, _, _) in TASKS.items()},
        "info_names": ["model_params", "model_FLOPs", "inference_time"],
        "task_list": list(TASKS),
        "data": {
            "macro": {
                arch: {t: result(m, e, *r) for t, (m, e, r) in TASKS.items()}
                for arch in ("64-1234-basic", "64-311311-basic", "64-12341-basic")
            },
            "micro": {
                micro(i * 131 % 4096): {t: result(m, e, *r) for t, (m, e, r) in TASKS.items()}
                for i in range(n)
            },
        },
    }


@pytest.mark.parametrize("ending", ["json", "pth"])
def test_every_number_of_transnas(tmp_path: Path, ending: str) -> None:
    root, path = transnas(), tmp_path / f"transnas-bench_v1.{ending}"
    if ending == "json":
        path.write_text(json.dumps(root))
    else:
        support.write_zip(path, root)
    said = bring(path)
    assert any("100 x exp(negative loss)" in word for word in said)
    assert imported.epochs_of("other") == [10, 25, 30]
    for task, (metric, epochs, _) in TASKS.items():
        table = tables.load("other", epochs)
        d, space = table.row(task), table.space
        for arch, results in root["data"]["micro"].items():
            index = space.index(space.parse(arch))
            assert space.format(space.from_index(index)) == arch
            for split, found in (
                ("valid", table.mean_accuracy),
                ("test", table.mean_test_accuracy),
            ):
                raw = results[task]["metrics"][f"{split}_{metric}"][-1]
                rule = {"ssim": lambda x: 100 * x, "neg_loss": lambda x: 100 * np.exp(x)}
                expected = rule.get(metric, float)(raw)
                assert found is not None
                assert found[d, index] == pytest.approx(expected, abs=1e-5)
            assert table.train_seconds[d, index] == 20 * epochs
            assert table.parameters[d, index] == 2_500_000
        assert table.known(task).sum() == 30
    assert tables.reported("other@25") is tables.load("other@25")  # the longest lacks its tasks


def test_the_macro_part_of_transnas_has_architectures_of_several_lengths(tmp_path: Path) -> None:
    root, path = transnas(2), tmp_path / "transnas.json"
    path.write_text(json.dumps(root))
    said = bring(path, part="macro", missing="infeasible")
    assert any("a search needs --missing infeasible" in word for word in said)
    table = tables.load("other@25")
    for printed, official in (("123400", "1234"), ("311311", "311311"), ("123410", "12341")):
        index = table.space.index(table.space.parse(f"64-{printed}-basic"))
        results = root["data"]["macro"][f"64-{official}-basic"]["class_scene"]
        found = table.mean_accuracy[table.row("class_scene"), index]
        assert found == pytest.approx(results["metrics"]["valid_top1"][-1], abs=1e-5)
    assert table.known("class_scene").sum() == 3
    with pytest.raises(InputError, match="micro"):
        bring(path, "more", part="marco")
    support.write_zip(tmp_path / "sizes.pth", sizes())
    with pytest.raises(InputError, match="another file"):
        bring(tmp_path / "sizes.pth", "more", part="macro")


def test_a_search_on_transnas(tmp_path: Path) -> None:
    path = tmp_path / "transnas.json"
    path.write_text(json.dumps(transnas()))
    bring(path, missing="infeasible")
    evaluator = LookupEvaluator(tables.load("other@25"), "class_scene")
    for name in ("genetic_cnn", "eg_nas"):
        algorithm = algorithms.get(name).configure("paper", {})
        assert runner.search(algorithm, evaluator, budget=runner.Budget(50)).evaluations >= 40


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda r: r["data"].pop("micro"), "no micro architectures"),
        (lambda r: r["data"]["micro"].update({"64-41414-9_00_000": {}}), "Not a transnas_micro"),
        (lambda r: first(r).update(seg=first(r)["jigsaw"]), "unknown task"),
        (lambda r: first(r)["jigsaw"].pop("metrics"), "not in the official schema"),
        (lambda r: first(r)["jigsaw"].update(total_epochs=9), "for each of 9 epochs"),
        (lambda r: first(r)["jigsaw"]["metrics"].pop("valid_top1"), "no valid_top1"),
        (lambda r: first(r)["normal"]["metrics"].update(valid_ssim=[3.0] * 30), "within 0..1"),
        (lambda r: first(r)["room_layout"]["metrics"].update(valid_neg_loss=[3.0] * 25), "above 0"),
    ],
)
def test_transnas_files_that_are_none(
    change: Callable[[Any], Any], match: str, tmp_path: Path
) -> None:
    root = transnas(2)
    change(root)
    path = tmp_path / "transnas.json"
    path.write_text(json.dumps(root))
    with pytest.raises(DataError, match=match):
        bring(path)
    assert imported.names() == []


def first(root: Any) -> Any:
    return next(iter(root["data"]["micro"].values()))


# HW-NAS-Bench


def hardware(kind: Callable[[np.ndarray], Any] = lambda values: values.tolist()) -> dict[str, Any]:
    rng = np.random.default_rng(2)
    space, order = NASBench201(), spellings.official_order()
    return {
        "nasbench201": {
            dataset: {
                "config": [
                    {"name": "infer.tiny", "C": 16, "arch_str": space.format(space.from_index(i))}
                    for i in order
                ],
                **{name: kind(rng.random(SIZE)) for name in (*ENERGIES, *LATENCIES)},
                "eyeriss_arithmetic_intensity": kind(rng.random(SIZE)),
            }
            for dataset in ("cifar10", "cifar100")
        },
        "fbnet": {"edgegpu_latency": {"ConvNorm_H32": 1.5}},
    }


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("kind", ["list", "array"])
def test_every_number_of_hw_nas_bench(tmp_path: Path, protocol: int, kind: str) -> None:
    root = hardware((lambda v: v.tolist()) if kind == "list" else np.asarray)
    path = tmp_path / "HW-NAS-Bench-v1_0.pickle"
    path.write_bytes(pickle.dumps(root, protocol))
    bring(path, "hw")
    table, base = tables.load("hw"), tables.load()
    units = {f"{n}_mJ": n for n in ENERGIES} | {f"{n}_ms": n for n in LATENCIES}
    units["eyeriss_arithmetic_intensity"] = "eyeriss_arithmetic_intensity"
    assert set(table.metrics) == set(units)
    order = list(spellings.official_order())
    for name, source in units.items():
        for dataset in ("cifar10", "cifar100"):
            got = table.metrics[name][table.row(dataset)][order]
            assert got.tolist() == list(root["nasbench201"][dataset][source])
        assert np.isnan(table.metrics[name][table.row("ImageNet16-120")]).all()
    assert (table.mean_accuracy == base.mean_accuracy).all()
    assert (table.train_seconds == base.train_seconds).all()
    assert table.epochs == 200
    cell = table.space.from_index(order[7])
    assert table.space.parse("#7") == cell


def test_costs_beside_a_table_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("arch,dataset,valid\n#0,cifar10,50\n#1,cifar10,60\n")
    bring(tmp_path / "few.csv", "few")
    path = tmp_path / "HW-NAS-Bench-v1_0.pickle"
    path.write_bytes(pickle.dumps(hardware(), 3))
    bring(path, "hw", onto="few")
    table = tables.load("hw")
    assert np.isfinite(table.metrics["fpga_latency_ms"]).all()
    assert table.mean_accuracy[0, list(spellings.official_order()[:2])].tolist() == [50, 60]
    with pytest.raises(InputError, match="has accuracies of its own"):
        bring(tmp_path / "few.csv", "more", onto="few")
    with pytest.raises(InputError, match="Did you mean 'few'"):
        bring(path, "more", onto="fews")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda d: d.update(fpga_latency=[1.0]), "a finite number for each of 15625"),
        (lambda d: d.update(fpga_latency=["x"] * SIZE), "could not convert"),
        (lambda d: d["config"].reverse(), "config 0: .* is not the official cell #0"),
        (lambda d: d["config"].pop(), "config is no list of 15625"),
        (lambda d: d.update(fpga_latency=np.array([object()])), "refused|well formed|not allowed"),
    ],
)
def test_hardware_files_that_are_none(
    change: Callable[[Any], Any], match: str, tmp_path: Path
) -> None:
    root = hardware()
    change(root["nasbench201"]["cifar10"])
    path = tmp_path / "HW-NAS-Bench-v1_0.pickle"
    path.write_bytes(pickle.dumps(root, 3))
    with pytest.raises(DataError, match=match):
        bring(path, "hw")
    assert imported.names() == []
