"""Files of values by architecture: what is read, how two are joined, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_evo import spaces, tables
from nasbench_evo.errors import InputError
from nasbench_evo.results import rank_files
from nasbench_evo.spaces import isomorphism, spellings

SPACE = spaces.get("nasbench201")
A, B, C, D = (SPACE.from_index(i) for i in (0, 7, 1234, 15624))
PUBLISHED = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|none~2|"


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    "text",
    [
        "arch,value\n000000,1.5\n#14163,2\n014414,-3e1\n",
        "000000,1.5\n000012,2\n#10834,-30\n",
        "\ufeffvalue, Arch\n1.5,000000\n\n2,#14163\n-30,#10834\n",
        f'"000000",1.5\n"{SPACE.format(B)}",2\n014414,-30',
    ],
)
def test_csv_in_every_spelling(text: str, tmp_path: Path) -> None:
    found = rank_files.read(write(tmp_path, "x.csv", text), SPACE.parse)
    assert found.means == {A: 1.5, B: 2.0, C: -30.0}
    assert found.trials == {A: (1.5,), B: (2.0,), C: (-30.0,)}


def test_trials_of_the_truth(tmp_path: Path) -> None:
    text = "arch,value_0,value_1,value_2\n000000,1,2,6\n#14163,5,,\n014414,,4,8\n"
    expected = {A: (1.0, 2.0, 6.0), B: (5.0,), C: (4.0, 8.0)}
    of_csv = rank_files.read(write(tmp_path, "x.csv", text), SPACE.parse, several=True)
    content = {"000000": [1, 2, 6], PUBLISHED: 0, "#14163": 5.0, "014414": [4, 8]}
    of_json = rank_files.read(
        write(tmp_path, "x.JSON", json.dumps(content)), SPACE.parse, several=True
    )
    assert of_csv.trials == expected
    assert of_csv.means == {A: 3.0, B: 5.0, C: 6.0}
    assert of_json.trials == {**expected, SPACE.parse(PUBLISHED): (0.0,)}


@given(st.dictionaries(st.integers(0, 15624), st.floats(-1e9, 1e9), min_size=1, max_size=6))
@settings(max_examples=25)
def test_what_is_written_is_read(values: dict[int, float]) -> None:
    ways = [
        lambda g: SPACE.format(g),
        lambda g: "".join(map(str, g)),
        lambda g: f"#{spellings.official_index()[SPACE.index(g)]}",
    ]
    cells = {SPACE.from_index(index): value for index, value in values.items()}
    archs = [ways[i % 3](g) for i, g in enumerate(cells)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [f"{arch},{value!r}\n" for arch, value in zip(archs, values.values(), strict=True)]
        entries = json.dumps(dict(zip(archs, values.values(), strict=True)))
        for path in (write(folder, "x.csv", "".join(lines)), write(folder, "x.json", entries)):
            assert rank_files.read(path, SPACE.parse).means == cells


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("x.csv", "arch,value\n000000,nan\n", r"x.csv, line 2: Expected a finite number"),
        ("x.csv", "000000,1\n#1,inf\n", r"line 2: Expected a finite number, got 'inf'"),
        ("x.csv", "000000,good\n", r"line 1: Expected a finite number, got 'good'"),
        ("x.csv", "arch,value\n000000,\n", r"line 2: Expected a finite number, got ''"),
        ("x.csv", "cell,accuracy\n000000,1\n", r"line 1: Not a NAS-Bench-201 cell: 'cell'"),
        ("x.csv", "arch,value\n000009,1\n", r"line 2: Not a NAS-Bench-201 cell: '000009'"),
        ("x.csv", "000000,1\n#14163,2\n#1651,3\n", r"line 3: '#1651' is there already, in line 1"),
        ("x.csv", "arch,value\n000000\n", r"line 2: expected 2 columns .* got 1"),
        ("x.csv", "arch\n000000\n", r"line 2: expected 2 columns"),
        ("x.csv", "arch,value\n000000,1,2\n", r"line 2: expected 2 columns .* got 3"),
        ("x.csv", "arch,a_0,a_1\n000000,1,2\n", r"line 2: Expected one value of '000000'; got 2"),
        ("x.csv", "arch,a,b\n000000,1,2\n", r"which of the columns a, b has the values"),
        ("x.csv", "arch,value,accuracy\n000000,1,2\n", "which of the columns value, accuracy"),
        ("x.csv", "000000,1,2\n", r"line 1: 3 columns without names"),
        ("x.csv", 'arch,value\n"000000,1\n', "no CSV file"),
        ("x.json", "{", "no JSON file"),
        ("x.json", "[" * 100_000, "no JSON file"),
        ("x.json", f'{{"#1651": {"9" * 5000}}}', "no JSON file"),
        ("x.json", f'{{"#1651": {"9" * 400}}}', "Expected a finite number"),
        ("x.json", "[1, 2]", "expected an object"),
        ("x.json", '{"#1651": 1, "#1651": 2}', "entry '#1651': '#1651' is there already"),
        ("x.json", '{"#1651": 1, "000000": 2}', "'000000' is there already, in entry '#1651'"),
        ("x.json", '{"#1651": NaN}', "Expected a finite number, got nan"),
        ("x.json", '{"#1651": true}', "Expected a finite number, got True"),
        ("x.json", '{"#1651": null}', "Expected a finite number, got None"),
        ("x.json", '{"#1651": {"a": 1}}', "Expected a finite number"),
        ("x.json", '{"#1651": []}', "Expected a finite number"),
        ("x.json", '{"#15625": 1}', "A cell index is"),
        ("x.txt", "000000,1\n", "ends in .csv or .json"),
    ],
)
def test_what_cannot_be_read_is_refused(name: str, text: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=match):
        rank_files.read(write(tmp_path, name, text), SPACE.parse)


def test_files_that_are_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv cannot be read: No such file"):
        rank_files.read(tmp_path / "none.csv", SPACE.parse)
    (tmp_path / "x.csv").write_bytes(b"000000,\xff\xfe\n")
    with pytest.raises(InputError, match="UTF-8"):
        rank_files.read(tmp_path / "x.csv", SPACE.parse)
    with pytest.raises(InputError, match="There is no checkpoint"):
        rank_files.of_checkpoint(tmp_path / "net.pt", SPACE, 10, 0)


def test_a_table_has_the_mean_and_its_trials(table: tables.Table) -> None:
    found = rank_files.of_table("nasbench201", "cifar100", SPACE)
    d, i = table.row("cifar100"), SPACE.index(C)
    assert len(found.means) == 15625
    assert found.means[C] == table.mean_accuracy[d, i]
    assert found.trials[C] == tuple(table.valid_accuracy[d, i][table.present[d, i]].tolist())
    assert (found.source, found.unit) == ("nasbench201 on cifar100", "%")


def test_cells_that_a_table_has_not_are_left_out(
    table: tables.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    correct = table.correct[:1].copy()
    correct[0, 7] = np.iinfo(correct.dtype).max
    one = {
        name: getattr(table, name)[:1]
        for name in ("datasets", "images", "train_seconds", "latency_seconds", "parameters")
    }
    partial = dataclasses.replace(
        table, correct=correct, valid_loss=None, test_accuracy=None, valid_curve=None,
        valid_seconds=None, flops=None, **one,
    )  # fmt: skip
    monkeypatch.setattr(tables, "load", lambda name: partial)
    found = rank_files.of_table("own", None, SPACE)  # one data set: no need to choose
    assert len(found.means) == 15624
    assert B not in found.means


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="Unknown table 'nasbench20'"):
        rank_files.of_table("nasbench20", "cifar10", SPACE)
    with pytest.raises(InputError, match="Unknown data set 'cifar'"):
        rank_files.of_table("nasbench201", "cifar", SPACE)
    with pytest.raises(InputError, match=r"cifar10, cifar100.*choose one with --dataset"):
        rank_files.of_table("nasbench201", None, SPACE)
    with pytest.raises(InputError, match="is of nasbench201, not of binary_stages"):
        rank_files.of_table("nasbench201", "cifar10", spaces.get("binary_stages"))


def values(trials: dict[tuple[int, ...], tuple[float, ...]], name: str = "x") -> rank_files.Values:
    means = {genotype: sum(some) / len(some) for genotype, some in trials.items()}
    return rank_files.Values(name, "", means, trials)


def test_the_two_are_joined_on_the_genotype() -> None:
    predicted = values({D: (1.0,), A: (2.0,), B: (3.0,), (1,) * 6: (9.0,)})
    truth = values({A: (10.0, 20.0), B: (30.0,), C: (40.0,), D: (50.0, 70.0, 90.0)})
    joined = rank_files.join(predicted, truth)
    assert joined.genotypes == [D, A, B]
    assert joined.predicted.tolist() == [1.0, 2.0, 3.0]
    assert joined.truth.tolist() == [70.0, 15.0, 30.0]
    assert joined.trials.tolist() == [[50.0, 10.0], [70.0, 20.0]]
    assert joined.only_predicted == [(1,) * 6]
    assert joined.only_truth == [C]


def test_fewer_than_three_in_common_are_refused() -> None:
    few = values({A: (1.0,), B: (2.0,)}, "few.csv")
    with pytest.raises(InputError, match=r"few.csv has 2 .* all.csv 3, but 2 in common"):
        rank_files.join(few, values({A: (1.0,), B: (2.0,), C: (3.0,)}, "all.csv"))


def reference(trials: dict[tuple[int, ...], tuple[float, ...]]):
    both = values(trials)
    rng = np.random.default_rng(0)
    return rank_files.retest_reference(
        rank_files.join(both, both), space=SPACE, top=(1.0,), k=1, bootstrap=0, rng=rng
    )


def test_the_retest_reference_is_between_the_first_two_trials() -> None:
    two = {A: (1.0, 2.0), B: (2.0, 1.0), C: (3.0, 4.0, 0.0), D: (4.0, 2.5)}
    found = reference({**two, (1,) * 6: (5.0,)})
    assert found is not None
    assert found.n == 4  # the fifth has one trial
    assert found["kendall_tau"].estimate == pytest.approx((4 - 2) / 6)
    # The second trial's best is C, whose first trial is 3.
    assert found["best_predicted_truth"].estimate == 3.0


def test_without_trials_there_is_no_reference() -> None:
    assert reference({A: (1.0,), B: (2.0,), C: (3.0,)}) is None
    assert reference({A: (1.0, 2.0), B: (2.0, 1.0), C: (3.0,)}) is None


def test_a_network_counts_once_in_the_retest_reference() -> None:
    """Input straight to output, or over a node that hands it on: both are one 3x3 convolution."""
    same = [(3, 0, 0, 0, 1, 0), (1, 0, 0, 0, 3, 0)]
    kinds = [isomorphism.canonical(genotype) for genotype in same]
    assert kinds[0] == kinds[1]
    trials = {same[0]: (1.0, 2.0), same[1]: (9.0, 0.0), A: (3.0, 4.0), C: (4.0, 2.5), D: (5.0, 6.0)}
    found = reference(trials)
    assert found is not None
    assert found.n == 4
    assert found["kendall_tau"].estimate == pytest.approx((5 - 1) / 6)
