"""What an import costs: time and peak memory on files of growing size, against the stock loader."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nasbench_evo.spaces.nasbench201 import SIZE

sys.path.insert(0, str(Path(__file__).parents[1] / "tables"))
import official_support as support

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc"),
]

# Each prints its seconds, and its peak memory in MB after its imports and at the end.
OURS = """
import sys, time
from pathlib import Path
from nasbench_evo.tables import container
from nasbench_evo.tables.importing import collector, files
def peak():  # ru_maxrss would start at the parent's peak
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
before, started = peak(), time.perf_counter()
gathered = collector.Collector(sys.argv[1])
files.read_file(Path(sys.argv[1]), gathered, lambda done, total: None)
arrays, recipes = gathered.arrays()
container.write(Path(sys.argv[1] + ".table"), {"recipes": recipes}, arrays)
print(time.perf_counter() - started, before, peak())
"""
STOCK = """
import sys, time
from pathlib import Path
import torch
def peak():  # ru_maxrss would start at the parent's peak
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
before, started = peak(), time.perf_counter()
content = torch.load(sys.argv[1], map_location="cpu", weights_only=False)
print(time.perf_counter() - started, before, peak())
"""


def measure(program: str, file: Path) -> tuple[float, float]:
    """Seconds and megabytes beyond the imports."""
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=True
    )
    seconds, before, peak = map(float, done.stdout.split())
    return seconds, peak - before


def official_size(path: Path, cells: int) -> Path:
    """A legacy file of `cells` cells in the schema of v1.1, with its numbers of epochs."""
    root: dict[str, Any] = support.content(cells, epochs=(12, 200))
    path.write_bytes(support.legacy(root))
    return path


@pytest.mark.torch
def test_memory_against_the_stock_loader(tmp_path: Path) -> None:
    one_fiftieth = SIZE // 50
    sizes = (one_fiftieth // 4, one_fiftieth // 2, one_fiftieth)
    found = {}
    for cells in sizes:
        file = official_size(tmp_path / f"{cells}.pth", cells)
        found[cells] = measure(OURS, file), measure(STOCK, file), file.stat().st_size / 1e6
        file.unlink()
        (seconds, memory), (stock_seconds, stock_memory), size = found[cells]
        print(
            f"{cells} cells, {size:.0f} MB: import {seconds:.1f} s, {memory:.0f} MB; "
            f"torch.load {stock_seconds:.1f} s, {stock_memory:.0f} MB; "
            f"{stock_memory / memory:.1f} x less memory"
        )
    half, whole = found[sizes[1]], found[sizes[2]]
    scale = (SIZE - sizes[2]) / (sizes[2] - sizes[1])
    for label, k in (("import", 0), ("torch.load", 1)):
        time, memory = (whole[k][i] + scale * (whole[k][i] - half[k][i]) for i in (0, 1))
        print(f"{label}, extrapolated to {SIZE} cells: {time:.0f} s, {memory / 1024:.1f} GiB")
        if k == 0:
            assert memory / 1024 < 6
    assert whole[1][1] / whole[0][1] >= 3


def test_a_pickle_of_texts_and_floats_takes_memory_for_its_table_only(tmp_path: Path) -> None:
    file = tmp_path / "texts.pickle"
    file.write_bytes(pickle.dumps(support.content(20, epochs=(2, 50)), 2))
    seconds, memory = measure(OURS, file)
    print(f"{file.stat().st_size / 1e6:.1f} MB: {seconds:.2f} s, {memory:.0f} MB")
    assert memory < 600
