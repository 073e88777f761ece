"""Reads pickles as data: a small machine of its own that can call nothing.

Official benchmark files are pickles of dictionaries, lists, texts and numbers, several gigabytes
long. The machine knows the opcodes that such data needs (protocols 2 to 5) and a fixed table of
global names with inert stand-ins; every other opcode or name, and anything oversized, is refused
with its position.

It streams: `consume` gets each entry of one named dictionary as soon as it is whole, and what was
memoized for it is dropped, so that memory grows by 8 bytes a memoized object and no more.
"""

from __future__ import annotations

import pickletools
import re
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from nasbench_evo.errors import DataError
from nasbench_evo.tables.importing.pickle_reader import DOUBLE, Reader
from nasbench_evo.tables.importing.stand_ins import (
    Array,
    DType,
    Global,
    are_keys,
    check_tuples,
    find,
    is_key,
)

Consume = Callable[[Any, Any], None]

MAX_DEPTH = 64  # open MARKs
_PLAIN = (1, ())  # depth of whatever is no tuple of tuples
_GONE = object()  # stands in the memo for parts of consumed entries
_TAKEN = None  # left where a consumed entry was

# Runs of (key, float) pairs are nearly all of a benchmark file: they are read in bulk. Keys are
# small integers, or texts memoized under a short or a long number.
_RUN = re.compile(rb"(?:K.G.{8})+|(?:h.G.{8})+|(?:j.{4}G.{8})+", re.DOTALL)
# A new text such as x-valid@12, its memo number, and its float.
_NAMED = re.compile(rb"X(.)\0\0\0([^@]{1,24}@[0-9]{1,5})(?:q(.)|r(.{4}))G(.{8})", re.DOTALL)
_SHORT = np.dtype([("opcode", "u1"), ("key", "u1"), ("float", "u1"), ("value", ">f8")])
_LONG = np.dtype([("opcode", "u1"), ("key", "<u4"), ("float", "u1"), ("value", ">f8")])


class RestrictedUnpickler(Reader):
    """Reads one or more pickles from a binary stream.

    `streamed` names the key of the root dictionary whose entries go to `consume` one by one; its
    value is then left empty. `origin` is what errors call the file. Raises DataError for whatever
    is not plain data.
    """

    def __init__(
        self,
        stream: BinaryIO,
        origin: str,
        streamed: str | None = None,
        consume: Consume | None = None,
        *,
        whole: int = 0,
    ) -> None:
        super().__init__(stream, origin, whole=whole)
        self._streamed, self._consume = streamed, consume
        self._handlers = {opcode: getattr(self, name) for opcode, name in _HANDLERS.items()}

    def load(self) -> Any:
        """Return the next pickle of the stream as plain data."""
        self._stack = []
        self._frames: list[list[Any]] = []
        self._memo = []
        self._dropped, self._objects = 0, 0
        self._depths: dict[int, tuple[int, tuple[Any, ...]]] = {}
        self._last = self.position
        handlers = self._handlers
        try:
            while True:
                if self._at >= len(self._buffer):
                    self._refill(1)
                opcode = self._buffer[self._at]
                self._at += 1
                if opcode == 0x2E:  # STOP
                    return self._stack.pop()
                handlers[opcode]()
        except KeyError:
            self._refuse(_describe(opcode))
        except DataError as error:
            if str(error).startswith(self._origin):
                raise
            self._refuse(str(error))
        except (IndexError, TypeError, ValueError, struct.error, RecursionError) as error:
            self._refuse(f"is not well formed: {error}")

    # Containers

    def _mark(self) -> None:
        if len(self._frames) >= MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} levels deep")
        self._frames.append(self._stack)
        self._stack = []
        before = -1
        while self._at > before:  # runs of one kind follow runs of another
            before = self._at
            # A pair cut by the buffer's end does not match: the single opcodes read it.
            run = _RUN.match(self._buffer, self._at)
            if run is not None:
                self._pairs(run[0])
                self._at = run.end()
            self._named()

    def _pairs(self, run: bytes) -> None:
        """Push the keys and floats of a run of pairs."""
        pairs = np.frombuffer(run, _LONG if run[0] == 0x6A else _SHORT)
        keys = pairs["key"].tolist()
        if run[0] != 0x4B:
            memo = self._memo
            keys = [memo[key] for key in keys]
            if _GONE in keys:
                raise ValueError("a reference into an entry that was read before")
        items: list[Any] = [None] * (2 * len(keys))
        items[::2] = keys
        items[1::2] = pairs["value"].tolist()
        self._stack += items

    def _named(self) -> None:
        """Push the texts and floats of a run of new texts with floats."""
        memo, push = self._memo, self._stack.append
        while (found := _NAMED.match(self._buffer, self._at)) is not None:
            size, data, short, long, value = found.groups()
            index = int.from_bytes(short or long, "little")
            if size[0] != len(data) or index != len(memo) or self._full():
                return  # left to the single opcodes
            text = data.decode("utf-8", "surrogatepass")
            known = len(self._texts)
            text = self._texts.setdefault(text, text)
            self._text_bytes += size[0] * (len(self._texts) - known)
            memo.append(text)
            push(text)
            push(DOUBLE.unpack(value)[0])
            self._at = found.end()

    def _frame(self) -> list[Any]:
        """Close the open MARK; return what came after it."""
        items = self._stack
        self._stack = self._frames.pop()
        return items

    def _new_dict(self) -> None:
        self._made({})

    def _new_list(self) -> None:
        self._made([])

    def _new_set(self) -> None:
        self._made(set())

    def _new_tuple(self) -> None:
        self._made(())

    def _tuple(self) -> None:
        self._wrap(self._frame())

    def _tuple1(self) -> None:
        self._last_ones(1)

    def _tuple2(self) -> None:
        self._last_ones(2)

    def _tuple3(self) -> None:
        self._last_ones(3)

    def _last_ones(self, n: int) -> None:
        """Make a tuple of the last n values."""
        items = self._stack[-n:]
        if len(items) < n:
            raise ValueError("a tuple of more than there is")
        del self._stack[-n:]
        self._wrap(items)

    def _wrap(self, items: list[Any]) -> None:
        """Push a tuple; tuples in tuples are counted, for they need no MARK to nest."""
        value = tuple(items)
        if tuple in map(type, items):
            known = [self._depths.get(id(item), _PLAIN)[0] for item in items]
            depth = 1 + max(known)
            if depth > MAX_DEPTH:
                raise ValueError(f"tuples more than {MAX_DEPTH} levels deep")
            self._depths[id(value)] = (depth, value)  # held, so that no other has its id
        self._made(value)

    def _target(self, kind: type) -> Any:
        if type(self._stack[-1]) is not kind:
            raise ValueError(f"items for something that is no {kind.__name__}")
        return self._stack[-1]

    def _append(self) -> None:
        value = self._stack.pop()
        self._target(list).append(value)

    def _appends(self) -> None:
        items = self._frame()
        self._target(list).extend(items)

    def _add_items(self) -> None:
        items = self._frame()
        if not are_keys(items):
            raise ValueError("a set of something else than texts and integers")
        target = self._target(set)
        target.update(items)
        check_tuples(target, items)

    def _set_item(self) -> None:
        value = self._stack.pop()
        key = self._stack.pop()
        self._store([key, value])

    def _set_items(self) -> None:
        self._store(self._frame())

    def _store(self, items: list[Any]) -> None:
        target = self._target(dict)
        keys = items[::2]
        if len(items) % 2 or not are_keys(keys):
            raise ValueError("a dictionary key that is no text, integer or tuple of them")
        target.update(zip(keys, items[1::2], strict=True))
        check_tuples(target, keys)
        if self._streamed is not None:
            self._offer()

    # Streaming

    def _offer(self) -> None:
        """Hand the dictionary on top of the stack on, if it is a whole streamed entry."""
        stack, frames = self._stack, self._frames
        if len(frames) == 2 and (len(stack) == 2 or (len(stack) > 2 and stack[-3] is _TAKEN)):
            holder = frames[1]  # a batch of entries
        elif len(frames) == 1 and len(stack) >= 4:
            holder = stack[:-2]  # an entry on its own
        else:
            return
        whole = type(stack[-1]) is dict and is_key(stack[-2]) and len(holder) >= 2
        if not whole or type(holder[-1]) is not dict or holder[-2] != self._streamed:
            return
        if self._consume is not None:
            self._consume(stack[-2], stack[-1])
        # An entry has few recipes, so that one opcode fills it; a second would find this and be
        # refused.
        stack[-1] = _TAKEN
        self._drop()

    def _drop(self) -> None:
        """Forget what was memoized for consumed entries, but for texts and names."""
        self._memo[self._dropped :] = [
            value
            if type(value) in (str, Global, DType) or (type(value) is tuple and is_key(value))
            else _GONE
            for value in self._memo[self._dropped :]
        ]
        self._dropped, self._objects = len(self._memo), 0
        self._depths.clear()
        self._last = self.position

    # Memo

    def _put(self, index: int) -> None:
        if index == len(self._memo):
            self._memo.append(self._stack[-1])
        elif index < len(self._memo):
            self._memo[index] = self._stack[-1]
        else:
            raise ValueError(f"memo number {index} after {len(self._memo)} entries")

    def _put1(self) -> None:
        self._put(self._unsigned(1))

    def _put4(self) -> None:
        self._put(self._unsigned(4))

    def _memoize(self) -> None:
        self._memo.append(self._stack[-1])

    def _get(self, index: int) -> None:
        value = self._memo[index]
        if value is _GONE:
            raise ValueError("a reference into an entry that was read before")
        self._stack.append(value)

    def _get1(self) -> None:
        self._get(self._unsigned(1))

    def _get4(self) -> None:
        self._get(self._unsigned(4))

    # Names

    def _global(self) -> None:
        module = self._line()
        self._stack.append(find(module, self._line()))

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            raise ValueError("a global name that is no text")
        self._stack.append(find(module, name))

    def _reduce(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if type(function) is not Global or type(arguments) is not tuple:
            raise ValueError("a call of something that is no global name")
        self._stack.append(function.call(*arguments))

    def _build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if type(target) not in (DType, Array):
            raise ValueError("an object with a state of its own")
        target.build(state)

    def _persistent(self) -> None:
        raise DataError(
            "holds network weights (tensors), which no table needs; refused. Use the file or "
            "folder without weights."
        )

    def _protocol(self) -> None:
        if not 2 <= self._unsigned(1) <= 5:
            raise ValueError("a pickle protocol other than 2 to 5")

    def _skip_frame(self) -> None:
        self._take(8)


def _describe(opcode: int) -> str:
    names = [op.name for op in pickletools.opcodes if op.code == chr(opcode)]
    if not names:
        return f"byte 0x{opcode:02x} is no pickle opcode: not such a file, or altered."
    return f"opcode {names[0]} is not allowed in a table of plain data; refused."


_HANDLERS = {
    ord(opcode): name
    for opcode, name in {
        "N": "_none",
        "\x88": "_true",
        "\x89": "_false",
        "J": "_int4",
        "K": "_int1",
        "M": "_int2",
        "\x8a": "_long1",
        "G": "_float",
        "X": "_text",
        "\x8c": "_text1",
        "\x8d": "_text8",
        "B": "_bytes",
        "C": "_bytes1",
        "U": "_old_text1",
        "(": "_mark",
        "}": "_new_dict",
        "]": "_new_list",
        "\x8f": "_new_set",
        ")": "_new_tuple",
        "t": "_tuple",
        "\x85": "_tuple1",
        "\x86": "_tuple2",
        "\x87": "_tuple3",
        "a": "_append",
        "e": "_appends",
        "\x90": "_add_items",
        "s": "_set_item",
        "u": "_set_items",
        "q": "_put1",
        "r": "_put4",
        "\x94": "_memoize",
        "h": "_get1",
        "j": "_get4",
        "c": "_global",
        "\x93": "_stack_global",
        "R": "_reduce",
        "b": "_build",
        "Q": "_persistent",
        "\x80": "_protocol",
        "\x95": "_skip_frame",
    }.items()
}
