"""The gate's power: how often each layer finds each injected bug, and how often it errs.

    python tests/gate/gate_study.py

runs every row of the suite nb201 with fresh seeds once, draws repetitions of the gate from that
pool, and writes results/gate_power/{detection.csv, false_alarms.csv, README.md}. With --keep FOLDER
a study that was interrupted goes on with the pools that it had run.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import json
import pickle
import time
from pathlib import Path

import numpy as np
from gate_mutants import MUTANTS
from scipy.stats import mannwhitneyu

from nasbench_evo import suite as suites
from nasbench_evo.analysis import statistics
from nasbench_evo.execution import default_workers
from nasbench_evo.files import write_atomically
from nasbench_evo.gate import baseline, cells, judgement, layers
from nasbench_evo.gate import measured as gate_runs
from nasbench_evo.gate.measured import MEASURES
from nasbench_evo.results import manifest as report

FIRST_SEED = 100_000  # far from the seeds of every suite
SIZES = (50, 100)  # well below the pools': the repetitions of a size must differ
COMMITTED = 100  # seeds of the committed baseline that are compared with fresh ones
STRICT = 20  # repetitions of --strict, which bootstraps every cell
LEVELS = (0.001, 0.005, 0.01, 0.05)
ROOT = Path(__file__).parents[2]
BASELINE = ROOT / "results" / "baselines" / "nb201.json"
DETECTION = ("mutant", "bug", "n", "repetitions", "A", "B", "C", "A or B", "B or C")
ALARMS = ("against", "rule", "n", "repetitions", "alarms", "rate", "low", "high")


def measure(units, seeds, workers):
    """Return the runs of units with the fresh seeds, without golden traces."""
    chosen = range(FIRST_SEED, FIRST_SEED + seeds)
    capped, cells.TWIN_SEEDS = cells.TWIN_SEEDS, seeds  # the pool of a twin is as large
    try:
        return gate_runs.measure(units, chosen, workers=workers, golden=0)
    finally:
        cells.TWIN_SEEDS = capped


def pools(seeds, mutant_seeds, workers, keep=None):
    """Return the runs of the unchanged suite, and those of each mutant; paired by seed.

    With a folder `keep`, what is there is not run again.
    """
    units = cells.units(suites.load(suites.find("nb201")))

    def pool(name, own, number):
        file = keep and keep / f"{name}-{number}.pickle"
        if file and file.exists():
            return pickle.loads(file.read_bytes())  # noqa: S301  # our own
        measured = measure(own, number, workers)
        if file:
            write_atomically(file, pickle.dumps(measured))
        return measured

    sound = pool("sound", units, seeds)
    mutants = {
        name: pool(name, mutant.units(units), mutant_seeds) for name, mutant in MUTANTS.items()
    }
    return sound, mutants


def picked(measured, chosen):
    """Return what a gate with only the chosen runs would have measured."""
    chosen = cells.seeds_of(measured.unit, chosen)  # a twin has fewer
    sample = measured.sample.at(chosen)
    hashes = tuple(measured.hashes[i] for i in chosen)
    return dataclasses.replace(measured, sample=sample, hashes=hashes, runs=())


def smallest_p(before, after, regrets):
    """Return layer B's smallest adjusted p value, over all measures of all cells.

    Holm multiplies the smallest by their number. As `layers.compare` (a test holds that), but all
    cells of a size in one call, because the study asks some ten thousand times.
    """
    pairs, number = {}, 0
    for key, m in after.items():
        for measure in MEASURES:
            old = before[key].sample.values(measure, regrets[key[1]])
            new = m.sample.values(measure, regrets[key[1]])
            if len(old) and len(new):
                number += 1
                if not np.array_equal(old, new):
                    pairs.setdefault(len(new), []).append((new, old))
    p = [1.0]
    for some in pairs.values():
        new, old = (np.array(rows, dtype=float) for rows in zip(*some, strict=True))
        with np.errstate(invalid="ignore"):  # all values equal: nothing to rank
            p.append(float(np.nanmin(mannwhitneyu(new, old, axis=1, method="asymptotic").pvalue)))
    return min(1.0, number * min(p))


def disordered(measured):
    """Return whether layer C finds the order of the methods broken, or what is known of them."""
    own = layers.own(measured)
    orders = layers.ordering(own, judgement.tuned(own)) + layers.known_answers(measured)
    return not all(o.passed for o in orders)


def detection(sound, mutants, sizes, repetitions, rng):
    """Yield the rows of detection.csv: the share of repetitions in which a layer fails.

    A repetition draws n seeds; unchanged rows give in it what they gave before (as they do in
    use), so that only the rows with the bug differ.
    """
    regrets = layers.scales(sound)
    for name, broken in mutants.items():
        pool = len(next(iter(broken.values())).hashes)
        for n in sizes:
            found = {"A": 0, "B": 0, "C": 0, "A or B": 0, "B or C": 0}
            for _ in range(repetitions):
                chosen = rng.permutation(pool)[:n]
                before = {key: picked(m, chosen) for key, m in sound.items()}
                after = before | {key: picked(m, chosen) for key, m in broken.items()}
                a = any(after[k].hashes != before[k].hashes for k in broken)
                b = smallest_p(before, after, regrets) < layers.ALPHA
                c = disordered(after)
                for layer, hit in zip(found, (a, b, c, a or b, b or c), strict=True):
                    found[layer] += hit
            shares = {layer: count / repetitions for layer, count in found.items()}
            yield {
                "mutant": name,
                "bug": MUTANTS[name].bug,
                "n": n,
                "repetitions": repetitions,
                **shares,
            }


def false_alarms(sound, committed, sizes, repetitions, strict_repetitions, rng):
    """Yield the rows of false_alarms.csv: unchanged code with other seeds than the baseline's."""
    regrets = layers.scales(sound)
    pool = len(next(iter(sound.values())).hashes)
    strict_repetitions = min(strict_repetitions, repetitions)
    cases = [("other runs of the pool", None, n) for n in sizes if 2 * n <= pool]
    if committed is not None:
        n = min(COMMITTED, pool)
        entries = {
            k: dataclasses.replace(e, sample=e.sample.head(n)) for k, e in committed.entries.items()
        }
        cases.append(("the committed baseline", entries, n))
    for against, entries, n in cases:
        smallest, orders, unshown = [], 0, 0
        for repetition in range(repetitions):
            chosen = rng.permutation(pool)[: 2 * n]
            after = {key: picked(m, chosen[:n]) for key, m in sound.items()}
            before = entries or {key: picked(m, chosen[n:]) for key, m in sound.items()}
            smallest.append(smallest_p(before, after, regrets))
            orders += disordered(after)
            if repetition < strict_repetitions:
                unshown += _not_shown(before, after)
        for level in LEVELS:
            hits = sum(p < level for p in smallest)
            yield _alarm(against, f"B at level {level}", n, repetitions, hits)
        yield _alarm(against, "B with --strict", n, strict_repetitions, unshown)
        yield _alarm(against, "C", n, repetitions, orders)


def _not_shown(before, after):
    """Return whether some cell is not shown to be non-inferior: what --strict fails."""
    base = baseline.Baseline({"seeds": 0}, {k: _entry(m) for k, m in before.items()})
    cells = layers.distribution(base, after, {k: m.sample for k, m in after.items()})
    return any(cell.verdict in ("not shown", "inferior") for cell in cells)


def _entry(m):
    return baseline.Entry({}, m.sample, (), baseline.short(m.hashes))


def _alarm(against, rule, n, repetitions, hits):
    interval = statistics.wilson_interval(hits, repetitions)
    rate, low, high = (round(float(v), 5) for v in interval)
    values = (against, rule, n, repetitions, int(hits), rate, low, high)
    return dict(zip(ALARMS, values, strict=True))


def write(folder, detected, alarms, manifest):
    """Write the tables and the page that explains them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "detection.csv").write_text(_csv(DETECTION, detected))
    (folder / "false_alarms.csv").write_text(_csv(ALARMS, alarms))
    (folder / "README.md").write_text(page(detected, alarms, manifest))
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


def _csv(columns, rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _table(columns, rows):
    lines = [columns, ["---"] * len(columns), *([str(row[c]) for c in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def page(detected, alarms, manifest):
    shares = [
        {k: f"{v:.1%}" if isinstance(v, float) else v for k, v in row.items()} for row in detected
    ]
    rates = [
        {k: f"{v:.2%}" if isinstance(v, float) else v for k, v in row.items()} for row in alarms
    ]
    return f"""# What the gate finds

Made by `python tests/gate/gate_study.py` of commit {str(manifest["commit"])[:12]}:
{manifest["pool"]} fresh seeds of every row of nb201 on every data set, {manifest["mutant_pool"]}
of each row with a bug. Every figure is a share of repetitions of the gate, each drawn from these
runs without replacement (a bootstrap of the gate, not new runs each time).

## Injected bugs

Share of repetitions in which a layer fails: A the traces of n seeds, B the distributions over n
paired seeds (twins: {cells.TWIN_SEEDS} at most) at its level of {layers.ALPHA}, C the ordering and
the known answers. B and C are what is left when a change of behaviour is intended
(`--allow-changed-traces`). A bug that leaves
the quality of the search alone is rightly not found by B: A is there for it.

{_table(DETECTION, shares)}

## False alarms

Unchanged code, n fresh seeds, Wilson 95% interval. With the baseline's own seeds unchanged code
gives equal runs, and no layer can fail. `B with --strict` also fails where non-inferiority is not
shown: with n runs a row most rows are too noisy for that, which is why it is not the default.

{_table(ALARMS, rates)}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--mutant-seeds", type=int, default=150)
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--alarm-repetitions", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--keep", type=Path, help="folder of the pools")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "gate_power")
    options = parser.parse_args()
    started = time.monotonic()
    rng = np.random.default_rng(0)
    committed = baseline.load(BASELINE, "nasbench-evo check")
    sound, mutants = pools(options.seeds, options.mutant_seeds, options.workers, options.keep)
    detected = list(detection(sound, mutants, SIZES, options.repetitions, rng))
    alarms = list(false_alarms(sound, committed, SIZES, options.alarm_repetitions, STRICT, rng))
    suite = suites.load(suites.find("nb201")).model_copy(
        update={"seeds": options.seeds, "first_seed": FIRST_SEED}
    )
    units = sum(map(len, mutants.values()))
    runs = len(sound) * options.seeds + units * options.mutant_seeds
    seconds = time.monotonic() - started
    manifest = report.manifest(suite, runs=runs, failed=0, seconds=seconds)
    manifest |= {"pool": options.seeds, "mutant_pool": options.mutant_seeds}
    write(options.out, detected, alarms, manifest)


if __name__ == "__main__":
    main()
