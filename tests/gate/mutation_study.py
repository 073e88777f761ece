"""Which bugs in the source the gate finds, which the tests, and which neither.

    python tests/gate/mutation_study.py

puts every bug of source_mutants.py, one at a time, into a copy of the package, asks there the gate
and the tests, and writes results/gate_power/mutations.{json,csv,md}, one row more as each bug ends.
Bugs that the JSON has are not run again: --fresh does that, --only takes names.

The gate is `nasbench-evo check --seeds 50 --allow-changed-traces`, so that layers B, C and D judge
alone, as where a change of behaviour is intended; fewer seeds than its default find less. Layer D
gets the summary of as many seeds, made by the sound package. A cell is run whole only if one of its
first two and last two seeds gives another run than the sound package: the others count as
unchanged (see known_runs.py), so that a bug can only look harder to find than it is.

The tests stop at the first that fails. Those of the folder that mirrors the mutated module run
first, the other rooms' only if these pass.
"""

from __future__ import annotations

import argparse
import compileall
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from source_mutants import MUTANTS, SourceMutant

ROOT = Path(__file__).parents[2]
OUT = ROOT / "results" / "gate_power"
COMMAND = "python tests/gate/mutation_study.py"
NEEDED = ("nasbench_evo", "suites", "tests", "results", "docs", "pyproject.toml")
SEEDS = 50
LONGEST = 1800  # seconds of a command: a search without end is found by what asked it
SUITE = "suites/nb201.toml"
BASELINE = "results/baselines/nb201.json"
SUMMARY = "results/nb201/summary.json"  # that layer D reads
# The quick tests that mirror what is mutated, and those that run if these do not find it.
MIRRORS = {
    "algorithms": (
        *("tests/algorithms/test_operators.py", "tests/algorithms/test_worked_examples.py"),
        *("tests/algorithms", "tests/spaces"),
    ),
    "spaces": ("tests/spaces", "tests/algorithms"),
    "engines": ("tests/engines/test_engines.py",),
    "runner.py": ("tests/test_runner.py",),
    "incumbents.py": ("tests/test_incumbents.py",),
    "evaluators": ("tests/evaluators/test_lookup.py", "tests/evaluators/test_fidelity.py"),
    "analysis": ("tests/analysis",),
    "results": ("tests/results/test_summary_golden.py", "tests/results"),
    "gate": ("tests/gate",),
}
OTHERS = (
    *("tests/suite/test_suite_files.py", "tests/test_api.py", "tests/cli/test_check.py"),
    *(path for paths in MIRRORS.values() for path in paths),
)
# These read the mutants' text from the source, or the rows that this study writes.
IGNORED = ("tests/gate/test_mutation_study.py", "tests/gate/test_gate_power.py")
COLUMNS = ("mutant", "room", "bug", "A", "B", "C", "D", "gate", "tests", "caught by")
LAYERS = {"A": "A traces", "B": "B distribution", "C": "C ordering", "D": "D summary"}


def source(mutant: SourceMutant) -> str:
    """Return the mutated text; raise ValueError unless the old one is there once."""
    text = (ROOT / "nasbench_evo" / mutant.file).read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.file} has {text.count(mutant.old)} times: {mutant.old!r}")
    return text.replace(mutant.old, mutant.new)


def copied(copy: Path) -> Path:
    """Copy what the gate and the tests need into a folder, compiled; return it."""
    for part in NEEDED:
        of, to = ROOT / part, copy / part
        to.parent.mkdir(parents=True, exist_ok=True)
        if of.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.sqlite*", "checkpoints")
            shutil.copytree(of, to, ignore=ignored)
        else:
            shutil.copy2(of, to)
    compileall.compile_dir(copy / "nasbench_evo", quiet=1)
    return copy


@contextmanager
def planted(copy: Path, mutant: SourceMutant) -> Iterator[None]:
    """Put a bug into the copy, and take it out again."""
    file = copy / "nasbench_evo" / mutant.file
    file.write_text(source(mutant), encoding="utf-8")
    try:
        yield
    finally:
        shutil.copy2(ROOT / "nasbench_evo" / mutant.file, file)


def mirrors(mutant: SourceMutant) -> tuple[str, ...]:
    """Return the tests that mirror what is mutated."""
    return MIRRORS[mutant.file.partition("/")[0]]


class Study:
    """A copy of the sound package, what it gives, and the questions that are asked of it."""

    def __init__(self, folder: Path, *, sound: bool = False) -> None:
        """Run the package without a bug.

        Raises RuntimeError if gate or tests find something; of one known to be `sound`, the tests
        do not run again.
        """
        self.copy, self.gated = copied(folder / "copy"), folder / "gated"
        self.runs = folder / "runs.pickle"
        for file in (BASELINE, SUITE):
            (self.gated / file).parent.mkdir(parents=True)
            shutil.copy(ROOT / file, self.gated / file)
        options = ("--seeds", str(SEEDS), "--workers", "1", "--out", SUMMARY.rpartition("/")[0])
        done = self._call(self.gated, "-m", "nasbench_evo", "run", SUITE, *options)
        if done.returncode:
            raise RuntimeError(done.stderr)
        found = [layer for layer, failed in self._gate().items() if failed]
        if failed := [*found, *filter(None, [not sound and self._tests(OTHERS)])]:
            raise RuntimeError(f"Without a bug something fails already: {failed}")

    def row(self, name: str) -> dict[str, Any]:
        """Return the row of one bug: what found it, and how many seconds that took."""
        mutant, started = MUTANTS[name], time.monotonic()
        with planted(self.copy, mutant):
            found = self._gate()
            first = mirrors(mutant)
            failed = self._tests(first) or self._tests([t for t in OTHERS if t not in first])
        gate = any(found.values())
        by = {(True, True): "both", (True, False): "gate", (False, True): "tests"}
        return {
            "mutant": name,
            "room": mutant.room,
            "bug": mutant.bug,
            **found,
            "gate": gate,
            "tests": failed,
            "caught by": by.get((gate, bool(failed)), "neither"),
            "commit": commit(),
            "seconds": round(time.monotonic() - started),
        }

    def _call(self, where: Path, *words: str) -> subprocess.CompletedProcess[str]:
        own = {"PYTHONPATH": str(self.copy), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
        try:
            return subprocess.run(
                [sys.executable, *words],
                cwd=where,
                env={**os.environ, **own, "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                timeout=LONGEST,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(words, 124, "", f"no end in {LONGEST} s")

    def _gate(self) -> dict[str, bool]:
        """Return which layers fail; a gate that cannot end fails in layer A: behaviour changed."""
        options = ("--allow-changed-traces", "--json", "--seeds", str(SEEDS))
        script = str(self.copy / "tests" / "gate" / "known_runs.py")
        done = self._call(self.gated, script, str(self.runs), SUITE, *options)
        try:
            content = json.loads(done.stdout)
        except ValueError:
            return dict.fromkeys(LAYERS, False) | {"A": True}
        if content["summary"]["skipped"]:
            raise RuntimeError(f"Layer D compares nothing: {content['summary']['skipped']}")
        failed = {key: not content["layers"][name]["passed"] for key, name in LAYERS.items()}
        failed["A"] = any(trace["difference"] for trace in content["traces"])
        return failed

    def _tests(self, paths: Sequence[str]) -> str:
        """Return the first test that fails, or nothing."""
        options = ("-x", "-q", "--benchmark-disable", "-p", "no:cacheprovider")
        which = ("-m", "not torch and not slow", *(f"--ignore={path}" for path in IGNORED))
        done = self._call(self.copy, "-m", "pytest", *options, *which, *paths)
        if done.returncode == 0:
            return ""
        lines = [t for t in done.stdout.splitlines() if t.startswith(("FAILED", "ERROR"))]
        what = lines[0].split(" - ")[0].split(" ", 1)[1] if lines else ""
        return what or f"exit code {done.returncode}"


def commit() -> str:
    """Return the commit that is studied, marked where package or tests differ from it."""
    git = ("git", "-C", str(ROOT))
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    changes = subprocess.run(
        [*git, "status", "--porcelain", "--", "nasbench_evo", "tests"],
        capture_output=True,
        text=True,
        check=True,
    )
    return head.stdout.strip()[:12] + ("+changes" if changes.stdout else "")


def write(rows: dict[str, dict[str, Any]]) -> None:
    """Write the rows as JSON, as CSV and, for docs/gate.md, as Markdown."""
    known = [rows[name] for name in MUTANTS if name in rows]
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "mutations.json").write_text(json.dumps(known, indent=1) + "\n")
    with (OUT / "mutations.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: _text(v) for k, v in row.items()} for row in known)
    (OUT / "mutations.md").write_text(page(known))


def _text(value: Any) -> Any:
    return {True: "yes", False: ""}.get(value, value) if isinstance(value, bool) else value


def page(rows: list[dict[str, Any]]) -> str:
    """Return the study as Markdown: totals by room, then every bug."""
    commits = dict.fromkeys(row["commit"] for row in rows)
    lines = [
        "# Bugs in the source: who finds them",
        "",
        f"Made by `{COMMAND}` of commit {', '.join(commits)}; the bugs are in",
        "`tests/gate/source_mutants.py`. A to D: the gate's layers, with",
        f"`--allow-changed-traces` and {SEEDS} seeds (its default is 500), so that B, C and D",
        "judge alone. A cell is run whole only if one of its first two and last two seeds gives",
        "another run than without the bug; the others count as unchanged, so that a bug can only",
        "look harder to find. Tests: the first quick one that fails; those of the folder that",
        "mirrors the mutated module run first, the other rooms' only if these pass.",
        "",
        "| room | bugs | gate | gate without A | tests | neither |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    rooms = dict.fromkeys(row["room"] for row in rows)
    for room in [*rooms, "all"]:
        own = [row for row in rows if room in (row["room"], "all")]
        counts = (
            len(own),
            sum(row["gate"] for row in own),
            sum(row["B"] or row["C"] or row["D"] for row in own),
            sum(bool(row["tests"]) for row in own),
            sum(row["caught by"] == "neither" for row in own),
        )
        lines.append(f"| {room} | {' | '.join(map(str, counts))} |")
    left = len(MUTANTS.keys() - {row["mutant"] for row in rows})
    if left:
        lines += ["", f"{left} of the {len(MUTANTS)} bugs were not run yet."]
    lines += ["", "| room | bug | A | B | C | D | first test |", "|" + " --- |" * 7]
    for row in rows:
        cells = [row["room"], row["bug"], *(_text(row[k]) for k in "ABCD")]
        test = row["tests"].rpartition("/")[2]
        lines.append("| " + " | ".join(map(str, [*cells, f"`{test}`" if test else ""])) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what is asked for and write what is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=list(MUTANTS), choices=list(MUTANTS))
    parser.add_argument("--fresh", action="store_true", help="run again what is known")
    options = parser.parse_args()
    file = OUT / "mutations.json"
    kept = json.loads(file.read_text()) if file.exists() else []
    rows = {row["mutant"]: row for row in kept}
    names = [name for name in options.only if options.fresh or name not in rows]
    if not names:
        return
    with tempfile.TemporaryDirectory() as place:
        sound = any(row["commit"] == commit() for row in rows.values())
        study = Study(Path(place), sound=sound)
        for name in names:
            rows[name] = study.row(name)
            write(rows)
            print(f"{name}: {rows[name]['caught by']} ({rows[name]['seconds']} s)", flush=True)


if __name__ == "__main__":
    main()
