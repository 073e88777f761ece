"""A number that a page states as a result is in the results that it names.

A result is what looks like one: an interval, a deviation, or a decimal number of percent or points.
The comment before (or in) its paragraph or table says where it is from:

    <!-- from: results/nb201 -->
    <!-- from: results/nb201, suites/published.toml; given: 0.65 (measured once) -->

Every decimal number of the block must then be in one of those files, rounded as it is written, or
be `given`, with a reason in brackets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Pages with tests of their own: one is generated, the other drawn from performance.json.
ELSEWHERE = {"claims.md", "performance.md"}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FILES = (
    "summary.csv",
    "summary.json",
    "ablation.md",
    "ranks.json",
    "rank_correlation.csv",
    "retrained.json",
)
SOURCE = re.compile(r"<!-- from: ([^;>]*?)(?:; given: (.*?))? -->", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+\.\d+(?![\w]|\.\d)")
RESULT = re.compile(
    r"\[[-+]?\d+\.\d+,\s+[-+]?\d+\.\d+\]"  # an interval
    r"|\d\s?(?:±|\+-)\s?\d"  # a deviation
    r"|\d\.\d+\s(?:%|points)"
)


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the paragraphs and tables of a page, each with the comment that stands before it."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    before = ""
    for block in re.split(r"\n\s*\n", text):
        comment = " ".join(match.group(0) for match in SOURCE.finditer(block))
        rest = SOURCE.sub("", block).strip()
        if rest:
            yield comment or before, re.sub(r"`[^`]*`", "", rest)
        before = "" if rest else comment


@cache
def numbers(source: str) -> tuple[float, ...]:
    """Return every number of a results folder's tables and sentences, or of a file."""
    place = ROOT / source
    files = [place] if place.is_file() else [place / name for name in FILES]
    texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    assert texts, f"{source} holds no results"
    found = re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)", "\n".join(texts))
    return tuple({abs(float(number)) for number in found})


def is_in(number: str, sources: list[str]) -> bool:
    """Whether a number is in one of the sources, rounded to its digits."""
    digits = len(number.partition(".")[2])
    value, half = abs(float(number)), 0.500001 * 10**-digits
    return any(abs(known - value) <= half for source in sources for known in numbers(source))


def problems(comment: str, block: str) -> list[str]:
    """Return what is wrong with a block that states results."""
    stated = SOURCE.search(comment)
    if stated is None:
        return ["names no results: put <!-- from: results/... --> before it"]
    sources = [source.strip() for source in stated.group(1).split(",") if source.strip()]
    given = stated.group(2) or ""
    if given and "(" not in given:
        return ["what is given needs its reason in brackets"]
    allowed = set(NUMBER.findall(given))
    return [
        f"{number} is not in {', '.join(sources)}"
        for number in NUMBER.findall(block)
        if number not in allowed and not is_in(number, sources)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_states_is_in_the_results(page: Path) -> None:
    if page.name in ELSEWHERE:
        return
    wrong = [
        f"{page.name}: {problem}\n    {block[:110]!r}"
        for comment, block in blocks(page)
        if RESULT.search(block)
        for problem in problems(comment, block)
    ]
    assert not wrong, "\n".join(wrong)


def test_a_lie_is_found() -> None:
    source = "<!-- from: suites/published.toml; given: 1.25 (measured once) -->"
    assert not problems(source, "93.56 %, and 1.25 [1.25, 93.6]")
    assert problems(source, "the accuracy is 93.57 %") == ["93.57 is not in suites/published.toml"]
    assert "names no results" in problems("", "0.1 [0.0, 0.2]")[0]
    assert "reason" in problems("<!-- from: suites/published.toml; given: 1.25 -->", "1.25 %")[0]
    for text in ("1.25 [1.2, 1.3]", "3 +- 1", "0.5 ± 0.1", "2.5 %", "0.12\npoints"):
        assert RESULT.search(text)
    assert not RESULT.search("with lr 0.025, Python 3.11")
