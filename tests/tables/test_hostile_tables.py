"""Tables that somebody made by hand, and files that expand: an error, in little memory and time."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults.fault_support import invoke

from nasbench_evo import tables
from nasbench_evo.errors import DataError
from nasbench_evo.tables import bundled, container, imported
from nasbench_evo.tables.importing import files
from nasbench_evo.tables.importing.collector import Collector
from nasbench_evo.tables.importing.restricted_pickle import RestrictedUnpickler

MEGABYTES = 512  # resident; docs/reliability.md


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An imported table with curves, as a file."""
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "tables"))
    rows = ["arch,dataset,epochs,split,trial,accuracy,epoch,seconds,params,other"]
    rows += [
        f"{arch},cifar10,2,{split},{trial},{40 + epoch + trial},{epoch},5,1,2"
        for arch in ("333103", "444444")
        for split in ("x-valid", "x-test")
        for trial in (0, 1)
        for epoch in (1, 2)
    ]
    (tmp_path / "own.csv").write_text("\n".join(rows))
    assert invoke("table", "import", str(tmp_path / "own.csv"), "--name", "own").code == 0
    return imported.path_of("own")


def parts(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    file = container.read(path)
    return file.fields, {name: np.array(array) for name, array in file.arrays.items()}


Change = Callable[[dict[str, Any], dict[str, Any]], Any]
recipe: Callable[[dict[str, Any]], dict[str, Any]] = lambda fields: fields["recipes"]["2"]  # noqa: E731
SERIES = "2/cifar10/x-valid/accuracy"
CHANGES: dict[str, tuple[Change, str]] = {
    "count": (lambda f, a: a["2/correct"].__setitem__((0, 0, 0), 60_000), "images are"),
    "no images": (lambda f, a: recipe(f).update(images=[0]), "images is positive"),
    "negative images": (lambda f, a: recipe(f).update(images=[-5]), "images is positive"),
    "images of text": (lambda f, a: recipe(f).update(images=["x"]), "images is positive"),
    "data sets": (lambda f, a: recipe(f).update(datasets=["a", "b"]), "lists of one length"),
    "escape": (lambda f, a: recipe(f).update(datasets=["a\x1b[31m"]), "printable"),
    "long": (lambda f, a: recipe(f).update(datasets=["a" * 3000]), "printable"),
    "field": (lambda f, a: recipe(f).update(label=[1]), "has the fields"),
    "recipes": (lambda f, a: f.update(recipes=[]), "no length of training"),
    "epochs": (lambda f, a: f.update(recipes={"-2": recipe(f)}), "no length of training"),
    "label": (lambda f, a: f.update(label=3), "its label"),
    "source": (lambda f, a: f.update(source=None), "its source"),
    "space": (lambda f, a: f.update(space={"name": "x", "genes": []}), "needs genes"),
    "metric": (lambda f, a: f.update(metric=3), "metric"),
    "test": (lambda f, a: a["2/test_accuracy"].__setitem__((0, 0, 0), 990.0), "0..100 percent"),
    "curve": (lambda f, a: a["2/valid_curve"].__setitem__((0, 0, 0, 0), 990.0), "0..100 percent"),
    "seconds": (lambda f, a: a["2/train_seconds"].__setitem__((0, 0), -1.0), "is below 0"),
    "infinite": (lambda f, a: a["2/latency_seconds"].__setitem__((0, 0), np.inf), "not finite"),
    "metric of its own": (lambda f, a: a["2/metric:other"].__setitem__((0, 0), np.inf), "finite"),
    "parameters": (lambda f, a: a["2/parameters"].__setitem__((0, 0), -7), "parameters"),
    "cells": (lambda f, a: a["2/curve_cells"].__setitem__(0, 10**9), "different cells"),
    "cells down": (lambda f, a: a["2/curve_cells"].__setitem__(1, -5), "different cells"),
    "shape": (lambda f, a: a.update({"2/correct": a["2/correct"][0]}), "no table"),
    "rows": (lambda f, a: a.update({"2/correct": a["2/correct"][:, :5]}), "rows for"),
    "series": (lambda f, a: a.update({"2/x/last": a[f"{SERIES}/last"]}), "is no series"),
    "curves": (lambda f, a: a.update({f"{SERIES}/curve": a[f"{SERIES}/last"]}), "has the shape"),
    "array": (lambda f, a: a.update({"2/strange": a["2/correct"]}), "strange"),
    "none": (lambda f, a: a.pop("2/correct"), "correct"),
    "type": (lambda f, a: a.update({"2/correct": a["2/correct"].astype("<i4")}), "not negative"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_hand_made_tables_are_refused(own: Path, name: str) -> None:
    """With hashes that are right: whoever makes a file makes them too."""
    fields, arrays = parts(own)
    change, message = CHANGES[name]
    change(fields, arrays)
    container.write(own, fields, arrays)
    os.utime(own, ns=(1, time.monotonic_ns()))
    for words in (["search", "random_search", "--table", "own"], ["table", "info", "own"]):
        ended = invoke(*words)
        assert ended.code == 4, ended
        assert message in ended.err, ended
        assert len(ended.err) < 700
    assert invoke("table", "verify", "own").code == 4


ARRAYS: dict[str, tuple[int, Any]] = {  # position in [name, dtype, shape, offset, SHA-256], value
    "object": (1, "|O"), "structured": (1, [["a", "<f8"]]), "text": (1, "<U9"), "big": (1, ">f8"),
    "half": (1, "<f2"), "void": (1, "|V8"), "time": (1, "<M8[s]"), "no type": (1, "nonsense"),
    "negative": (2, [-1, 15625, 2]), "twice negative": (2, [-1, -15625, 2]), "zero": (2, [0]),
    "overflow": (2, [2**32, 2**32, 2]), "huge": (2, [2**40]), "float": (2, [1.5]),
    "bool": (2, [True]), "no shape": (2, None), "empty": (2, []), "deep": (2, [1] * 70),
    "before": (3, -64), "beyond": (3, 2**40), "crooked": (3, 3), "name": (0, 7), "hash": (4, 5),
    "newline": (0, "a\nb"), "long": (0, "a" * 9999),
}  # fmt: skip


@pytest.mark.parametrize("name", [*ARRAYS, "twice", "no arrays", "no list", "deep json", "list"])
def test_hand_made_headers_are_refused(own: Path, name: str) -> None:
    content = own.read_bytes()
    start = len(container.MAGIC) + 65
    end = content.index(b"\n", start) + 1
    header = json.loads(content[start:end])
    if name in ARRAYS:
        position, value = ARRAYS[name]
        header["arrays"][0][position] = value
    elif name == "twice":
        header["arrays"].append(header["arrays"][0])
    elif name == "no arrays":
        del header["arrays"]
    elif name == "no list":
        header["arrays"] = 5
    text = json.dumps([header] if name == "list" else header).encode() + b"\n"
    if name == "deep json":
        text = b"[" * 100_000 + b"\n"
    digest = hashlib.sha256(text).hexdigest().encode()
    head = container.MAGIC + digest + b"\n" + text
    body = content[end + -end % 64 :]
    own.write_bytes(head + bytes(-len(head) % 64) + body)
    with pytest.raises(DataError):
        container.read(own)
    assert invoke("table", "info", "own").code == 4


def test_curves_that_would_fill_the_memory(own: Path) -> None:
    fields, arrays = parts(own)
    curves = np.zeros((1, 1, 2, 10_000), "<f4")
    arrays |= {"2/valid_curve": curves, "2/curve_cells": arrays["2/curve_cells"][:1]}
    container.write(own, fields, arrays)
    with pytest.raises(DataError, match="MB of memory; 512 are the most"):
        tables.load("own")


# Bombs: small files that ask for much.
START = b"\x80\x02"


def nested_tuples(n: int) -> bytes:
    """A tuple in a tuple in a tuple."""
    return START + b")" + b"\x85" * n + b"."


def doubling(n: int, pair: bytes) -> bytes:
    """Something that holds itself twice, again and again; printed it has 2**n parts."""
    data = START + b")q\0"
    for i in range(n):
        get = b"h" + bytes([i])
        data += get + get + pair + b"q" + bytes([i + 1])
    return data + b"."


def integer(value: int) -> bytes:
    data = value.to_bytes(16, "little", signed=True)
    return b"\x8a\x10" + data


def colliding_integers(n: int) -> bytes:
    """Keys of one hash."""
    modulus = 2**61 - 1
    return START + b"}(" + b"".join(integer(modulus * i) + b"N" for i in range(n)) + b"u."


def many_tuples(n: int) -> bytes:
    keys = b"".join(b"J" + i.to_bytes(4, "little") + b"\x85N" for i in range(n))
    return START + b"}(" + keys + b"u."


def sets(n: int) -> bytes:
    return START + b"(" + b"\x8f" * n + b"l."


def texts(n: int) -> bytes:
    size = (1 << 16) - 8
    each = (b"X" + (size + 8).to_bytes(4, "little") + b"%08d" % i + b"x" * size for i in range(n))
    return START + b"]" + b"(" + b"".join(each) + b"e."


BOMBS: dict[str, Callable[[], bytes]] = {
    "nested tuples": lambda: nested_tuples(5_000_000),
    "doubling tuples": lambda: doubling(60, b"\x86"),
    "doubling lists": lambda: doubling(60, b"\x86" + b"]q\xff0"),
    "colliding integers": lambda: colliding_integers(200_000),
    "many tuples": lambda: many_tuples(500_000),
    "sets": lambda: sets(6_000_000),
    "texts": lambda: texts(2_000),
    "memo": lambda: START + b"N" + b"\x94" * 7_000_000 + b".",
    "depth": lambda: START + b"(" * 5_000_000,
    "lists": lambda: START + b"]" * 5_000_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_pickles_that_are_bombs(name: str) -> None:
    def read() -> None:
        root = RestrictedUnpickler(io.BytesIO(BOMBS[name]()), "file").load()
        files._check_root(root, Collector("file"), "file")

    with pytest.raises(DataError):
        read()


def bzip(data: bytes) -> bytes:
    return bz2.compress(data)


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", data)
    return file.getvalue()


FILES: dict[str, Callable[[], tuple[str, bytes]]] = {
    "bz2 of one opcode": lambda: ("x.pickle.pbz2", bzip(START + b"N" * 400_000_000)),
    "bz2 of memos": lambda: ("x.pickle.pbz2", bzip(START + b"N" + b"\x94" * 200_000_000)),
    "bz2 of nothing": lambda: ("x.pickle.pbz2", bzip(START + b"N." + bytes(400_000_000))),
    "zip of one opcode": lambda: ("x.pth", zipped(START + b"(" + b"]" * 400_000_000)),
    "zip of sets": lambda: ("x.pth", zipped(START + b"(" + b"\x8f" * 100_000_000)),
    "nested tuples": lambda: ("x.pth", nested_tuples(8_000_000)),
    "colliding": lambda: ("x.pth", colliding_integers(400_000)),
    "json of lists": lambda: ("x.json", b"[" + b"[]," * 5_000_000 + b"[]]"),
    "json too large": lambda: ("x.json", b"[" + b"[]," * 60_000_000 + b"[]]"),
    "json keys twice": lambda: (
        "x.json",
        json.dumps({f"k{i}": 1 for i in range(400_000)}).encode()[:-1] + b', "k399999": 2}',
    ),
    "csv header": lambda: ("x.csv", ",".join(f"c{i}" for i in range(1_000_000)).encode()),
    "csv header twice": lambda: ("x.csv", b"a," * 1_000_000),
    "csv trials": lambda: (
        "x.csv",
        b"arch,dataset,epochs,split,trial,accuracy\n"
        + b"".join(b"333103,cifar10,1,x-valid,%d,50\n" % i for i in range(60_000))
        + b"".join(b"#%d,cifar10,1,x-valid,0,50\n" % i for i in range(15_000)),
    ),
}


MEASURED = """
import atexit, sys
from pathlib import Path
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    print(*[line.split()[1] for line in lines if line.startswith("VmHWM")], file=sys.stderr)
atexit.register(peak)
from nasbench_evo.cli import main
main()
"""


def run_measured(words: list[str], folder: Path) -> tuple[int, float, float, str]:
    """Run a command; return its exit code, MB of resident memory, seconds and stderr."""
    environment = {**os.environ, "NASBENCH_EVO_TABLES": str(folder / "tables")}
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *words], capture_output=True, text=True, env=environment
    )
    seconds = time.monotonic() - begun
    *err, peak = done.stderr.splitlines()
    return done.returncode, int(peak) / 1024, seconds, "\n".join(err)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize("name", FILES)
def test_files_that_are_bombs(tmp_path: Path, name: str) -> None:
    file, data = FILES[name]()
    (tmp_path / file).write_bytes(data)
    words = ["table", "import", str(tmp_path / file), "--name", "bomb"]
    code, memory, seconds, err = run_measured(words, tmp_path)
    print(f"{name}: {len(data) / 1e6:.2f} MB, code {code}, {memory:.0f} MB, {seconds:.1f} s: {err}")
    assert code == 4
    assert "Traceback" not in err
    assert memory < MEGABYTES


@pytest.mark.parametrize("kind", ["cut", "bomb", "noise", "empty"])
def test_bundled_tables_that_are_no_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    import lzma

    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "tables"))
    whole = bundled.files()["digits"].read_bytes()
    content = {
        "cut": whole[: len(whole) // 2],
        "bomb": lzma.compress(bytes(1 << 20), preset=0),
        "noise": os.urandom(1000),
        "empty": b"",
    }[kind]
    file = tmp_path / "digits.table.xz"
    file.write_bytes(content)
    monkeypatch.setattr(bundled, "files", lambda: {"digits": file})
    if kind == "bomb":
        monkeypatch.setattr(bundled, "_MOST", 1 << 19)
    ended = invoke("search", "random_search", "--table", "digits", "--dataset", "digits")
    assert ended.code == 4
    assert "is damaged" in ended.err
    assert not imported.path_of("digits").exists()


@pytest.mark.skipif(
    not __import__("importlib.util").util.find_spec("pyarrow"), reason="needs the extra [parquet]"
)
def test_a_parquet_file_of_one_value_many_times(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    n = 3_000_000
    columns = {
        "arch": pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, "i4")), pa.array(["333103"])),
        "valid": pa.array(np.full(n, 50.0)),
    }
    parquet.write_table(pa.table(columns), tmp_path / "x.parquet")
    assert (tmp_path / "x.parquet").stat().st_size < 100_000
    ended = invoke("table", "import", str(tmp_path / "x.parquet"), "--name", "bomb")
    assert ended.code == 4
    assert "a file of its size may have" in ended.err
