"""The baseline file: what is written is read again, and what does not fit is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nasbench_evo import suite as suites
from nasbench_evo import tables
from nasbench_evo.errors import DataError, InputError
from nasbench_evo.files import digest
from nasbench_evo.gate import baseline as gate_baseline
from nasbench_evo.gate import cells, report
from nasbench_evo.gate.baseline import Baseline, Entry
from nasbench_evo.gate.measured import Sample, Trace, scale
from nasbench_evo.store import RESULT_FORMAT

SUITE = suites.Suite.model_validate(
    {
        "name": "small",
        "datasets": ["cifar10"],
        "seeds": 2,
        "evaluations": 300,
        "checkpoints": [300],
        "rows": [{"algorithm": "random_search"}, {"algorithm": "local_search"}],
    }
)
COMMAND = "nasbench-evo check small"
LABELS = ("random_search (paper)", "local_search (paper)")


def baseline(**changes: object) -> Baseline:
    manifest = {
        "result_format": RESULT_FORMAT,
        "table_sha256": tables.load().sha256,
        "evaluations": 300,
        "simulated_seconds": None,
        "first_seed": 0,
        "seeds": 2,
        **changes,
    }
    sample = Sample(np.array([15624, 0]), np.array([10**7, 3]), changes=np.array([4, 5]))
    trace = Trace(0, "ab" * 32, (1, 15624), ("12345678", "9abcdef0"))
    entry = Entry({"sample_size": 3}, sample, (trace,), ("abab", "0123"), "cd" * 32)
    units = cells.units(SUITE)
    return Baseline(manifest, {(unit.row.label, unit.dataset): entry for unit in units})


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "b.json"
    gate_baseline.save(baseline(), path)
    again = gate_baseline.load(path, COMMAND)
    assert again.manifest == baseline().manifest
    assert again.entries.keys() == baseline().entries.keys()
    for key, entry in baseline().entries.items():
        read = again.entries[key]
        assert read.hyperparameters == entry.hyperparameters
        assert read.traces == entry.traces
        np.testing.assert_array_equal(read.sample.final, entry.sample.final)
        np.testing.assert_array_equal(read.sample.area, entry.sample.area)
        np.testing.assert_array_equal(read.sample.changes, entry.sample.changes)
        assert len(read.sample.returned) == len(read.sample.seconds) == 0  # not measured
        assert (read.hashes, read.sha256) == (entry.hashes, entry.sha256)


def test_a_missing_baseline_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="check small --accept"):
        gate_baseline.load(tmp_path / "b.json", COMMAND)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("15624 0", "15624 1"),  # a figure edited
        ('"cells_sha256"', '"cells_sha255"'),
        ('"random_search', '"random'),
        ("{", "["),
    ],
)
def test_a_damaged_baseline_is_a_data_error(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "b.json"
    gate_baseline.save(baseline(), path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match="Restore it"):
        gate_baseline.load(path, COMMAND)


@pytest.mark.parametrize("field", ["hashes", "final"])
def test_every_run_has_its_figures_and_its_hash(tmp_path: Path, field: str) -> None:
    path = tmp_path / "b.json"
    gate_baseline.save(baseline(), path)
    content = json.loads(path.read_text())
    cell = content["cells"]["cifar10"][LABELS[0]]
    cell[field] = cell[field][:4] if field == "hashes" else "1 2 3"
    content["cells_sha256"] = digest(content["cells"])
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="Restore it"):
        gate_baseline.load(path, COMMAND)


def test_a_truncated_baseline_is_a_data_error(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    gate_baseline.save(baseline(), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="damaged"):
        gate_baseline.load(path, COMMAND)


def test_another_file_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    gate_baseline.save(baseline(), path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"format": 99}))
    with pytest.raises(InputError, match="format 99"):
        gate_baseline.load(path, COMMAND)


def test_the_fitting_baseline_is_taken() -> None:
    gate_baseline.require(baseline(), SUITE, COMMAND)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table_sha256": "other"}, "table_sha256 other"),
        ({"result_format": 0}, "result_format 0"),
        ({"evaluations": 100}, "evaluations 100"),
        ({"simulated_seconds": 5.0}, "simulated_seconds 5"),
        ({"first_seed": 7}, "first_seed 7"),
        ({"seeds": 1}, "Use --seeds 1"),
    ],
)
def test_another_question_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        gate_baseline.require(baseline(**changes), SUITE, COMMAND)


def test_missing_and_orphaned_rows_are_refused() -> None:
    fewer = SUITE.model_copy(update={"rows": SUITE.rows[:1]})
    with pytest.raises(InputError, match=r"Only the baseline has: local_search \(paper\)"):
        gate_baseline.require(baseline(), fewer, COMMAND)
    entries = {key: e for key, e in baseline().entries.items() if key[0] == LABELS[0]}
    with pytest.raises(InputError, match=r"lacks: local_search \(paper\) on additive"):
        gate_baseline.require(Baseline(baseline().manifest, entries), SUITE, COMMAND)


def test_old_and_new_stand_side_by_side() -> None:
    regrets = {"cifar10": scale(tables.load(), "cifar10")}
    entries = {(label, "cifar10"): baseline().entries[label, "cifar10"] for label in LABELS}
    only = Baseline({}, {(LABELS[0], "cifar10"): entries[LABELS[0], "cifar10"]})
    section = report.side_by_side(only, Baseline({}, entries), regrets)
    first, second = section.rows
    assert first[1] == LABELS[0]
    assert first[2] == first[3]
    assert first[4] == "2/2"
    assert (second[1], second[2], second[4]) == (LABELS[1], "", "")
    assert second[3].endswith("(n=2)")
