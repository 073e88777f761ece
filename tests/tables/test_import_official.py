"""Official files: every number arrives, and what is not such a file is refused."""

from __future__ import annotations

import bz2
import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import official_support as support
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nasbench_evo import tables
from nasbench_evo.errors import DataError, InputError
from nasbench_evo.tables import container, imported
from nasbench_evo.tables.importing import files, official
from nasbench_evo.tables.importing.collector import Collector

WRITERS = {
    "zip.pth": support.write_zip,
    "legacy.pth": support.write_legacy,
    "full.pickle.pbz2": support.write_bz2,
}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of tables for each test."""
    folder = tmp_path / "tables"
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(folder))
    return folder


def silent(done: int, total: int) -> None:
    assert 0 < done <= total


def bring(path: Path, name: str = "t", **options: Any) -> Path:
    return imported.import_path(path, name, progress=silent, **options)


def compare(root: dict[str, Any], name: str) -> int:
    """Compare every number of a file with the imported table; return how many there were."""
    arrays = imported.details(name)
    space = tables.load(name).space
    compared = 0
    for entry in root["arch2infos"].values():
        for results in entry.values():
            cell = space.index(space.parse(results["arch_str"]))
            for (training, seed), state in results["all_results"].items():
                prefix = f"{state['epochs']}/{training}"
                n = int(np.flatnonzero(arrays[f"{prefix}/cells"] == cell)[0])
                t = arrays[f"{prefix}/seeds"][n].tolist().index(seed)
                compared += compare_trial(state, arrays, prefix, n, t)
    return compared


def compare_trial(state: dict[str, Any], arrays: Any, prefix: str, n: int, t: int) -> int:
    compared = 0
    for split in ("train", *state["eval_names"]):
        for metric, part in (("accuracy", "acc1es"), ("loss", "losses")):
            source = state[f"train_{part}"] if split == "train" else state[f"eval_{part}"]
            values = {e: source.get(e if split == "train" else f"{split}@{e}") for e in range(999)}
            known = {e: value for e, value in values.items() if value is not None}
            assert known
            last = arrays[f"{prefix}/{split}/{metric}/last"][n, t]
            assert last == known[state["epochs"] - 1]
            curve = arrays.get(f"{prefix}/{split}/{metric}/curve")
            if curve is None:
                assert list(known) == [state["epochs"] - 1]
            else:
                found = {e: v for e, v in enumerate(curve[n, t].tolist()) if not np.isnan(v)}
                assert found == {e: float(np.float32(v)) for e, v in known.items()}
            compared += len(known)
    return compared


@pytest.mark.parametrize("kind", WRITERS)
def test_every_number_arrives(kind: str, tmp_path: Path) -> None:
    root = support.content(5)
    file = WRITERS[kind](tmp_path / kind, root)
    bring(file)
    assert compare(root, "t") > 1000


def test_a_nats_folder_is_the_same_table_as_the_file(tmp_path: Path) -> None:
    root = support.content(4, names=("12", "200"))
    bring(support.write_folder(tmp_path / "NATS-simple", root), "folder")
    bring(support.write_bz2(tmp_path / "x.pickle.pbz2", root), "file")
    assert compare(root, "folder") == compare(root, "file")
    a, b = imported.open_file("folder"), imported.open_file("file")
    assert a.hashes == b.hashes


def test_the_table_of_a_search(tmp_path: Path) -> None:
    """Splits, means, times, sizes: each from the right place, x-valid and tests never mixed up."""
    root = support.content(6)
    bring(support.write_legacy(tmp_path / "f.pth", root))
    table = tables.load("t")
    assert table.epochs == 4
    assert table.datasets == ("cifar10", "cifar100", "ImageNet16-120")
    assert table.valid_split == (
        "x-valid of cifar10-valid",
        "x-valid of cifar100",
        "x-valid of ImageNet16-120",
    )
    assert table.test_split == (
        "ori-test of cifar10",
        "x-test of cifar100",
        "x-test of ImageNet16-120",
    )
    for entry in root["arch2infos"].values():
        results = entry["full"]
        genotype = table.space.parse(results["arch_str"])
        index = table.space.index(genotype)
        for d, (valid, test, split) in enumerate(
            (
                ("cifar10-valid", "cifar10", "ori-test"),
                ("cifar100", "cifar100", "x-test"),
                ("ImageNet16-120", "ImageNet16-120", "x-test"),
            )
        ):
            states = [s for (name, _), s in results["all_results"].items() if name == valid]
            accuracies = [s["eval_acc1es"]["x-valid@3"] for s in states]
            kept = table.valid_accuracy[d, index][table.present[d, index]]
            assert kept == pytest.approx(accuracies, abs=1e-6)
            assert table.mean_accuracy[d, index] == pytest.approx(np.mean(accuracies), abs=1e-6)
            tests = [
                s["eval_acc1es"][f"{split}@3"]
                for (name, _), s in results["all_results"].items()
                if name == test
            ]
            found = table.mean_test(table.datasets[d], genotype)
            assert found == pytest.approx(np.mean(tests), abs=1e-9)
            train = np.mean([sum(s["train_times"].values()) for s in states])
            check = np.mean([s["eval_times"]["x-valid@0"] for s in states])
            assert table.train_seconds[d, index] == pytest.approx(train)
            assert table.full_seconds[d, index] == pytest.approx(train + check)
            size = np.mean([s["params"] for s in states]) * 1e6
            assert table.size(table.datasets[d], genotype) == round(size)
            latency = np.mean([s["latency"][0] for s in states])
            assert table.latency(table.datasets[d], genotype) == pytest.approx(latency)


def test_curves_only_where_the_validation_split_has_them(tmp_path: Path) -> None:
    root = support.content(3)
    bring(support.write_legacy(tmp_path / "f.pth", root))
    table = tables.load("t")
    assert table.has_curve("cifar10")
    assert not table.has_curve("cifar100")
    assert tables.load("t", 2).has_curve("cifar100")
    assert imported.splits("t")[4]["cifar100"] == {
        "train": "every epoch",
        "ori-test": "every epoch",
        "x-valid": "last epoch only",
        "x-test": "last epoch only",
    }


def test_version_1_0_has_the_short_training_on_one_set_only(tmp_path: Path) -> None:
    root = support.content(3)
    for entry in root["arch2infos"].values():
        less = entry["less"]
        keys = [key for key in less["all_results"] if key[0] != "cifar10-valid"]
        for key in keys:
            del less["all_results"][key]
        less["dataset_seed"] = {"cifar10-valid": less["dataset_seed"]["cifar10-valid"]}
    bring(support.write_legacy(tmp_path / "f.pth", root))
    assert tables.load("t", 2).datasets == ("cifar10",)
    with pytest.raises(InputError, match="Unknown data set 'cifar100'"):
        tables.load("t", 2).row("cifar100")
    # Without the training on all images, the test accuracy is that of the half.
    assert tables.load("t", 2).test_split == ("ori-test of cifar10-valid",)


def test_trials_without_times_or_latency(tmp_path: Path) -> None:
    root = support.content(2)
    for entry in root["arch2infos"].values():
        for results in entry.values():
            for state in results["all_results"].values():
                state["train_times"] = None
                state["eval_times"] = {} if state["epochs"] == 2 else None
                state["latency"] = None
    bring(support.write_legacy(tmp_path / "f.pth", root))
    table = tables.load("t")
    assert table.valid_seconds is None
    assert np.isnan(table.train_seconds).all()
    cell = table.space.parse(root["meta_archs"][0])
    assert table.latency("cifar10", cell) is None
    with pytest.raises(InputError, match="no training times of cifar10"):
        table.require_times("cifar10")


def test_lengths_of_training(tmp_path: Path) -> None:
    bring(support.write_legacy(tmp_path / "f.pth", support.content(2)))
    assert imported.epochs_of("t") == [2, 4]
    assert tables.load("t@2") is tables.load("t", 2)
    assert tables.load("t@2").name == "t@2"
    assert tables.reported("t@2") is tables.load("t")
    with pytest.raises(InputError, match="trainings of 2, 4 epochs; got 3"):
        tables.load("t", 3)
    with pytest.raises(InputError, match="NAME@EPOCHS"):
        tables.load("t@two")
    with pytest.raises(InputError, match="NAME@EPOCHS"):
        tables.load("t@2", 4)


def test_the_md5_of_the_source_is_recorded(tmp_path: Path) -> None:
    file = support.write_zip(tmp_path / "f.pth", support.content(1))
    bring(file)
    source = imported.open_file("t").fields["source"]
    assert source["md5"] == imported.md5(file)
    assert source["known_as"] is None
    assert official.known_as("55e847143ce1f7c2d89b676f6b096897") == "NAS-Bench-201-v1_1-096897.pth"
    assert str(official.known_as("0" * 26 + "e61699")).startswith("NAS-Bench-201-v1_0")


# Names and folders


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "a@2", "x" * 65, "a b"])
def test_names_that_no_table_can_have(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="table's name"):
        bring(tmp_path / "absent", name)


def test_names_that_are_taken(tmp_path: Path) -> None:
    file = support.write_zip(tmp_path / "f.pth", support.content(1))
    with pytest.raises(InputError, match="embedded table"):
        bring(file, "nasbench201")
    bring(file)
    with pytest.raises(InputError, match="--replace"):
        bring(file)
    other = support.write_zip(tmp_path / "g.pth", support.content(2))
    before = tables.load("t").sha256
    bring(other, replace=True)
    assert tables.load("t").sha256 != before
    assert {"nasbench201", "digits", "t"} <= set(tables.known())
    with pytest.raises(InputError, match="Unknown table 't1'"):
        tables.load("t1")
    with pytest.raises(InputError, match="There is no"):
        bring(tmp_path / "absent", "u")


# Bad files


def damage(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    root = copy.deepcopy(support.content(2))
    change(root)
    return root


def first(root: dict[str, Any]) -> dict[str, Any]:
    """The trial of cell 0 on cifar10-valid."""
    state: dict[str, Any] = root["arch2infos"][0]["full"]["all_results"][("cifar10-valid", 777)]
    return state


def full(root: dict[str, Any]) -> dict[str, Any]:
    results: dict[str, Any] = root["arch2infos"][0]["full"]
    return results


UNKNOWN = "|conv_9x9~0|+|none~0|none~1|+|none~0|none~1|none~2|"
BAD = {
    "accuracy above 100": (
        lambda r: first(r)["eval_acc1es"].update({"x-valid@1": 100.5}),
        "architecture 0, recipe 'full', cifar10-valid, seed 777: an accuracy outside 0..100",
    ),
    "negative accuracy": (
        lambda r: first(r)["train_acc1es"].update({0: -1.0}),
        "an accuracy outside 0..100",
    ),
    "infinite accuracy": (
        lambda r: first(r)["train_acc1es"].update({0: float("inf")}),
        "an accuracy outside 0..100",
    ),
    "missing epoch": (
        lambda r: first(r)["eval_acc1es"].pop("x-valid@1"),
        "x-valid accuracy: epoch 'x-valid@1' of 4 is missing",
    ),
    "missing train epoch": (
        lambda r: first(r)["train_losses"].pop(2),
        "train loss: epoch 2 of 4 is missing",
    ),
    "epoch too many": (
        lambda r: first(r)["eval_losses"].update({"x-valid@4": 1.0}),
        "eval_losses has the unexpected key 'x-valid@4'",
    ),
    "text for a number": (
        lambda r: first(r)["eval_losses"].update({"x-valid@1": "1.0"}),
        "x-valid loss: a value that is no number",
    ),
    "unknown split": (
        lambda r: first(r)["eval_names"].append("y-valid"),
        r"unknown splits \['y-valid'\]",
    ),
    "unknown operation": (
        lambda r: full(r).update(arch_str=UNKNOWN),
        r"architecture 0, recipe 'full': Unknown operation 'conv_9x9'",
    ),
    "unknown operation in meta": (
        lambda r: r["meta_archs"].__setitem__(1, UNKNOWN),
        r"meta_archs\[1\]: Unknown operation 'conv_9x9'",
    ),
    "cell twice": (
        lambda r: r["arch2infos"].update({2: r["arch2infos"].pop(1)}),
        "the results say architecture 1",
    ),
    "cell twice under two numbers": (
        lambda r: [x.update(arch_str=r["meta_archs"][0]) for x in r["arch2infos"][1].values()],
        "the cell is there twice",
    ),
    "name twice": (
        lambda r: r["meta_archs"].__setitem__(1, r["meta_archs"][0]),
        "meta_archs has a cell twice",
    ),
    "missing data set": (
        lambda r: full(r)["dataset_seed"].pop("cifar100"),
        r"dataset_seed and results differ in \('cifar100', 777\)",
    ),
    "missing trial": (
        lambda r: full(r)["all_results"].pop(("cifar100", 777)),
        r"dataset_seed and results differ in \('cifar100', 777\)",
    ),
    "missing field": (
        lambda r: first(r).pop("epochs"),
        r"not in the official schema \(KeyError\('epochs'\)\)",
    ),
    "no trial": (
        lambda r: r["arch2infos"].update({0: {}}),
        "architecture 0: expected recipes by name",
    ),
    "evaluated differs": (
        lambda r: r["evaluated_indexes"].add(5),
        r"evaluated_indexes and arch2infos differ, e\.g\. in \[5\]",
    ),
    "no meta": (lambda r: r.pop("meta_archs"), "expected a dictionary with meta_archs"),
    "nothing": (lambda r: r["arch2infos"].clear(), "evaluated_indexes and arch2infos differ"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_content_names_file_and_place(name: str, tmp_path: Path, own_folder: Path) -> None:
    change, message = BAD[name]
    file = support.write_legacy(tmp_path / "bad.pth", damage(change))
    with pytest.raises(DataError, match=message) as caught:
        bring(file)
    assert str(file) in str(caught.value)
    assert imported.names() == []
    assert not own_folder.exists() or not list(own_folder.iterdir())


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("tenth", range(10))
def test_truncated_at_every_tenth(kind: str, tenth: int, tmp_path: Path, own_folder: Path) -> None:
    file = WRITERS[kind](tmp_path / kind, support.content(2))
    data = file.read_bytes()
    file.write_bytes(data[: len(data) * tenth // 10])
    with pytest.raises(DataError) as caught:
        bring(file)
    assert str(file) in str(caught.value)
    assert not own_folder.exists() or not list(own_folder.iterdir())


@pytest.mark.parametrize("kind", ["zip.pth", "full.pickle.pbz2"])
def test_a_flipped_bit_in_a_checksummed_file(kind: str, tmp_path: Path) -> None:
    file = WRITERS[kind](tmp_path / kind, support.content(2))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(bytes(data))
    with pytest.raises(DataError, match=kind):
        bring(file)


JUNK = st.one_of(
    st.none(),
    st.integers(-(10**400), 10**400) | st.integers(-3, 20_000),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(st.text(max_size=2), st.lists(st.text(max_size=1), max_size=1), max_size=2),
    st.tuples(st.integers(), st.text(max_size=2)),
)


def spoil(data: st.DataObject, value: Any) -> Any:
    """Walk into a container at random and put junk somewhere."""
    if not isinstance(value, dict | list) or not value or data.draw(st.integers(0, 9)) == 0:
        return data.draw(JUNK)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = data.draw(st.sampled_from(keys))
    value[key] = spoil(data, value[key])
    return value


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_junk_is_a_data_error_or_data(tmp_path: Path, data: st.DataObject) -> None:
    root = spoil(data, copy.deepcopy(SMALL))
    file = tmp_path / "f.pickle"
    protocol = data.draw(st.integers(2, 5))
    file.write_bytes(pickle.dumps(root, protocol))
    gathered = Collector(str(file))
    try:
        files.read_file(file, gathered, lambda done, total: None)
        gathered.arrays()
    except DataError as error:
        assert str(file) in str(error)  # noqa: PT017 (either outcome is right)


SMALL = support.content(1, epochs=(1, 2))
OTHER = {
    "text.pth": b"not a benchmark",
    "empty.pth": b"",
    "number.pth": pickle.dumps(5, 2),
    "list.pickle.pbz2": bz2.compress(pickle.dumps([1, 2], 2)),
    "wrong magic.pth": pickle.dumps(0x1950A86A20F9469CFC6D, 2) + pickle.dumps({}, 2),
    "more.pth": support.legacy(support.content(1)) + b"more",
    "weights.pth": b"".join(
        pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {}, support.content(1), ["140"])
    ),
}


@pytest.mark.parametrize("name", OTHER)
def test_other_files(name: str, tmp_path: Path, own_folder: Path) -> None:
    file = tmp_path / name
    file.write_bytes(OTHER[name])
    with pytest.raises(DataError) as caught:
        bring(file)
    assert str(file) in str(caught.value)
    assert not own_folder.exists() or not list(own_folder.iterdir())


def test_a_decompression_bomb_is_refused(tmp_path: Path, own_folder: Path) -> None:
    file = tmp_path / "bomb.pickle.pbz2"
    file.write_bytes(bz2.compress(b"\x80\x02" + b"N" * 30_000_000))
    assert file.stat().st_size < 10_000
    with pytest.raises(DataError, match="larger than any benchmark entry"):
        bring(file)


def test_folders_that_are_no_benchmark(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="no NATS-Bench folder"):
        bring(empty)
    folder = support.write_folder(tmp_path / "n", support.content(2, names=("12", "200")))
    (folder / "000001.pickle.pbz2").rename(folder / "000007.pickle.pbz2")
    with pytest.raises(DataError, match="architecture 7 is not in meta_archs"):
        bring(folder)


def test_an_interrupted_import_leaves_nothing(
    tmp_path: Path, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = support.write_zip(tmp_path / "f.pth", support.content(2))

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imported.import_path(file, "t", progress=interrupt)
    assert imported.names() == []
    monkeypatch.setattr(container.os, "fsync", lambda number: interrupt(0, 0))
    with pytest.raises(KeyboardInterrupt):
        bring(file)
    assert list(own_folder.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(own_folder))
    bring(file)
    assert imported.names() == ["t"]


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "file" / "below"))
    with pytest.raises(DataError, match="Cannot write"):
        bring(support.write_zip(tmp_path / "f.pth", support.content(1)))


# The imported file itself


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    return bring(support.write_zip(tmp_path / "f.pth", support.content(2)))


@pytest.mark.parametrize("tenth", range(10))
def test_a_truncated_table(stored: Path, tenth: int) -> None:
    data = stored.read_bytes()
    stored.write_bytes(data[: len(data) * tenth // 10])
    with pytest.raises(DataError, match=r"truncated|no table") as caught:
        tables.load("t")
    assert str(stored) in str(caught.value)


def test_an_altered_table(stored: Path) -> None:
    file = container.read(stored)
    clean = stored.read_bytes()
    for name in ("4/correct", "4/cifar10/ori-test/loss/curve"):
        data = bytearray(clean)
        data[file.arrays[name].offset + 1] ^= 1
        stored.write_bytes(bytes(data))
        with pytest.raises(DataError, match=f"altered in array {name}"):
            container.check(container.read(stored))
    header = clean.replace(b'"epochs"', b'"epoch5"').replace(b"x-valid of", b"x-valib of", 1)
    stored.write_bytes(header)
    with pytest.raises(DataError, match="expected header SHA-256"):
        tables.load("t")
