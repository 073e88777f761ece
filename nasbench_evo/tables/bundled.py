"""Tables that come with a source checkout: `results/tables/NAME.table.xz`, unpacked when needed."""

from __future__ import annotations

import lzma
from pathlib import Path

from nasbench_evo.errors import DataError
from nasbench_evo.tables import container, imported
from nasbench_evo.tables.packed import write_atomically

SUFFIX = ".table.xz"


def folder() -> Path:
    """Return where a source checkout keeps its tables; it need not exist."""
    return Path(__file__).parents[2] / "results" / "tables"


def names() -> list[str]:
    """Return the names of the tables that come with this checkout."""
    return sorted(file.name.removesuffix(SUFFIX) for file in folder().glob("[!.]*" + SUFFIX))


def pack(name: str, target: Path) -> Path:
    """Write an imported table compressed to `target`; return it. The same table, the same bytes."""
    content = imported.path_of(name).read_bytes()
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
    return target


def unpack(name: str) -> Path:
    """Put a bundled table among the imported ones; return its file.

    Raises DataError for a damaged archive.
    """
    source = folder() / (name + SUFFIX)
    target = imported.path_of(name)
    try:
        content = lzma.decompress(source.read_bytes())
    except (OSError, lzma.LZMAError) as error:
        raise DataError(f"{source} is damaged: {error}. Check it out again.") from error
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, content)
    try:
        container.check(container.read(target))
    except DataError:
        target.unlink()  # or the next call would take it for an imported table
        raise
    return target
