"""The results folder of a suite: claimed by one driver, watched, and discarded with care."""

from __future__ import annotations

import difflib
import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from nasbench_evo.algorithms import get as algorithm
from nasbench_evo.algorithms.stand_ins import Resolved
from nasbench_evo.errors import DataError, InputError, RunsFailed
from nasbench_evo.evaluators.journal import FILE as JOURNAL
from nasbench_evo.evaluators.watched import FILE as PROGRESS
from nasbench_evo.files import canonical
from nasbench_evo.provenance import code_of, differences
from nasbench_evo.store import FILE, RESULT_FORMAT, Store
from nasbench_evo.suite import Suite, identified, identity, name_objective, named, resolved

MANIFEST = "manifest.json"
CHECKPOINTS = "checkpoints"
ROWS = "rows"  # in the store: of algorithms of other people's code, with their hyper-parameters
OBJECTIVES = "objectives"  # in the store: what an objective of other people's code is
_LOCK = ".lock"
_CODES = "codes"


@contextmanager
def opened(
    suite: Suite, folder: Path, *, fresh: bool = False, strict: bool = False
) -> Iterator[Store]:
    """Yield the store of a results folder, locked against other drivers.

    Raises InputError if the folder cannot be written, is in use, or holds the results of another
    suite or result format (with the difference); `fresh` discards what a run wrote there. Runs of
    another version of the code are warned of; with `strict` they are an InputError too.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK, timeout=0)
        with lock:
            if fresh:
                _discard(folder)
            with Store(folder) as store:
                _claim(suite, folder, store, strict=strict)
                yield store
    except Timeout:
        raise InputError(
            f"Another run is using {folder}. Wait for it, or choose another --out."
        ) from None
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise InputError(
            f"Cannot write results to {folder}: {error.strerror}. Choose another --out."
        ) from error
    except OSError as error:
        raise InputError(
            f"Cannot write results to {folder}: {error.strerror or error}. Free space or choose "
            "another --out; finished runs are kept."
        ) from error


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Make a folder for files that are not runs; writing errors inside become InputError.

    Where an error leaves it as empty as it was made it goes again.
    """
    try:
        new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield
        finally:
            if new:
                _remove_empty(folder)
    except OSError as error:
        raise InputError(
            f"Cannot write results to {folder}: {error.strerror or error}. Choose another --out."
        ) from error


def _discard(folder: Path) -> None:
    """Delete what runs wrote to a folder; reports are overwritten when the new runs are done.

    Raises InputError for a folder that holds something, but no run: it is somebody else's.
    """
    there = {path.name for path in folder.iterdir()} - {_LOCK}
    if there and not there & {FILE, MANIFEST}:
        raise InputError(
            f"{folder} is no results folder: it has neither {FILE} nor {MANIFEST}, but "
            f"{min(there)}. --fresh deletes nothing there; choose another --out."
        )
    for suffix in ("", "-wal", "-shm"):
        (folder / (FILE + suffix)).unlink(missing_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    _discard_trainings(folder / CHECKPOINTS)


def _discard_trainings(folder: Path) -> None:
    """Delete journals and checkpoints of runs, and the folders that are empty then."""
    for unit in sorted(folder.glob("*")):
        if unit.suffix == ".pt" and unit.name.startswith("teacher-"):
            unit.unlink()
        if not re.fullmatch("[0-9a-f]{16}", unit.name) or unit.is_symlink():
            continue
        for run in unit.glob("seed-*"):
            for file in (*run.glob(f"{JOURNAL}*"), *run.glob("*.pt"), *run.glob(PROGRESS)):
                file.unlink()
            _remove_empty(run)
        _remove_empty(unit)
    _remove_empty(folder)


def _remove_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _claim(suite: Suite, folder: Path, store: Store, *, strict: bool) -> None:
    """Check that the folder is this suite's, and mark it so."""
    published = _published(folder / MANIFEST)
    known_suite = store.get_meta("suite") or published.get("identity")
    known_format = store.get_meta("result_format") or published.get("result_format")
    hint = "Use another --out to keep them, or --fresh to discard them."
    if known_format is not None and str(known_format) != str(RESULT_FORMAT):
        raise InputError(
            f"{folder} holds results of format {known_format}; this version writes "
            f"{RESULT_FORMAT}. {hint}"
        )
    if known_suite is not None and known_suite != identity(suite):
        raise InputError(
            f"{folder} holds results of another suite:\n{_difference(known_suite, identity(suite))}"
            f"\n{hint}"
        )
    known_seeds = int(store.get_meta("seeds") or published["seeds"])
    if known_seeds > suite.seeds:
        raise InputError(
            f"{folder} holds {known_seeds} seeds and a run with {suite.seeds} would replace its "
            f"summary by a poorer one. {hint}"
        )
    _note_code(suite, store, strict=strict)
    outside = resolved(suite)
    if outside:
        store.set_meta(ROWS, canonical(outside))
    if suite.own:
        store.set_meta(OBJECTIVES, canonical(identified(suite)))
    store.set_meta("suite", identity(suite))
    store.set_meta("seeds", str(suite.seeds))


def read_by_name(suite: Suite, store: Store | None) -> None:
    """Have the rows of a suite read without importing what a results folder, or a file, names."""
    known = objectives = None
    if store is not None:
        try:
            known = [Resolved(*row) for row in json.loads(store.get_meta(ROWS) or "[]")]
            objectives = dict(json.loads(store.get_meta(OBJECTIVES) or "{}"))
        except (ValueError, TypeError, RecursionError) as error:
            raise DataError(f"{store.path}: its rows cannot be read: {error}.") from error
    named(suite, known)
    name_objective(suite, objectives)


def codes(store: Store) -> list[dict[str, Any]]:
    """Return each code that made runs of a store: its version and its algorithms' SHA-256."""
    known: list[dict[str, Any]] = json.loads(store.get_meta(_CODES) or "[]")
    return known


def _note_code(suite: Suite, store: Store, *, strict: bool) -> None:
    """Store which code makes the runs from here on; say where runs of another are there."""
    known = codes(store)
    now = code_of({entry.algorithm: algorithm(entry.algorithm) for entry in suite.rows})
    changed = differences(known[-1], now) if known else []
    if changed:
        text = (
            f"The runs in {store.path.parent} were made by other code ({', '.join(changed)}): "
            "they are kept, and those that are missing are made by today's."
        )
        if strict:
            raise InputError(
                f"{text} --strict does not allow it: use another --out, or --fresh to discard them."
            )
        warnings.warn(text, stacklevel=5)
    if now not in known:
        store.set_meta(_CODES, canonical([*known, now]))


def _published(manifest: Path) -> dict[str, Any]:
    """Return what a manifest says of the runs that were reported; nothing where there is none."""
    if not manifest.exists():
        return {"seeds": 0}
    try:
        content: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
        return {**content, "seeds": int(content.get("seeds") or 0)}
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(
            f"{manifest} is damaged: {error}. Restore it, or use --fresh to start over."
        ) from error


def _difference(old: str, new: str) -> str:
    before, after = (json.dumps(json.loads(text), indent=1).splitlines() for text in (old, new))
    lines = difflib.unified_diff(before, after, "there", "asked for", lineterm="", n=1)
    return "\n".join(lines)


class Place:
    """The results folder, its store and its lock, as they were when the runs began."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = self._look()

    def _look(self) -> list[tuple[int, int] | None]:
        found: list[tuple[int, int] | None] = []
        for path in (self._folder, self._folder / FILE, self._folder / _LOCK):
            try:
                status = path.stat()
                found.append((status.st_dev, status.st_ino))
            except OSError:
                found.append(None)
        return found

    def check(self) -> None:
        """Raise RunsFailed where one of them was deleted, moved or replaced since."""
        now = self._look()
        if now == self._known:
            return
        names = (str(self._folder), f"{self._folder / FILE}", f"{self._folder / _LOCK}")
        lost = [name for name, a, b in zip(names, self._known, now, strict=True) if a != b]
        raise RunsFailed(
            f"{lost[0]} was deleted, moved or replaced while the suite was running. What was "
            "stored is where that file is now, and unchanged. Put it back where it was (or leave "
            "it, to start anew) and give the same command again."
        )
