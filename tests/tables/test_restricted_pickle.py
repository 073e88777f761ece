"""The restricted unpickler: equal to pickle on plain data, deaf to everything else."""

from __future__ import annotations

import collections
import io
import os
import pickle
import pickletools
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_evo.errors import DataError
from nasbench_evo.tables.importing import pickle_reader, restricted_pickle
from nasbench_evo.tables.importing.restricted_pickle import RestrictedUnpickler


def load(data: bytes) -> Any:
    return RestrictedUnpickler(io.BytesIO(data), "file").load()


keys = st.one_of(st.text(max_size=8), st.integers(-(2**40), 2**40), st.tuples(st.text(max_size=3)))
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(keys, inner, max_size=4),
        st.tuples(inner, inner),
    ),
    max_leaves=20,
)


@settings(max_examples=80, deadline=None)
@given(plain, st.integers(2, 5))
def test_plain_data_is_what_pickle_reads(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    assert repr(load(data)) == repr(pickle.loads(data))  # noqa: S301 (NaN equals itself as text)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.integers(0, 300), st.floats(allow_nan=False), max_size=400),
    st.integers(2, 5),
)
def test_runs_of_numbers_are_what_pickle_reads(curve: dict[int, float], protocol: int) -> None:
    named = {f"x-valid@{key}": value for key, value in curve.items()}
    again = dict.fromkeys(named, 0.5)
    value = {"a": curve, "b": named, "c": again, "d": {**again, "new@1": 1.0, 7: 2.0}}
    assert load(pickle.dumps(value, protocol)) == value


def test_a_run_across_the_read_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    value = {f"x-valid@{i}": float(i) for i in range(3000)}
    data = pickle.dumps([value, dict.fromkeys(value, 1.5), dict.fromkeys(range(256), 2.5)], 2)
    expected = load(data)
    for chunk in (1, 7, 64, 1000):
        monkeypatch.setattr(pickle_reader, "_CHUNK", chunk)
        assert load(data) == expected


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_stand_ins(protocol: int) -> None:
    value = {
        "a": collections.OrderedDict(x=1, y=2.5),
        "b": {1, "two"},
        "c": [np.float64(1.5), np.float32(2.5), np.int64(-3), np.float64(1.5)],
        "big": np.dtype(">f8").type(7),
    }
    assert load(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_of_numbers(protocol: int) -> None:
    for value in (np.arange(3), np.ones((2, 3), "f4"), np.asfortranarray(np.eye(3)[:2])):
        found = load(pickle.dumps(value, protocol))
        assert found.values.dtype == value.dtype
        assert found.values.tolist() == value.tolist()


def test_numpy_names_of_old_and_new_versions_are_the_same() -> None:
    data = pickle.dumps(np.float64(4.25), 2)
    assert b"numpy._core.multiarray" in data
    assert load(data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")) == 4.25


# Streaming


@pytest.mark.parametrize("entries", [1, 2, 999, 1000, 1001, 2500])
@pytest.mark.parametrize("protocol", [2, 4])
def test_entries_are_streamed_whole_and_once(entries: int, protocol: int) -> None:
    content = {
        "meta": ["a", "b"],
        "entries": {
            i: {"full": {f"k@{j}": float(i) for j in range(3)}, "less": {"t": (i, "x")}}
            for i in range(entries)
        },
        "after": {1, 2},
    }
    got: dict[int, Any] = {}
    stream = io.BytesIO(pickle.dumps(content, protocol))
    root = RestrictedUnpickler(stream, "file", "entries", got.__setitem__).load()
    assert got == content["entries"]
    assert root == {**content, "entries": dict.fromkeys(range(entries))}


def test_an_entry_with_one_large_part() -> None:
    content = {"entries": {0: {"full": dict.fromkeys(range(3000), 1.0)}, 1: {"full": {}, "b": 1}}}
    got: dict[int, Any] = {}
    data = pickle.dumps({**content, "z": 1}, 2)
    RestrictedUnpickler(io.BytesIO(data), "file", "entries", got.__setitem__).load()
    assert got == content["entries"]


def test_what_entries_share_is_refused_clearly() -> None:
    shared = {"x": 1.5}
    data = pickle.dumps({"z": 1, "entries": {i: {"full": shared, "b": 1} for i in range(3)}}, 2)
    unpickler = RestrictedUnpickler(io.BytesIO(data), "file", "entries", lambda k, v: None)
    with pytest.raises(DataError, match=r"file, byte \d+: .*an entry that was read before"):
        unpickler.load()


# Hostile files


class Call:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


class Plain:
    """An object with a state."""

    def __init__(self) -> None:
        self.x = 1


def opcodes(*parts: bytes) -> bytes:
    return b"\x80\x02" + b"".join(parts) + b"."


HOSTILE = {
    "os.system": pickle.dumps(Call(os.system, "touch OWNED"), 2),
    "os.system, protocol 4": pickle.dumps(Call(os.system, "touch OWNED"), 4),
    "eval": pickle.dumps(Call(eval, "open('OWNED', 'w')"), 2),
    "exec": pickle.dumps(Call(exec, "open('OWNED', 'w')"), 4),
    "open": pickle.dumps(Call(open, "OWNED", "w"), 2),
    "Popen": pickle.dumps(Call(subprocess.Popen, ["touch", "OWNED"]), 2),
    "getattr": pickle.dumps(Call(getattr, dict, "update"), 2),
    "an object": pickle.dumps(Plain(), 2),
    "an object, protocol 4": pickle.dumps(Plain(), 4),
    "a path": pickle.dumps(Path("x"), 2),
    "an array of objects": pickle.dumps(np.array([Call(os.system, "touch OWNED")]), 2),
    "an array that is made by a call": opcodes(b"cnumpy\nndarray\nK\x03\x85R"),
    "another reconstruction": opcodes(
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\0\x85C\x01b\x87R"
    ),
    "an array larger than its bytes": pickle.dumps(np.arange(3), 3).replace(
        b"K\x03\x85", b"K\x04\x85"
    ),
    "nested in data": pickle.dumps({"meta_archs": [Call(os.system, "touch OWNED")]}, 2),
    "as a dictionary key": opcodes(b"}cposix\nsystem\nK\x01s"),
    "dotted name": opcodes(b"\x8c\x05numpy\x8c\x10core.os.system.x\x93"),
    "tensor rebuild": opcodes(b"ctorch._utils\n_rebuild_tensor_v2\n)R"),
    "torch storage": opcodes(b"ctorch\nFloatStorage\n"),
    "persistent id": opcodes(b"X\x01\0\0\0aQ"),
    "instance opcode": opcodes(b"(iposix\nsystem\n"),
    "object opcode": opcodes(b"(cbuiltins\nset\no"),
    "newobj": opcodes(b"cbuiltins\nset\n)\x81"),
    "extension registry": opcodes(b"\x82\x01"),
    "reduce of data": opcodes(b"K\x01)R"),
    "build on a dictionary": opcodes(b"}}b"),
    "protocol 0": b"(dp0\n.",
    "structured type": opcodes(b"cnumpy\ndtype\nX\x01\0\0\0O\x89\x88\x87R"),
    "set of lists": opcodes(b"c__builtin__\nset\n]]a\x85R"),
    "encode to something else": opcodes(b"c_codecs\nencode\nX\x01\0\0\0aX\x03\0\0\0zip\x86R"),
    "marks without end": opcodes(b"(" * 100_000),
    "key of nested tuples": opcodes(b"}", b")", b"\x85" * 50_000, b"K\x01s"),
    "list as a key": opcodes(b"}]K\x01s"),
    "float as a key": opcodes(b"}G" + struct.pack(">d", 1.0) + b"K\x01s"),
    "text of 4 GB": opcodes(b"X\xff\xff\xff\xff"),
    "text of exabytes": opcodes(b"\x8d" + b"\xff" * 7 + b"\x0f"),
    "bytes of 4 GB": opcodes(b"B\xff\xff\xff\xff"),
    "huge integer": opcodes(b"\x8a\xff" + b"\x01" * 255),
    "huger integer": opcodes(b"\x8b\xff\xff\xff\x7f"),
    "memo far away": opcodes(b"K\x01r\xff\xff\xff\xff"),
    "memo that is not there": opcodes(b"h\x05"),
    "stack underflow": opcodes(b"\x87"),
    "tuple without mark": opcodes(b"t"),
    "odd items": opcodes(b"}(K\x01u"),
    "append to a number": opcodes(b"K\x01K\x02a"),
    "bytearray": opcodes(b"\x96" + struct.pack("<Q", 1 << 40)),
    "out-of-band buffer": opcodes(b"\x97"),
    "protocol 9": b"\x80\x09.",
    "no pickle": b"\xffhello",
    "nothing": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"^file, byte \d+: ") as caught:
        load(HOSTILE[name])
    assert not list(tmp_path.iterdir()), "something was run"
    assert len(str(caught.value)) < 500


def test_a_refused_name_is_told() -> None:
    with pytest.raises(DataError, match=r"asks for posix\.system.*nothing was run"):
        load(HOSTILE["os.system"])
    with pytest.raises(DataError, match="holds network weights"):
        load(HOSTILE["tensor rebuild"])
    with pytest.raises(DataError, match="opcode INST is not allowed"):
        load(HOSTILE["instance opcode"])


@pytest.mark.parametrize("opcode", [b"}", b"]", b"N", b"K\x01"])
def test_a_stream_without_end_is_refused(opcode: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decompression bomb: endless small objects, and no entry ever."""
    monkeypatch.setattr(pickle_reader, "MAX_PENDING", 1 << 15)
    monkeypatch.setattr(pickle_reader, "_CHUNK", 1 << 12)

    class Endless(io.RawIOBase):
        def read(self, n: int = -1) -> bytes:
            return (opcode * n)[:n]

    with pytest.raises(DataError, match="larger than any benchmark entry"):
        RestrictedUnpickler(Endless(), "file").load()


def test_too_many_different_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_reader, "MAX_TEXTS", 100)
    with pytest.raises(DataError, match="more than 100 different texts"):
        load(pickle.dumps([f"t{i}" for i in range(200)], 2))
    with pytest.raises(DataError, match="more than 100 different texts"):
        load(pickle.dumps({f"t@{i}": 1.0 for i in range(200)}, 2))


def test_deep_lists_are_data() -> None:
    """Depth without recursion: nothing overflows, on the way in or out."""
    assert type(load(opcodes(b"]" * 50_000, b"a" * 49_999))) is list


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_is_a_data_error_or_data(data: st.DataObject) -> None:
    """Flip, cut or insert bytes: never another exception."""
    whole = bytearray(pickle.dumps({"a": [1, 2.5, "x"], "b": {f"v@{i}": 1.0 for i in range(9)}}, 2))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    try:
        load(bytes(whole))
        refusal = "file, byte 0"
    except DataError as error:
        refusal = str(error)
    assert refusal.startswith("file, byte ")


def test_every_opcode_is_known_or_refused() -> None:
    for op in pickletools.opcodes:
        if ord(op.code) in restricted_pickle._HANDLERS or op.name == "STOP":
            continue
        with pytest.raises(DataError, match=f"opcode {op.name} is not allowed"):
            load(b"\x80\x02" + op.code.encode("latin1") + b"\0" * 20)
