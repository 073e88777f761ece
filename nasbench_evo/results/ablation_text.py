"""The sentences that an ablation's numbers support, and the files that hold them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_evo.analysis.statistics import Interval
from nasbench_evo.files import plain, write_json, write_text
from nasbench_evo.results.ablation import Effect, Factor, Runs, effects, paired, show
from nasbench_evo.results.measures import STUDIED, Measured, heading
from nasbench_evo.results.rows import mean_intervals

_OF_A_GRID = 5  # combinations in a table; the heat map has all


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


def verdict(factor: Factor, found: Sequence[Effect]) -> str:
    """Return in one line on how many data sets a change lowers or raises the mean regret."""
    if not found:
        return "Too few runs to compare."
    usual = found[0].reference
    datasets = list(dict.fromkeys(effect.dataset for effect in found))
    told = {"lowers": "lower", "raises": "higher"}
    shown = [effect for effect in found if effect.judgement in told]
    if not shown:
        every = datasets[0] if len(datasets) == 1 else "any data set"
        return f"No difference to {usual} is shown on {every}."
    if factor.crossed:
        lower, higher = (sum(e.judgement == judgement for e in found) for judgement in told)
        return (
            f"Of {len(found)} comparisons with {usual}, {lower} have a lower mean regret and "
            f"{higher} a higher one; the others show no difference."
        )
    parts = []
    for level in dict.fromkeys(effect.level for effect in shown):
        for judgement, word in told.items():
            where = [e.dataset for e in shown if (e.level, e.judgement) == (level, judgement)]
            parts += [f"{word} with {level} on {_on(where, datasets)}"] if where else []
    return f"Against {usual} the mean regret is {'; '.join(parts)}; else no difference is shown."


def _on(some: Sequence[str], every: Sequence[str]) -> str:
    if len(every) > 1 and len(some) == len(every):
        return "all data sets"
    return ", ".join(some)


def effect_table(factor: Factor, found: Sequence[Effect]) -> tuple[tuple[str, ...], ...]:
    """Return each level's difference on each data set, the head first; of a grid the best ones.

    Empty without effects.
    """
    if not found:
        return ()
    datasets = list(dict.fromkeys(effect.dataset for effect in found))
    cells = {(effect.level, effect.dataset): effect for effect in found}
    levels = list(dict.fromkeys(effect.level for effect in found))
    if factor.crossed:
        levels = _lowest(cells, levels, datasets)
    usual = {effect.dataset: effect.reference_regret for effect in found}
    head = ("change of the mean regret (points)", *datasets)
    reference = (f"{found[0].reference} (its regret)", *(f"{usual[d]:.3f}" for d in datasets))
    lines = [
        (level, *(_cell(cells.get((level, dataset))) for dataset in datasets)) for level in levels
    ]
    return (head, reference, *lines)


def _lowest(
    cells: Mapping[tuple[str, str], Effect], levels: Sequence[str], datasets: Sequence[str]
) -> list[str]:
    """Return the levels of a grid with the lowest mean regret over the data sets."""

    def mean(level: str) -> float:
        known = [cells[level, d].difference.estimate for d in datasets if (level, d) in cells]
        return sum(known) / len(known)

    return sorted(levels, key=mean)[:_OF_A_GRID]


def _cell(effect: Effect | None) -> str:
    if effect is None:
        return ""
    mark = {"lowers": " lower", "raises": " higher"}.get(effect.judgement, "")
    return f"{interval(effect.difference)}{mark}"


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
    """A part of the ablation's text: what it comes to, a table, figures and sentences."""

    title: str
    figures: tuple[tuple[str, str], ...] = ()  # (file name without ending, caption)
    said: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()  # the first row is the head
    verdict: str = ""  # in one line


def title(factor: Factor) -> str:
    """Return what the section of a factor is called."""
    return f"{factor.shown} ({factor.preset}), {factor.title}"


def factor_section(
    factor: Factor, runs: Runs, figures: Sequence[tuple[str, str]]
) -> tuple[Section, list[Effect]]:
    """Return the section of a factor and the effects behind it."""
    found = effects(factor, runs)
    section = Section(
        title(factor),
        tuple(figures),
        tuple(sentences(factor, found, runs)),
        effect_table(factor, found),
        verdict(factor, found),
    )
    return section, found


_IN_TABLE = ("regret", "returned_regret")  # before what repeating the runs shows


def measured_section(
    factor: Factor, rows: Sequence[Measured], labels: Mapping[str, str]
) -> Section | None:
    """Return a table of what single runs of a factor's levels show; None without replayed runs.

    `rows` are measures of the suite, `labels` the labels of its rows there.
    """
    levels = {
        labels[level.row]: level.text for level in factor.levels if level.row in labels
    }  # others have no runs yet
    mine = [row for row in rows if row.row in levels]
    names = [n for n in dict.fromkeys(n for row in mine for n in row.measures) if n in STUDIED]
    if not names:
        return None
    regrets = [n for n in _IN_TABLE if any(n in row.measures for row in mine)]
    shown = [*regrets, *names]
    lines = [("data set", "setting", *(heading(name) for name in shown))]
    for row in sorted(mine, key=lambda one: list(levels).index(one.row)):
        cells = [_mean(list(row.by_seed(name).values())) for name in shown]
        lines.append((row.dataset, levels[row.row], *cells))
    title = f"What single runs of {factor.algorithm} ({factor.preset}) show"
    return Section(title, table=tuple(lines))


def _mean(values: Sequence[float]) -> str:
    """Return a mean with its 95% bootstrap interval; empty without values."""
    if len(values) < 2:
        return ""
    ((mean, low, high),) = mean_intervals([np.array(values)])
    return f"{mean:.3g} [{low:.3g}, {high:.3g}] (n={len(values)})"


def to_markdown(
    name: str, description: str, sections: Sequence[Section], notes: list[str], *, regrets: bool
) -> str:
    """Return the text of ablation.md; images are named relative to it.

    `regrets`: there are some to speak of.
    """
    lines = [f"# {name}", "", description, ""]
    lines += ["Every sentence and table here is written by `nasbench-evo figures` from the stored"]
    meaning = " Regret is of the mean validation accuracy over a cell's trials." if regrets else ""
    lines += [f"runs.{meaning}", ""]
    lines += [line for note in notes for line in (f"Note: {note}", "")]
    for section in sections:
        lines += section_lines(section)
    return "\n".join(lines)


def section_lines(section: Section) -> list[str]:
    """Return a section as lines of Markdown; images are named relative to the file."""
    lines = [f"## {section.title}", ""]
    lines += [f"**{section.verdict}**", ""] if section.verdict else []
    if section.table:
        head, *rows = section.table
        lines += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        lines += ["| " + " | ".join(row) + " |" for row in rows] + [""]
    for file, caption in section.figures:
        lines += [f"![{caption}]({file}.png)", ""]
    lines += [f"- {sentence}" for sentence in section.said]
    lines += [""] if section.said else []
    return lines


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
