"""What people meet: strange names, streams, homes, algorithms; an error in words each time."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from faults.fault_support import invoke, write_suite

from nasbench_evo import cli, names, tables
from nasbench_evo.algorithms import get
from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.errors import InputError, NasbenchEvoError, ProtocolError
from nasbench_evo.evaluators import settings
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.requests import Evaluate
from nasbench_evo.runner import AskTell, Budget, search

HEAD = """
from dataclasses import dataclass
from typing import ClassVar
from nasbench_evo.algorithms import Algorithm
from nasbench_evo.requests import Evaluate
@dataclass(frozen=True)
class Own(Algorithm):
    name: ClassVar[str] = "own"
    paper: ClassVar[str] = "none"
"""


def own(folder: Path, body: str, name: str) -> str:
    """Write a module with an algorithm; return what it is called on the command line."""
    (folder / f"{name}.py").write_text(HEAD + body)
    return f"{name}:Own"


def searching(lines: str) -> str:
    return f"    def search(self, space, rng):\n        {lines}\n"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("yield [space.sample(rng, 1)]", "expected a request"),
        ("yield None", "expected a request"),
        ("yield 3", "expected a request"),
        ("return [Evaluate(space.sample(rng, 1))]", "must be a generator"),
        ("return None", "must be a generator"),
        ("yield Evaluate(3)", "expected a list of genotypes"),
        ("yield Evaluate([])", "no individual"),
        ("yield Evaluate([(9, 9)])", "genotype is 6 integers"),
        ("yield Evaluate(space.sample(rng, 1), fraction='x')", "a fraction in"),
        ("yield Evaluate(space.sample(rng, 1), fraction=-1)", "a fraction is in"),
        ("yield Evaluate(space.sample(rng, 1), fraction=float('nan'))", "a fraction is in"),
        ("yield Evaluate(space.sample(rng, 1), fraction=7)", "a fraction is in"),
        ("yield Evaluate(space.sample(rng, 1), continues=3)", "expected a list of genotypes"),
        ("yield Evaluate(space.sample(rng, 1), continues=[1, 2])", "one each"),
    ],
)
def test_searches_that_ask_for_nonsense(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    cifar10: LookupEvaluator,
    lines: str,
    message: str,
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    name = own(tmp_path, searching(lines), f"asks_{abs(hash(lines))}")
    ended = invoke("search", name, "--evaluations", "5")
    assert ended.code == 2
    assert message in ended.err
    algorithm: Algorithm = get(name).configure()
    if "6 integers" not in message:  # what an evaluator refuses, and no runner
        with pytest.raises(ProtocolError, match=message):
            search(algorithm, cifar10, budget=Budget(5))
        with pytest.raises(ProtocolError, match=message):
            AskTell(algorithm, cifar10.space, seed=0).ask()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1 / 0", "line 10: ZeroDivisionError"),
        ("raise SystemExit(0)", "SystemExit"),
        ("x = (", "was never closed"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("    def search(self, rng):\n        yield 1", "expected search(self, space, rng)"),
        ("    presets: ClassVar = 4\n" + searching("yield 1"), "presets are"),
        ("    x: object = None\n" + searching("yield 1"), "needs a default"),
        ("    x: int\n" + searching("yield 1"), "needs a default"),
        ("    incumbent: ClassVar[str] = 'best'\n" + searching("yield 1"), "Known: mean, seen"),
        ("    name: ClassVar[str] = 'a\\x1b[31m'\n" + searching("yield 1"), "printable"),
    ],
)
def test_algorithms_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, message: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    ended = invoke("search", own(tmp_path, body, f"body_{abs(hash(body))}"))
    assert ended.code == 2
    assert message in ended.err


@pytest.mark.parametrize(
    "name",
    ["..:x", ".:x", ":x", "x:", "a..b:x", "a/b:c", "-m:x", "a:b:c", "a\n:b", "a" * 3000 + ":b"],
)
def test_names_that_are_no_module_and_class(name: str) -> None:
    with pytest.raises(InputError, match=r"Expected package.module:Class") as caught:
        get(name)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "name", ["", "a\nb", "a\x1b[31mb", "\ud800", "a\u202eb", "x" * 3000, None, 3, "\0"]
)
def test_names_are_short_and_printable(name: object) -> None:
    with pytest.raises(InputError, match="printable characters on one line") as caught:
        names.checked("a name", name)
    assert str(caught.value).isprintable()
    assert names.checked("a name", r"$\frac{$ [/red] ü") == r"$\frac{$ [/red] ü"


@pytest.mark.parametrize(
    "line",
    [
        'datasets = ["{bad}"]',
        'table = "{bad}"',
        'rows = [{{ algorithm = "{bad}" }}]',
        'rows = [{{ algorithm = "genetic_cnn", preset = "{bad}" }}]',
        'rows = [{{ algorithm = "genetic_cnn", set = {{ initial = "{bad}" }} }}]',
        'rows = [{{ algorithm = "genetic_cnn", grid = {{ initial = ["{bad}"] }} }}]',
    ],
)
@pytest.mark.parametrize(
    "bad", ["a\\nb", "a\\u001b[31m", "x" * 3000], ids=["newline", "ESC", "long"]
)
def test_suites_refuse_such_names(tmp_path: Path, line: str, bad: str) -> None:
    sound = write_suite(tmp_path, seeds=1).read_text()
    key = line.split(" = ")[0]
    kept = sound.split("[[rows]]")[0] if key == "rows" else sound
    text = "\n".join(old for old in kept.splitlines() if not old.startswith(f"{key} ="))
    file = tmp_path / "bad.toml"
    file.write_text(line.format(bad=bad) + "\n" + text)
    ended = invoke("run", str(file), "--dry-run")
    assert ended.code == 2
    assert len(ended.err) < 400
    assert ended.err.strip().isprintable()


@pytest.mark.parametrize("length", ["9" * 5000, "²", "٣" * 10])
def test_lengths_of_training_end(length: str) -> None:
    with pytest.raises(InputError, match="NAME@EPOCHS") as caught:
        tables.load(f"nasbench201@{length}")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "name", ["1" * 400 + ".5", "x" * 3000 + ".table", "\0.table", "\udcff.csv"]
)
def test_names_of_tables_that_no_file_can_have(name: str) -> None:
    with pytest.raises(NasbenchEvoError):
        tables.load(name)


@pytest.mark.parametrize("value", ["\udcff", json.loads("[" * 900 + "]" * 900)])
def test_settings_that_are_no_text_of_any_language(value: Any) -> None:
    with pytest.raises(InputError, match="evaluator setting"):
        settings.read(settings.Settings, {"stem": value})


def test_a_grid_without_end_is_refused(tmp_path: Path) -> None:
    values = ", ".join(f"0.{i:03}" for i in range(1, 101))
    grid = ", ".join(f"{name} = [{values}]" for name in ("q_mutation", "p_mutation", "p_crossover"))
    file = write_suite(tmp_path, seeds=1)
    text = file.read_text().split("[[rows]]")[0]
    file.write_text(f'{text}\nrows = [{{ algorithm = "genetic_cnn", grid = {{ {grid} }} }}]\n')
    ended = invoke("run", str(file), "--dry-run")
    assert ended.code == 2
    assert "more than 1000 rows" in ended.err


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [("random_search_ws", "epochs"), ("genetic_cnn", "population_size"), ("eg_nas", "xi")],
)
@pytest.mark.parametrize("value", [10**9, 10**400, float("inf"), float("nan")])
def test_hyperparameters_end(algorithm: str, name: str, value: float) -> None:
    with pytest.raises(InputError, match="must be"):
        get(algorithm).configure("paper", {name: value})


@pytest.mark.parametrize("kind", [settings.Settings, settings.SupernetSettings])
def test_sizes_of_trainings_end(kind: Any) -> None:
    """What a recipe bounds, such as lr, is checked where it is made."""
    lengths = {"epochs", "teacher_epochs"} & set(kind.model_fields)
    sizes = {n for n, field in kind.model_fields.items() if field.annotation in (int, int | None)}
    assert len(sizes) > 10
    for name in sorted(sizes | lengths):
        with pytest.raises(InputError, match="evaluator setting"):
            settings.read(kind, {name: 10**20})


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_nothing(tmp_path: Path, closed: str) -> None:
    """A file opened next would have the number of the stream, and take what is printed."""
    suite = write_suite(tmp_path, seeds=1, evaluations=12)
    out = tmp_path / "out"
    words = f"{sys.executable} -m nasbench_evo run {suite} --out {out} --workers 1 {closed}"
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (out / "manifest.json").exists()
    assert not (out / "failures.log").exists()
    assert b"new runs in" not in (out / "runs.sqlite").read_bytes()
    assert ("new runs in" in done.stderr) == (closed == ">&-")
    assert "new runs in" not in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("where", ["> /dev/full", "2> /dev/full", "> /dev/full 2>&1"])
def test_full_streams_are_an_error(where: str, unbuffered: str) -> None:
    algorithm = "nosuch" if where.startswith("2") else "random_search"
    words = f"{sys.executable} -m nasbench_evo search {algorithm} --evaluations 5 {where}"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


class Gone(io.StringIO):
    """A pipe whose reader has ended."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_a_reader_that_has_gone_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["nasbench-evo", "suites"])
    monkeypatch.setattr(sys, "stdout", Gone())
    monkeypatch.setattr(sys, "stderr", err := io.StringIO())
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert err.getvalue() == ""


def test_a_terminal_of_few_letters_is_enough(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, seeds=1, evaluations=12)
    environment = {**os.environ, "PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    words = ["run", str(suite), "--out", str(tmp_path / "ü"), "--engine", "serial", "--verbose"]
    done = subprocess.run(
        [sys.executable, "-m", "nasbench_evo", *words],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "\\xb1" in done.stdout  # plus or minus


def user_without_home() -> list[str]:
    words = ["unshare", "--user", "--map-user=54321"]
    program = shutil.which("unshare")
    if program is None or subprocess.run([*words, "true"], capture_output=True).returncode:
        pytest.skip("needs unshare, with users of its own")
    return [*words, "env", "-u", "HOME", "-u", "XDG_CACHE_HOME", "-u", "XDG_DATA_HOME"]


def test_a_user_without_a_home(tmp_path: Path) -> None:
    words = [*user_without_home(), sys.executable, "-m", "nasbench_evo"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    for name in ("NASBENCH_EVO_CACHE", "NASBENCH_EVO_TABLES"):
        environment.pop(name, None)
    csv = tmp_path / "own.csv"
    csv.write_text("arch,valid\n333103,50\n")
    for arguments, code in (
        (["search", "random_search", "--evaluations", "3"], 0),
        (["table", "import", str(csv), "--name", "own"], 2),
        (["search", "random_search", "--table", "digits"], 2),
    ):
        done = subprocess.run([*words, *arguments], capture_output=True, text=True, env=environment)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert code == 0 or "NASBENCH_EVO_TABLES" in done.stderr
    assert list(tmp_path.glob("nasbench_evo-*/*.table"))  # kept for the next time


@pytest.mark.parametrize("value", ["/dev/null/x", "/proc/x", "{long}"])
def test_places_that_cannot_be_written(tmp_path: Path, value: str) -> None:
    place = value.format(long="x" * 3000)
    suite = write_suite(tmp_path, seeds=1, evaluations=12)
    trained = ["search", "random_search", "--evaluator", "standalone", "--dataset", "digits"]
    for words in (
        ["run", str(suite), "--engine", "serial", "--out", place],
        ["draw", "333103", "--out", place + "/cell"],
        ["run", place],
        ["report", place],
        ["figures", place],
        ["table", "import", place, "--name", "own"],
        ["check", str(suite), "--baseline", place],
        *([[*trained, "--journal", place]] if "torch" in sys.modules else []),
    ):
        ended = invoke(*words)
        assert ended.code in (2, 4), words
        assert ended.err.strip()


def test_a_search_that_is_sound_is_not_refused(cifar10: LookupEvaluator) -> None:
    """The checks of requests let everything through that a landmark may ask."""
    assert Evaluate([(0,) * 6], fraction=1 + 1e-12).fraction > 1
    assert search(get("eigen").configure(), cifar10, budget=Budget(30)).evaluations <= 30
