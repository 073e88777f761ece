"""Bytes of a pickle stream, and the opcodes for its numbers and texts: bounded, with positions."""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import Any, BinaryIO, NoReturn

from nasbench_evo.errors import DataError

# A file is at most as large in memory as these allow, whatever it expands to: below 512 MB. A file
# without entries to consume (`whole` bytes on disk) is held as a whole: its own size bounds it.
MAX_TEXT = 1 << 16  # bytes of one text
MAX_TEXT_BYTES = 1 << 26  # of all different texts
MAX_TEXTS = 2_000_000  # different texts kept
MAX_PENDING = 1 << 23  # bytes of pickle between two consumed entries
MAX_ARRAY = 1 << 20  # bytes of one array of a file that is held as a whole
MAX_WHOLE = 1 << 27  # of such a file
MAX_OBJECTS = 1 << 20  # containers, likewise; an empty set takes 216 bytes and one of pickle
MAX_MEMO = 250_000_000  # entries of 8 bytes; the official file needs a third of it
MEMO_AT_FIRST, MEMO_A_BYTE = 4_000_000, 1 / 16  # entries; the official file has one in 57 bytes
DOUBLE = struct.Struct(">d")
_MAX_INTEGER = 16  # bytes
_CHUNK = 1 << 20


class Reader:
    """Reads a stream in large pieces; `origin` is what errors call it.

    Values go to `_stack`. Raises DataError with the position for whatever is out of bounds.
    """

    def __init__(self, stream: BinaryIO, origin: str, *, whole: int = 0) -> None:
        """`whole`: the size of a file that may be held as a whole, on disk in bytes."""
        self._stream, self._origin = stream, origin
        self._text_limit = MAX_ARRAY if 0 < whole <= MAX_WHOLE else MAX_TEXT
        self._whole = min(whole, MAX_WHOLE)
        self._buffer, self._at, self._before = b"", 0, 0
        self._texts: dict[str, str] = {}
        self._stack: list[Any] = []
        self._memo: list[Any] = []
        self._last = 0  # where the last consumed entry ended
        self._objects = 0  # made since then
        self._text_bytes = 0

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._before + self._at

    def finish(self) -> None:
        """Read to the end of the stream, so that its checksum is checked; refuse what follows."""
        if self._at < len(self._buffer) or self._read(1):
            self._refuse("data after the end of the pickle: not such a file, or altered.")

    def _refuse(self, reason: str) -> NoReturn:
        raise DataError(f"{self._origin}, byte {self.position}: {reason}") from None

    # Reading

    def _refill(self, n: int) -> None:
        """Make at least `n` bytes available at the current place."""
        rest = self._buffer[self._at :]
        self._before += self._at
        memo = min(MAX_MEMO, MEMO_AT_FIRST + self._before * MEMO_A_BYTE)
        if self._before - self._last > max(MAX_PENDING, self._whole) or len(self._memo) > memo:
            self._refuse("is larger than any benchmark entry; refused to protect the memory.")
        self._buffer, self._at = rest + self._read(max(_CHUNK, n)), 0
        if len(self._buffer) < n:
            self._refuse("the file ends here: it is truncated.")

    def _read(self, n: int) -> bytes:
        try:
            return self._stream.read(n)
        except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            self._refuse(f"cannot be read on ({error}): truncated or altered.")

    def _take(self, n: int) -> bytes:
        if self._at + n > len(self._buffer):
            self._refill(n)
        start = self._at
        self._at += n
        return self._buffer[start : self._at]

    def _unsigned(self, n: int) -> int:
        return int.from_bytes(self._take(n), "little")

    def _line(self) -> str:
        end = self._buffer.find(b"\n", self._at)
        if end < 0:
            self._refill(1)
            end = self._buffer.find(b"\n", self._at)
        if not 0 <= end - self._at <= 256:
            raise ValueError("a global name without an end")
        return self._take(end - self._at + 1)[:-1].decode("ascii")

    # Numbers and texts

    def _none(self) -> None:
        self._stack.append(None)

    def _true(self) -> None:
        self._stack.append(True)

    def _false(self) -> None:
        self._stack.append(False)

    def _int4(self) -> None:
        self._stack.append(int.from_bytes(self._take(4), "little", signed=True))

    def _int1(self) -> None:
        self._stack.append(self._unsigned(1))

    def _int2(self) -> None:
        self._stack.append(self._unsigned(2))

    def _long1(self) -> None:
        size = self._unsigned(1)
        if size > _MAX_INTEGER:
            raise ValueError(f"an integer of {size} bytes")
        self._stack.append(int.from_bytes(self._take(size), "little", signed=True))

    def _float(self) -> None:
        self._stack.append(DOUBLE.unpack(self._take(8))[0])

    def _text(self, width: int = 4) -> None:
        size = self._unsigned(width)
        if size > self._text_limit:
            raise ValueError(f"a text of {size} bytes, or damage")
        text = self._take(size).decode("utf-8", "surrogatepass")
        known = self._texts.get(text)
        if known is None:
            if self._full():
                raise ValueError(
                    f"more than {MAX_TEXTS} different texts, or {MAX_TEXT_BYTES} bytes of them"
                )
            self._text_bytes += size
            known = self._texts[text] = text
        self._stack.append(known)

    def _full(self) -> bool:
        return len(self._texts) >= MAX_TEXTS or self._text_bytes >= MAX_TEXT_BYTES

    def _made(self, value: Any) -> None:
        """Push a new container, or refuse one more."""
        self._objects += 1
        if self._objects > MAX_OBJECTS:
            raise ValueError(f"more than {MAX_OBJECTS} containers in one entry")
        self._stack.append(value)

    def _text1(self) -> None:
        self._text(1)

    def _text8(self) -> None:
        self._text(8)

    def _bytes(self, width: int = 4) -> None:
        size = self._unsigned(width)
        if size > self._text_limit:
            raise ValueError(f"a byte string of {size} bytes, or damage")
        self._stack.append(self._take(size))

    def _bytes1(self) -> None:
        self._bytes(1)

    def _old_text1(self) -> None:
        self._stack.append(self._take(self._unsigned(1)).decode("latin1"))
