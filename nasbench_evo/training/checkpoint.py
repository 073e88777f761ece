"""Checkpoint files: written whole or not at all, read without running anything in them.

torch does not check the CRC-32 that its zip format has of every part; `load` does, so that a
changed weight is an error.
"""

from __future__ import annotations

import os
import pickle
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from nasbench_evo.errors import DataError

FORMAT = 1


def save(state: dict[str, Any], path: str | Path) -> None:
    """Write `state` (tensors and plain values) to `path`; a crash leaves the old file there."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            torch.save({"format": FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(path: str | Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return the state in `path`, its tensors on `device`.

    Raises DataError when the file is missing, damaged, of another format, or holds anything but
    tensors and plain values.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"There is no checkpoint {path}; train first or name another file.")
    try:
        with zipfile.ZipFile(path) as archive:
            altered = archive.testzip()
        if altered is not None:
            raise ValueError(f"{altered} is altered")
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
