"""Which bugs in the source the gate finds, which the tests, and which neither.

    python tests/gate/mutation_study.py

puts every bug of source_mutants.py, one at a time, into a copy of the package, runs there
`nasbench-evo check --seeds 50 --allow-changed-traces` (so that layers B, C and D judge alone, as
where a change of behaviour is intended) and the tests of what is mutated, and writes
results/gate_power/mutations.{json,csv,md}. Fewer seeds than the gate's default are quicker and find
less; layer D gets the summary of as many seeds, made by the sound package. Bugs that the JSON has
already are not run again: --fresh does that; --only takes names.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from source_mutants import MUTANTS, SourceMutant

ROOT = Path(__file__).parents[2]
OUT = ROOT / "results" / "gate_power"
NEEDED = ("nasbench_evo", "suites", "tests", "results", "docs", "pyproject.toml")
SEEDS = 50
SUITE = "suites/nb201.toml"
# The quick tests of the rooms that are mutated; others would only take longer.
TESTS = (
    *("tests/algorithms", "tests/analysis", "tests/gate", "tests/results", "tests/spaces"),
    *("tests/evaluators/test_lookup.py", "tests/evaluators/test_fidelity.py"),
    *("tests/test_runner.py", "tests/test_incumbents.py", "tests/suite/test_suite_files.py"),
    *("tests/test_api.py", "tests/cli/test_check.py"),
)
# These read the mutants' text from the source: every mutant would fail them.
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
    """Copy what the gate and the tests need into a folder; return it."""
    for part in NEEDED:
        of, to = ROOT / part, copy / part
        to.parent.mkdir(parents=True, exist_ok=True)
        if of.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.sqlite*", "checkpoints")
            shutil.copytree(of, to, ignore=ignored)
        else:
            shutil.copy(of, to)
    return copy


def sound(folder: Path) -> Path:
    """Return summary.json of the suite with fewer seeds; raise if the sound package is not."""
    copy = copied(folder)
    done = _call(
        copy, "nasbench_evo", "run", SUITE, "--seeds", str(SEEDS), "--out", str(folder / "o")
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    summary = folder / "o" / "summary.json"
    found = {
        "gate": {k: v for k, v in _gate(copy, summary).items() if k in LAYERS and v},
        "tests": _tests(copy),
    }
    if found["gate"] or found["tests"]:
        raise RuntimeError(f"Without a bug something fails already: {found}")
    return summary


def run(name: str, summary: Path) -> dict[str, Any]:
    """Return the row of one bug: what found it. `summary` is that of the sound package."""
    mutant = MUTANTS[name]
    with tempfile.TemporaryDirectory() as place:
        copy = copied(Path(place))
        (copy / "nasbench_evo" / mutant.file).write_text(source(mutant), encoding="utf-8")
        found, failed = _gate(copy, summary), _tests(copy)
    gate = any(found[layer] for layer in "ABCD")
    by = {(True, True): "both", (True, False): "gate", (False, True): "tests"}
    return {
        "mutant": name,
        "room": mutant.room,
        "bug": mutant.bug,
        **found,
        "gate": gate,
        "tests": failed,
        "caught by": by.get((gate, bool(failed)), "neither"),
    }


def _call(copy: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=copy, env=env, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def _gate(copy: Path, summary: Path) -> dict[str, Any]:
    """Return which layers fail; a gate that cannot end fails in layer A: behaviour changed."""
    read = copy / "results" / "nb201" / "summary.json"
    committed = read.read_bytes()
    shutil.copy(summary, read)
    options = ("--allow-changed-traces", "--json", "--seeds", str(SEEDS))
    done = _call(copy, "nasbench_evo", "check", SUITE, *options)
    read.write_bytes(committed)
    try:
        content = json.loads(done.stdout)
    except ValueError:
        return {
            "seeds": 0,
            "A": True,
            "B": False,
            "C": False,
            "D": False,
            "end": done.stderr[-300:],
        }
    failed = {key: not content["layers"][name]["passed"] for key, name in LAYERS.items()}
    failed["A"] = any(trace["difference"] for trace in content["traces"])
    return failed


def _tests(copy: Path) -> str:
    """Return the first test that fails, or nothing."""
    ignored = [f"--ignore={path}" for path in IGNORED]
    options = (
        "-x",
        "-q",
        "--benchmark-disable",
        "-p",
        "no:cacheprovider",
        "-m",
        "not torch and not slow",
    )
    done = _call(copy, "pytest", *options, *ignored, *TESTS)
    if done.returncode == 0:
        return ""
    lines = [text for text in done.stdout.splitlines() if text.startswith(("FAILED", "ERROR"))]
    return lines[0].split(" - ")[0].split(" ", 1)[1] if lines else f"exit code {done.returncode}"


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
    lines = [
        "# Bugs in the source: who finds them",
        "",
        "Made by `python tests/gate/mutation_study.py`; the bugs are in",
        "`tests/gate/source_mutants.py`. A to D: the gate's layers, with",
        f"`--allow-changed-traces` and {SEEDS} seeds (its default is 500), so that B, C and D",
        "judge alone. Tests: the first quick test that fails.",
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
    with tempfile.TemporaryDirectory() as place:
        summary = sound(Path(place))
        for name in names:
            started = time.monotonic()
            rows[name] = run(name, summary)
            write(rows)
            print(
                f"{name}: {rows[name]['caught by']} ({time.monotonic() - started:.0f} s)",
                flush=True,
            )


if __name__ == "__main__":
    main()
