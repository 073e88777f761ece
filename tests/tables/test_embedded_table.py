"""The embedded table: its known truths, and what happens to damaged files."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nasbench_evo import tables
from nasbench_evo.errors import DataError, InputError
from nasbench_evo.tables import embedded
from nasbench_evo.tables.packed import pack, unpack

BEST = {"cifar10": 91.607, "cifar100": 73.493, "ImageNet16-120": 46.733}


@pytest.fixture
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the source files and an empty cache; nothing kept in memory."""
    copy = tmp_path / "sources"
    shutil.copytree(embedded.source_folder(), copy)
    monkeypatch.setattr(embedded, "source_folder", lambda: copy)
    monkeypatch.setenv("NASBENCH_EVO_CACHE", str(tmp_path / "cache"))
    embedded.load.cache_clear()
    yield copy
    embedded.load.cache_clear()


@pytest.mark.parametrize(("dataset", "best"), BEST.items())
def test_known_optima(table: tables.Table, dataset: str, best: float) -> None:
    assert table.best[table.row(dataset)] == pytest.approx(best, abs=5e-4)


def test_best_cell_of_cifar10(table: tables.Table) -> None:
    cell = table.space.from_index(int(table.mean_accuracy[0].argmax()))
    assert table.space.format(cell) == (
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+"
        "|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
    )
    assert table.regret("cifar10", cell) == 0
    assert table.rank("cifar10", cell) == 1


def test_best_single_trial_of_imagenet_is_the_papers(table: tables.Table) -> None:
    d = table.row("ImageNet16-120")
    index = int(table.mean_accuracy[d].argmax())
    assert np.nanmax(table.valid_accuracy[d, index]) == pytest.approx(46.77, abs=5e-3)


def test_missing_trials_are_masked(table: tables.Table) -> None:
    assert set(np.unique(table.trials)) == {2, 3}
    assert int((table.trials[0] == 2).sum()) == 7456
    d, g = 0, int(np.flatnonzero(table.trials[0] == 2)[0])
    assert np.isnan(table.valid_accuracy[d, g, 2])
    kept = table.valid_accuracy[d, g, :2]
    assert table.mean_accuracy[d, g] == pytest.approx(kept.mean(), abs=1e-12)


def test_counts_are_exact_and_others_refused() -> None:
    found = embedded.counts(np.array([100.0, 0.004, np.nan]), 25_000, "x")
    assert found.tolist() == [25_000, 1, 65_535]
    with pytest.raises(DataError, match="not a count out of 25000"):
        embedded.counts(np.array([50.001]), 25_000, "x")
    for outside in (-0.004, 100.004):
        with pytest.raises(DataError, match="not a count"):
            embedded.counts(np.array([outside]), 25_000, "x")


def test_model_sizes_that_disagree_are_counted() -> None:
    assert embedded.size_disagreements() == 204


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.999999])
def test_truncated_source(own_folders: Path, kept: float) -> None:
    file = own_folders / "cifar100.pkl"
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(DataError, match="truncated or altered") as caught:
        embedded.load()
    assert str(file) in str(caught.value)
    assert embedded.SOURCES["cifar100"].sha256 in str(caught.value)


def test_altered_source(own_folders: Path) -> None:
    file = own_folders / "imagenet.pkl"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(DataError, match=embedded.SOURCES["ImageNet16-120"].sha256):
        embedded.verify_sources()


def test_absent_source(own_folders: Path) -> None:
    (own_folders / "cifar10.pkl").unlink()
    with pytest.raises(DataError, match=r"Cannot read .*cifar10\.pkl"):
        embedded.load()


def test_altered_cache(own_folders: Path) -> None:
    first = embedded.load()
    file = embedded.cache_file()
    data = bytearray(file.read_bytes())
    data[-1000] ^= 1
    file.write_bytes(bytes(data))
    embedded.load.cache_clear()
    with pytest.raises(DataError, match="truncated or altered") as caught:
        embedded.load()
    assert str(file) in str(caught.value)
    assert first.sha256 in str(caught.value)


def test_source_that_asks_for_a_function(
    own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even a file with the right hash cannot name a class or a function."""
    hostile = pickle.dumps(print)
    monkeypatch.setattr(embedded, "read_source", lambda name, folder: hostile)
    with pytest.raises(DataError, match=r"builtins\.print; refused"):
        embedded.build()


def test_other_lengths_than_200_epochs_are_refused() -> None:
    assert tables.load(epochs=200) is tables.load()
    with pytest.raises(InputError, match="200 epochs only; got 12"):
        tables.load(epochs=12)


def test_unknown_table_names_its_near_miss() -> None:
    with pytest.raises(InputError, match="Did you mean 'nasbench201'"):
        tables.load("nasbench2001")


def test_packing_round_trip(table: tables.Table) -> None:
    fields = {"name": "t", "label": "l", "datasets": ["a"], "images": [100]}
    arrays = {
        "correct": np.full((1, 15_625, 1), 50, dtype=np.uint16),
        "train_seconds": np.ones((1, 15_625)),
        "latency_seconds": np.ones((1, 15_625)),
        "parameters": np.ones((1, 15_625), dtype=np.int64),
    }
    data = pack(fields, arrays)
    found = unpack(data, "memory")
    assert found.mean_accuracy[0, 0] == 50
    assert found.sha256 != table.sha256
    with pytest.raises(DataError, match="not a packed table"):
        unpack(b"x" + data, "memory")
