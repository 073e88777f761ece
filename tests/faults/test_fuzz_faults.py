"""Whatever a file or an argument holds: a result, or an error in words; never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults.fault_support import Ended, invoke, write_suite
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nasbench_evo import algorithms, spaces
from nasbench_evo.errors import NasbenchEvoError
from nasbench_evo.evaluators import settings as evaluator_settings

EXAMPLES = 12
CODES = {0, 2, 3, 4}
# A folder is shared by the examples on purpose: what one leaves must not hurt the next.
fuzz = settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])


def clean(ended: Ended) -> None:
    """Fail unless a command ended with an exit code of ours and a message."""
    assert ended.code in CODES, ended
    assert "Traceback" not in ended.err
    if ended.code:
        assert ended.err.strip()


numbers = st.one_of(
    st.integers(-3, 60),
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 2**31, 2**63, 10**30, 1e308, 5e-324]),
)
words = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["paper", "nb201", "random_search", "cifar10", "nasbench201", "../x", "a:b"]),
)
plain = st.recursive(
    st.one_of(numbers, words, st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=6,
)


def toml(value: Any) -> str:
    """Return a value as TOML; text as JSON has it, whose escapes TOML knows."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return repr(value) if "." in repr(value) or "e" not in repr(value) else f"{value:.1f}"
    return json.dumps(value)


SOUND: dict[str, Any] = {
    "name": "fuzz",
    "datasets": ["cifar10"],
    "seeds": 1,
    "evaluations": 5,
    "checkpoints": [5],
    "rows": [{"algorithm": "random_search"}],
}
KEYS = [
    *SOUND, "description", "table", "space", "evaluator", "evaluator_set", "devices", "first_seed",
    "simulated_seconds", "truth", "rank_correlation", "final_set", "seedz",
]  # fmt: skip
ROW_KEYS = ["algorithm", "preset", "set", "grid", "evaluator", "other"]


@st.composite
def contents(draw: st.DrawFn) -> dict[str, Any]:
    """A sound suite with some keys changed."""
    content = {**SOUND, **draw(st.dictionaries(st.sampled_from(KEYS), plain, max_size=2))}
    if draw(st.booleans()):
        row = draw(st.dictionaries(st.sampled_from(ROW_KEYS), plain, max_size=2))
        content["rows"] = [{"algorithm": "random_search", **row}]
    return content


@fuzz
@given(content=contents())
@example(content={**SOUND, "evaluator": "standalone"})
@example(content={**SOUND, "name": ".."})
@example(content={**SOUND, "simulated_seconds": float("nan")})
@example(content={**SOUND, "simulated_seconds": float("inf")})
@example(content={**SOUND, "first_seed": 2**70})
@example(content={**SOUND, "table": "nasbench201@"})
def test_suites(tmp_path: Path, content: dict[str, Any]) -> None:
    file = tmp_path / "fuzz.toml"
    file.write_text("\n".join(f"{json.dumps(k)} = {toml(v)}" for k, v in content.items()))
    ended = invoke("run", str(file), "--out", str(tmp_path / "out"), "--dry-run")
    clean(ended)
    if (
        ended.code == 0
        and content["seeds"] * content["evaluations"] * len(content["datasets"]) < 500
    ):
        words_ = ["run", str(file), "--out", str(tmp_path / "out"), "--engine", "serial", "--fresh"]
        clean(invoke(*words_))


@fuzz
@given(text=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
@example(text=b"\xff\xfe")
@example(text=b"a = " + b"[" * 5000)
@example(text=b"\xef\xbb\xbfname = 1")
def test_files_that_are_no_suites(tmp_path: Path, text: bytes) -> None:
    for name in ("fuzz.toml", "fuzz.csv", "fuzz.json", "fuzz.pth", "fuzz.zip"):
        (tmp_path / name).write_bytes(text)
    ended = invoke("run", str(tmp_path / "fuzz.toml"), "--dry-run")
    assert ended.code == 2
    clean(ended)
    for name in ("fuzz.csv", "fuzz.json", "fuzz.pth", "fuzz.zip"):
        ended = invoke("table", "import", str(tmp_path / name), "--name", "fuzz")
        clean(ended)
        assert ended.code, ended


@given(data=st.data(), name=st.sampled_from(sorted(algorithms.ALGORITHMS)))
@settings(max_examples=4 * EXAMPLES)
def test_hyperparameters(data: st.DataObject, name: str) -> None:
    cls = algorithms.get(name)
    fields = list(cls.__dataclass_fields__)
    keys = st.one_of(st.sampled_from(fields), words) if fields else words
    changes = data.draw(st.dictionaries(keys, plain, max_size=2))
    texts = [f"{key}={toml(value)}" for key, value in changes.items()]
    allowed(lambda: cls.configure("paper", changes))
    allowed(lambda: cls.configure("paper", algorithms.parse_overrides(cls, texts)))


def allowed(call: Callable[[], Any]) -> Any:
    """Return what a call returns; None where it raises an error for users."""
    try:
        return call()
    except NasbenchEvoError:
        return None


archs = st.one_of(
    st.text(max_size=30),
    st.text("0123456789|~+#-_noreskipavgconv1x3 ", max_size=90),
    st.lists(
        st.sampled_from(["|", "+", "~0", "~1", "~2", "none", "nor_conv_3x3", "skip_connect", "#1"]),
        max_size=24,
    ).map("".join),
)


@given(arch=archs)
@settings(max_examples=5 * EXAMPLES)
@example(arch="#99999999999999999999")
@example(arch="#-1")
@example(arch="३३३१०३")
@example(arch="#٣")
@example(arch="²²²²²²")
def test_arch_strings(arch: str) -> None:
    for name in spaces.SPACES:
        space = spaces.get(name)
        parse = getattr(space, "parse", None)
        genotype = None if parse is None else allowed(lambda parse=parse: parse(arch))
        if genotype is not None:
            assert space.parse(space.format(genotype)) == genotype  # type: ignore[attr-defined]


@fuzz
@given(arch=archs)
@example(arch="333103")
def test_arch_strings_of_commands(tmp_path: Path, arch: str) -> None:
    for words_ in (["table", "query"], ["draw"]):
        if words_ == ["draw"]:
            words_ = ["draw", "--out", str(tmp_path / "cell"), "--format", "svg"]
        clean(invoke(*words_, "--", arch))


COLUMNS = ["arch", "dataset", "epochs", "split", "trial", "accuracy"]
MORE = ["loss", "seconds", "params", "flops", "latency", "epoch", "other"]
cells = st.one_of(
    st.sampled_from(
        ["", "333103", "444444", "cifar10", "valid", "test", "train", "1", "2", "50.5"]
    ),
    st.sampled_from(["nan", "inf", "-1", "1e999", "1_0", "0x1", '"', "a,b", "\r", "\0", "٣"]),
    numbers.map(str),
    st.text(max_size=4),
)


@st.composite
def tables_(draw: st.DrawFn) -> str:
    """Lines that are nearly a table."""
    columns = draw(st.just(COLUMNS) | st.lists(st.sampled_from(COLUMNS + MORE), max_size=8))
    columns = [*columns, *draw(st.lists(st.sampled_from(MORE), max_size=2))]
    sound = {"arch": "333103", "dataset": "cifar10", "split": "valid", "accuracy": "50.5"}
    lines = [",".join(columns)]
    for row in range(draw(st.integers(0, 3))):
        values = [sound.get(name, str(1 + row if name == "trial" else 1)) for name in columns]
        if values and draw(st.booleans()):
            values[draw(st.integers(0, len(values) - 1))] = draw(cells)
        lines.append(",".join(values))
    return "\n".join(lines)


@fuzz
@given(text=tables_())
@example(text=",".join(COLUMNS) + "\n" + ",".join("x" * 200_000 for _ in COLUMNS))
@example(text="arch,arch," + ",".join(COLUMNS[1:]) + "\n333103,333103,a,1,valid,0,50")
def test_csv_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "tables"))
    (tmp_path / "own.csv").write_text(text, encoding="utf-8", newline="")
    ended = invoke("table", "import", str(tmp_path / "own.csv"), "--name", "own", "--replace")
    clean(ended)
    if ended.code == 0:
        for words_ in (["verify", "own"], ["query", "333103", "--table", "own"]):
            clean(invoke("table", *words_))


@given(content=st.one_of(plain, st.lists(st.dictionaries(st.sampled_from(COLUMNS), plain))))
@fuzz
def test_json_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any) -> None:
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "tables"))
    (tmp_path / "own.json").write_text(json.dumps(content))
    clean(invoke("table", "import", str(tmp_path / "own.json"), "--name", "own", "--replace"))


kinds = [evaluator_settings.Settings, evaluator_settings.SupernetSettings]


@given(data=st.data(), kind=st.sampled_from(kinds))
@settings(max_examples=4 * EXAMPLES)
def test_evaluator_settings(data: st.DataObject, kind: Any) -> None:
    names = st.one_of(st.sampled_from(sorted(kind.model_fields)), words)
    values = data.draw(st.dictionaries(names, plain, max_size=2))
    read = allowed(lambda: evaluator_settings.read(kind, values))
    if read is not None:
        for space in (*spaces.SPACES, "other"):
            allowed(lambda read=read, space=space: read.make_space(space, read.image_size))
    texts = [f"{key}={toml(value)}" for key, value in values.items()]
    allowed(lambda: evaluator_settings.parse([*texts, *values]))


@fuzz
@given(
    arguments=st.lists(
        st.one_of(
            words,
            numbers.map(str),
            st.sampled_from(
                ["--seed", "--set", "--evaluations", "--dataset", "--preset", "--table", "--epochs"]
            ),
        ),
        max_size=5,
    )
)
@example(arguments=["--seed", "-1"])
@example(arguments=["--seed", str(2**200)])
@example(arguments=["--evaluations", "nan"])
@example(arguments=["--evaluations", "-1"])
@example(arguments=["--table", "nasbench201@²"])
@example(arguments=["--set", "x"])
def test_arguments_of_search(arguments: list[str]) -> None:
    if any(len(argument) > 4 and argument.isdigit() for argument in arguments):
        arguments = [*arguments, "--evaluations", "5"]  # a budget of years is sound, but long
    clean(invoke("search", "random_search", *arguments))


def test_damaged_files_of_a_results_folder(tmp_path: Path) -> None:
    suite, out = write_suite(tmp_path, seeds=2, evaluations=20), tmp_path / "out"
    assert invoke("run", str(suite), "--out", str(out), "--engine", "serial").code == 0
    for name in ("summary.json", "runs.sqlite"):
        content = (out / name).read_bytes()
        for damaged in (b"", b"[]", b"{", b"\xff", content[: len(content) // 2]):
            (out / name).write_bytes(damaged)
            for verb in (["figures", "--format", "svg"], ["export", "--markdown"]):
                clean(invoke(*verb, str(out)))
        (out / name).write_bytes(content)
