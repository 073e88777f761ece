"""Which code makes a run: the package's version and the source of the algorithm."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path
from typing import Any

from nasbench_evo import __version__
from nasbench_evo.algorithms import Algorithm, operators


def code_of(algorithms: dict[str, type[Algorithm]]) -> dict[str, Any]:
    """Return the version of this package and the SHA-256 of each algorithm's source, by name."""
    sources = {name: _sha256(cls) for name, cls in sorted(algorithms.items())}
    return {"version": __version__, "algorithms": sources}


def _sha256(cls: type[Algorithm]) -> str | None:
    """Return the hash of the files that say what an algorithm does; None where there are none."""
    own: list[Any] = [base for base in cls.__mro__ if issubclass(base, Algorithm)]
    found = {inspect.getsourcefile(made) for made in (*own, operators)}
    try:
        texts = [Path(file).read_bytes() for file in found if file is not None]
    except OSError:
        return None
    return hashlib.sha256(b"".join(sorted(texts))).hexdigest()


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return what differs between two codes, in words."""
    said = []
    if old["version"] != new["version"]:
        said.append(f"version {old['version']} -> {new['version']}")
    known = old["algorithms"]
    said += [
        f"the source of {name}"
        for name, sha256 in new["algorithms"].items()
        if name in known and known[name] != sha256
    ]
    return said
