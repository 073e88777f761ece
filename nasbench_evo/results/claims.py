"""What the papers claim, beside what the committed results show: a verdict for each claim.

A claim is data (suites/claims.toml): where it is printed, what it says, and which rows of which
results folder would show it. The verdict is made from the runs of that folder alone.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nasbench_evo.analysis.bootstrap import Array
from nasbench_evo.analysis.statistics import Interval
from nasbench_evo.errors import DataError
from nasbench_evo.results import measures
from nasbench_evo.results.ablation import CONFIDENCE, paired
from nasbench_evo.results.ablation_text import Section, interval, section_lines
from nasbench_evo.results.measures import Measured, heading, meaning
from nasbench_evo.results.published import PublishedRow, load_published
from nasbench_evo.suite import CLAIMS, bundled_file

Pair = tuple["Expectation", str, str, Array, Array]  # on a data set, against what, both [n]
Shown = Literal["as claimed", "the opposite", "no difference shown", "undecided", "not judged"]
Judgement = Literal["reproduced", "reproduced in part", "not reproduced", "cannot be tested here"]
_SHOWN: tuple[Shown, ...] = ("as claimed", "the opposite", "no difference shown", "undecided")
_FOR_BOOTSTRAP = 20  # pairs from which on resampling holds what it says
_FEWEST = 3  # runs without which nothing is compared


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Printed(_Strict):
    """Two methods of a table of published.toml whose difference is what the claim is about."""

    source: str
    arm: str
    against: str
    columns: list[str] = Field(min_length=1)  # "<data set> <split>"


class Expectation(_Strict):
    """Which rows of a results folder are compared, in what, and which way the claim expects it.

    `arm` is compared with each row of `against` (labels of the suite's tables), with its own
    measure `against_measure`, or with the number `than`. Without `expect` it is shown and not
    judged. "same" means within `margin`. `smallest` is the smallest difference that would matter.
    """

    results: str
    measure: str
    arm: str
    against: list[str] = []
    against_measure: str | None = None
    than: float | None = None
    expect: Literal["lower", "higher", "same"] | None = None
    margin: float | None = Field(default=None, gt=0)
    smallest: float | None = Field(default=None, gt=0)
    datasets: list[str] = []  # empty: all that the arm has

    @model_validator(mode="after")
    def _compares_something(self) -> Expectation:
        within = self.against_measure is not None
        if self.than is not None and (self.against or within):
            raise ValueError("a test compares with `than`, or with `against` and its measure")
        if self.than is None and not self.against and not within:
            raise ValueError("a test needs against, against_measure or than")
        if (self.expect == "same") != (self.margin is not None):
            raise ValueError('expect = "same" and margin go together')
        return self


class Claim(_Strict):
    """A published claim. `cannot` says why it cannot be tested here, whatever is shown."""

    paper: str
    where: str
    says: str
    printed: Printed | None = None
    cannot: str = ""
    note: str = ""  # what differs here from the paper's experiment, or explains the outcome
    test: list[Expectation] = []

    @model_validator(mode="after")
    def _is_tested_or_says_why_not(self) -> Claim:
        if not self.test and not self.cannot:
            raise ValueError(f"{self.paper}, {self.where}: a claim needs a test or `cannot`")
        return self

    @property
    def title(self) -> str:
        """Where it is printed."""
        return f"{self.paper}, {self.where}"


class _File(_Strict):
    claim: list[Claim]


@dataclass(frozen=True)
class Comparison:
    """One comparison of a test on a data set, over the n seeds that both sides have.

    `arm` and `other` are means, `difference` is arm minus other, with an interval that holds for
    all comparisons of the claim together (95%).
    """

    test: Expectation
    dataset: str
    against: str
    n: int
    arm: float
    other: float
    difference: Interval
    shown: Shown


@dataclass(frozen=True)
class Verdict:
    """What is seen of a claim, and what follows."""

    claim: Claim
    seen: tuple[Comparison, ...]
    missing: tuple[str, ...]  # what a test asks for and no results folder has
    published: Mapping[str, tuple[float, float]]  # arm and other by column of what is printed

    @cached_property
    def judged(self) -> list[Comparison]:
        """The comparisons that the claim expects something of."""
        return [one for one in self.seen if one.test.expect is not None]

    @property
    def judgement(self) -> Judgement:
        """Return reproduced (in part) or not, or that it cannot be tested."""
        shown = [one.shown for one in self.judged]
        if self.claim.cannot or not shown or self.missing:
            return "cannot be tested here"
        if all(one == "as claimed" for one in shown):
            return "reproduced"
        if "as claimed" in shown:
            return "reproduced in part"
        return "cannot be tested here" if set(shown) == {"undecided"} else "not reproduced"

    @property
    def reason(self) -> str:
        """Return what the judgement rests on, or why there is none."""
        if self.claim.cannot:
            return self.claim.cannot
        if self.missing:
            return f"{'; '.join(self.missing)}."
        if self.judgement == "cannot be tested here":
            return "the intervals hold no difference and one that would matter."
        counts = Counter(one.shown for one in self.judged)
        total = len(self.judged)
        parts = [f"{counts[kind]} {kind}" for kind in _SHOWN if counts[kind]]
        return f"of {total} comparison{'s' * (total > 1)} {', '.join(parts)}."


def load(path: Path | None = None) -> list[Claim]:
    """Return the claims, in the order of the file that comes with the package.

    Raises DataError if the file is missing, is not TOML, or is not what its heading describes.
    """
    path = bundled_file(CLAIMS, "claims") if path is None else path
    try:
        return _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).claim
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: {place}: {first['msg']}; its heading says what it holds") from (
            error
        )
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path}: expected published claims as TOML: {error}") from error


def judge(
    claims: Sequence[Claim], results: Path, known: Mapping[str, list[Measured]] | None = None
) -> list[Verdict]:
    """Return the verdict of each claim from the results folders below `results`.

    `known` holds the measures of folders that need not be read. Raises DataError where a folder's
    measures cannot be read, or a claim names numbers that published.toml does not have.
    """
    folders = {test.results for claim in claims for test in claim.test}
    stored = {name: measures.read(results / name) for name in folders - set(known or {})}
    stored |= known or {}
    rows = load_published()
    return [_verdict(claim, stored, rows) for claim in claims]


def _verdict(
    claim: Claim, stored: Mapping[str, list[Measured]], rows: Sequence[PublishedRow]
) -> Verdict:
    published = _published(claim, rows)
    matters = min((abs(arm - other) for arm, other in published.values()), default=None)
    missing: list[str] = []
    found: list[Pair] = []
    for test in claim.test:
        pairs = list(_pairs(test, stored[test.results]))
        if test.expect and (lacking := _lacking(test, pairs, stored[test.results])):
            missing.append(lacking)
        found += pairs
    comparisons = sum(test.expect is not None for test, *_ in found)
    seen = tuple(_comparison(*one, comparisons if one[0].expect else 1, matters) for one in found)
    return Verdict(claim, seen, tuple(dict.fromkeys(missing)), published)


def _lacking(test: Expectation, pairs: Sequence[Pair], rows: Sequence[Measured]) -> str:
    """Return in words what a results folder lacks for a test; empty where it has all."""
    if not rows:
        return f"results/{test.results} keeps no single runs"
    wanted = test.against or [""]
    seen = {against for _, _, against, _, _ in pairs}
    if len(seen) == len(wanted):
        return ""
    there = {row.row for row in rows if len(row.by_seed(test.measure)) >= _FEWEST}
    absent = [name for name in (test.arm, *test.against) if name not in there] or [test.arm]
    return (
        f"results/{test.results} has fewer than {_FEWEST} runs with the "
        f"{meaning(test.measure)[0]} of {', '.join(absent)}"
    )


def _published(claim: Claim, rows: Sequence[PublishedRow]) -> dict[str, tuple[float, float]]:
    if claim.printed is None:
        return {}
    printed = claim.printed
    known = {
        (row.method, f"{row.dataset} {row.split}"): row.mean
        for row in rows
        if row.source == printed.source
    }
    try:
        return {
            column: (known[printed.arm, column], known[printed.against, column])
            for column in printed.columns
        }
    except KeyError as error:
        raise DataError(
            f"{claim.title}: published.toml has no {error.args[0]} in {printed.source!r}"
        ) from error


def _pairs(test: Expectation, rows: Sequence[Measured]) -> Iterable[Pair]:
    """Yield test, data set, what is compared with, and the values [n] of both on shared seeds."""
    by_place = {(row.row, row.dataset): row for row in rows}
    datasets = list(dict.fromkeys(row.dataset for row in rows))
    for dataset in test.datasets or datasets:
        mine = by_place.get((test.arm, dataset))
        if mine is None:
            continue
        ours = mine.by_seed(test.measure)
        if test.than is not None:
            values = np.array(list(ours.values()))
            if len(values) >= _FEWEST:
                yield test, dataset, f"{test.than:g}", values, np.full(len(values), test.than)
            continue
        measure = test.against_measure or test.measure
        for name in test.against or [test.arm]:
            other = by_place.get((name, dataset))
            theirs = {} if other is None else other.by_seed(measure)
            shared = sorted(ours.keys() & theirs.keys())
            if len(shared) >= _FEWEST:
                text = name if test.against else meaning(measure)[0]
                a, b = (np.array([some[seed] for seed in shared]) for some in (ours, theirs))
                yield test, dataset, text, a, b


def _comparison(
    test: Expectation,
    dataset: str,
    against: str,
    a: Array,
    b: Array,
    comparisons: int,
    matters: float | None,
) -> Comparison:
    difference = _difference(a, b, comparisons)
    comparable = meaning(test.measure)[1] in ("points", "%")  # as what papers print
    smallest = test.smallest if test.smallest or not comparable else matters
    shown = _shown(test, difference, smallest)
    return Comparison(
        test, dataset, against, len(a), float(a.mean()), float(b.mean()), difference, shown
    )


def _difference(a: Array, b: Array, comparisons: int) -> Interval:
    """Return mean(a) - mean(b) over pairs [n] with an interval that holds for all comparisons.

    Of few pairs it is Student's: a bootstrap of four holds the truth four times in five.
    """
    apart = a - b
    if len(a) >= _FOR_BOOTSTRAP or np.ptp(apart) == 0:
        return paired(a, b, comparisons)
    from scipy import stats  # imported late: it takes long

    level = 1 - (1 - CONFIDENCE) / comparisons
    mean, error = float(apart.mean()), stats.sem(apart)
    low, high = stats.t.interval(level, len(apart) - 1, loc=mean, scale=error)
    return Interval(mean, float(low), float(high))


def _shown(test: Expectation, difference: Interval, smallest: float | None) -> Shown:
    """Return what an interval says of an expectation; `smallest` is what would matter, if known."""
    _, low, high = difference
    if test.expect is None:
        return "not judged"
    if test.expect == "same":
        margin = test.margin or 0.0
        if -margin < low and high < margin:
            return "as claimed"
        return "the opposite" if low > margin or high < -margin else "undecided"
    if test.expect == "lower":
        low, high = -high, -low
    if low > 0 or high < 0:
        return "as claimed" if low > 0 else "the opposite"
    if smallest is not None and high > smallest:
        return "undecided"
    return "no difference shown"


# -- as text --


def section(verdict: Verdict) -> Section:
    """Return what a page shows of a claim."""
    claim = verdict.claim
    said = [f"The paper says: {claim.says}{_printed(verdict)}"]
    if claim.note:
        said.append(f"Here: {claim.note}")
    judged = verdict.judgement
    joint = ", because" if judged == "cannot be tested here" else ":"
    text = f"{judged.capitalize()}{joint} {verdict.reason}"
    return Section(claim.title, said=tuple(said), table=_table(verdict.seen), verdict=text)


def _printed(verdict: Verdict) -> str:
    parts = [
        f"{arm:g} against {other:g} % on {column} ({arm - other:+.2f})"
        for column, (arm, other) in verdict.published.items()
    ]
    return f" Printed: {'; '.join(parts)}." if parts else ""


def _table(seen: Sequence[Comparison]) -> tuple[tuple[str, ...], ...]:
    if not seen:
        return ()
    head = ("results", "data set", "measure", "row", "against", "n", "difference [95%]", "shown")
    lines = []
    for one in seen:
        lines.append(
            (
                one.test.results,
                one.dataset,
                heading(one.test.measure),
                f"{one.test.arm}: {one.arm:.3f}",
                f"{one.against}: {one.other:.3f}" if one.test.than is None else one.against,
                str(one.n),
                interval(one.difference),
                one.shown,
            )
        )
    return (head, *lines)


def of_suite(name: str, folder: Path, own: Sequence[Measured]) -> list[Section]:
    """Return the sections of the claims that a suite's results are asked about.

    `own` are the measures of its runs; those that its folder holds beside them count too, and
    folders of other suites are looked for beside it.
    """
    asked = [claim for claim in load() if any(test.results == name for test in claim.test)]
    known = {name: measures.merged([*measures.read(folder), *own])}
    return [section(verdict) for verdict in judge(asked, folder.parent, known)]


_HEAD = """# What the papers claim, and what is seen here

Written by `nasbench-evo claims --out docs/claims.md` from `suites/claims.toml`,
`suites/published.toml` and the runs in `results/*/runs.json` and `replayed.json`; not to be edited.

A difference is one of means over the seeds that both sides share, with an interval that holds for
all judged comparisons of a claim together (95 %): by bootstrap, of fewer than twenty seeds
Student's, as resampling so few gives intervals that are too narrow. A claim is *reproduced* where
every comparison shows it, *in part* where some do, *not reproduced* where none does. Where an
interval holds both no difference and one as large as the paper's, nothing is decided. Regrets are
of the mean over a cell's trials, in percentage points: less is better.
"""


def page(verdicts: Sequence[Verdict]) -> str:
    """Return docs/claims.md."""
    lines = [_HEAD, "| paper | claim | verdict |", "|---|---|---|"]
    lines += [
        f"| {v.claim.paper} | [{v.claim.where}](#{_anchor(v.claim.title)}) | {v.judgement} |"
        for v in verdicts
    ]
    lines.append("")
    for verdict in verdicts:
        lines += section_lines(section(verdict))
    return "\n".join(lines)


def _anchor(title: str) -> str:
    """Return the anchor that a heading has in rendered Markdown."""
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")
