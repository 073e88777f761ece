"""The file of an imported table: a header, then named arrays that are mapped, not read.

Layout: the magic line, the SHA-256 of the header (hex) and a newline, the header (one JSON line:
free fields, and name, dtype, shape, offset and SHA-256 of each array), then the arrays
little-endian, each at a multiple of 64 bytes. The header's hash is the table's identity: it covers
the hash of every array. `read` checks the header and the file's length, `checked` one array,
`check` all.

A file may be somebody else's, and its hashes then say nothing: types are of a closed list, sizes
are positive and within the file, and what arrays hold is for the reader of the table to check.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.errors import DataError
from nasbench_evo.files import replacing

MAGIC = b"nasbench_evo table 2\n"
_ALIGNMENT = 64
_HEADER_LIMIT = 1 << 22  # bytes; parsed they take up to twenty times as much
_DTYPES = ("|u1", "<u2", "<u4", "<i4", "<i8", "<f4", "<f8")
_MOST_AXES = 8
_LONGEST_NAME = 300
_DIGITS = 64
_PART = 1 << 20  # bytes read at a time


class Container(NamedTuple):
    """An open file: its path, identity, free fields, and its arrays mapped read-only."""

    path: Path
    sha256: str
    fields: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    hashes: dict[str, str]  # SHA-256 of each array


def _little(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))


def describe(arrays: Mapping[str, NDArray[Any]]) -> list[tuple[str, str, list[int], str]]:
    """Return name, type, shape and SHA-256 of each array as it is written."""
    return [
        (name, little.dtype.str, list(little.shape), hashlib.sha256(little.data).hexdigest())
        for name, little in ((name, _little(array)) for name, array in arrays.items())
    ]


def write(path: Path, fields: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Write a container and return its identity; `path` is at every moment absent, old or whole."""
    described, offset = [], 0
    for name, dtype, shape, digest in describe(arrays):
        described.append([name, dtype, shape, offset, digest])
        nbytes = arrays[name].nbytes
        offset += nbytes + -nbytes % _ALIGNMENT
    header = json.dumps({**fields, "arrays": described}).encode() + b"\n"
    sha256 = hashlib.sha256(header).hexdigest()
    head = MAGIC + sha256.encode() + b"\n" + header
    with replacing(path) as file:
        file.write(head + bytes(-len(head) % _ALIGNMENT))
        for array in arrays.values():
            little = _little(array)
            file.write(little.data)
            file.write(bytes(-little.nbytes % _ALIGNMENT))
    return sha256


def read(path: Path) -> Container:
    """Return an open container; raise DataError where the file is truncated or altered."""
    try:
        with path.open("rb") as file:
            head = file.read(len(MAGIC) + _DIGITS + 1)
            header = file.readline(_HEADER_LIMIT)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise DataError(f"Cannot read the table {path}: {error.strerror}.") from error
    if not head.startswith(MAGIC):
        raise DataError(f"{path} is no table of this version. Import it again.")
    expected = head[len(MAGIC) : -1].decode("ascii", "replace")
    sha256 = hashlib.sha256(header).hexdigest()
    if sha256 != expected:
        raise DataError(
            f"{path} is truncated or altered: expected header SHA-256 {expected}, got {sha256}. "
            "Import it again."
        )
    fields, described = _described(path, header)
    start = len(head) + len(header)
    start += -start % _ALIGNMENT
    arrays: dict[str, NDArray[Any]] = {}
    hashes: dict[str, str] = {}
    for name, dtype, shape, offset, digest in described:
        nbytes = math.prod(shape) * np.dtype(dtype).itemsize
        end = start + offset + nbytes + -nbytes % _ALIGNMENT
        if end > size:
            raise DataError(
                f"{path} is truncated: array {name} ends at byte {end}, the file at {size}. "
                "Import it again."
            )
        arrays[name] = np.memmap(path, dtype, "r", start + offset, tuple(shape))
        hashes[name] = digest
    return Container(path, sha256, fields, arrays, hashes)


def _described(path: Path, header: bytes) -> tuple[dict[str, Any], list[Any]]:
    """Return the fields of a header and what it says of its arrays, checked."""
    try:
        fields = json.loads(header)
        described = fields.pop("arrays")
        for name, dtype, shape, offset, digest in described:
            named = type(name) is str and len(name) <= _LONGEST_NAME and name.isprintable()
            sized = type(shape) is list and 1 <= len(shape) <= _MOST_AXES
            sound = sized and all(type(n) is int and 0 < n < 2**48 for n in shape)
            placed = type(offset) is int and 0 <= offset < 2**48 and offset % _ALIGNMENT == 0
            if not (named and sound and placed and dtype in _DTYPES and type(digest) is str):
                raise ValueError(f"the array {[name, dtype, shape, offset]!a:.200}")
        if len({name for name, *_ in described}) < len(described):
            raise ValueError("two arrays of one name")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} has a header that no import writes: {error!s:.200}. Import it again."
        ) from error
    return fields, described


def in_memory(path: Path) -> Container:
    """Return a container read at once, every array compared with its hash; for small files."""
    mapped = read(path)
    data = path.read_bytes()
    arrays = {}
    for name, array in mapped.arrays.items():
        start = array.offset  # type: ignore[attr-defined]  # a numpy.memmap
        part = memoryview(data)[start : start + array.nbytes]
        _compare(mapped, name, hashlib.sha256(part).hexdigest())
        arrays[name] = np.frombuffer(part, array.dtype).reshape(array.shape)
    return mapped._replace(arrays=arrays)


def checked(container: Container, name: str) -> NDArray[Any]:
    """Return an array after comparing its bytes with its hash; raise DataError on a difference."""
    array = container.arrays[name]
    _compare(container, name, _digest(container.path, array))
    return array


def _compare(container: Container, name: str, digest: str) -> None:
    if digest != container.hashes[name]:
        raise DataError(
            f"{container.path} is altered in array {name}: expected SHA-256 "
            f"{container.hashes[name]}, got {digest}. Import it again."
        )


def _digest(path: Path, array: NDArray[Any]) -> str:
    """Return the SHA-256 of a mapped array."""
    digest = hashlib.sha256()
    for part in _parts(path, array):
        digest.update(part)
    return digest.hexdigest()


def extremes(container: Container, name: str) -> tuple[float, float]:
    """Return the least and the greatest value of an array, but for NaN; inf, -inf if all are."""
    array, found = container.arrays[name], (math.inf, -math.inf)
    for part in _parts(container.path, array):
        values = np.frombuffer(part, array.dtype)
        known = values[~np.isnan(values)]
        if known.size:
            found = min(found[0], float(known.min())), max(found[1], float(known.max()))
    return found


def _parts(path: Path, array: NDArray[Any]) -> Iterator[bytes]:
    """Yield the bytes of a mapped array in parts: no page of the map is touched."""
    left = array.nbytes
    with path.open("rb") as file:
        file.seek(array.offset)  # type: ignore[attr-defined]  # a numpy.memmap
        while left and (part := file.read(min(left, _PART))):
            yield part
            left -= len(part)


def check(container: Container) -> None:
    """Compare every array with its hash; raise DataError naming the first that differs."""
    for name in container.arrays:
        checked(container, name)
