"""Checkpoint files: written whole or not at all, read without running anything in them.

torch does not notice a changed weight. After what torch.save wrote comes the SHA-256 of it, which
`load` checks; in files of earlier versions, without one, it checks the zip format's CRC-32.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import torch

from nasbench_evo.errors import DataError, InputError
from nasbench_evo.files import replacing

FORMAT = 1
_MARK = b"\nnasbench_evo checkpoint, SHA-256 "
_PART = 1 << 20  # bytes read at a time


def save(state: dict[str, Any], path: str | Path) -> None:
    """Write `state` (tensors and plain values) to `path`; a crash leaves the old file there.

    Raises InputError where it cannot be written.
    """
    try:
        with replacing(Path(path)) as file:
            torch.save({"format": FORMAT, **state}, file)
            digest = _digest(file, file.tell())
            file.seek(0, os.SEEK_END)
            file.write(_MARK + digest)
    except (OSError, RuntimeError) as error:  # torch raises the latter on a full disk
        raise InputError(
            f"Cannot write {path}: {error}. Free space, or choose a folder that can be written; "
            "what was written before is kept."
        ) from error


def load(path: str | Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return the state in `path`, its tensors on `device`.

    Raises DataError when the file is missing, damaged, of another format, or holds anything but
    tensors and plain values.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"There is no checkpoint {path}; train first or name another file.")
    try:
        _check(path)
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (
        RuntimeError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:  # whatever damaged bytes lead the reader to
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} is not a readable checkpoint: {reason}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise DataError(f"{path} is not a checkpoint of format {FORMAT}; train it again.")
    return state


def _digest(file: BinaryIO, size: int) -> bytes:
    """Return the SHA-256 (hex) of the first `size` bytes of a file."""
    digest = hashlib.sha256()
    file.seek(0)
    while size and (part := file.read(min(size, _PART))):
        digest.update(part)
        size -= len(part)
    return digest.hexdigest().encode()


def _check(path: Path) -> None:
    """Raise ValueError or BadZipFile where a file is not as it was written."""
    end = len(_MARK) + 64
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END) - end
        file.seek(max(size, 0))
        mark, known = file.read(len(_MARK)), file.read()
        if mark == _MARK:
            if _digest(file, size) != known:
                raise ValueError("it does not have its SHA-256")
            return
    with zipfile.ZipFile(path) as archive:
        altered = archive.testzip()
    if altered is not None:
        raise ValueError(f"{altered} is altered")
