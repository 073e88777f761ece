"""Tables that come with the package: `results/tables/NAME.table.xz`, unpacked when needed."""

from __future__ import annotations

import lzma
from pathlib import Path

from nasbench_evo.errors import DataError
from nasbench_evo.files import write_atomically
from nasbench_evo.tables import container, imported

SUFFIX = ".table.xz"
_MOST = 1 << 28  # bytes of a table that comes with the package, and to unpack it


def files() -> dict[str, Path]:
    """Return the tables that come with the package or its source checkout, by name."""
    package = Path(__file__).parents[1]
    folders = (package / "bundled_tables", package.parent / "results" / "tables")
    found = (file for folder in folders for file in sorted(folder.glob("[!.]*" + SUFFIX)))
    return {file.name.removesuffix(SUFFIX): file for file in found}


def names() -> list[str]:
    """Return the names of the tables that come with this package."""
    return sorted(files())


def pack(name: str, target: Path) -> Path:
    """Write an imported table compressed to `target`; return it. The same table, the same bytes."""
    content = imported.path_of(name).read_bytes()
    write_atomically(target, lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
    return target


def unpack(name: str) -> Path:
    """Put a bundled table among the imported ones; return its file.

    Raises DataError for a damaged archive.
    """
    source = files()[name]
    target = imported.path_of(name)
    try:
        decompressor = lzma.LZMADecompressor(memlimit=_MOST)
        content = decompressor.decompress(source.read_bytes(), max_length=_MOST)
        if not decompressor.eof:
            raise lzma.LZMAError(f"it is cut, or larger than {_MOST >> 20} MB")
    except (OSError, EOFError, MemoryError, lzma.LZMAError) as error:
        raise DataError(f"{source} is damaged: {error}. Check it out again.") from error
    write_atomically(target, content)
    try:
        container.check(container.read(target))
    except DataError:
        target.unlink()  # or the next call would take it for an imported table
        raise
    return target
