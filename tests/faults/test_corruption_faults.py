"""A byte is changed, or the end is missing: an error that says so, or exactly the same result."""

from __future__ import annotations

import dataclasses
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults.fault_support import FILE, export, write_suite

from nasbench_evo import execution, tables
from nasbench_evo import suite as suites
from nasbench_evo.errors import DataError, InputError, NasbenchEvoError
from nasbench_evo.evaluators.journal import Journal
from nasbench_evo.gate import baseline as gate_baseline
from nasbench_evo.gate import cells as gate_cells
from nasbench_evo.gate.measured import Sample, Trace
from nasbench_evo.store import RESULT_FORMAT
from nasbench_evo.tables import Table, bundled, embedded, imported

FLIPS = 600  # positions of each kind of file, all of them where a file is shorter
CUTS = 60
QUICK = 25


def damages(content: bytes, flips: int, cuts: int) -> Iterator[tuple[str, bytes]]:
    """Yield what a file may become: one byte changed at random positions, or cut short."""
    rng = np.random.default_rng(len(content))
    for position in sorted(rng.permutation(len(content))[:flips].tolist()):
        changed = bytearray(content)
        changed[position] ^= int(rng.integers(1, 256))
        yield f"byte {position}", bytes(changed)
    for size in sorted({int(s) for s in np.linspace(0, len(content) - 1, cuts)}):
        yield f"cut to {size}", content[:size]


def explained(error: NasbenchEvoError) -> str:
    """Return the name of an error that tells a user what is wrong."""
    assert error.exit_code in (2, 4)
    assert len(str(error)) > 20
    return type(error).__name__


def outcomes(
    file: Path, read: Callable[[], None], *, flips: int = FLIPS, cuts: int = CUTS
) -> Counter[str]:
    """Return how often a damaged file was refused, and how often it made no difference.

    `read` raises AssertionError where it made one, and the errors that a user may see.
    """
    content = file.read_bytes()
    found: Counter[str] = Counter()
    for damage, changed in damages(content, flips, cuts):
        file.write_bytes(changed)
        kind = damage.split()[0]
        try:
            read()
        except NasbenchEvoError as error:
            found[f"{kind}: {explained(error)}"] += 1
        except BaseException as error:
            raise AssertionError(f"{file.name}, {damage}: {error!r}") from error
        else:
            found[f"{kind}: same result"] += 1
    file.write_bytes(content)
    print(f"{file.name}, {len(content)} bytes: {dict(sorted(found.items()))}")
    return found


def refused(found: Counter[str], kind: str = "byte") -> float:
    """Return the share of the damages of a kind that was refused."""
    of_kind = {key: number for key, number in found.items() if key.startswith(kind)}
    return 1 - of_kind.get(f"{kind}: same result", 0) / sum(of_kind.values())


@pytest.fixture
def stored(tmp_path: Path) -> tuple[suites.Suite, Path, str]:
    """A suite, its results folder and what it holds."""
    suite = suites.load(write_suite(tmp_path, seeds=4, evaluations=20))
    carry_out(suite, tmp_path / "out")
    return suite, tmp_path / "out", export(tmp_path / "out")


def carry_out(suite: suites.Suite, out: Path) -> execution.Report:
    with execution.opened(suite, out) as store:
        work = execution.plan(suite, store)
        return execution.execute(work, store, engine="serial", workers=1, progress=lambda n: None)


@pytest.mark.parametrize("flips", [QUICK, pytest.param(FLIPS, marks=pytest.mark.slow)])
def test_a_store(stored: tuple[suites.Suite, Path, str], flips: int) -> None:
    """The suite is carried out again on the damaged store: what is lost is made again."""
    suite, out, whole = stored

    def read() -> None:
        for rest in ("-wal", "-shm"):
            (out / (FILE + rest)).unlink(missing_ok=True)
        assert carry_out(suite, out).failures == []
        assert export(out) == whole

    found = outcomes(out / FILE, read, flips=flips, cuts=flips // 10)
    assert found["byte: DataError"] > 0


@pytest.mark.slow
def test_the_log_that_a_killed_writer_leaves(
    stored: tuple[suites.Suite, Path, str], tmp_path: Path
) -> None:
    """SQLite's own checksums end the log at a damaged part; the runs in it are made again."""
    suite, _, whole = stored
    half = suite.model_copy(update={"seeds": 2})
    with execution.opened(half, tmp_path / "half") as store:
        work = execution.plan(half, store)
        execution.execute(work, store, engine="serial", workers=1, progress=lambda n: None)
        shutil.copytree(tmp_path / "half", tmp_path / "killed")
    killed = tmp_path / "killed"
    kept = {file: (killed / file).read_bytes() for file in (FILE, f"{FILE}-shm")}

    def read() -> None:
        for file, content in kept.items():
            (killed / file).write_bytes(content)
        carry_out(suite, killed)
        assert export(killed) == whole

    found = outcomes(killed / f"{FILE}-wal", read, flips=FLIPS // 4, cuts=CUTS // 3)
    assert found["byte: same result"] > 0


@pytest.mark.parametrize("flips", [QUICK, pytest.param(10 * FLIPS, marks=pytest.mark.slow)])
def test_a_suite_file(stored: tuple[suites.Suite, Path, str], tmp_path: Path, flips: int) -> None:
    """A changed suite is refused in the folder of the old; but more seeds go on with it."""
    suite, out, whole = stored
    file = tmp_path / "small.toml"
    content = (out / FILE).read_bytes()

    def read() -> None:
        (out / FILE).write_bytes(content)
        changed = suites.load(file)
        with execution.opened(changed, out) as store:
            work = execution.plan(changed, store)
            assert suites.identity(changed) == suites.identity(suite)
            assert work.missing == (changed.seeds - suite.seeds) * len(work.units)
        assert export(out) == whole

    found = outcomes(file, read, flips=flips, cuts=flips // 10)
    assert found["byte: InputError"] > 0


ROWS = """arch,dataset,epochs,split,trial,accuracy,seconds,params,flops,latency,epoch
{rows}"""


@pytest.fixture
def own_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    """An imported table of four cells with curves."""
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "tables"))
    space = tables.load().space
    rows = [
        f"{space.format(space.from_index(cell))},cifar10,4,valid,{trial},"
        f"{50 + cell / 500 + epoch + trial},{cell + 1},0.{cell},{cell},0.01,{epoch}"
        for cell in (0, 77, 5000, 15_624)
        for trial in (1, 2)
        for epoch in (1, 2, 3, 4)
    ]
    (tmp_path / "own.csv").write_text(ROWS.format(rows="\n".join(rows)))
    imported.import_path(tmp_path / "own.csv", "own", progress=lambda done, total: None)
    return tables.load("own")


def same(table: Table, other: Table) -> None:
    """Fail where two tables differ in any number or text."""
    for field in dataclasses.fields(Table):
        a, b = getattr(table, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
        else:
            assert a == b, field.name


@pytest.mark.parametrize("flips", [QUICK, pytest.param(FLIPS, marks=pytest.mark.slow)])
def test_an_imported_table(own_table: Table, flips: int) -> None:
    whole = dataclasses.replace(own_table, valid_curve=np.array(own_table.valid_curve))

    def read() -> None:
        imported._load.cache_clear()
        same(tables.load("own"), whole)

    found = outcomes(imported.path_of("own"), read, flips=flips, cuts=flips // 10)
    assert found["byte: DataError"] > 0
    assert refused(found, "cut") > 0.9


@pytest.mark.slow
def test_a_large_imported_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell has a curve: the curves stay in the file, mapped, and are checked all the same."""
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path))
    space = tables.load().space
    rng = np.random.default_rng(0)
    lines = [
        f"{space.format(space.from_index(cell))},cifar10,2,valid,0,{value:.3f},{epoch}"
        for cell in range(15_625)
        for epoch, value in enumerate(rng.uniform(10, 90, 2), start=1)
    ]
    head = "arch,dataset,epochs,split,trial,accuracy,epoch\n"
    (tmp_path / "all.csv").write_text(head + "\n".join(lines))
    imported.import_path(tmp_path / "all.csv", "all", progress=lambda done, total: None)
    table = tables.load("all")
    assert isinstance(table.valid_curve, np.memmap)
    whole = dataclasses.replace(table, valid_curve=np.array(table.valid_curve))

    def read() -> None:
        imported._load.cache_clear()
        same(tables.load("all"), whole)

    found = outcomes(imported.path_of("all"), read, flips=100, cuts=10)
    assert found["byte: DataError"] > 0


@pytest.mark.parametrize("flips", [QUICK, pytest.param(FLIPS, marks=pytest.mark.slow)])
def test_a_bundled_table(
    own_table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flips: int
) -> None:
    whole = dataclasses.replace(own_table, valid_curve=np.array(own_table.valid_curve))
    file = bundled.pack("own", tmp_path / "bundled" / f"own{bundled.SUFFIX}")
    monkeypatch.setattr(bundled, "files", lambda: {"own": file})
    target = imported.path_of("own")

    def read() -> None:
        target.unlink(missing_ok=True)
        imported._load.cache_clear()
        try:
            table = tables.load("own")
        except DataError:
            assert not target.exists()  # or the next start would trust it
            raise
        same(table, whole)

    found = outcomes(file, read, flips=flips, cuts=flips // 10)
    assert refused(found) == refused(found, "cut") == 1


@pytest.mark.parametrize("flips", [QUICK, pytest.param(FLIPS, marks=pytest.mark.slow)])
def test_the_packed_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flips: int) -> None:
    monkeypatch.setenv("NASBENCH_EVO_CACHE", str(tmp_path))
    whole = embedded._load()
    found = outcomes(
        embedded.cache_file(), lambda: same(embedded._load(), whole), flips=flips, cuts=flips // 10
    )
    assert refused(found) == refused(found, "cut") == 1


@pytest.mark.parametrize("flips", [QUICK, pytest.param(FLIPS, marks=pytest.mark.slow)])
def test_a_baseline(tmp_path: Path, flips: int) -> None:
    """What the gate judges by is the same, or refused; when it was made is for people only."""
    suite = suites.load(write_suite(tmp_path, seeds=5, evaluations=20))
    manifest: dict[str, Any] = {
        "created": "2026-01-01",
        "result_format": RESULT_FORMAT,
        "table_sha256": tables.load().sha256,
        "evaluations": 20,
        "simulated_seconds": None,
        "first_seed": 0,
        "seeds": 5,
    }
    entries = {
        (unit.row.label, unit.dataset): gate_baseline.Entry(
            unit.row.configured.hyperparameters(),
            Sample(np.arange(5), np.arange(5) * 7),
            (Trace(0, "ab" * 32, (3, 4, 5), ("cd", "ef")),),
            gate_baseline.short([f"{seed:064x}" for seed in range(5)]),
            "cd" * 32,
        )
        for unit in gate_cells.units(suite)
    }
    file = tmp_path / "baseline.json"
    gate_baseline.save(gate_baseline.Baseline(manifest, entries), file)

    def judged() -> str:
        baseline = gate_baseline.load(file, "nasbench-evo check")
        gate_baseline.require(baseline, suite, "nasbench-evo check")
        return str((baseline.seeds, sorted(baseline.entries.items(), key=lambda item: item[0])))

    whole = judged()

    def read() -> None:
        assert judged() == whole

    found = outcomes(file, read, flips=flips, cuts=flips // 10)
    assert refused(found) > 0.8
    assert found["cut: same result"] <= 1  # without its last newline it is whole


@pytest.mark.parametrize("flips", [QUICK, pytest.param(FLIPS, marks=pytest.mark.slow)])
def test_a_journal(tmp_path: Path, flips: int) -> None:
    """A replay gets what was recorded, or nothing from the damaged line on."""
    identity = {"seed": 1, "evaluator": "standalone"}
    asked = [[[i, i + 1], 1.0, None] for i in range(6)]
    answers = {f"{i}/0": {"valid_accuracy": 90 + i / 7, "seconds": i / 3} for i in range(6)}
    file = tmp_path / "journal.jsonl"
    journal = Journal(file, identity)
    for request, (training, answer) in zip(asked, answers.items(), strict=True):
        journal.ask(request)
        journal.record(training, answer)

    def read() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it was cut back
            replayed = Journal(file, identity)
        lost = [name for name in answers if replayed.answer(name) is None]
        assert lost == list(answers)[len(answers) - len(lost) :]
        for request, (training, answer) in zip(asked, answers.items(), strict=True):
            replayed.ask(request)
            assert replayed.answer(training) in (answer, None)

    found = outcomes(file, read, flips=flips, cuts=flips // 10)
    assert refused(found) == 0  # it is cut back and goes on, as after a kill
    assert found["cut: DataError"] == 0


def test_what_is_wrong_is_said(stored: tuple[suites.Suite, Path, str]) -> None:
    """A digit of a stored curve: sound for SQLite, and refused."""
    suite, out, _ = stored
    content = (out / FILE).read_bytes()
    at = content.index(b"[[1.0,[") + len(b"[[1.0,[")
    (out / FILE).write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with pytest.raises(DataError, match=r"runs\.sqlite is damaged.* does not have its SHA-256"):
        carry_out(suite, out)
    with execution.opened(suite, out, fresh=True) as store:
        assert execution.plan(suite, store).done == 0


def test_a_table_that_is_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path))
    with pytest.raises(InputError, match="Unknown table"):
        tables.load("own")
    for content in (b"", b"text", b"nasbench_evo table 2\n"):
        (tmp_path / "own.table").write_bytes(content)
        with pytest.raises(DataError, match=r"own\.table"):
            tables.load("own")
