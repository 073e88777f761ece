"""Thousands of inputs of every grammar: a result, or an error in words; by quick generators.

`test_fuzz_faults.py` asks whole commands; here the readers below them get 2,000 inputs each, made
from sound ones by small changes: the numbers, texts and depths that were found to hurt.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import pickle
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasbench_evo import algorithms, names, spaces, suite, tables
from nasbench_evo.cli import app
from nasbench_evo.errors import NasbenchEvoError
from nasbench_evo.evaluators import journal
from nasbench_evo.evaluators import settings as evaluator_settings
from nasbench_evo.runner import Budget
from nasbench_evo.spaces import choices, spellings
from nasbench_evo.tables import bundled, container, imported, metric
from nasbench_evo.tables.importing import tabular
from nasbench_evo.tables.importing.collector import Collector
from nasbench_evo.tables.importing.columns import Reading
from nasbench_evo.tables.importing.restricted_pickle import RestrictedUnpickler

pytestmark = pytest.mark.slow
INPUTS = 2_000  # a grammar

NUMBERS: list[Any] = [
    *(0, 1, -1, 2, 5, 50.5, 0.5, -0.0, 1e-320, 1e308, -1e308, float("inf"), float("-inf")),
    *(float("nan"), 2**31, 2**53 + 1, 2**63, 2**64, 10**30, 10**400, -(10**400)),
]
TEXTS = [
    *("", " ", "0", "-1", "nan", "inf", "-inf", "1e999", "1_0", "0x1", "٣", "²", "True", "null"),
    *("paper", "nb201", "cifar10", "random_search", "nasbench201", "333103", "valid", "..", "."),
    *("..:x", ":", "a:b", "a..b:c", "../x", "/dev/null", "a/b", "-", "--", "=", "=x", "x=", ","),
    *("a\nb", "a\rb", "a\tb", "\0", "\x1b[31m", "\x9b", "\u202e", "\u2028", "\ud800", "\udcff"),
    *("$\\frac{$", "{", "}", "{0}", "%s", "[/red]", "<b>", "&", '"', "'", "`", "\\", "=1+1"),
    *("x" * 101, "x" * 3000, "9" * 5000, "1" * 400 + ".5", "é" * 90, "𝒳" * 60),
]


def value(rng: random.Random, depth: int = 0, *, unbounded: bool = True) -> Any:
    """Anything that JSON and TOML can say; with `unbounded` deeper than Python can print."""
    kind = rng.random()
    if kind < 0.4:
        return rng.choice(NUMBERS)
    if kind < 0.75 or depth > 3:
        return rng.choice(TEXTS)
    if kind < 0.8:
        return rng.choice([True, False])
    if kind < 0.82:
        return Deep(rng.choice([30, 3000]) if unbounded else 30)
    inner = [value(rng, depth + 1, unbounded=unbounded) for _ in range(rng.randrange(4))]
    return inner if kind < 0.91 else dict(zip(rng.sample(TEXTS, len(inner)), inner, strict=True))


class Deep(list[Any]):
    """Lists in lists, deeper than Python's own stack."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels
        for _ in range(levels - 1):
            self[:] = [list(self)]


def changed(rng: random.Random, content: Any) -> Any:
    """A copy of plain content with one part changed, doubled, renamed or left out."""
    if isinstance(content, dict) and content:
        copy, key = dict(content), rng.choice(list(content))
        part = copy.pop(key)
        way = rng.random()
        if way < 0.1:
            return copy
        if way < 0.2:
            return {**copy, key: part, rng.choice(TEXTS): value(rng)}
        return {**copy, key: changed(rng, part)}
    if isinstance(content, list) and content:
        copy, i = list(content), rng.randrange(len(content))
        way = rng.random()
        if way < 0.1:
            return [*copy[:i], *copy[i + 1 :]]
        if way < 0.2:
            return [*copy, copy[i]]
        copy[i] = changed(rng, copy[i])
        return copy
    return value(rng)


def mangled(rng: random.Random, data: bytes) -> bytes:
    """Bytes with some changed, cut out, doubled or put in."""
    found = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        i = rng.randrange(len(found) + 1)
        n = rng.choice([0, 1, 1, 2, 8, 40])
        instead = [b"", rng.randbytes(n), bytes(found[i : i + n]) * 2, b"\0" * n, b"\xff" * n]
        found[i : i + n] = rng.choice(instead)
    return bytes(found)


def soup(rng: random.Random, words: list[str], most: int) -> str:
    """Words of a grammar in any order."""
    return "".join(rng.choice(words) for _ in range(rng.randrange(most + 1)))


def text_of(content: Any, pairs: str = ": ") -> str:
    """Plain content as JSON; with pairs that are joined by " = " as TOML."""
    if isinstance(content, Deep):
        return "[" * content.levels + "]" * content.levels
    if isinstance(content, dict):
        inner = (f"{json.dumps(str(k))}{pairs}{text_of(v, pairs)}" for k, v in content.items())
        return "{" + ", ".join(inner) + "}"
    if isinstance(content, list):
        return "[" + ", ".join(text_of(one, pairs) for one in content) + "]"
    return repr(content) if isinstance(content, float) else json.dumps(content)


def json_of(content: Any) -> bytes:
    return text_of(content).encode()


def toml_of(content: dict[str, Any]) -> bytes:
    lines = (f"{json.dumps(str(k))} = {text_of(v, ' = ')}" for k, v in content.items())
    return "\n".join(lines).encode()


# -- the grammars: each yields a call that must end well --

Call = Callable[[], Any]
Grammar = Callable[[random.Random, Path], Iterator[Call]]
ARCHS = [
    *("|", "+", "~", "~0", "~1", "~2", "none", "nor_conv_3x3", "skip_connect", "avg_pool_3x3"),
    *("#", "#1", "#15624", "#15625", "0", "1", "4", "5", "9", "333103", "444444", "-", "_", " "),
    *("(", ")", "[", "]", "{", "}", ",", ":", "'", "'none'", "0_1", "1e5", "Structure(4 nodes"),
    *(" with ", "٣", "²", "\0", "\n", "\ud800", "1" * 300, "(" * 300, "[" * 3000, "-" * 600),
]


def cells(rng: random.Random, folder: Path) -> Iterator[Call]:
    """Cells and other genotypes, as people spell them."""
    known = [spaces.get(name) for name in spaces.SPACES]
    sound = [
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|none~2|",
        "(('none', 0),), (('none', 0), ('none', 1)), (('none', 0), ('none', 1), ('none', 2))",
        "{'0_1': 'none', '0_2': 'none', '0_3': 'none', '1_2': 'none', '1_3': 'none'}",
        "[1, 2, 3, 4, 0, 1]",
        *(space.format(space.poorest()) for space in known),  # type: ignore[attr-defined]
    ]
    ways = [(None, None), ("naslib", None), *((None, index) for index in spellings.INDEXES)]
    while True:
        text = soup(rng, ARCHS, 12)
        if rng.random() < 0.5:
            text = mangled(rng, rng.choice(sound).encode()).decode("utf-8", "surrogateescape")
        for space in known:
            yield partial(back, space, text)
        yield partial(spellings.parse, text, *rng.choice(ways))


def back(space: Any, text: str) -> None:
    genotype = space.parse(text)
    assert space.parse(space.format(genotype)) == genotype


HEADER = ["arch", "dataset", "epochs", "split", "trial", "accuracy", "epoch", "seconds", "params"]
ROW = ["333103", "cifar10", 2, "x-valid", 0, 50.5, 2, 1.5, 1]
WIDE = {"arch": "333103", "valid": 50.5, "test": 40, "seconds": 2, "loss": 0.5, "mine": 1}


def rows(rng: random.Random) -> list[dict[str, Any]]:
    """Nearly a table, in the long or the wide form."""
    sound = rng.choice([dict(zip(HEADER, ROW, strict=True)), WIDE])
    found = [dict(sound) for _ in range(rng.randrange(1, 4))]
    for i, row in enumerate(found):
        row["arch"] = ["333103", "444444", "000000"][i]
    return changed(rng, found) if rng.random() < 0.9 else changed(rng, changed(rng, found))


def gathered(reading: Reading, file: Path) -> None:
    read = spellings.reader(spaces.get("nasbench201"), reading.spelling, reading.index)
    collector = Collector(str(file), read)
    tabular.read(file, collector, reading)
    collector.arrays()


def readings(rng: random.Random) -> Reading:
    """What a person says of a table."""
    if rng.random() < 0.7:
        return Reading()
    return Reading(
        columns={rng.choice(HEADER): rng.choice([*HEADER, *TEXTS])} if rng.random() < 0.5 else {},
        scale=rng.choice([None, "percent", "fraction"]),
        dataset=rng.choice([None, "cifar10", *TEXTS]),
        epochs=rng.choice([None, 1, 200]),
        index=rng.choice([None, *spellings.INDEXES]),
    )


def csv_tables(rng: random.Random, folder: Path) -> Iterator[Call]:
    """CSV tables of one's own."""
    while True:
        content = rows(rng)
        made = [row for row in content if isinstance(row, dict)] if type(content) is list else []
        columns = list(dict.fromkeys(str(key) for row in made for key in row))
        lines = [columns, *([text_of(row.get(name, "")) for name in columns] for row in made)]
        data = "\n".join(",".join(line) for line in lines).encode("utf-8", "surrogatepass")
        yield written(folder / "own.csv", rng, data, partial(gathered, readings(rng)))


def json_tables(rng: random.Random, folder: Path) -> Iterator[Call]:
    """JSON tables of one's own."""
    while True:
        content = rows(rng)
        data = json_of(content)
        yield written(folder / "own.json", rng, data, partial(gathered, readings(rng)))


def written(file: Path, rng: random.Random, data: bytes, read: Callable[[Path], Any]) -> Call:
    """Write a file, now and then with damaged bytes or a mark at its start; return its reading."""
    if rng.random() < 0.1:
        data = mangled(rng, data)
    if rng.random() < 0.05:
        data = b"\xef\xbb\xbf" + data
    file.write_bytes(data)
    return partial(read, file)


SUITE: dict[str, Any] = {
    "name": "fuzz",
    "description": "Some words.",
    "datasets": ["cifar10"],
    "seeds": 2,
    "evaluations": 30,
    "checkpoints": [10, 30],
    "rows": [
        {"algorithm": "random_search"},
        {"algorithm": "genetic_cnn", "preset": "nb201", "set": {"population_size": 10}},
        {"algorithm": "eigen", "grid": {"secondary_step": [1, 2]}},
    ],
}
MORE: dict[str, Any] = {
    **SUITE,
    "table": "nasbench201:mean",
    "first_seed": 3,
    "simulated_seconds": 1e5,
}


def suites(rng: random.Random, folder: Path) -> Iterator[Call]:
    """Suite files."""
    while True:
        content = changed(rng, rng.choice([SUITE, SUITE, MORE]))
        data = toml_of(content)
        yield written(folder / "own.toml", rng, data, understood)


def understood(file: Path) -> None:
    read = suite.load(file)
    suite.sha256(read)
    if read.seeds < 100:
        suite.units(read)


SPACE: dict[str, Any] = {
    "name": "mine",
    "genes": [
        {"name": "stem", "choices": ["a", "b"]},
        {"name": "width", "choices": [16, 32, 64], "ordered": True},
    ],
    "blocks": [1, 1],
    "printed": "{stem}-{width}",
    "edges": [[0, 1], [1, 2]],
    "metric": {"name": "mse", "unit": "", "worst": 1.0, "best": 0},
}


def space_files(rng: random.Random, folder: Path) -> Iterator[Call]:
    """space.toml files, and genotypes of what they describe."""
    while True:
        data = toml_of(changed(rng, SPACE))
        text = rng.choice(["a-16", "stem=a,width=16", soup(rng, [*TEXTS, "a", "-", "16"], 4)])
        yield written(folder / "space.toml", rng, data, partial(described, text))


def described(text: str, file: Path) -> None:
    content = choices.read(file)
    made = choices.of_content(content, str(file))
    metric.of_content(content.get("metric"), str(file))
    back(made, made.format(made.poorest()))
    back(made, text)


def name_texts(rng: random.Random, folder: Path) -> Iterator[Call]:
    """Names of data sets, tables, rows, algorithms and presets."""
    while True:
        text = rng.choice([*TEXTS, soup(rng, TEXTS, 3), value(rng, unbounded=False)])
        yield partial(names.checked, "a name", text)
        for name in (str(text), *(f"nasbench201{mark}{text}" for mark in "@:"), f"{text}.table"):
            yield partial(tables.load, name)
        for get in (algorithms.get, imported.path_of, spaces.get):
            yield partial(get, str(text))
        yield partial(algorithms.get("genetic_cnn").configure, str(text))


def sizes(rng: random.Random, folder: Path) -> Iterator[Call]:
    """Hyper-parameters, settings of evaluators and budgets, as values and as people type them."""
    kinds = [evaluator_settings.Settings, evaluator_settings.SupernetSettings]
    known = [algorithms.get(name) for name in algorithms.ALGORITHMS]
    while True:
        cls, kind = rng.choice(known), rng.choice(kinds)
        field = rng.choice([*cls.__dataclass_fields__, rng.choice(TEXTS)])
        setting = rng.choice([*kind.model_fields, rng.choice(TEXTS)])
        content = value(rng, unbounded=False)
        typed = f"{field}={content if rng.random() < 0.5 else text_of(content)}"
        yield partial(cls.configure, "paper", {field: content})
        yield partial(overridden, cls, typed)
        yield partial(evaluator_settings.read, kind, {setting: content})
        yield partial(evaluator_settings.parse, [typed])
        if isinstance(content, int | float) and not isinstance(content, bool):
            yield partial(Budget, content, content)


def overridden(cls: type[algorithms.Algorithm], typed: str) -> None:
    cls.configure("paper", algorithms.parse_overrides(cls, [typed]))


OFFICIAL = {
    "meta_archs": ["|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"],
    "arch2infos": {0: {"less": {"x": [1, 2.5, "a"], "y": ("b", (1, 2)), "z": None, "b": b"xx"}}},
    "evaluated_indexes": {0, 1},
    "numbers": {i: float(i) for i in range(20)},
    "array": np.arange(3.0),
}


def pickles(rng: random.Random, folder: Path) -> Iterator[Call]:
    """Pickles, with every opcode there is put in."""
    import pickletools

    opcodes = [op.code.encode("latin1") for op in pickletools.opcodes]
    sound = [pickle.dumps(OFFICIAL, protocol) for protocol in range(2, 6)]
    while True:
        data = bytearray(mangled(rng, rng.choice(sound)))
        for _ in range(rng.randrange(3)):
            data.insert(rng.randrange(len(data) + 1), rng.choice(opcodes)[0])
        streamed = rng.choice([None, "arch2infos", "numbers"])
        yield RestrictedUnpickler(io.BytesIO(bytes(data)), "it", streamed).load


def sealed(fields: Any, arrays: bytes) -> bytes:
    """A table's file: a header with its hash, and what follows."""
    header = json_of(fields) + b"\n"
    head = container.MAGIC + hashlib.sha256(header).hexdigest().encode() + b"\n" + header
    return head + bytes(-len(head) % 64) + arrays


def table_files(rng: random.Random, folder: Path) -> Iterator[Call]:
    """.table files whose hashes are right, and archives of them that are damaged."""
    (folder / "own.csv").write_text(
        "arch,dataset,epochs,split,trial,accuracy,epoch\n"
        "333103,cifar10,2,x-valid,0,40,1\n333103,cifar10,2,x-valid,0,50,2\n"
    )
    path = imported.import_path(folder / "own.csv", "own", progress=lambda *_: None)
    sound = path.read_bytes()
    magic, digest, header, _ = sound.split(b"\n", 3)
    fields = json.loads(header)
    head = len(magic) + len(digest) + len(header) + 3
    arrays = sound[head + -head % 64 :]
    number = 0
    while True:
        content = mangled(rng, arrays) if rng.random() < 0.3 else arrays
        made = changed(rng, fields) if rng.random() < 0.8 else fields
        path.write_bytes(mangled(rng, sound) if rng.random() < 0.1 else sealed(made, content))
        number += 1
        yield partial(loaded, path, number)


def loaded(path: Path, number: int) -> None:
    imported._load(path, number, "own", None)
    imported.splits("own")


def archives(rng: random.Random, folder: Path) -> Iterator[Call]:
    """Archives of bundled tables."""
    file = folder / ("own" + bundled.SUFFIX)
    whole = lzma.compress(sealed({"arrays": []}, b""))
    while True:
        file.write_bytes(mangled(rng, whole))
        yield partial(bundled.unpack, "own")


def journals(rng: random.Random, folder: Path) -> Iterator[Call]:
    """Journals of trainings: what is not as it was written is cut off."""
    file = folder / "journal.jsonl"
    lines: list[dict[str, Any]] = [
        {"identity": "a", "format": 1},
        {"number": 0, "request": "b"},
        {"training": "c", "answer": {"valid_accuracy": 50.0}},
    ]
    while True:
        kept = [changed(rng, line) if rng.random() < 0.3 else line for line in lines]
        data = b"".join(map(line_of, kept))
        file.write_bytes(mangled(rng, data) if rng.random() < 0.5 else data)
        yield partial(journal.Journal, file, {"a": 1}, wait=0.0)


def line_of(content: Any) -> bytes:
    text = json_of(content)
    return hashlib.sha256(text).hexdigest().encode() + b" " + text + b"\n"


def commands(rng: random.Random, folder: Path) -> Iterator[Call]:
    """What stands behind options: typer reads the line, and the checks of the command follow."""
    import typer

    command: Any = typer.main.get_command(app).commands["search"]  # type: ignore[attr-defined]
    options = [
        *("--seed", "--set", "--evaluations", "--dataset", "--preset", "--table", "--epochs"),
        *("--simulated-seconds", "--incumbent", "--space", "--evaluator", "--setting", "--json"),
    ]
    while True:
        line = [rng.choice(["random_search", "eigen", rng.choice(TEXTS)])]
        for _ in range(rng.randrange(4)):
            line += [rng.choice(options), rng.choice([*TEXTS, *map(str, NUMBERS)])]
        yield partial(command.make_context, "search", line)


GRAMMARS: dict[str, Grammar] = {
    grammar.__name__: grammar
    for grammar in (
        *(cells, csv_tables, json_tables, suites, space_files, name_texts, sizes, pickles),
        *(table_files, archives, journals, commands),
    )
}


@pytest.mark.parametrize("grammar", GRAMMARS)
@pytest.mark.filterwarnings("ignore")  # words for people, here without a reader
def test_inputs_end_well(grammar: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import click
    from typer import _click

    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "tables"))
    monkeypatch.setattr(bundled, "files", lambda: {"own": tmp_path / ("own" + bundled.SUFFIX)})
    monkeypatch.setattr(os, "fsync", lambda file: None)
    sound = (NasbenchEvoError, click.ClickException, _click.exceptions.ClickException)
    calls = GRAMMARS[grammar](random.Random(grammar), tmp_path)  # noqa: S311
    messages = []
    for _ in range(INPUTS):
        call = next(calls)
        try:
            call()
        except sound as error:
            messages.append(str(error).strip())
    assert all(messages)
    assert INPUTS // 100 < len(messages) < INPUTS - INPUTS // 100  # not all, and not none
