"""The packed file of a table: one JSON line, then the arrays; loads in milliseconds.

Layout: the magic line, one JSON line (fields, and name, dtype and shape of each array), then the
arrays little-endian, each at a multiple of 64 bytes. The SHA-256 of the whole file is the table's
identity and is checked on load. The bytes depend on the content only.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from nasbench_evo.errors import DataError
from nasbench_evo.tables.table import Table

_MAGIC = b"nasbench_evo table 1\n"
_ALIGNMENT = 64
_FIELDS = ("name", "label", "datasets", "images")
_ARRAYS = (
    "correct",
    "train_seconds",
    "latency_seconds",
    "parameters",
    "valid_loss",
    "test_accuracy",
    "valid_curve",
)


def pack(fields: dict[str, Any], arrays: dict[str, Any]) -> bytes:
    """Return the bytes of a packed table."""
    described = []
    body = b""
    for name in _ARRAYS:
        array = arrays.get(name)
        if array is None:
            continue
        little = np.ascontiguousarray(array, dtype=np.asarray(array).dtype.newbyteorder("<"))
        described.append([name, little.dtype.str, list(little.shape)])
        body += little.tobytes()
        body += bytes(-len(body) % _ALIGNMENT)
    header = {**{name: fields[name] for name in _FIELDS}, "arrays": described}
    head = _MAGIC + json.dumps(header).encode() + b"\n"
    return head + b"\0" * (-len(head) % _ALIGNMENT) + body


def unpack(data: bytes, origin: str, expected_sha256: str | None = None) -> Table:
    """Return the table in `data`; raise DataError if it is not what `expected_sha256` says."""
    sha256 = hashlib.sha256(data).hexdigest()
    if expected_sha256 is not None and sha256 != expected_sha256:
        raise DataError(
            f"{origin} is truncated or altered: expected SHA-256 {expected_sha256}, got {sha256} "
            f"({len(data)} bytes). Delete it; it is made again from the source."
        )
    if not data.startswith(_MAGIC):
        raise DataError(f"{origin} is not a packed table of this version.")
    # JSON escapes line ends in texts, so that the first one ends the header
    end = data.index(b"\n", len(_MAGIC)) + 1
    header = json.loads(data[len(_MAGIC) : end])
    offset = end + -end % _ALIGNMENT
    arrays: dict[str, Any] = {}
    for name, dtype, shape in header.pop("arrays"):
        count = int(np.prod(shape))
        array = np.frombuffer(data, dtype=dtype, count=count, offset=offset).reshape(shape)
        arrays[name] = array
        offset += array.nbytes + -array.nbytes % _ALIGNMENT
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in header.items()
    }
    return Table(**fields, sha256=sha256, **arrays)
