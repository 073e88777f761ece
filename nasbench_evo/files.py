"""The ground: files that are whole or absent, the one JSON text of a value, where things lie."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

RESULTS = Path("results")  # of suites and of single trainings, below the working folder
_FORMULA = ("=", "+", "-", "@")  # how what a spreadsheet computes begins
_DIGITS = 9  # of a float that is written: these are the same on every machine


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file, open for writing and reading, that becomes `path` when the block ends.

    `path` is at every moment absent, old or whole, whoever else writes it; where the block raises
    it stays as it was. Raises OSError where the folder cannot be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's 0o600 would hide results from everyone else
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` so that `path` is always absent, old or whole (see `replacing`)."""
    with replacing(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> Path:
    """Write `text` as UTF-8, whole or not at all; return the path."""
    write_atomically(path, text.encode())
    return path


def write_json(path: Path, content: Any) -> Path:
    """Write `content` as JSON for people to read, whole or not at all; return the path."""
    return write_text(path, json.dumps(content, indent=1) + "\n")


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces. Hashes are taken of it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def digest(value: Any) -> str:
    """Return the SHA-256 (hex) of a value's canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def plain(value: Any) -> Any:
    """Return a value for JSON or CSV: floats to nine significant digits, None for NaN."""
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else float(f"{value:.{_DIGITS}g}")


def plain_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record for JSON or CSV, each of its values `plain`."""
    return {name: plain(value) for name, value in values.items()}


def csv_text(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return rows as CSV with lines that end in a newline everywhere; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in (header, *rows):
        writer.writerow([_harmless(value) for value in row])
    return text.getvalue()


def _harmless(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula, without control characters."""
    if not isinstance(value, str):
        return value
    text = "".join(char if char.isprintable() else " " for char in value)
    if text[:1] not in _FORMULA:
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def cache_folder() -> Path:
    """Return where packed tables are kept: $NASBENCH_EVO_CACHE or the user's cache folder.

    A user without a home has it among the temporary files; what is read there is checked by hash.
    """
    chosen = os.environ.get("NASBENCH_EVO_CACHE")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path  # only needed here

    try:
        return user_cache_path("nasbench_evo")
    except RuntimeError:  # neither HOME nor an entry in the list of users
        return Path(tempfile.gettempdir()) / f"nasbench_evo-{os.getuid()}"


def tables_folder() -> Path:
    """Return where imported tables are kept: $NASBENCH_EVO_TABLES or the user's data folder.

    Raises OSError for a user without a home.
    """
    chosen = os.environ.get("NASBENCH_EVO_TABLES")
    if chosen:
        return Path(chosen)
    from platformdirs import user_data_path  # only needed here

    try:
        return user_data_path("nasbench_evo") / "tables"
    except RuntimeError as error:
        reason = "there is no home folder; set NASBENCH_EVO_TABLES to a folder of yours"
        raise FileNotFoundError(errno.ENOENT, reason) from error
