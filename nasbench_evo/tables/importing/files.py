"""Opens what benchmark files come in: torch.save (zip and legacy), pickle, pickle.bz2, folders."""

from __future__ import annotations

import bz2
import hashlib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.errors import DataError
from nasbench_evo.tables.importing import hw_nas_bench, transnas
from nasbench_evo.tables.importing.collector import Collector
from nasbench_evo.tables.importing.official import KEYS, adopt, architecture
from nasbench_evo.tables.importing.restricted_pickle import RestrictedUnpickler
from nasbench_evo.tables.importing.stand_ins import shown

Progress = Callable[[int, int], None]  # done, total (bytes or files)
Costs = dict[str, dict[str, NDArray[np.float64]]]  # data set -> metric -> [G]

_EXPANDS_TO, _TIMES = 1 << 24, 20  # bytes, and times its size, that a compressed file may become
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_EXPECTED = (
    "Expected NAS-Bench-201-v1_*.pth, NATS-tss-v1_0-*.pickle.pbz2, NATS-sss-v1_0-*.pickle.pbz2, "
    "their folders *-simple, transnas-bench_*.pth, HW-NAS-Bench-v1_*.pickle, or a .csv, .parquet "
    "or .json table"
)


def md5(path: Path) -> str:
    """Return the MD5 of a file, as the benchmark publishes it; an identity, no protection."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


class _Expanding:
    """A compressed stream that may not become much larger than its file."""

    def __init__(self, stream: Any, path: Path) -> None:
        self._stream, self._path = stream, path
        self._left = _EXPANDS_TO + _TIMES * path.stat().st_size

    def read(self, n: int) -> bytes:
        """Return up to n bytes; raise DataError for a decompression bomb."""
        data: bytes = self._stream.read(n)
        self._left -= len(data)
        if self._left < 0:
            raise DataError(
                f"{self._path} expands to more than {_TIMES} times its size: no benchmark file "
                "does. Refused, to protect memory and time."
            )
        return data


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Yield the stream of a file's pickle and the raw file, whose place shows the progress.

    Raises DataError for a file that is none of the known kinds, or a damaged archive.
    """
    try:
        with path.open("rb") as raw:
            start = raw.read(4)
            raw.seek(0)
            if start.startswith(b"PK"):
                with zipfile.ZipFile(raw) as archive, archive.open(_member(archive, path)) as data:
                    yield _Expanding(data, path), raw  # type: ignore[misc]
            elif start.startswith(b"BZh"):
                with bz2.BZ2File(raw) as data:
                    yield _Expanding(data, path), raw  # type: ignore[misc]
            elif start.startswith(b"\x80"):
                yield raw, raw
            else:
                raise DataError(f"{path}: not a benchmark file (it begins {start!r}). {_EXPECTED}.")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path} is truncated or altered: {error}.") from error
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or error}.") from error


def _member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    """Return the one pickle of a torch.save archive."""
    found = [info for info in archive.infolist() if info.filename.endswith("data.pkl")]
    if len(found) != 1:
        raise DataError(f"{path} is a zip file, but no torch.save file. {_EXPECTED}.")
    if any("/data/" in info.filename and info.file_size for info in archive.infolist()):
        raise DataError(f"{path} holds network weights (tensors); use the file without weights.")
    return found[0]


def read_file(
    path: Path, collector: Collector, progress: Progress, part: str | None = None
) -> Costs | None:
    """Gather the architectures of an official file; raise DataError where it is not one.

    `part` is the space that is meant of a file with several (TransNAS-Bench-101). Of HW-NAS-Bench,
    which has no accuracies, its costs are returned instead.
    """
    size = max(path.stat().st_size, 1)
    with opened(path) as (stream, raw):

        def consume(index: Any, entry: Any) -> None:
            architecture(index, entry, collector)
            progress(min(raw.tell(), size), size)

        unpickler = RestrictedUnpickler(stream, str(path), "arch2infos", consume, whole=size)
        root = unpickler.load()
        if root == _TORCH_MAGIC:  # the legacy format: version and system come first
            unpickler.load()
            unpickler.load()
            root = unpickler.load()
            if unpickler.load():
                raise DataError(f"{path} holds network weights (tensors); use one without.")
        unpickler.finish()
    if transnas.is_root(root):
        transnas.collect(root, collector, part)
        return None
    if hw_nas_bench.is_root(root):
        return hw_nas_bench.metrics(root, str(path))
    _check_root(root, collector, str(path))
    return None


def _check_root(root: Any, collector: Collector, origin: str) -> None:
    """Check the lists around the architectures against what was gathered."""
    if type(root) is not dict or any(key not in root for key in KEYS):
        have = list(root)[:5] if type(root) is dict else type(root).__name__
        raise DataError(
            f"{origin}: expected a dictionary with {', '.join(KEYS)}; got {shown(have)}."
        )
    infos, evaluated = root["arch2infos"], root["evaluated_indexes"]
    plain = type(infos) is dict and type(evaluated) in (set, frozenset, list)
    if not plain or not all(type(index) is int for index in (*infos, *evaluated)):
        raise DataError(f"{origin}: arch2infos or evaluated_indexes has no integer indexes.")
    left = [key for key, value in infos.items() if value is not None]
    if left:  # no dictionary with content, so that it was not handed on
        raise DataError(f"{origin}, architecture {shown(left[0])}: expected recipes by name.")
    _check_names(root["meta_archs"], collector, origin)
    if set(evaluated) != set(infos):
        odd = sorted(set(evaluated) ^ set(infos))[:3]
        raise DataError(f"{origin}: evaluated_indexes and arch2infos differ, e.g. in {odd}.")


def _check_names(names: Any, collector: Collector, origin: str) -> None:
    """Check `meta_archs`: a list of different cells."""
    if type(names) is list and names:
        adopt(collector, names[0])
    most = collector.space.size
    if type(names) is not list or not 1 <= len(names) <= most:
        raise DataError(f"{origin}: meta_archs is no list of 1 to {most} cells.")
    indexes = [collector.index(name, f"meta_archs[{i}]") for i, name in enumerate(names)]
    if len(set(indexes)) < len(indexes):
        raise DataError(f"{origin}: meta_archs has a cell twice.")


def read_folder(folder: Path, collector: Collector, progress: Progress) -> None:
    """Gather a NATS-Bench folder (*-simple): meta.pickle.pbz2 and a file per architecture."""
    files = sorted(folder.glob("[0-9]" * 6 + ".pickle.pbz2"))
    meta = folder / "meta.pickle.pbz2"
    if not meta.exists() or not files:
        raise DataError(
            f"{folder} is no NATS-Bench folder: expected meta.pickle.pbz2 and 000000.pickle.pbz2 "
            "and so on."
        )
    root = _load(meta)
    if type(root) is not dict or "meta_archs" not in root:
        raise DataError(f"{meta}: expected a dictionary with meta_archs.")
    _check_names(root["meta_archs"], collector, str(meta))
    for done, file in enumerate(files, start=1):
        index = int(file.name[:6])
        if index >= len(root["meta_archs"]):
            raise DataError(f"{file}: architecture {index} is not in meta_archs.")
        architecture(index, _load(file), collector)
        progress(done, len(files))


def _load(path: Path) -> Any:
    with opened(path) as (stream, _):
        return RestrictedUnpickler(stream, str(path)).load()
