"""Published numbers against the printed tables, and the words that compare ours with them."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import nasbench_evo
from nasbench_evo.errors import DataError, InputError
from nasbench_evo.results.published import PublishedRow, compare, load_published

MINIMAL = """
[algorithms]
"A" = "ours"
[[table]]
source = "S"
space = "nasbench201"
budget = "b"
protocol = "p"
runs = 4
columns = ["cifar10 valid", "cifar10 test"]
[table.methods]
"A" = [[90.0, 1.0], []]
"""
ROW = PublishedRow("A", "ours", "space", "cifar10", "valid", 90.0, 1.0, 4, "b", "p", "S")


def rows(**wanted) -> list[PublishedRow]:
    return [r for r in load_published() if all(getattr(r, k) == v for k, v in wanted.items())]


@pytest.mark.parametrize(
    ("dataset", "split", "mean", "std"),
    [
        ("cifar10", "valid", 90.12, 0.05),
        ("cifar10", "test", 93.56, 0.02),
        ("cifar100", "valid", 70.78, 0.12),
        ("cifar100", "test", 70.91, 0.07),
        ("ImageNet16-120", "valid", 44.89, 0.29),
        ("ImageNet16-120", "test", 46.13, 0.46),
    ],
)
def test_eg_nas_on_nasbench201_as_printed(dataset, split, mean, std):
    (row,) = rows(algorithm="eg_nas", space="nasbench201", dataset=dataset, split=split)
    assert (row.mean, row.std, row.runs) == (mean, std, 4)


def test_table_3_is_complete():
    table = rows(source="EG-NAS (AAAI 2024), Table 3")
    assert len(table) == 14 * 6
    assert len({r.method for r in table}) == 14
    optimal = {(r.dataset, r.split): r.mean for r in table if r.method == "Optimal"}
    for row in table:
        assert row.mean <= optimal[row.dataset, row.split]
        assert row.runs is None or row.method == "EG-NAS"  # said of its own runs only
        assert (row.std is None) == (row.method in ("ResNet", "Optimal"))


def test_baselines_of_the_benchmark():
    got = {
        (r.algorithm, r.dataset): (r.mean, r.std)
        for r in rows(source="NAS-Bench-201 (ICLR 2020), search baselines")
        if r.algorithm and r.split == "valid"
    }
    assert got == {
        ("random_search", "cifar10"): (90.93, 0.36),
        ("random_search", "cifar100"): (70.93, 1.09),
        ("random_search", "ImageNet16-120"): (44.45, 1.10),
        ("regularized_evolution", "cifar10"): (91.19, 0.31),
        ("regularized_evolution", "cifar100"): (71.81, 1.12),
        ("regularized_evolution", "ImageNet16-120"): (45.15, 0.89),
    }


def test_the_benchmarks_test_columns_are_those_that_a_later_paper_quotes():
    tested = {
        (r.algorithm, r.dataset): (r.mean, r.std)
        for r in rows(source="NAS-Bench-201 (ICLR 2020), search baselines")
        if r.split == "test"
    }
    quoted = rows(source="EG-NAS (AAAI 2024), Table 3")
    random = {
        r.dataset: (r.mean, r.std)
        for r in quoted
        if r.algorithm == "random_search" and r.split == "test"
    }
    assert tested["random_search", "cifar10"] == random["cifar10"] == (93.70, 0.36)
    assert tested["regularized_evolution", "ImageNet16-120"] == (45.54, 1.03)


def test_headline_figures_are_accuracies_even_where_errors_are_printed():
    best = {}
    for row in load_published():
        if row.space != "nasbench201" and row.algorithm not in (None, "random_search"):
            key = (row.algorithm, row.dataset)
            best[key] = max(best.get(key, 0.0), row.mean)
    assert best == {
        ("eg_nas", "cifar10"): 97.47,
        ("eg_nas", "cifar100"): 83.78,
        ("genetic_cnn", "cifar10"): 94.61,
        ("genetic_cnn", "cifar100"): 74.88,
        ("genetic_cnn", "SVHN"): 98.29,
        ("genetic_cnn", "imagenet"): 72.13,
        ("genetic_cnn", "imagenet-top-5"): 90.26,
        ("genetic_cnn", "caltech256"): 83.78,
        ("eigen", "cifar10"): 94.6,
        ("eigen", "cifar100"): 78.1,
        ("genetic_nas", "cifar10"): 96.0,
        ("genetic_nas", "cifar100"): 80.1,
    }
    (search,) = rows(method="Genetic CNN")
    assert search.mean == 77.19


@pytest.mark.parametrize(
    ("source", "method", "dataset", "accuracy"),
    [
        ("EIGEN (CVPR 2019), Table 4", "EIGEN without duplication", "cifar100", 76.9),
        ("EIGEN (CVPR 2019), Table 4", "EIGEN", "cifar10", 94.6),
        ("EIGEN (CVPR 2019), Table 5", "EIGEN network without mimicry", "cifar100", 73.9),
        ("EIGEN (CVPR 2019), Table 5", "EIGEN network with mimicry", "cifar10", 94.6),
        ("Genetic CNN (ICCV 2017), section 4.1.4", "Genetic CNN, all ones", "cifar10", 76.84),
        ("Genetic CNN (ICCV 2017), section 4.3", "VGGNet-19", "caltech256", 83.51),
        ("Genetic CNN (ICCV 2017), Table 3", "VGGNet-16", "imagenet", 71.5),
        ("Genetic CNN (ICCV 2017), Table 3", "AlexNet", "imagenet-top-5", 80.4),
    ],
)
def test_parts_and_transfers_as_printed(source, method, dataset, accuracy):
    (row,) = rows(source=source, method=method, dataset=dataset)
    assert row.mean == pytest.approx(accuracy)
    assert row.split == "test"


def test_every_row_says_where_it_is_from_and_how_it_was_made():
    table = load_published()
    for row in table:
        assert row.source
        assert row.protocol
        assert row.budget
        assert 0 < row.mean < 100
    keys = [(r.source, r.method, r.dataset, r.split) for r in table]
    assert len(set(keys)) == len(keys)


def test_minimal_file(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(MINIMAL)
    row = PublishedRow("A", "ours", "nasbench201", "cifar10", "valid", 90.0, 1.0, 4, "b", "p", "S")
    assert load_published(path) == [row]
    assert row.standard_error == 0.5
    assert replace(row, runs=None).standard_error is None


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("runs = 4", "runs = 0", "runs must be"),
        ("runs = 4", "runs = 2.5", "runs must be"),
        ("runs = 4", "rums = 4", "unknown.*rums"),
        ("runs = 4", 'printed = "loss"', "printed must be"),
        ('budget = "b"\n', "", "lacks.*budget"),
        ("[90.0, 1.0], []", "[90.0, 1.0]", "shorter"),
        ("90.0, 1.0", "90.0, 1.0, 2.0", "expected"),
        ("90.0, 1.0", "190.0, 1.0", "expected"),
        ("90.0, 1.0", "nan, 1.0", "expected"),
        ("[90.0, 1.0]", '"90"', "top"),
        ("cifar10 valid", "cifar10 train", "expected"),
        ("cifar10 valid", "cifar10", "top"),
        ('"A" = "ours"', '"B" = "ours"', "without a row.*B"),
        ("runs = 4", 'runs = 4\nseconds = "12000"', "seconds must be of type int"),
        ("[[table]]", "[table]", "top"),
        ("[algorithms]", "[algorithms", "TOML"),
    ],
)
def test_malformed_file_is_named(tmp_path, old, new, match):
    path = tmp_path / "p.toml"
    assert old in MINIMAL
    path.write_text(MINIMAL.replace(old, new))
    with pytest.raises(DataError, match=match) as error:
        load_published(path)
    assert str(path) in str(error.value)


def test_missing_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.toml"):
        load_published(tmp_path / "nowhere.toml")


def test_file_is_found_where_a_wheel_puts_it_and_its_absence_is_explained(tmp_path):
    package = Path(nasbench_evo.__file__).parent
    installed = tmp_path / "nasbench_evo"
    shutil.copytree(package, installed, ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "import nasbench_evo.results.published as p\n"
        "from nasbench_evo.errors import DataError\n"
        "try:\n    print(p.__file__, len(p.load_published()))\n"
        "except DataError as e:\n    print(p.__file__, e)"
    )

    def load() -> str:
        return subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    shutil.rmtree(installed / "bundled_suites", ignore_errors=True)
    assert "are missing" in load()
    (installed / "bundled_suites").mkdir()
    (installed / "bundled_suites" / "published.toml").write_text(MINIMAL)
    shown = load()
    assert str(tmp_path) in shown
    assert shown.split()[-1] == "1"


@pytest.mark.parametrize(
    ("low", "high", "judgement"),
    [
        (89.0, 90.5, "match"),
        (91.0, 91.2, "differs"),
        (90.97, 91.2, "match"),  # 1.96 x 0.5 = 0.98 reaches down to 89.99
        (90.99, 91.2, "differs"),
        (88.0, 89.03, "match"),
        (88.0, 89.01, "differs"),
    ],
)
def test_match_widens_our_interval_by_the_published_standard_error(low, high, judgement):
    verdict = compare((low + high) / 2, low, high, ROW, comparable=True)
    assert verdict.judgement == judgement
    assert "published 90.00" in verdict.reason
    assert "not known" not in verdict.reason


@pytest.mark.parametrize("row", [replace(ROW, std=None), replace(ROW, runs=None)])
def test_unknown_standard_error_does_not_widen_and_is_said(row):
    verdict = compare(90.5, 90.1, 91.0, row, comparable=True, why="same table")
    assert verdict.judgement == "differs"
    assert "standard error is not known" in verdict.reason
    assert "same table" in verdict.reason


def test_other_protocol_is_not_judged_and_says_why():
    verdict = compare(90.0, 89.0, 91.0, ROW, comparable=False, why="it used a supernet")
    assert verdict == ("not comparable", "it used a supernet")
    with pytest.raises(InputError, match="why"):
        compare(90.0, 89.0, 91.0, ROW, comparable=False)


@pytest.mark.parametrize(
    "ours", [(90.0, 91.0, 89.0), (math.nan, 89.0, 91.0), (90.0, 89.0, math.inf)]
)
def test_an_interval_that_is_none_is_refused(ours):
    with pytest.raises(InputError):
        compare(*ours, ROW, comparable=True)
