"""The package nas-bench-201 as a source: its own classes write the files and hold the numbers."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import official_support as support
import pytest

from nasbench_evo import tables
from nasbench_evo.errors import DataError, InputError, Unsupported
from nasbench_evo.tables import imported
from nasbench_evo.tables.importing import adapter
from nasbench_evo.tables.importing.adapter import NASBench201Adapter
from nasbench_evo.tables.importing.collector import Collector

pytestmark = pytest.mark.torch

SETS = {"cifar10": "cifar10-valid", "cifar100": "cifar100", "ImageNet16-120": "ImageNet16-120"}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "tables"))


def official(cells: int) -> dict[str, Any]:
    """A file's content, made by the package's ArchResults and ResultsCount."""
    classes = pytest.importorskip("nas_201_api.api_utils")
    plain = support.content(cells)
    for index, entry in plain["arch2infos"].items():
        for recipe, results in entry.items():
            made = classes.ArchResults(index, results["arch_str"])
            for (training, seed), state in results["all_results"].items():
                made.update(training, seed, _count(classes, training, state))
            made.clear_params()
            entry[recipe] = made.state_dict()
    return plain


def _count(classes: Any, training: str, state: dict[str, Any]) -> Any:
    count = classes.ResultsCount(
        training,
        None,
        state["train_acc1es"],
        state["train_losses"],
        state["params"],
        state["flop"],
        state["arch_config"],
        state["seed"],
        state["epochs"],
        None,
    )
    count.update_train_info(
        *(state[f"train_{name}"] for name in ("acc1es", "acc5es", "losses", "times"))
    )
    for split in state["eval_names"]:
        accs, losses = (
            {
                e: state[part][f"{split}@{e}"]
                for e in range(state["epochs"])
                if f"{split}@{e}" in state[part]
            }
            for part in ("eval_acc1es", "eval_losses")
        )
        count.update_OLD_eval(split, accs, losses)
        count.reset_pseudo_eval_times(split, state["eval_times"][f"{split}@0"])
    count.update_latency(state["latency"])
    return count


@pytest.fixture
def api() -> Any:
    content = official(6)
    package = pytest.importorskip("nas_201_api")
    return package.NASBench201API(content, verbose=False)


def compare_with_package(api: Any, name: str) -> None:
    """Compare every split, metric and epoch, and all costs, with what the package answers."""
    arrays = imported.details(name)
    compared = 0
    for index in range(len(api)):
        for hp in ("12", "200"):
            results = api.query_meta_info_by_index(index, hp)
            epochs = results.get_total_epoch()
            table = tables.load(name, epochs)
            genotype = table.space.parse(api.arch(index))
            cell = table.space.index(genotype)
            for training in results.get_dataset_names():
                prefix = f"{epochs}/{training}"
                n = arrays[f"{prefix}/cells"].tolist().index(cell)
                for t, seed in enumerate(results.get_dataset_seeds(training)):
                    for split in ("train", *results.query(training, seed).get_eval_set()):
                        last = results.get_metrics(training, split, is_random=seed)
                        for metric in ("accuracy", "loss"):
                            found = arrays[f"{prefix}/{split}/{metric}/last"][n, t]
                            assert found == last[metric]
                            compared += 1
                        curve = arrays.get(f"{prefix}/{split}/accuracy/curve")
                        for e in range(epochs) if curve is not None else ():
                            info = results.get_metrics(training, split, e, is_random=seed)
                            assert curve[n, t, e] == np.float32(info["accuracy"])
                            compared += 1
            for d, dataset in enumerate(table.datasets):
                costs = results.get_compute_costs(SETS[dataset])
                more = results.get_metrics(SETS[dataset], "x-valid")
                assert table.mean_accuracy[d, cell] == pytest.approx(more["accuracy"], abs=1e-6)
                assert table.size(dataset, genotype) == round(costs["params"] * 1e6)
                assert table.flops is not None
                assert table.flops[d, cell] == pytest.approx(costs["flops"])
                assert table.latency(dataset, genotype) == pytest.approx(costs["latency"])
                assert table.train_seconds[d, cell] == pytest.approx(costs["T-train@total"])
                assert table.valid_seconds is not None
                assert table.valid_seconds[d, cell] == pytest.approx(costs["T-x-valid@epoch"])
    assert compared > 1000


@pytest.mark.parametrize("legacy", [True, False])
def test_every_number_of_a_file_is_the_packages(legacy: bool, tmp_path: Path) -> None:
    import torch

    package = pytest.importorskip("nas_201_api")
    content = official(6)
    file = tmp_path / "f.pth"
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    imported.import_path(file, "t", progress=lambda done, total: None)
    compare_with_package(package.NASBench201API(content, verbose=False), "t")


def test_an_api_object_gives_the_same_table(api: Any, tmp_path: Path) -> None:
    gathered = Collector("memory")
    adapter.collect(api, gathered)
    imported.save(gathered, "memory", {"label": "an API object"})
    compare_with_package(api, "memory")


@pytest.mark.parametrize("legacy", [True, False])
def test_via_the_package(legacy: bool, tmp_path: Path) -> None:
    import torch

    file = tmp_path / "f.pth"
    torch.save(official(3), file, _use_new_zipfile_serialization=not legacy)
    for name, via in (("direct", None), ("via", adapter.VIA)):
        imported.import_path(file, name, progress=lambda done, total: None, via=via)
    assert imported.open_file("via").hashes == imported.open_file("direct").hashes


def test_via_reads_nothing_but_numbers(tmp_path: Path) -> None:
    import torch

    pytest.importorskip("nas_201_api")
    file = tmp_path / "f.pth"
    torch.save({"meta_archs": [Path("x")]}, file)
    with pytest.raises(DataError, match="cannot read it"):
        adapter.open_api(file)


def test_via_something_unknown_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    with pytest.raises(InputError, match="Did you mean 'nas-bench-201'"):
        adapter.open_api(tmp_path, "nas-bench-101")
    monkeypatch.setitem(sys.modules, "nas_201_api", None)
    with pytest.raises(Unsupported, match="Without --via"):
        adapter.open_api(tmp_path)


# The traps: each is shown in the package itself, so that a version without it is noticed.


def test_numpy_integers(api: Any) -> None:
    assert api.query_index_by_arch(np.int64(2)) == -1
    shielded = NASBench201Adapter(api)
    assert shielded.index(np.int64(2)) == shielded.index(2) == shielded.index(api.arch(2)) == 2


def test_recipes_of_any_kind(api: Any) -> None:
    with pytest.raises(NameError):
        api.query_by_arch(api.arch(0), "13")
    shielded = NASBench201Adapter(api)
    assert shielded.results(0, 200) is shielded.results(0, "200")
    with pytest.raises(InputError, match="Expected epochs among 12, 200; got 13"):
        shielded.results(0, 13)


def test_simulated_trainings_are_the_packages(api: Any) -> None:
    """For each seed, accuracy and cost by hand; the package draws with the global `random`."""
    shielded = NASBench201Adapter(api)
    before = random.getstate()
    for dataset, training in SETS.items():
        for epochs in (12, 200):
            rng = np.random.default_rng(5)
            found = [shielded.simulate(3, dataset, epochs=epochs, rng=rng) for _ in range(20)]
            info = api.query_meta_info_by_index(3, str(epochs))
            expected = set()
            for seed in shielded.seeds(3, training, epochs):
                valid = info.get_metrics(training, "x-valid", is_random=seed)
                train = info.get_metrics(training, "train", is_random=seed)
                per = info.query(training, seed).get_times()["T-x-valid@epoch"]
                expected.add((valid["accuracy"], round(train["all_time"] + per, 9)))
            assert {(f.valid_accuracy, round(f.seconds, 9)) for f in found} <= expected
            again = np.random.default_rng(5)
            assert found[0] == shielded.simulate(3, dataset, epochs=epochs, rng=again)
    assert random.getstate() == before


def test_what_the_adapter_refuses(api: Any) -> None:
    shielded = NASBench201Adapter(api)
    for index in (-1, 6, np.int64(99)):
        with pytest.raises(InputError, match=r"index is 0\.\.5"):
            shielded.index(index)
    with pytest.raises(InputError, match="no cell 'x'"):
        shielded.index("x")
    with pytest.raises(InputError, match="Unknown data set"):
        shielded.seeds(0, "cifar1000", 200)
    with pytest.raises(InputError, match="Expected a NASBench201API object"):
        NASBench201Adapter({"meta_archs": []})
    del api.arch2infos_dict[0]
    with pytest.raises(InputError, match="no results of cell 0"):
        shielded.results(0, 200)


def test_trainings_without_times(api: Any) -> None:
    """Where the file has no times at 200 epochs, the package stops with a TypeError."""
    for state in api.arch2infos_dict[1]["200"].all_results.values():
        state.eval_times = {}
    with pytest.raises(TypeError):
        api.simulate_train_eval(1, "cifar10", hp="200")
    with pytest.raises(Unsupported, match="No validation accuracy or times of cifar10 at 200"):
        NASBench201Adapter(api).simulate(1, "cifar10", epochs=200, rng=np.random.default_rng(0))


def test_the_package_draws_from_the_global_state(api: Any) -> None:
    before = random.getstate()
    api.simulate_train_eval(2, "cifar10", hp="200")
    assert random.getstate() != before
    random.setstate(before)
