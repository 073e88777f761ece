"""The sentences that an ablation's numbers support, and the files that hold them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_evo.analysis.statistics import Interval
from nasbench_evo.files import plain, write_json, write_text
from nasbench_evo.results.ablation import Effect, Factor, Runs, effects, paired, show


def sentences(factor: Factor, found: Sequence[Effect], runs: Runs) -> list[str]:
    """Return what the data say of a factor: a sentence a data set, then about random search."""
    said = []
    for dataset in runs.suite.datasets:
        mine = [effect for effect in found if effect.dataset == dataset]
        if mine:
            said.append(_of_dataset(factor, mine, runs.suite.length))
            if line := _against_random(factor, dataset, runs):
                said.append(line)
            said += _main_effects(factor, dataset, runs) if factor.crossed else []
    return said


def _of_dataset(factor: Factor, found: Sequence[Effect], length: str) -> str:
    one = found[0]
    head = (
        f"{one.dataset}, {factor.shown} ({factor.preset}): against {one.reference} (mean "
        f"regret {one.reference_regret:.3f} percentage points after at most {length}, "
        f"{_seeds(found)} paired seeds), "
    )
    if factor.crossed:
        return head + _of_grid(found)
    words = {
        "lowers": "the mean regret is lower with",
        "raises": "the mean regret is higher with",
        "leaves": "no difference is shown for",
    }
    parts = []
    for verb, text in words.items():
        chosen = [effect for effect in found if effect.judgement == verb]
        if chosen:
            parts.append(f"{text} {_list(chosen)}")
    return f"{head}{'; '.join(parts)}. {_meaning(one.comparisons)}"


def _seeds(found: Sequence[Effect]) -> str:
    low, high = min(e.n for e in found), max(e.n for e in found)
    return f"{low}" if low == high else f"{low} to {high}"


def _list(found: Sequence[Effect]) -> str:
    return ", ".join(f"{effect.level} ({interval(effect.difference)})" for effect in found)


def _of_grid(found: Sequence[Effect]) -> str:
    lower = sum(effect.judgement == "lowers" for effect in found)
    higher = sum(effect.judgement == "raises" for effect in found)
    best = min(found, key=lambda effect: effect.regret)
    return (
        f"{lower} of the {len(found)} other combinations have a lower mean regret, {higher} a "
        f"higher one and {len(found) - lower - higher} show no difference; the lowest has "
        f"{best.level} {interval(best.difference)}. {_meaning(best.comparisons)}"
    )


def _meaning(comparisons: int) -> str:
    together = "" if comparisons == 1 else f", holding for all {comparisons} comparisons together"
    return f"(Differences of the mean regret in percentage points, 95% interval{together}.)"


def interval(value: Interval) -> str:
    """Return "-0.123 [-0.200, -0.050]"."""
    return f"{value.estimate:+.3f} [{value.low:+.3f}, {value.high:+.3f}]"


def _against_random(factor: Factor, dataset: str, runs: Runs) -> str:
    """Return how many levels beat random search at the suite's budget, and the best one's lead."""
    baseline = runs.baseline(dataset)
    if baseline is None:
        return ""
    theirs = runs.final(baseline.unit.row.label, dataset)
    compared = []
    for level in factor.levels:
        ours, random = runs.matched([level.row, baseline.unit.row.label], dataset)
        if len(ours) >= 2:
            compared.append((level, paired(ours, random, len(factor.levels))))
    if not compared:
        return ""
    better = [level.text for level, value in compared if value.high < 0]
    worse = [level.text for level, value in compared if value.low > 0]
    best, value = min(compared, key=lambda pair: pair[1].estimate)
    return (
        f"{dataset}, {factor.shown} ({factor.preset}): of {len(compared)} settings "
        f"{len(better)} {_have(better)} a lower mean regret than random search at the same budget "
        f"({theirs.mean():.3f}), {len(worse)} a higher one, the others show no difference; the "
        f"best, {best.text}, differs from it by {interval(value)}."
    )


def _have(items: Sequence[str]) -> str:
    return "has" if len(items) == 1 else "have"


def _main_effects(factor: Factor, dataset: str, runs: Runs) -> list[str]:
    """Return the effect of each hyper-parameter of a grid, averaged over the other."""
    said = []
    for i, name in enumerate(factor.names):
        values = list(dict.fromkeys(level.values[i] for level in factor.levels))
        usual = factor.levels[factor.reference].values[i]
        matched = runs.matched([level.row for level in factor.levels], dataset)
        means = {
            v: np.mean(
                [
                    x
                    for level, x in zip(factor.levels, matched, strict=True)
                    if level.values[i] == v
                ],
                axis=0,
            )
            for v in values
        }
        others = [v for v in values if v != usual and len(means[v]) > 1]
        parts = [
            f"{show(v)}: {interval(paired(means[v], means[usual], len(others)))}" for v in others
        ]
        if parts:
            said.append(
                f"{dataset}, {factor.shown}: averaged over the other weight, {name} instead "
                f"of {show(usual)} changes the mean regret by {', '.join(parts)} percentage points "
                f"(95% intervals, holding for all {len(others)} comparisons together)."
            )
    return said


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the ablation's text: figures with captions, tables and sentences."""

    title: str
    figures: tuple[tuple[str, str], ...] = ()  # (file name without ending, caption)
    said: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()  # the first row is the head


def factor_section(
    factor: Factor, runs: Runs, figures: Sequence[tuple[str, str]]
) -> tuple[Section, list[Effect]]:
    """Return the section of a factor and the effects behind it."""
    found = effects(factor, runs)
    title = f"{factor.shown} ({factor.preset}), {factor.title}"
    return Section(title, tuple(figures), tuple(sentences(factor, found, runs))), found


def to_markdown(name: str, description: str, sections: Sequence[Section], notes: list[str]) -> str:
    """Return the text of ablation.md; images are named relative to it."""
    lines = [f"# {name}", "", description, ""]
    lines += ["Every sentence and table here is written by `nasbench-evo figures` from the stored"]
    lines += ["runs. Regret is of the mean validation accuracy over a cell's trials.", ""]
    lines += [line for note in notes for line in (f"Note: {note}", "")]
    for section in sections:
        lines += [f"## {section.title}", ""]
        for file, caption in section.figures:
            lines += [f"![{caption}]({file}.png)", ""]
        lines += [f"- {sentence}" for sentence in section.said]
        lines += [""] if section.said else []
        if section.table:
            lines += [
                "| " + " | ".join(section.table[0]) + " |",
                "|---" * len(section.table[0]) + "|",
            ]
            lines += ["| " + " | ".join(row) + " |" for row in section.table[1:]] + [""]
    return "\n".join(lines)


def to_json(name: str, found: Sequence[Effect], sections: Sequence[Section]) -> dict[str, Any]:
    """Return the content of ablation.json: plain JSON types."""
    return {
        "suite": name,
        "effects": [
            {
                **{k: plain(v) for k, v in dataclasses.asdict(effect).items() if k != "difference"},
                "difference": plain(effect.difference.estimate),
                "difference_low": plain(effect.difference.low),
                "difference_high": plain(effect.difference.high),
                "judgement": effect.judgement,
            }
            for effect in found
        ],
        "sections": [dataclasses.asdict(section) for section in sections],
    }


def write(folder: Path, markdown: str, content: dict[str, Any]) -> list[Path]:
    """Write ablation.md and ablation.json; return their paths."""
    return [
        write_text(folder / "ablation.md", markdown),
        write_json(folder / "ablation.json", content),
    ]
