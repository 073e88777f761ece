"""What the restricted unpickler makes of the few global names that benchmark files contain.

A stand-in is a function of this module on plain data; the named class or function itself is never
imported, looked up or called.
"""

from __future__ import annotations

import math
import reprlib
import struct
from collections.abc import Callable, Iterable, Sized
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.errors import DataError

_SCALARS = {
    "b1": "?",
    "u1": "B",
    "i2": "h",
    "i4": "i",
    "u4": "I",
    "i8": "q",
    "u8": "Q",
    "f2": "e",
    "f4": "f",
    "f8": "d",
}
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_LARGEST = 2**60  # of an integer that is a key
_MOST_TUPLES = 256  # keys of one dictionary or set; the official files have ten


class Global(NamedTuple):
    """A global name and what stands for a call of it."""

    name: str
    call: Callable[..., Any]


class DType:
    """A NumPy number type: its code (such as f8) and its byte order."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.order = "<"

    def build(self, state: Any) -> None:
        """Take the byte order from a pickled state; raise ValueError for structured types."""
        version, order, *rest = state
        if version != 3 or order not in ("<", ">", "|", "=") or rest[:3] != [None] * 3:
            raise ValueError(f"a NumPy number type with the state {version!r}, {order!r}")
        self.order = ">" if order == ">" else "<"


class Array:
    """A NumPy array of numbers: `values` once it is built."""

    def __init__(self) -> None:
        self.values: NDArray[Any] | None = None

    def build(self, state: Any) -> None:
        """Take shape, type and bytes from a pickled state; raise ValueError for anything else."""
        version, shape, dtype, fortran, data = state
        plain = type(shape) is tuple and all(type(n) is int and n >= 0 for n in shape)
        if version != 1 or not plain or type(dtype) is not DType or type(data) is not bytes:
            raise ValueError("a NumPy array that is no plain array of numbers")
        code = np.dtype(f"{dtype.order}{dtype.code}")
        if math.prod(shape) * code.itemsize != len(data):
            raise ValueError("a NumPy array whose bytes do not fit its shape")
        self.values = np.frombuffer(data, code).reshape(shape, order="F" if fortran else "C")


def shown(value: Any) -> str:
    """Return a value of a file for a message: what holds itself many times is not spelled out."""
    return _SHORT.repr(value)


def is_key(value: Any) -> bool:
    """Return whether a value may be a key or a set's element: text, integer, or a tuple of them."""
    kind = type(value)
    if kind is tuple:
        return len(value) <= 8 and all(type(part) in (str, int) for part in value)
    if kind is int:  # the hashes of larger ones can be made to collide
        return bool(-_LARGEST < value < _LARGEST)
    return kind in (str, bool)


def are_keys(values: list[Any]) -> bool:
    """Return whether all values may be keys."""
    kinds = set(map(type, values))
    if kinds == {int}:
        return bool(min(values) > -_LARGEST and max(values) < _LARGEST)
    return kinds <= {str} or all(map(is_key, values))


def check_tuples(target: Sized, new: Iterable[Any]) -> None:
    """Raise ValueError for a tuple more in a large set or dictionary: their hashes may collide."""
    if len(target) > _MOST_TUPLES and tuple in map(type, new):
        raise ValueError(f"more than {_MOST_TUPLES} keys that are tuples")


def _set(elements: Any = ()) -> frozenset[Any]:
    if type(elements) is not list or not are_keys(elements):
        raise ValueError("a set of something else than texts and integers")
    check_tuples(elements, elements)
    return frozenset(elements)


def _ordered_dict(pairs: Any = ()) -> dict[Any, Any]:
    result = {}
    for pair in pairs:
        key, value = pair
        if not is_key(key):
            raise ValueError("a key that is no text or integer")
        result[key] = value
        check_tuples(result, (key,))
    return result


def _dtype(code: Any, align: Any = False, copy: Any = True) -> DType:
    if code not in _SCALARS or align or not copy:
        raise ValueError(f"the NumPy type {code!r:.40}")
    return DType(code)


def _scalar(dtype: Any, data: Any) -> float:
    if type(dtype) is not DType or type(data) is not bytes:
        raise ValueError("a NumPy scalar without a number type or bytes")
    (value,) = struct.unpack(dtype.order + _SCALARS[dtype.code], data)
    return value  # type: ignore[no-any-return]


def _reconstruct(kind: Any, shape: Any, code: Any) -> Array:
    if type(kind) is not Global or kind.name != "numpy.ndarray" or shape != (0,):
        raise ValueError("an object that is no NumPy array")
    return Array()


def _ndarray(*_: Any) -> Array:
    raise ValueError("a NumPy array that is made by a call")


def _encode(text: Any, encoding: Any) -> bytes:
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise ValueError("an encoded text that is not the bytes of numbers")
    return text.encode("latin1")


ALLOWED = {
    (module, name): Global(f"{module}.{name}", call)
    for modules, name, call in (
        (("builtins", "__builtin__"), "set", _set),
        (("builtins", "__builtin__"), "frozenset", _set),
        (("collections",), "OrderedDict", _ordered_dict),
        (("_codecs",), "encode", _encode),
        (("numpy",), "dtype", _dtype),
        (("numpy",), "ndarray", _ndarray),
        (("numpy.core.multiarray", "numpy._core.multiarray"), "scalar", _scalar),
        (("numpy.core.multiarray", "numpy._core.multiarray"), "_reconstruct", _reconstruct),
    )
    for module in modules
}


def find(module: str, name: str) -> Global:
    """Return the stand-in of a global name, or raise DataError: nothing else is ever allowed."""
    found = ALLOWED.get((module, name))
    if found is None:
        hint = ""
        if module.split(".")[0] == "torch":
            hint = " It holds network weights: use the file or folder without weights."
        raise DataError(
            f"asks for {module:.80}.{name:.80}, which is not among the names that a benchmark "
            f"table needs; refused, nothing was run.{hint}"
        )
    return found
